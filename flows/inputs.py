"""Folder, glob, list or table, on a disk or in a store, to Source records; no photo is opened here."""

import fnmatch
import glob
import hashlib
import os
import stat
import unicodedata
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

from captioner.formats import IMAGE_EXTENSIONS
from flows.addresses import is_address, path_uri, scheme_of, uri_path
from flows.errors import FlowError
from flows.records import Source
from flows.storage import EPOCH, Folder, file_system, seen
from flows.stores import objects
from flows.tables import is_table

SKIPPED_FOLDERS = frozenset({"@eaDir", "#recycle", "$RECYCLE.BIN", "__MACOSX"})
"""Folders that storage systems fill with thumbnails, deleted files and resource forks."""

_Identity = tuple[int, int]
"""Device and inode: the same folder under whatever name."""


class Listing(ABC):
    """What to list, and what could not be listed."""

    def __init__(self) -> None:
        """Begin with nothing amiss."""
        self.unreadable: list[str] = []
        """Ids of folders that could not be read; what lies below is neither found nor gone."""

    @abstractmethod
    def sources(self, out: Folder) -> Iterator[Source]:
        """Yield one Source for each photo, leaving the output folder `out` aside."""


class FolderListing(Listing):
    """The images below a folder on a disk."""

    def __init__(self, root: Path, pattern: tuple[str, ...] | None = None) -> None:
        """Keep the folder that the ids are counted from; `pattern`, the parts of a glob, takes only what fits it."""
        super().__init__()
        self.root, self.pattern = root, pattern

    def sources(self, out: Folder) -> Iterator[Source]:
        """Yield one Source for each file that looks like an image, leaving `out` aside."""
        for path in self._walk_all(out):
            source = local_source(path, path_id(path, self.root))
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
            with os.scandir(folder) as entries:
                names = sorted(
                    filter(None, map(_wanted_name, entries))
                )  # names alone: a quarter of the entries' memory
        except OSError:
            self.unreadable.append(path_id(folder, self.root))
            return
        for name in names:
            path = folder / name
            if name.endswith("/"):
                identity = _identity(path)
                if identity != excluded and identity not in ancestors:
                    yield from self._walk(path, excluded, [*ancestors, identity] if identity else ancestors)
            else:
                yield path


class StoreListing(Listing):
    """The images below a folder in a store, read a page at a time."""

    def __init__(self, address: str, pattern: tuple[str, ...] | None = None) -> None:
        """Keep the folder that the ids are counted from; `pattern`, the parts of a glob, takes only what fits it."""
        super().__init__()
        file_system(address)
        self.address, self.pattern = address.rstrip("/"), pattern

    def sources(self, out: Folder) -> Iterator[Source]:
        """Yield one Source for each object that looks like an image; raises FlowError where it cannot be listed."""
        excluded = f"{out}/".removeprefix(f"{self.address}/") if not isinstance(out, Path) else None
        try:
            for name, info in objects(self.address):
                parts = name.split("/")
                skipped = any(map(is_skipped, parts)) or (excluded is not None and name.startswith(excluded))
                if not skipped and looks_like_image(parts[-1]) and matches(parts, self.pattern or ("**",)):
                    looked = seen(info)
                    photo_id = unicodedata.normalize("NFC", name)
                    yield Source(photo_id, f"{self.address}/{name}", looked.size_bytes, looked.mtime, looked.etag)
        except OSError as error:
            mend = "check the address, the credentials and the network"
            raise FlowError(f"this cannot be listed ({error.strerror})", self.address, mend) from error


def list_photos(photos: str, column: str | None = None) -> Listing:
    """Return the Listing of a folder, a glob, a photo, a table or a text file with one path a line.

    Each may be a path or an address. A glob is walked like a folder: from its last folder without a wildcard, which the
    ids are counted from, hidden files and loops left aside. `column` names a table's column of photos. Raises FlowError
    where nothing is there, or a list names nothing.
    """
    if is_address(photos):
        return list_photos(str(uri_path(photos)), column) if scheme_of(photos) == "file" else _in_store(photos, column)
    path = Path(photos).expanduser()
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except OSError as error:
        raise FlowError(f"this cannot be read ({error.strerror})", photos, "check its permissions") from error
    if is_folder:
        return FolderListing(path)
    if is_file:
        return _in_file(str(path), column)
    if not glob.has_magic(photos):
        raise FlowError("there is no such folder, file or glob", photos, "name a folder of photos")
    root, pattern = _parted(path.parts)
    return FolderListing(Path(*root), pattern)


def _in_store(photos: str, column: str | None) -> Listing:
    file_system(photos)
    if glob.has_magic(photos.partition("://")[2]) and scheme_of(photos) not in ("http", "https"):
        root, pattern = _parted(photos.split("/"))
        return StoreListing("/".join(root), pattern)
    name = photos.partition("?")[0].lower()
    if is_table(name) or name.endswith((".txt", ".lst")) or looks_like_image(name):
        return _in_file(photos, column)
    if scheme_of(photos) in ("http", "https"):
        mend = "give a list: a .txt file with one address a line, or a .csv or .parquet file with a column of them"
        raise FlowError("a web address cannot be listed like a folder", photos, mend)
    return StoreListing(photos)


def _in_file(place: str, column: str | None) -> Listing:
    from flows.listed import listed_photos, single_photo

    return single_photo(place) if looks_like_image(place.partition("?")[0]) else listed_photos(place, column)


def _parted(parts: Sequence[str]) -> tuple[Sequence[str], tuple[str, ...]]:
    """Return the parts of a glob before the first with a wildcard, and the others."""
    plain = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    return parts[:plain], tuple(parts[plain:])


def matches(names: Sequence[str], pattern: Sequence[str]) -> bool:
    """Return whether the names of a path fit the parts of a glob; `**` stands for any number of folders."""
    if not pattern or not names:
        return not names and all(part == "**" for part in pattern)
    if pattern[0] == "**":
        return matches(names, pattern[1:]) or matches(names[1:], pattern)
    return fnmatch.fnmatchcase(names[0], pattern[0]) and matches(names[1:], pattern[1:])


def local_source(path: Path, photo_id: str, own: str | None = None) -> Source | None:
    """Return the Source of `path`; None for a folder or a device. What is not there keeps a row: it failed."""
    try:
        status = path.stat()
    except OSError:
        return Source(photo_id, path_uri(path), 0, EPOCH, own=own)
    if not stat.S_ISREG(status.st_mode):
        return None
    try:
        mtime = EPOCH + timedelta(microseconds=status.st_mtime_ns // 1000)
    except OverflowError:  # some network drives give years that no calendar has
        mtime = EPOCH
    return Source(photo_id, path_uri(path), status.st_size, mtime, own=own)


def is_skipped(name: str) -> bool:
    """Return whether a folder or file of this name is left aside: hidden, or kept by a storage system."""
    return name.startswith(".") or name in SKIPPED_FOLDERS


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


def _wanted_name(entry: "os.DirEntry[str]") -> str:
    """Return the name of an image, that of a folder with a slash behind it, or nothing for what is left aside."""
    if is_skipped(entry.name):
        return ""
    if _is_folder(entry):
        return f"{entry.name}/"
    return entry.name if looks_like_image(entry.name) else ""


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
