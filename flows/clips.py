"""Finished clips to the place where their rows name them, and out of it once no row does."""

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from flows import paths
from flows.manifest import replace_durably
from flows.records import Row, Work


def publish(out: Path, works: Sequence[tuple[Work, Row]]) -> None:
    """Give each described row its clip: this run's own, a twin's, or one that an earlier row has for the same bytes.

    A new clip is renamed into place; photos with the same bytes share one file by a hard link where the system can.
    Raises OSError where the disk refuses.
    """
    finals: dict[Work, Path] = {}
    for work, row in works:
        if row["audio_path"] is None or work.failure is not None:
            continue
        final = finals[work] = out / row["audio_path"]
        final.parent.mkdir(parents=True, exist_ok=True)
        if work.twin is not None:
            link(finals[work.twin], final, paths.scratch_folder(out))
        elif work.clip is not None:
            replace_durably(work.clip.path, final)
        elif work.reused is not None:
            link(out / work.reused["audio_path"], final, paths.scratch_folder(out))


def link(origin: Path, final: Path, scratch: Path) -> None:
    """Make `final` the same file as `origin`, or a copy where the file system has no hard links."""
    if final.exists() and final.samefile(origin):
        return
    temporary = scratch / f"link-{hashlib.sha256(os.fsencode(final)).hexdigest()[:16]}.tmp"
    temporary.unlink(missing_ok=True)
    try:
        os.link(origin, temporary)
    except OSError:
        shutil.copyfile(origin, temporary)
    replace_durably(temporary, final)


def remove_superseded(out: Path, works: Sequence[tuple[Work, Row]]) -> None:
    """Remove the clips that rows named before and no longer do: another format, or a photo that is broken now."""
    for work, row in works:
        before = work.row_before["audio_path"] if work.row_before else None
        if before is not None and before != row["audio_path"]:
            (out / before).unlink(missing_ok=True)
