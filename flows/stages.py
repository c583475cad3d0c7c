"""The stages of a shard: each calls a room for what is still open, and holds no logic of its own."""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from captioner.alt_text import make_alt_text
from captioner.errors import OutOfMemoryError
from captioner.records import AltText, Caption, Photo, Refusal
from flows import paths
from flows.clips import forget_publishing, hash_of, keep_replaced, note_publishing, publish, remove_superseded
from flows.neighbours import Neighbours
from flows.opening import failure_of, open_uri
from flows.own import is_decorative, own_of
from flows.plan import Plan
from flows.raw import rounded
from flows.records import Row, Shard, Summary, Work
from flows.report import tally
from flows.rooms import Rooms
from flows.rows import make_row
from flows.stopping import Stop
from flows.thumbnails import write_thumbnail
from flows.words import Words, human_words, same_language
from speech.errors import BadAudioError, SpeechError
from speech.records import Spoken

if TYPE_CHECKING:
    from flows.bursts import Bursts

BATCH = 16
"""Photos between two looks at whether the run was asked to stop."""

SPOKEN_BATCH = 4
"""Texts between two such looks: speech takes the longest, and a text may be minutes of it."""

Stage = Callable[[Shard], None]

Lane = Sequence[tuple[str, Stage]]
"""The stages, each with its name, that a shard walks through without making way for the next one."""

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
    _underway: dict[str, Work] = field(default_factory=dict)
    """By hash, the photo that the others with the same bytes wait for, until its row is committed."""
    _neighbours: Neighbours = field(init=False)
    _count: threading.Lock = field(default_factory=threading.Lock)
    _settled: threading.RLock = field(default_factory=threading.RLock)
    """Held while clips and rows are put in place: who looks in between would find a clip that is not its row's."""

    def __post_init__(self) -> None:
        """Begin beside what is committed."""
        self._neighbours = Neighbours(self.plan)

    def lanes(self) -> list[Lane]:
        """Return the stages in order, lane by lane; all of them in one lane where shards are not to overlap."""
        groups = LANES if self.rooms.job.overlap else [[name for lane in LANES for name in lane]]
        return [[(name, self._timed(name)) for name in group] for group in groups]

    def ingest(self, shard: Shard) -> None:
        """Know each photo by its hash; open those that need a caption."""
        unread = [work for work in shard.works if not self._is_known(work)]
        side_px = self.rooms.captioner.input_size_px if unread else 0
        for batch in self._batches("ingest", unread):
            opened = self.decoders.map(open_uri, [work.source.fetched_by for work in batch], [side_px] * len(batch))
            for work, outcome in zip(batch, opened, strict=True):
                _take_in(work, outcome)
                self._find(work)

    def features(self, shard: Shard) -> None:
        """Encode the photos that need a caption."""
        for batch in self._batches(
            "features", _open_works(shard, lambda work: not work.reuses_caption and work.alt_text is None)
        ):
            _halved_where_it_fails(batch, self._encode)

    def captions(self, shard: Shard) -> None:
        """Decode features to captions."""
        for batch in self._batches("captions", [work for work in shard.works if work.features is not None]):
            _halved_where_it_fails(batch, self._decode)

    def alt_text(self, shard: Shard) -> None:
        """Make alt text of captions by the policy."""
        policy, language = self.rooms.job.policy, self.rooms.captioner_info.language
        for batch in self._batches("alt text", [work for work in shard.works if work.caption is not None]):
            for work in batch:
                self._word(work, policy, language)
        for work in shard.works:
            told = work.twin or work
            self._neighbours.look(work, _spoken_text(told) if told.refusal is None and told.failure is None else None)

    def speech(self, shard: Shard) -> None:
        """Speak the alt texts that have no clip."""
        if self.rooms.job.keep_raw:
            for work in _open_works(shard, lambda work: not work.reuses_clip):
                work.spoken = self.rooms.raw_clips.load(_spoken_text(work))
                work.reuses_raw = work.spoken is not None
        unspoken = _open_works(shard, lambda work: not (work.reuses_clip or work.reuses_raw))
        for batch in self._batches("speech", unspoken, SPOKEN_BATCH):
            _halved_where_it_fails(batch, self._speak)

    def master_and_encode(self, shard: Shard) -> None:
        """Master the waveforms and write them as files out of everyone's sight."""
        job, folder = self.rooms.job, paths.scratch_folder(self.rooms.job.out)
        for batch in self._batches("master and encode", [work for work in shard.works if work.spoken is not None]):
            for work in batch:
                self._finish(work, folder / f"clip-{shard.number}-{work.sha256}.{job.format}")

    def commit(self, shard: Shard) -> None:
        """Rename the clips into place, then the rows that name them."""
        self._settle(shard)
        time = datetime.now(UTC)
        rows = [make_row(work, self.rooms, self.summary.run_id, time) for work in shard.works]
        results = list(zip(shard.works, rows, strict=True))
        out = self.rooms.job.out
        self.plan.check_lock()
        with self._settled:
            self.plan.remember(keep_replaced(out, results))
            note_publishing(out, results)
            publish(out, results)
            self.plan.commit(rows)
            remove_superseded(out, results)
            for work in shard.works:
                if work.sha256 is not None and self._underway.get(work.sha256) is work:
                    del self._underway[work.sha256]
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
            began = perf_counter()
            self.rooms.share_cores(name)
            function(shard)
            seconds = self.summary.stage_seconds
            seconds[name] = seconds.get(name, 0.0) + perf_counter() - began

        return stage

    def _batches(self, stage: str, works: Sequence[Work], size: int = BATCH) -> Iterator[Sequence[Work]]:
        for start in range(0, len(works), size):
            self.stop.check()
            batch = works[start : start + size]
            began = perf_counter()
            yield batch
            share = (perf_counter() - began) / len(batch)
            for work in batch:
                work.seconds[stage] = share
            self.advance(stage, len(batch))

    def _is_known(self, work: Work) -> bool:
        """Return whether size and time say that the photo is unchanged, and a row has its words."""
        if work.row_before is None or not self.plan.is_unchanged(work):
            return False
        work.sha256 = work.row_before["sha256"]
        self._find(work)
        return work.reuses_caption or work.twin is not None or work.is_decorative or work.alt_text is not None

    def _find(self, work: Work) -> None:
        """Find who has the same bytes: a photo that is underway, or a committed row; else be the one that is found."""
        if work.is_open and work.sha256 is not None:
            with self._settled:
                self._find_same(work, work.sha256)

    def _find_same(self, work: Work, sha256: str) -> None:
        if self._has_own_words(work):
            return
        work.twin = self._underway.get(sha256)
        if work.twin is not None:
            work.photo = None
            return
        self._look_up(work, sha256)
        if self._is_of_burst(work):
            return
        if work.photo is not None or work.reuses_caption:
            self._underway[sha256] = work

    def _is_of_burst(self, work: Work) -> bool:
        """Make a photo the twin of the frame of its burst that is described, where bursts are looked for."""
        if work.photo is None or self.bursts is None:
            return False
        work.twin = self.bursts.leader_of(work)
        if work.twin is None:
            return False
        work.burst_of = work.twin.source.id
        write_thumbnail(self.rooms.job.out, work.photo)
        work.photo = _without_pixels(work.photo)
        return True

    def _has_own_words(self, work: Work) -> bool:
        """Take a person's word for a photo, where one came with it: no captioner is asked, and no twin shares it."""
        work.is_decorative = is_decorative(own_of(work))
        work.words = human_words(work, self.rooms.reviews, self.rooms.captioner_info.language)
        if not work.is_decorative and work.words is None:
            return False
        if work.photo is not None:
            write_thumbnail(self.rooms.job.out, work.photo)
            work.photo = _without_pixels(work.photo)
        if work.words is not None and not work.is_decorative:
            work.alt_text = AltText(work.words.text, work.words.language or self.rooms.voice.language)
            self._look_up(work, work.sha256 or "")
            work.failure = self._foreign(work.words)
        return True

    def _foreign(self, words: Words) -> tuple[str, str] | None:
        """Return why the voice would say a person's words wrongly; None where they are in its language."""
        voice = self.rooms.voice
        if words.language is None or same_language(words.language, voice.language):
            return None
        what = f"the words are in {words.language} and the voice {voice.name} speaks {voice.language}"
        return "unspeakable", f"{what}; narrate these photos apart with a voice of that language, or mend the language"

    def _look_up(self, work: Work, sha256: str) -> None:
        """Find committed words and sound for the same bytes."""
        if work.words is not None:
            row = work.reused = self._row_of_bytes(work, sha256)
            work.reuses_clip = False
            if row is not None:
                self._look_up_clip(work, row)
            return
        row = work.reused = self.plan.reusable(sha256)
        if row is None:
            return
        work.reuses_caption, work.photo = True, None
        if not self.plan.digests.words_hold(row):  # the same caption in other words
            work.caption = Caption(row["caption"], row["mean_logprob"], row["captioner_digest"])
        if work.alt_text is not None or work.caption is None:
            self._look_up_clip(work, row)

    def _row_of_bytes(self, work: Work, sha256: str) -> Row | None:
        """Return the row that has what was said of a person's photo so far: its own, else one of the same bytes."""
        before = work.row_before
        return (
            before
            if before is not None and before["sha256"] == sha256
            else self.plan.reusable(sha256, whoever_wrote=True)
        )

    def _look_up_clip(self, work: Work, row: Row) -> None:
        """Find out whether the row's clip says the photo's words as they would be said now, and is whole."""
        path, says_it = row["audio_path"], work.alt_text is None or work.alt_text.text == row["alt_text"]
        holds = path is not None and says_it and self.plan.digests.sound_holds(row)
        work.reuses_clip = holds and hash_of(self.rooms.job.out / path) == row["audio_sha256"]

    def _settle(self, shard: Shard) -> None:
        """Find again the sound that photos share: shards ahead were committed since it was looked up.

        Who waited for a photo of a shard ahead shares its row now, or its failure.
        """
        for work in shard.works:
            sha256, photo = work.sha256, work.photo
            ahead = work.twin is not None and self._underway.get(work.twin.sha256 or "") is not work.twin
            if work.twin is not None and ahead:
                sha256, work.failure, work.twin = work.twin.sha256, work.twin.failure, None
            if work.is_open and sha256 is not None and (ahead or work.reuses_clip):
                work.reuses_clip = False
                self._look_up(work, sha256)
                work.photo = photo
                if not work.reuses_clip:
                    work.failure = ("unreadable", "the clip to share went missing; it is made at the next run")

    def _encode(self, batch: Sequence[Work]) -> None:
        photos = [work.photo for work in batch if work.photo is not None]
        for photo in photos:
            write_thumbnail(self.rooms.job.out, photo)
        for work, features in zip(batch, self.rooms.captioner.encode(photos), strict=True):
            work.features = features
            work.photo = _without_pixels(work.photo)

    def _decode(self, batch: Sequence[Work]) -> None:
        features = [work.features for work in batch if work.features is not None]
        for work, caption in zip(batch, self.rooms.captioner.decode(features), strict=True):
            work.caption, work.features = caption, None

    def _word(self, work: Work, policy: str, language: str) -> None:
        if work.caption is not None:
            neutral, confidence = self.rooms.job.neutral_people, work.caption.confidence
            work.alt_text = make_alt_text(work.caption.text, policy, language, neutral=neutral, confidence=confidence)
            if work.reused is not None:
                with self._settled:
                    self._look_up_clip(work, work.reused)

    def _speak(self, batch: Sequence[Work]) -> None:
        spoken = self.rooms.speaker.speak([_spoken_text(work) for work in batch])
        for work, outcome in zip(batch, spoken, strict=True):
            work.spoken = rounded(outcome) if isinstance(outcome, Spoken) else outcome
            if self.rooms.job.keep_raw and isinstance(work.spoken, Spoken):
                self.rooms.raw_clips.save(_spoken_text(work), work.spoken)

    def _finish(self, work: Work, path: Path) -> None:
        try:
            if not isinstance(work.spoken, Spoken):
                raise work.spoken or BadAudioError("there is no sound")
            work.clip = self.rooms.speaker.finish(work.spoken, path, _spoken_text(work), self.rooms.delivery)
        except SpeechError as error:
            work.failure = ("bad-audio" if isinstance(error, BadAudioError) else "unspeakable", str(error))
        work.spoken = None


