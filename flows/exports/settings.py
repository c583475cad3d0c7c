"""What an export is told."""

from dataclasses import dataclass
from pathlib import Path

from flows.storage import Folder


@dataclass(frozen=True)
class Export:
    """One export of one output folder."""

    out: Folder
    """The output folder of the run."""
    to: str
    """Name of the format, of `flows.exports.formats.FORMATS`."""
    into: Path | None = None
    """File or folder to write; None: the format's own place below OUT/exports."""
    approved: bool = False
    """Only rows that a person approved or edited."""
    title: str = "Described photos"
    """What the page, the book, the feed or the manifest is called."""
    web: str = ""
    """Address at which the export will be served, without the last slash."""
    in_place: bool = False
    """Write into the photos themselves (XMP)."""
