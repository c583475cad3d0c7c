"""Where an export may be written: not among the files of a run, not over what is of another kind."""

import os
from pathlib import Path

from flows.errors import FlowError
from flows.storage import Folder


def assert_ours(place: Path, out: Folder) -> None:
    """Raise FlowError where `place` lies in the output folder of a run and not below its folder `exports`."""
    if not isinstance(out, Path):
        return
    run, wanted = out.resolve(), place.resolve()
    if wanted.is_relative_to(run) and run / "exports" not in wanted.parents:
        mend = f"name a place elsewhere, or below {out / 'exports'}"
        raise FlowError("an export does not belong among the files of the run", str(place), mend)


def assert_of_kind(place: Path, suffix: str) -> None:
    """Raise FlowError where `place` is a file with another ending than the export's, which would be lost."""
    if place.is_file() and place.suffix.lower() != suffix:
        what = f"this is not a {suffix} file, and would be replaced"
        raise FlowError(what, str(place), "name another file by --into, or move it away")


def assert_writable(folder: Path, place: Path) -> None:
    """Make a folder; raise FlowError, which names `place`, where that or a file in it cannot be made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        is_open = os.access(folder, os.W_OK | os.X_OK)
    except OSError as error:
        what = f"this cannot be written ({error.strerror})"
        raise FlowError(what, str(place), "name another place by --into") from error
    if not is_open:
        raise FlowError("this cannot be written (no permission)", str(place), "name another place by --into")