def _halved_where_it_fails(batch: Sequence[Work], function: Callable[[Sequence[Work]], None]) -> None:
    """Call `function` on the batch; where a model or the memory fails, on its halves: only the culprit fails, alone."""
    try:
        function(batch)
    except (OutOfMemoryError, MemoryError, RuntimeError) as error:
        if len(batch) > 1:
            for half in (batch[: len(batch) // 2], batch[len(batch) // 2 :]):
                _halved_where_it_fails(half, function)
            return
        memory = not isinstance(error, RuntimeError) or "memory" in str(error)
        words = (str(error).splitlines() or ["out of memory"])[0]
        message = f"{words}; it is tried again at the next run"
        batch[0].failure = ("out-of-memory" if memory else "model-error", message)


def _take_in(work: Work, outcome: Photo | Refusal | OSError | MemoryError) -> None:
    if isinstance(outcome, Photo):
        work.sha256, work.photo = outcome.sha256, outcome
    elif isinstance(outcome, Refusal):
        work.sha256, work.refusal = outcome.sha256, outcome
    else:
        work.failure = failure_of(outcome)


def _open_works(shard: Shard, wanted: Callable[[Work], bool]) -> list[Work]:
    return [work for work in shard.works if work.is_open and wanted(work)]


def _spoken_text(work: Work) -> str:
    text = work.alt_text.text if work.alt_text is not None else work.reused["alt_text"] if work.reused else ""
    return str(text)


def _without_pixels(photo: Photo | None) -> Photo | None:
    """Return the photo's description alone: its pixels are the largest thing in memory."""
    if photo is None:
        return None
    return replace(photo, pixels=photo.pixels[:0])
