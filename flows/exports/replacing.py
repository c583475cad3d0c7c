"""An export in its place: the old one whole, or the new one whole, whatever ends the program and whenever."""

import ctypes
import json
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flows.errors import FlowError
from flows.storage import place

MARK = "export.json"
"""A folder with this file in it was written by an export, and another export may replace it."""

_AT_FDCWD, _EXCHANGE = -100, 2


@contextmanager
def whole_file(target: Path) -> Iterator[Path]:
    """Hand over a temporary sibling of `target` to write to; renamed over it where the block ends well.

    Raises FlowError where a folder is in the way, OSError where the disk refuses.
    """
    if target.is_dir():
        raise FlowError("a folder is in the way of this file", str(target), "name a file by --into")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = _partial(target)
    _discard(partial)
    try:
        yield partial
        place(partial, target)
    finally:
        _discard(partial)


@contextmanager
def whole_folder(target: Path, about: dict[str, object]) -> Iterator[Path]:
    """Hand over a temporary sibling folder to fill; it takes the place of `target` where the block ends well.

    `about` goes into `export.json` and marks the folder as an export. Raises FlowError where `target` is something
    else, OSError where the disk refuses.
    """
    if target.exists() and not _may_replace(target):
        mend = "name another folder by --into, or move it away"
        raise FlowError("this is no export of ours, and would be replaced", str(target), mend)
    partial = _partial(target)
    _discard(partial)
    partial.mkdir(parents=True)
    try:
        yield partial
        (partial / MARK).write_text(json.dumps(about, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        if not target.exists():
            partial.rename(target)
        elif not _exchange(partial, target):
            _move_aside(partial, target)
    finally:
        _discard(partial)


def _partial(target: Path) -> Path:
    return target.with_name(f".{target.name}.partial")


def _may_replace(target: Path) -> bool:
    return target.is_dir() and ((target / MARK).is_file() or not any(target.iterdir()))


def _discard(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _exchange(one: Path, other: Path) -> bool:
    """Let two folders swap their names in one step; return whether the system and the disk can."""
    library = ctypes.CDLL(None, use_errno=True)
    names = (os.fsencode(one), os.fsencode(other))
    if sys.platform == "linux" and hasattr(library, "renameat2"):
        return int(library.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _EXCHANGE)) == 0
    if hasattr(library, "renamex_np"):  # macOS
        return int(library.renamex_np(names[0], names[1], _EXCHANGE)) == 0
    return False


def _move_aside(partial: Path, target: Path) -> None:
    """Swap by two renames, where the system knows no single step; a kill between them leaves the old one beside."""
    aside = target.with_name(f".{target.name}.before")
    _discard(aside)
    target.rename(aside)
    partial.rename(target)
    _discard(aside)
