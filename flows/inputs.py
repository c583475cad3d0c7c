"""Folder, glob or file list to Source records, in a stable order; no photo is opened here."""

import fnmatch
import glob
import hashlib
import os
import stat
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from captioner.formats import IMAGE_EXTENSIONS
from flows.addresses import path_uri
from flows.errors import FlowError
from flows.records import Source
from flows.storage import EPOCH, Folder

SKIPPED_FOLDERS = frozenset({"@eaDir", "#recycle", "$RECYCLE.BIN", "__MACOSX"})
"""Folders that storage systems fill with thumbnails, deleted files and resource forks."""

_Identity = tuple[int, int]
"""Device and inode: the same folder under whatever name."""


@dataclass
class Listing:
    """What to list, and what could not be listed."""

    root: Path
    """Folder below which the ids are counted."""
    paths: list[Path] | None
    """The files of a list; None for a whole folder or a glob."""
    pattern: tuple[str, ...] | None = None
    """The parts of a glob below `root`; None takes every image."""
    unreadable: list[str] = field(default_factory=list)
    """Ids of folders that could not be read; what lies below is neither found nor gone."""

    def sources(self, out: Folder) -> Iterator[Source]:
        """Yield one Source for each file that looks like an image, leaving `out` aside."""
        found = self._walk_all(out) if self.paths is None else iter(self.paths)
        for path in found:
            source = self._source(path)
            if source is not None:
                yield source

    def _walk_all(self, out: Folder) -> Iterator[Path]:
        excluded = _identity(out) if isinstance(out, Path) else None
        ancestors = [identity for identity in [_identity(self.root)] if identity]
        for path in self._walk(self.root, excluded, ancestors):
            if self.pattern is None or matches(path.relative_to(self.root).parts, self.pattern):
                yield path

    def _walk(self, folder: Path, excluded: _Identity | None, ancestors: list[_Identity]) -> Iterator[Path]:
        """Yield the images below `folder`; a folder that is its own ancestor (a symlink loop) is not entered again."""
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            self.unreadable.append(path_id(folder, self.root))
            return
        for entry in entries:
            if entry.name.startswith(".") or entry.name in SKIPPED_FOLDERS:
                continue
            path = folder / entry.name
            if _is_folder(entry):
                identity = _identity(path)
                if identity != excluded and identity not in ancestors:
                    yield from self._walk(path, excluded, [*ancestors, identity] if identity else ancestors)
            elif looks_like_image(entry.name):
                yield path

    def _source(self, path: Path) -> Source | None:
        """Return the Source of `path`; None for a folder or a device. What is not there keeps a row: it failed."""
        try:
            status = path.stat()
        except OSError:
            return Source(path_id(path, self.root), path_uri(path), 0, EPOCH)
        if not stat.S_ISREG(status.st_mode):
            return None
        try:
            mtime = EPOCH + timedelta(microseconds=status.st_mtime_ns // 1000)
        except OverflowError:  # some network drives give years that no calendar has
            mtime = EPOCH
        return Source(path_id(path, self.root), path_uri(path), status.st_size, mtime)


def list_photos(photos: str) -> Listing:
    """Return the Listing of a folder, a glob, a photo or a text file with one path a line.

    A glob is walked like a folder: from its last folder without a wildcard, which the ids are counted from, hidden
    files and loops left aside. Raises FlowError where nothing is there, or a list names nothing.
    """
    path = Path(photos).expanduser()
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except OSError as error:
        raise FlowError(f"this cannot be read ({error.strerror})", photos, "check its permissions") from error
    if is_folder:
        return Listing(path, None)
    if is_file:
        paths = [path] if looks_like_image(path.name) else read_list(path)
        if not paths:
            raise FlowError("the list names no photo", photos, "write one path a line")
        return Listing(common_parent(paths), paths)
    if not glob.has_magic(photos):
        raise FlowError("there is no such folder, file or glob", photos, "name a folder of photos")
    plain = next(number for number, part in enumerate(path.parts) if glob.has_magic(part))
    return Listing(Path(*path.parts[:plain]), None, path.parts[plain:])


def matches(names: Sequence[str], pattern: Sequence[str]) -> bool:
    """Return whether the names of a path fit the parts of a glob; `**` stands for any number of folders."""
    if not pattern or not names:
        return not names and all(part == "**" for part in pattern)
    if pattern[0] == "**":
        return matches(names, pattern[1:]) or matches(names[1:], pattern)
    return fnmatch.fnmatchcase(names[0], pattern[0]) and matches(names[1:], pattern[1:])


def read_list(path: Path) -> list[Path]:
    """Return the paths in a text file, one a line, relative to that file's folder; blank and `#` lines are skipped.

    Raises FlowError where the file is no text or names no photo.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        mend = "give a folder, a photo, or a UTF-8 text file with one path a line"
        raise FlowError("this is neither a photo nor a list of photos", str(path), mend) from error
    names = dict.fromkeys(line.strip() for line in lines if line.strip() and not line.startswith("#"))
    found = dict.fromkeys(Path(os.path.abspath(path.parent / Path(name).expanduser())) for name in names)
    for name in found:
        if name.is_dir():
            raise FlowError(f"the list names a folder ({name})", str(path), "list photos, or narrate the folder itself")
    return list(found)


def common_parent(paths: list[Path]) -> Path:
    """Return the deepest folder that holds all of `paths`."""
    return Path(os.path.commonpath([os.path.abspath(path.parent) for path in paths]))


def looks_like_image(name: str) -> bool:
    """Return whether a file name says image, and is not hidden."""
    path = Path(name)
    return not path.name.startswith(".") and path.suffix.lower() in IMAGE_EXTENSIONS


def path_id(path: Path, root: Path) -> str:
    """Return the id of the file at `path`: below `root`, `/`-separated, NFC; bytes that are no UTF-8 are escaped."""
    relative = os.path.relpath(os.path.abspath(path), os.path.abspath(root))
    text = os.fsencode(relative.replace(os.sep, "/")).decode(errors="backslashreplace")
    return unicodedata.normalize("NFC", text)


def distinct_id(photo_id: str, uri: str) -> str:
    """Return an id for a second file of the same normalised name: with 8 hex digits of its address's hash."""
    stem, dot, extension = photo_id.rpartition(".")
    return f"{stem}~{hashlib.sha256(uri.encode()).hexdigest()[:8]}{dot}{extension}"


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _identity(path: Path) -> _Identity | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
