"""How a text is spoken and checked: the user's choices that change a clip before it is mastered."""

import hashlib
from dataclasses import dataclass

from speech.errors import SpeechError
from speech.lexicon import Lexicon
from speech.read_back import check_installed
from speech.takes import BadClips
from speech.text import PAUSES


@dataclass(frozen=True)
class Manner:
    """How a text is spoken and checked."""

    pauses: str = "natural"
    """Name of the policy for silence between sentences."""
    lexicon: Lexicon | None = None
    """How the user's own words are said."""
    read_back: bool = False
    """Whether a recogniser listens to each clip."""
    bad_clips: BadClips = "flag"
    """What becomes of a text that fails the checks in every take: its row is flagged, or failed."""

    def check(self, language: str) -> None:
        """Raise `SpeechError` where a choice does not exist or does not fit a voice of `language` (BCP 47)."""
        if self.pauses not in PAUSES:
            raise SpeechError("no such policy of pauses", where=self.pauses, mend=f"use one of {', '.join(PAUSES)}")
        if self.read_back:
            check_installed(language)
        told = self.lexicon.language if self.lexicon else ""
        if told and told.partition("-")[0].lower() != language.partition("-")[0].lower():
            mend = "choose a voice of its language, or put the right xml:lang into it"
            raise SpeechError(f"the lexicon is for {told}, the voice speaks {language}", where="--lexicon", mend=mend)

    @property
    def digest(self) -> str:
        """16 hex digits that change when a text would be spoken otherwise."""
        lexicon = self.lexicon.digest if self.lexicon else ""
        parts = f"{self.pauses} {lexicon} {self.read_back} {self.bad_clips}"
        return hashlib.sha256(parts.encode()).hexdigest()[:16]
