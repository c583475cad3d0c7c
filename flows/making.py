"""What is made of a shard's photos: features, captions, alt text, sound and clips, by the models alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

from captioner.alt_text import make_alt_text
from captioner.errors import OutOfMemoryError
from captioner.records import Photo
from flows import paths
from flows.raw import rounded
from flows.records import Shard, Work
from flows.rooms import Rooms
from flows.stopping import Stop
from flows.thumbnails import write_thumbnail
from speech.errors import BadAudioError, SpeechError
from speech.records import Spoken

BATCH = 16
"""Photos between two looks at whether the run was asked to stop."""

SPOKEN_BATCH = 8
"""Texts between two such looks: speech takes the longest, and a text may be minutes of it."""


@dataclass(frozen=True)
class Batches:
    """Cuts a stage's photos into batches, and looks between them at whether the run was asked to stop."""

    stop: Stop
    """Who knows."""
    advance: Callable[[str, int], None]
    """Told after each batch: the stage, and how many photos it has behind it."""

    def of(self, stage: str, works: Sequence[Work], size: int = BATCH) -> Iterator[Sequence[Work]]:
        """Yield the batches, and note each photo's share of the time that its batch took; raises Interrupted."""
        for start in range(0, len(works), size):
            self.stop.check()
            batch = works[start : start + size]
            began = perf_counter()
            yield batch
            share = (perf_counter() - began) / len(batch)
            for work in batch:
                work.seconds[stage] = share
            self.advance(stage, len(batch))


@dataclass
class Maker:
    """The stages between ingest and commit: they know the models and the photo, and no manifest."""

    rooms: Rooms
    batches: Batches
    mark: str = ""
    """What tells this process's files from those of another that is at the same shard."""

    def features(self, shard: Shard) -> None:
        """Encode the photos that need a caption."""
        wanted = open_works(shard, lambda work: not work.reuses_caption and work.alt_text is None)
        for batch in self.batches.of("features", wanted):
            _halved_where_it_fails(batch, self._encode)

    def captions(self, shard: Shard) -> None:
        """Decode features to captions."""
        for batch in self.batches.of("captions", [work for work in shard.works if work.features is not None]):
            _halved_where_it_fails(batch, self._decode)

    def alt_text(self, shard: Shard) -> None:
        """Make alt text of captions by the policy."""
        for batch in self.batches.of("alt text", [work for work in shard.works if work.caption is not None]):
            for work in batch:
                self._word(work)

    def speech(self, shard: Shard) -> None:
        """Speak the alt texts that have no clip."""
        if self.rooms.job.keep_raw:
            for work in open_works(shard, lambda work: not work.reuses_clip):
                work.spoken = self.rooms.raw_clips.load(spoken_text(work))
                work.reuses_raw = work.spoken is not None
        unspoken = open_works(shard, lambda work: not (work.reuses_clip or work.reuses_raw))
        for batch in self.batches.of("speech", unspoken, SPOKEN_BATCH):
            _halved_where_it_fails(batch, self._speak)

    def master_and_encode(self, shard: Shard) -> None:
        """Master the waveforms and write them as files out of everyone's sight."""
        job, folder = self.rooms.job, paths.scratch_folder(self.rooms.job.out)
        for batch in self.batches.of("master and encode", [work for work in shard.works if work.spoken is not None]):
            for work in batch:
                self._finish(work, folder / f"clip-{shard.number}-{work.sha256}{self.mark}.{job.format}")

    def _encode(self, batch: Sequence[Work]) -> None:
        photos = [work.photo for work in batch if work.photo is not None]
        for photo in photos:
            write_thumbnail(self.rooms.job.out, photo)
        for work, features in zip(batch, self.rooms.captioner.encode(photos), strict=True):
            work.features = features
            work.photo = without_pixels(work.photo)

    def _decode(self, batch: Sequence[Work]) -> None:
        features = [work.features for work in batch if work.features is not None]
        for work, caption in zip(batch, self.rooms.captioner.decode(features), strict=True):
            work.caption, work.features = caption, None

    def _word(self, work: Work) -> None:
        if work.caption is None:
            return
        job, language, certainty = (
            self.rooms.job,
            self.rooms.captioner_info.language,
            self.rooms.certainty(work.caption),
        )
        work.alt_text = make_alt_text(
            work.caption.text, job.policy, language, neutral=job.neutral_people, certainty=certainty
        )

    def _speak(self, batch: Sequence[Work]) -> None:
        spoken = self.rooms.speaker.speak([spoken_text(work) for work in batch])
        for work, outcome in zip(batch, spoken, strict=True):
            work.spoken = rounded(outcome) if isinstance(outcome, Spoken) else outcome
            if self.rooms.job.keep_raw and isinstance(work.spoken, Spoken):
                self.rooms.raw_clips.save(spoken_text(work), work.spoken)

    def _finish(self, work: Work, path: Path) -> None:
        try:
            if not isinstance(work.spoken, Spoken):
                raise work.spoken or BadAudioError("there is no sound")
            work.clip = self.rooms.speaker.finish(work.spoken, path, spoken_text(work), self.rooms.delivery)
        except SpeechError as error:
            work.failure = ("bad-audio" if isinstance(error, BadAudioError) else "unspeakable", str(error))
        work.spoken = None


def open_works(shard: Shard, wanted: Callable[[Work], bool]) -> list[Work]:
    """Return the photos of a shard that the stages have something to do for and that `wanted` wants."""
    return [work for work in shard.works if work.is_open and wanted(work)]


def spoken_text(work: Work) -> str:
    """Return what is said of a photo; empty where nothing is yet."""
    text = work.alt_text.text if work.alt_text is not None else work.reused["alt_text"] if work.reused else ""
    return str(text)


def without_pixels(photo: Photo | None) -> Photo | None:
    """Return the photo's description alone: its pixels are the largest thing in memory."""
    if photo is None:
        return None
    return replace(photo, pixels=photo.pixels[:0])


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
