"""The flows' errors: each says what is wrong, where, and what mends it."""


class FlowError(Exception):
    """A run that cannot start or go on, in words that a user can act on."""

    def __init__(self, what: str, where: str = "", mend: str = "") -> None:
        """Keep the three parts; `str()` joins them into one line."""
        super().__init__(what, where, mend)
        self.what = what
        """What is wrong, without a final stop."""
        self.where = where
        """The file, folder or setting that is at fault."""
        self.mend = mend
        """What to do next."""

    def __str__(self) -> str:
        """Return `where: what; mend` in one line."""
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.what}{'; ' if self.mend else ''}{self.mend}"


class BrokenOffError(FlowError):
    """A run that had begun and could not be brought to its end; what was committed stands."""


class Interrupted(Exception):  # noqa: N818 - the name of what happened, not of a fault
    """The user asked the run to stop; the shards in hand are dropped whole."""
