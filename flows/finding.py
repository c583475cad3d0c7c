"""What is already there of a photo: a person's words, a twin that is underway, or a committed row with its bytes."""

import threading
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from captioner.records import AltText, Photo, Refusal
from flows.clips import hash_of
from flows.making import without_pixels
from flows.opening import failure_of
from flows.own import is_decorative, own_of
from flows.plan import Plan
from flows.records import Row, Shard, Work
from flows.rooms import Rooms
from flows.rows import caption_of
from flows.thumbnails import write_thumbnail
from flows.words import Words, human_words, same_language

if TYPE_CHECKING:
    from flows.bursts import Bursts


@dataclass
class Finder:
    """Looks photos up in the order of their ids; nothing that it finds is computed again."""

    rooms: Rooms
    plan: Plan
    bursts: "Bursts | None" = None
    """Who finds the frames of bursts; None where they are not looked for."""
    _underway: dict[str, Work] = field(default_factory=dict)
    """By hash, the photo that the others with the same bytes wait for, until its row is committed."""
    settled: threading.RLock = field(default_factory=threading.RLock)
    """Held while clips and rows are put in place: who looks in between would find a clip that is not its row's."""

    def is_known(self, work: Work) -> bool:
        """Return whether size and time say that the photo is unchanged, and a row has its words."""
        if work.row_before is None or not self.plan.is_unchanged(work):
            return False
        work.sha256 = work.row_before["sha256"]
        self.find(work)
        return work.reuses_caption or work.twin is not None or work.is_decorative or work.alt_text is not None

    def find(self, work: Work) -> None:
        """Find who has the same bytes: a photo that is underway, or a committed row; else be the one that is found."""
        if work.is_open and work.sha256 is not None:
            with self.settled:
                self._find_same(work, work.sha256)

    def look_up_clip(self, work: Work) -> None:
        """Find out, of a photo whose words are made anew of a committed caption, whether that row's clip says them."""
        if work.reused is not None:
            with self.settled:
                self._look_up_clip(work, work.reused)

    def forget(self, works: Iterable[Work]) -> None:
        """Take note that these photos are rows now."""
        for work in works:
            if work.sha256 is not None and self._underway.get(work.sha256) is work:
                del self._underway[work.sha256]

    def settle(self, shard: Shard) -> None:
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
        work.photo = without_pixels(work.photo)
        return True

    def _has_own_words(self, work: Work) -> bool:
        """Take a person's word for a photo, where one came with it: no captioner is asked, and no twin shares it."""
        work.is_decorative = is_decorative(own_of(work))
        work.words = human_words(work, self.rooms.reviews, self.rooms.captioner_info.language)
        if not work.is_decorative and work.words is None:
            return False
        if work.photo is not None:
            write_thumbnail(self.rooms.job.out, work.photo)
            work.photo = without_pixels(work.photo)
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
            work.caption = caption_of(row)
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


def take_in(work: Work, outcome: Photo | Refusal | OSError | MemoryError) -> None:
    """Note at a photo what came of opening it."""
    if isinstance(outcome, Photo):
        work.sha256, work.photo = outcome.sha256, outcome
    elif isinstance(outcome, Refusal):
        work.sha256, work.refusal = outcome.sha256, outcome
    else:
        work.failure = failure_of(outcome)
