"""The output folder before work begins: can it be written, is there room, is another run at it."""

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from flows import paths
from flows.console import size
from flows.errors import FlowError

SPARE_BYTES = 50_000_000
"""What a run leaves free on the disk beside what it writes."""

KEPT = frozenset({"lock", "holder", "publishing.json", "reviews.lock"})
"""Files of the scratch folder that outlive a run."""


@contextmanager
def opened(out: Path) -> Iterator[None]:
    """Make `out` where it is missing, hold its lock inside the block, and clear what a killed run left half done.

    Raises FlowError where `out` cannot be written, is no folder, or another run holds it.
    """
    scratch = paths.scratch_folder(out)
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        probe = scratch / f"probe-{os.getpid()}"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise FlowError(
            f"the output folder cannot be written ({error.strerror})", str(out), "choose another"
        ) from error
    lock = FileLock(paths.lock_path(out))
    holder = scratch / "holder"
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        who = _read(holder) or "another run"
        raise FlowError(
            f"{who} is at work in this output folder", str(out), "wait for it, or choose another"
        ) from error
    try:
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()}", encoding="utf-8")
        _clear(scratch)
        yield
    finally:
        _clear(scratch)
        holder.unlink(missing_ok=True)
        lock.release()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def check_room(out: Path, needed_bytes: int) -> None:
    """Raise FlowError where the disk of `out` has no room for `needed_bytes` and a little more."""
    place = out
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed_bytes + SPARE_BYTES:
        what = f"the disk has {size(free)} free and this run writes about {size(needed_bytes)}"
        raise FlowError(what, str(out), "free some room, choose another folder, or use --limit")


def _clear(scratch: Path) -> None:
    """Remove what a killed run left half done; the journal of its last shard is `flows.clips.heal`'s."""
    for path in scratch.iterdir():
        if path.name not in KEPT:
            path.unlink(missing_ok=True)
