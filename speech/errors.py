"""The speech room's errors: each says what is wrong, where, and what mends it."""


class SpeechError(Exception):
    """Something that cannot be spoken or written, in words that a user can act on."""

    def __init__(self, what: str, where: str = "", mend: str = "") -> None:
        """Keep the three parts; `str()` joins them into one line."""
        super().__init__(what, where, mend)
        self.what = what
        """What is wrong, without a final stop."""
        self.where = where
        """The text, file or setting that is at fault."""
        self.mend = mend
        """What to do next."""

    def __str__(self) -> str:
        """Return `where: what; mend` in one line."""
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.what}{'; ' if self.mend else ''}{self.mend}"


class VoiceError(SpeechError):
    """A voice that cannot be found or loaded, or whose parts do not fit together."""


class UnspeakableError(SpeechError):
    """A text that the voice cannot say: empty, or no character that the voice knows."""


class BadAudioError(SpeechError):
    """A waveform that is not speech: silence, not a number, far too long or short."""
