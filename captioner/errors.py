"""The captioner's errors: each says what is wrong, where, and what mends it."""


class CaptionerError(Exception):
    """Something that the captioner cannot do, in words that a user can act on."""

    def __init__(self, what: str, where: str = "", mend: str = "") -> None:
        """Keep the three parts; `str()` joins them into one line."""
        super().__init__(what, where, mend)
        self.what = what
        """What is wrong, without a final stop."""
        self.where = where
        """The file, line or setting that is at fault."""
        self.mend = mend
        """What to do next."""

    def __str__(self) -> str:
        """Return `where: what; mend` in one line."""
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.what}{'; ' if self.mend else ''}{self.mend}"


class DataError(CaptionerError):
    """Training or scoring data that cannot be used: a broken line, a missing photo."""


class TrainingError(CaptionerError):
    """A training run that cannot go on."""


class ModelError(CaptionerError):
    """A captioner that cannot be found or loaded, or whose parts do not fit together."""


class OutOfMemoryError(CaptionerError):
    """One photo alone does not fit into the device's memory."""
