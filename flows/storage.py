"""One door to file systems: folders on a disk, and S3, Google's store, memory and the web by way of fsspec.

On a disk a file appears whole by a temporary name, a sync and a rename; in a store an object appears whole by one put.
Credentials come from the environment and the store's own files, never from an address.
"""

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any, NamedTuple

from flows.addresses import is_address, is_local, refuse_secrets, scheme_of, uri_path
from flows.errors import FlowError
from flows.store_errors import ATTEMPTS, patiently, told

if TYPE_CHECKING:
    from upath import UPath

    Folder = Path | UPath
else:
    Folder = Any  # upath, and fsspec with it, is imported where an address is named and not before

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Stands for a time of change that nobody says."""

_EXTRAS = {"s3": "s3", "s3a": "s3", "gs": "gcs", "gcs": "gcs", "http": "web", "https": "web"}
"""The extra of ours that brings a protocol's package."""

_S3 = {
    "config_kwargs": {"retries": {"mode": "standard", "max_attempts": 6}, "connect_timeout": 10, "read_timeout": 60},
    "use_listings_cache": False,
}
"""Botocore waits a random time, doubled at each try, after 429, 500, 502, 503, 504 and broken connections alone."""

_OPTIONS: dict[str, dict[str, Any]] = {"s3": _S3, "s3a": _S3}


class Seen(NamedTuple):
    """What a store says of a file without its bytes."""

    size_bytes: int
    """Length in bytes; 0 where the store does not say."""
    mtime: datetime
    """Time of the last change, UTC; `EPOCH` where the store does not say."""
    etag: str | None
    """What the store calls this version of it."""


def is_remote(folder: Folder) -> bool:
    """Return whether `folder` lies in a store rather than on a disk of this machine."""
    return not isinstance(folder, Path)


def folder_at(text: "str | Folder") -> Folder:
    """Return the output folder at a path or an address; raises FlowError where it cannot be one."""
    if not isinstance(text, str) or not is_address(text):
        return Path(text) if isinstance(text, str) else text
    if text.startswith("file://"):
        return uri_path(text)
    if text.startswith(("http://", "https://")):
        raise FlowError("nothing can be written to a web address", text, "name a folder, or s3://BUCKET/FOLDER")
    file_system(text)
    from upath import UPath

    folder: Folder = UPath(text.rstrip("/"), **_OPTIONS.get(scheme_of(text), {}))
    return folder


def file_system(address: str) -> tuple[Any, str]:
    """Return the fsspec file system of `address` and the path in it.

    Raises FlowError where the protocol is not known, its package is not installed, or the address holds a secret.
    """
    refuse_secrets(address)
    scheme = scheme_of(address)
    files = _file_system(scheme)
    return files, files._strip_protocol(address)  # noqa: SLF001 - fsspec's own way to part an address


@cache
def _file_system(scheme: str) -> Any:
    import fsspec

    try:
        return fsspec.filesystem(scheme, **_OPTIONS.get(scheme, {}))
    except ImportError as error:
        extra = _EXTRAS.get(scheme)
        mend = f"pip install 'image-narrator[{extra}]'" if extra else f"install its package ({error})"
        raise FlowError("the package for such addresses is not installed", f"{scheme}://", mend) from error
    except ValueError as error:
        mend = "use a path, s3://, gs://, https:// or memory://"
        raise FlowError("no such kind of address is known", f"{scheme}://", mend) from error


def read(address: str) -> bytes:
    """Return the bytes of the file at an address; raises OSError in words that a user can act on."""
    if is_local(address):
        return uri_path(address).read_bytes()
    with told(address):
        files, path = _file_system(scheme_of(address)), address
        if scheme_of(address) not in ("http", "https"):
            path = files._strip_protocol(address)  # noqa: SLF001 - fsspec's own way to part an address
        data: bytes = patiently(address, lambda: files.cat_file(path))
        return data


def look_at(address: str) -> Seen:
    """Return what the store says of the file at an address; raises OSError."""
    with told(address):
        files = _file_system(scheme_of(address))
        return seen(patiently(address, lambda: files.info(address)))


def seen(info: dict[str, Any]) -> Seen:
    """Return what an fsspec listing or look says of a file, whatever its store calls it."""
    time = next((info[name] for name in ("LastModified", "mtime", "updated", "created", "Last-Modified")
                 if info.get(name)), EPOCH)  # fmt: skip
    if isinstance(time, str):
        time = _parsed(time)
    etag = info.get("ETag") or info.get("etag")
    return Seen(int(info.get("size") or 0), time.astimezone(UTC), str(etag).strip('"') if etag else None)


def _parsed(text: str) -> datetime:
    try:
        return parsedate_to_datetime(text) if "," in text else datetime.fromisoformat(text)
    except ValueError:
        return EPOCH


def is_gone(uri: str) -> bool:
    """Return whether the file at `uri` is surely there no more; what cannot be asked is not gone."""
    if is_local(uri):
        return not uri_path(uri).exists()
    try:
        with told(uri):
            if scheme_of(uri) in ("http", "https"):
                _file_system(scheme_of(uri)).cat_file(uri, 0, 1)
            else:
                _file_system(scheme_of(uri)).info(uri)
    except FileNotFoundError:
        return True
    except (OSError, FlowError):
        return False
    return False


