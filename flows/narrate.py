"""THE MAIN PATH: shards of photos walk through the stages in order; the last one commits them."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Protocol

from flows.errors import Interrupted
from flows.lanes import in_lanes
from flows.records import Shard, Summary, Work

if TYPE_CHECKING:
    from flows.stages import Lane, Stages

Call = Callable[[str, int | None, Callable[[], None]], None]
"""A way to call a stage: its name, the shard's number (None for the whole run), and the function to run."""


class Watcher(Protocol):
    """Somebody who is told how the run goes; what a watcher cannot do never ends the run."""

    def shard_done(self, summary: Summary, to_do: int) -> None:
        """Take note that one more shard is committed; `to_do` photos are this run's whole work."""

    def finished(self, summary: Summary) -> None:
        """Take note that the run is over."""


def narrate(shards: Iterable[Shard], stages: "Stages", to_do: int, call: Call, watchers: Iterable[Watcher]) -> None:
    """Walk every shard through the stages by way of `call`; what an interrupted run has not committed is dropped.

    Neighbouring shards overlap: while one is spoken the next is captioned and the one after that is decoded.
    """

    def walk(lane: "Lane", shard: Shard) -> None:
        for name, stage in lane.stages:
            stages.stop.check()
            if lane.is_far:
                stage(shard)
                continue
            with stages.timing_calls():
                call(name, shard.number, partial(stage, shard))

    began = perf_counter()
    lanes = stages.lanes()
    widths = [lane.width for lane in lanes]
    try:
        for _ in in_lanes(shards, [partial(walk, lane) for lane in lanes], stages.stop.halt, widths=widths):
            for watcher in watchers:
                watcher.shard_done(stages.summary, to_do)
    except Interrupted:
        stages.summary.interrupted = stages.stop.signal
    stages.summary.wall_s = perf_counter() - began
    for watcher in watchers:
        watcher.finished(stages.summary)


def cut(works: Iterator[Work], size: int) -> Iterator[Shard]:
    """Yield shards of `size` photos, in order, each read only when its turn comes."""
    number = 0
    while batch := list(islice(works, size)):
        number += 1
        yield Shard(number, batch)
