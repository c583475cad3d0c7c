"""What changes the work of a run, stage by stage."""

from dataclasses import dataclass

from flows.records import Row


@dataclass(frozen=True)
class Digests:
    """What changes the work, stage by stage: each 16 hex digits."""

    captioner: str
    """Weights, settings and vocabulary of the captioner."""
    alt_text: str
    """Rules of the policy."""
    voice: str
    """Weights and settings of the voice."""
    audio: str
    """Mastering and encoding."""

    def caption_holds(self, row: Row) -> bool:
        """Return whether the caption of `row` is what would be made now; a row that failed later may have one."""
        return bool(row["caption"] is not None and row["captioner_digest"] == self.captioner)

    def words_hold(self, row: Row) -> bool:
        """Return whether the alt text of `row` is what would be made now."""
        by_captioner = (row["words_by"] or "captioner") == "captioner"
        return self.caption_holds(row) and by_captioner and row["alt_text_digest"] == self.alt_text

    def sound_holds(self, row: Row) -> bool:
        """Return whether the clip of `row` is what would be made now of the same alt text."""
        return (row["voice_digest"], row["audio_digest"]) == (self.voice, self.audio)