def is_same_file(uri: str, other: str) -> bool:
    """Return whether two addresses lead to one file; raises OSError where one of them cannot be looked at."""
    if is_local(uri) and is_local(other):
        return uri_path(uri).samefile(uri_path(other))
    return uri == other


def place(scratch: Path, final: Folder, *, is_synced: bool = True) -> None:
    """Bring a finished `scratch` file to `final`: at every instant there is the old file or the whole new one.

    On a disk it is synced and renamed, and the folder synced, unless it can be made again at no cost; in a store it is
    put and the scratch file removed. Raises OSError.
    """
    if not isinstance(final, Path):
        with told(str(final)):
            final.fs.put_file(str(scratch), final.path)
        scratch.unlink()
        return
    final.parent.mkdir(parents=True, exist_ok=True)
    if not is_synced:
        scratch.replace(final)
        return
    with scratch.open("rb") as file:
        os.fsync(file.fileno())
    scratch.replace(final)
    folder = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def rename(staged: Folder, final: Folder) -> None:
    """Bring a staged file to `final` as `place` does; one that a store holds is copied by the store and removed."""
    if isinstance(staged, Path):
        place(staged, final)
    else:
        link_or_copy(staged, final)
        remove(staged)


def is_same_place(path: Folder, other: Folder) -> bool:
    """Return whether two names of an output folder are one file already."""
    if isinstance(path, Path) and isinstance(other, Path):
        return other.exists() and other.samefile(path)
    return str(path) == str(other)


def write_json(path: Folder, value: object, scratch: Path) -> None:
    """Write `value` as JSON to `path` by way of a temporary file in the folder `scratch`."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n", scratch)


def write_text(path: Folder, text: str, scratch: Path) -> None:
    """Write `text` as UTF-8 to `path` by way of a temporary file in the folder `scratch`."""
    scratch.mkdir(parents=True, exist_ok=True)
    temporary = scratch / f"{path.name}-{token_hex(4)}.tmp"  # two processes may be at it
    temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
    place(temporary, path)


def append(path: "UPath", line: bytes) -> None:
    """Add a line to a file in a store: the whole is put again, over the very version that was read.

    Raises OSError, also where another writer was faster each time.
    """
    for _ in range(ATTEMPTS):
        before = b""
        condition: dict[str, str] = {"mode": "create"}
        with suppress(FileNotFoundError), told(str(path)):
            etag = seen(path.fs.info(path.path)).etag
            before = path.fs.cat_file(path.path)
            condition = {"IfMatch": etag} if etag and path.protocol in ("s3", "s3a") else {}
        whole = before + (b"\n" if before and not before.endswith(b"\n") else b"") + line
        with suppress(OSError), told(str(path)):
            path.fs.pipe_file(path.path, whole, **condition)
            return
    raise OSError(errno.EBUSY, "the line could not be added to the file in the store", str(path))


def link_or_copy(origin: Folder, other: Folder) -> None:
    """Give the file `origin` a second name: a hard link where a disk can, else a copy, made by the store in a store."""
    if isinstance(origin, Path) and isinstance(other, Path):
        try:
            os.link(origin, other)
        except OSError:  # a file system without hard links, or too many of them
            shutil.copyfile(origin, other)
    elif not isinstance(origin, Path) and not isinstance(other, Path):
        with told(str(other)):
            origin.fs.cp_file(origin.path, other.path)
    else:
        raise TypeError("a file in a store has no second name on a disk")


def remove(path: Folder) -> None:
    """Remove a file; one that is not there is no error."""
    with told(str(path)):
        path.unlink(missing_ok=True)


def read_file(path: Folder) -> bytes | None:
    """Return the bytes of a file in an output folder; None where there is none."""
    try:
        with told(str(path)):
            data: bytes = path.read_bytes() if isinstance(path, Path) else path.fs.cat_file(path.path)
            return data
    except (FileNotFoundError, NotADirectoryError):
        return None


def size_of(path: Folder) -> int | None:
    """Return the length of a file in an output folder; None where there is none, or it cannot be asked."""
    try:
        with told(str(path)):
            return int(path.stat().st_size) if isinstance(path, Path) else int(path.fs.info(path.path)["size"])
    except OSError:
        return None


def version_of_file(path: Folder) -> str:
    """Return what changes whenever the file at `path` is written again; raises OSError where there is none."""
    if isinstance(path, Path):
        return str(path.stat().st_mtime_ns)
    with told(str(path)):
        looked = seen(path.fs.info(path.path))
        return f"{looked.etag} {looked.mtime.isoformat()}"


def names_in(folder: Folder) -> list[str]:
    """Return the names of the files in a folder of an output folder, in order; none where there is no such folder."""
    if isinstance(folder, Path):
        return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    return sorted(name for name, _ in files_below(folder) if "/" not in name)


def files_below(folder: "UPath") -> Iterator[tuple[str, int]]:
    """Yield path below `folder` and size of every file in a store's folder, a page or a subfolder at a time."""
    from flows.stores import objects

    for name, info in objects(str(folder)):
        yield name, int(info.get("size") or 0)
