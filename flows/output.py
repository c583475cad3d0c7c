"""The output folder before work begins: can it be written, is there room, is another run at it."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flows import paths
from flows.console import size
from flows.errors import FlowError
from flows.lock import Lock, held, store_time
from flows.storage import Folder, names_in, remove

SPARE_BYTES = 50_000_000
"""What a run leaves free on the disk beside what it writes."""

KEPT = frozenset(
    {"lock", "holder", "publishing.json", "reviews.lock", "export.lock", "raw", "features.lock", "features.tmp"}
)
"""Files of the state folder that outlive a run, or that others may be at while it runs."""


@contextmanager
def opened(out: Folder) -> Iterator[Lock]:
    """Make `out` where it is missing, hold its lock inside the block, and clear what a killed run left half done.

    Raises FlowError where `out` cannot be written, is no folder, or another run holds it.
    """
    try:
        _probe(out)
    except OSError as error:
        what = f"the output folder cannot be written ({error.strerror})"
        raise FlowError(what, str(out), "mend it, or choose another") from error
    with held(out) as lock:
        try:
            _clear(out)
            yield lock
        finally:
            if not lock.is_lost:
                _clear(out)


def _probe(out: Folder) -> None:
    """Write a file into the state folder and remove it, and one into the scratch folder; raises OSError."""
    scratch = paths.scratch_folder(out)
    scratch.mkdir(parents=True, exist_ok=True)
    probe = scratch / f"probe-{os.getpid()}"
    probe.write_bytes(b"")
    probe.unlink()
    if not isinstance(out, Path):
        store_time(out)


def check_room(out: Folder, needed_bytes: int) -> None:
    """Raise FlowError where the disk of `out` has no room for `needed_bytes` and a little more; a store has it."""
    if not isinstance(out, Path):
        return
    place = out
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed_bytes + SPARE_BYTES:
        what = f"the disk has {size(free)} free and this run writes about {size(needed_bytes)}"
        raise FlowError(what, str(out), "free some room, choose another folder, or use --limit")


def _clear(out: Folder) -> None:
    """Remove what a killed run left half done; its last shard's journal and old clips are `flows.clips.heal`'s."""
    for folder in {paths.scratch_folder(out), paths.state_folder(out)}:
        for name in names_in(folder):
            if name not in KEPT and not name.startswith(paths.REPLACED):
                remove(folder / name)
