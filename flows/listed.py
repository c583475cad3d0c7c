"""Photos by a list or a table: each line a path or an address, relative to where the list is."""

import os
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, takewhile
from pathlib import Path
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from flows.addresses import is_address, public_address, scheme_of
from flows.errors import FlowError
from flows.inputs import Listing, local_source
from flows.records import Source
from flows.storage import EPOCH, Folder, look_at, read
from flows.tables import image_column, is_table, own_columns, read_table, table_id

LOOKS_AT_ONCE = 16
"""Photos in stores that are looked at side by side."""


class Entry(NamedTuple):
    """A photo as a list names it."""

    place: str
    """Absolute path or address."""
    id: str | None = None
    """The caller's own id, where a table gives one."""
    own: str | None = None
    """The caller's own columns as JSON, where a table gives them."""


class ListedPhotos(Listing):
    """The photos that a list names; the list is read anew for each pass, so that it is never held in memory."""

    def __init__(self, entries: Callable[[], Iterable[Entry]], place: str) -> None:
        """Find the folder that all of them lie in, which the ids are counted from; raises FlowError for none."""
        super().__init__()
        self._entries = entries
        self._common = _common_folder(entry.place for entry in entries())
        if self._common is None:
            raise FlowError("the list names no photo", place, "write one path a line")

    def sources(self, out: Folder) -> Iterator[Source]:  # noqa: ARG002 - what is named is meant, wherever it is
        """Yield one Source for each photo of the list; what is not there keeps a row: it failed."""
        entries = iter(self._entries())
        with ThreadPoolExecutor(LOOKS_AT_ONCE, thread_name_prefix="look") as pool:
            while batch := list(islice(entries, 16 * LOOKS_AT_ONCE)):
                yield from (source for source in pool.map(self._source, batch) if source is not None)

    def _source(self, entry: Entry) -> Source | None:
        photo_id = entry.id or "/".join(_parts(entry.place)[len(self._common or ()) :])
        photo_id = unicodedata.normalize("NFC", photo_id)
        if not is_address(entry.place):
            return local_source(Path(entry.place), photo_id, entry.own)
        return remote_source(entry.place, photo_id, entry.own)


def remote_source(address: str, photo_id: str, own: str | None = None) -> Source:
    """Return the Source of the photo at an address; one that cannot be looked at has no length and no time."""
    uri = public_address(address)
    secret = address if address != uri else None
    try:
        looked = look_at(address)
    except OSError:
        return Source(photo_id, uri, 0, EPOCH, address=secret, own=own)
    return Source(photo_id, uri, looked.size_bytes, looked.mtime, looked.etag, secret, own)


def listed_photos(place: str, column: str | None = None) -> ListedPhotos:
    """Return the photos of a text file with one path a line, or of a table; `column` says where a row's photo is."""

    def entries() -> Iterator[Entry]:
        yield from _table_entries(place, column) if is_table(place) else _text_entries(place)

    return ListedPhotos(entries, place)


def single_photo(place: str) -> ListedPhotos:
    """Return a listing of one photo."""
    return ListedPhotos(lambda: [Entry(_absolute(place, "."))], place)


def _text_entries(place: str) -> Iterator[Entry]:
    """Yield the lines of a text file; blank lines and those that begin with # are left out."""
    try:
        if is_address(place):
            yield from _entries_of_lines(read(place).decode("utf-8-sig").splitlines(), place)
        else:
            with Path(place).expanduser().open(encoding="utf-8-sig") as file:
                yield from _entries_of_lines(file, place)
    except (OSError, UnicodeDecodeError) as error:
        mend = "give a folder, a photo, a table, or a UTF-8 text file with one path a line"
        words = f" ({error.strerror})" if isinstance(error, OSError) and error.strerror else ""
        raise FlowError(f"this is neither a photo nor a list of photos{words}", place, mend) from error


def _entries_of_lines(lines: Iterable[str], place: str) -> Iterator[Entry]:
    for line in lines:
        name = line.strip()
        if name and not name.startswith("#"):
            yield Entry(_photo_place(name, place))


def _table_entries(place: str, wanted: str | None) -> Iterator[Entry]:
    column = None
    for number, row in enumerate(read_table(place), start=1):
        column = column or image_column(row, wanted, place)
        name = str(row[column] or "").strip()
        if not name:
            raise FlowError(f"row {number} of the table names no photo in its column {column}", place, "fill it in")
        yield Entry(_photo_place(name, place), table_id(row), own_columns(row))


def _photo_place(name: str, place: str) -> str:
    found = _absolute(name, place)
    if not is_address(found) and Path(found).is_dir():
        raise FlowError(f"the list names a folder ({found})", place, "list photos, or narrate the folder itself")
    return found


def _absolute(name: str, place: str) -> str:
    """Return a name of a list as an absolute path or an address; relative ones count from the list's folder."""
    if name.startswith("file://"):
        from flows.addresses import uri_path

        return str(uri_path(name))
    if is_address(name):
        return name
    if is_address(place):
        return f"{place.rpartition('/')[0]}/{name}"
    return os.path.abspath(Path(place).expanduser().parent / Path(name).expanduser())


def _parts(place: str) -> list[str]:
    """Return the folders and the name of a path or an address, its host first."""
    if not is_address(place):
        text = os.fsencode(place).decode(errors="backslashreplace")
        return [part for part in text.split("/") if part]
    if scheme_of(place) in ("http", "https"):
        split = urlsplit(place)
        return [split.netloc.rpartition("@")[2], *(part for part in unquote(split.path).split("/") if part)]
    return [part for part in place.partition("://")[2].split("/") if part]


def _common_folder(places: Iterable[str]) -> list[str] | None:
    """Return the parts of the deepest folder that holds all of `places`; None where there are none."""
    common: list[str] | None = None
    for place in places:
        folder = _parts(place)[:-1]
        common = folder if common is None else _shared(common, folder)
    return common


def _shared(parts: list[str], others: list[str]) -> list[str]:
    """Return the parts that both begin with."""
    pairs = takewhile(lambda pair: pair[0] == pair[1], zip(parts, others, strict=False))
    return [part for part, _ in pairs]
