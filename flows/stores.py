"""What lies in a store's folder, read a page at a time, so that memory stays flat whatever the number of objects."""

from collections.abc import Iterator
from typing import Any

from flows.addresses import scheme_of
from flows.storage import file_system
from flows.store_errors import told

Info = dict[str, Any]
"""What a store says of an object, by fsspec's names."""


def objects(address: str) -> Iterator[tuple[str, Info]]:
    """Yield the name below `address` and what the store says of every object there; raises OSError.

    S3 gives pages of 1,000 in the order of their keys; other stores one folder after the other.
    """
    files, path = file_system(address)
    path = path.rstrip("/")
    with told(address):
        yield from _s3_objects(files, path) if scheme_of(address) in ("s3", "s3a") else _walked(files, path)


def _s3_objects(files: Any, path: str) -> Iterator[tuple[str, Info]]:
    bucket, _, prefix = path.partition("/")
    below = f"{prefix}/" if prefix else ""
    more: dict[str, str] = {}
    while True:
        page = files.call_s3("list_objects_v2", Bucket=bucket, Prefix=below, **more)
        for found in page.get("Contents", ()):
            name = found["Key"].removeprefix(below)
            if name and not name.endswith("/"):
                yield name, found | {"size": found["Size"]}
        if not page.get("IsTruncated"):
            return
        more = {"ContinuationToken": page["NextContinuationToken"]}


def _walked(files: Any, path: str) -> Iterator[tuple[str, Info]]:
    for folder, folders, found in files.walk(path, detail=True, on_error="raise"):
        folders_in_order = sorted(folders)
        for name in folders_in_order:  # fsspec walks on in the order of this dictionary
            folders[name] = folders.pop(name)
        below = folder.removeprefix(path).strip("/")
        for name in sorted(found):
            yield f"{below}/{name}" if below else name, found[name]
