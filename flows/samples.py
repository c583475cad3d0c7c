"""The sample photos, for a first run without photos of one's own."""

import os
import tempfile
from pathlib import Path

from flows.errors import FlowError

_SOURCES = "SOURCES.md"


def write_samples(folder: Path) -> list[Path]:
    """Write the sample photos into `folder`, made where it is not there, and return their paths in order of name.

    `SOURCES.md`, which names their authors and licences, is written beside them. What is there already and the same
    is left alone. Raises `FlowError`, with nothing written, where another file stands in the way.
    """
    samples = sorted(_samples_folder().iterdir())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        missing = [sample for sample in samples if not _is_there(sample, folder / sample.name)]
        for sample in missing:
            _write(sample.read_bytes(), folder / sample.name)
    except OSError as error:
        raise FlowError(
            f"the samples cannot be written ({error.strerror or error})", str(folder), "name another folder"
        ) from error
    return [folder / sample.name for sample in samples if sample.name != _SOURCES]


def _samples_folder() -> Path:
    """Return the samples' folder, in an installation or in a checkout."""
    room = Path(__file__).parent
    for place in (room / "data" / "samples", room.parent / "data" / "samples"):
        if (place / _SOURCES).is_file():
            return place
    raise FlowError("the sample photos are missing", str(room / "data" / "samples"), "install image-narrator again")


def _is_there(sample: Path, path: Path) -> bool:
    """Tell whether the same file is at `path` already; raise FlowError where another one is."""
    if not path.exists():
        return False
    if path.is_file() and path.read_bytes() == sample.read_bytes():
        return True
    raise FlowError("another file of this name is there", str(path), "name an empty folder for the samples")


def _write(data: bytes, path: Path) -> None:
    """Write a file under a temporary name and rename it into place."""
    descriptor, name = tempfile.mkstemp(prefix=".", suffix=".partial", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp keeps it to its owner
        temporary.rename(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
