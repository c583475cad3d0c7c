"""The stages of a shard: each calls a room for what is still open, and holds no logic of its own."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import perf_counter
from typing import TYPE_CHECKING

from flows.clips import forget_publishing, keep_replaced, note_publishing, publish, remove_superseded
from flows.finding import Finder, take_in
from flows.making import Batches, Maker, spoken_text
from flows.neighbours import Neighbours
from flows.opening import open_uri
from flows.plan import Plan
from flows.records import Shard, Summary
from flows.report import tally
from flows.rooms import Rooms
from flows.rows import make_row
from flows.stopping import Stop
from flows.turns import ON_GPU

if TYPE_CHECKING:
    from flows.bursts import Bursts
    from flows.turns import Turns

Stage = Callable[[Shard], None]


@dataclass(frozen=True)
class Lane:
    """The stages, each with its name, that a shard walks through without making way for the next one."""

    stages: Sequence[tuple[str, Stage]]
    width: int = 1
    """Shards that may be in it at once."""
    is_far: bool = False
    """Whether its stages are done, and told to Prefect, by the workers of a cluster."""


LANES = (("ingest",), ("features", "captions", "alt text"), ("speech",), ("master and encode", "commit"))
"""The stages in order, cut into what neighbouring shards may be at side by side."""


@dataclass
class Stages:
    """The seven stages of one run, in order."""

    rooms: Rooms
    plan: Plan
    summary: Summary
    stop: Stop
    decoders: Executor
    """Threads, or processes where a GPU is to be fed, that open photos."""
    advance: Callable[[str, int], None]
    """Told after each batch: the stage, and how many photos it has behind it."""
    bursts: "Bursts | None" = None
    """Who finds the frames of bursts; None where they are not looked for."""
    turns: "Turns | None" = None
    """Whose turn it is at a GPU that runs share; None where they do not."""
    _count: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Begin beside what is committed."""
        self._batches = Batches(self.stop, self.advance)
        self._maker = Maker(self.rooms, self._batches)
        self._finder = Finder(self.rooms, self.plan, self.bursts)
        self._neighbours = Neighbours(self.plan)

    def lanes(self) -> list[Lane]:
        """Return the stages in order, lane by lane; all of them in one lane where shards are not to overlap."""
        groups = LANES if self.rooms.job.overlap else [[name for lane in LANES for name in lane]]
        return [Lane([(name, self._timed(name)) for name in group]) for group in groups]

    def ingest(self, shard: Shard) -> None:
        """Know each photo by its hash; open those that need a caption."""
        unread = [work for work in shard.works if not self._finder.is_known(work)]
        side_px = self.rooms.captioner.input_size_px if unread else 0
        for batch in self._batches.of("ingest", unread):
            opened = self.decoders.map(open_uri, [work.source.fetched_by for work in batch], [side_px] * len(batch))
            for work, outcome in zip(batch, opened, strict=True):
                take_in(work, outcome)
                self._finder.find(work)

    def features(self, shard: Shard) -> None:
        """Encode the photos that need a caption."""
        self._maker.features(shard)

    def captions(self, shard: Shard) -> None:
        """Decode features to captions."""
        self._maker.captions(shard)

    def alt_text(self, shard: Shard) -> None:
        """Make alt text of captions by the policy, and see whose words are those of the photo before it."""
        self._maker.alt_text(shard)
        for work in shard.works:
            if work.caption is not None:
                self._finder.look_up_clip(work)
        for work in shard.works:
            told = work.twin or work
            self._neighbours.look(work, spoken_text(told) if told.refusal is None and told.failure is None else None)

    def speech(self, shard: Shard) -> None:
        """Speak the alt texts that have no clip."""
        self._maker.speech(shard)

    def master_and_encode(self, shard: Shard) -> None:
        """Master the waveforms and write them as files out of everyone's sight."""
        self._maker.master_and_encode(shard)

    def commit(self, shard: Shard) -> None:
        """Rename the clips into place, then the rows that name them."""
        self._finder.settle(shard)
        time = datetime.now(UTC)
        rows = [make_row(work, self.rooms, self.summary.run_id, time) for work in shard.works]
        results = list(zip(shard.works, rows, strict=True))
        out = self.rooms.job.out
        self.plan.check_lock()
        with self._finder.settled:
            self.plan.remember(keep_replaced(out, results))
            note_publishing(out, results)
            publish(out, results)
            self.plan.commit(rows)
            remove_superseded(out, results)
            self._finder.forget(shard.works)
        forget_publishing(out)
        tally(self.summary, results)

    @contextmanager
    def timing_calls(self) -> Iterator[None]:
        """Add the time that the block takes to what calling stages took; several lanes do so side by side."""
        began = perf_counter()
        yield
        with self._count:
            self.summary.called_s += perf_counter() - began

    def _timed(self, name: str) -> Stage:
        function: Stage = getattr(self, name.replace(" ", "_"))

        def stage(shard: Shard) -> None:
            with self.turns.turn() if self.turns is not None and name in ON_GPU else nullcontext():
                began = perf_counter()
                self.rooms.share_cores(name)
                function(shard)
            seconds = self.summary.stage_seconds
            seconds[name] = seconds.get(name, 0.0) + perf_counter() - began

        return stage
