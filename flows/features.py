"""Photos as vectors, kept beside the manifest: `OUT/features/DIGEST/part-000000.parquet`, for search and for others.

A column `sha256` and a column `vector`: half-precision numbers, little-endian, of length 1 as a vector, in binary of a
fixed size (`numpy.frombuffer(vector, "<f2")`), since a list of 100,000 times 1,280 numbers takes seconds to read. The
digest is of what made them, so that vectors of two captioners never mix. A photo's vector is made once, whatever the
photo is called. Two processes of a machine may write at once: then a photo may be in two parts, with the same
vector. A part that cannot be read is left out, and made anew by the next that writes.

Shapes: N hashes, n vectors of a part, E width of the vectors.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import click
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from flows import paths
from flows.errors import FlowError
from flows.manifest import Manifest
from flows.records import Row
from flows.storage import Folder, names_in, place, read, read_file, remove

PHOTOS_A_PART = 4096
BATCH_PHOTOS = 32
LOCK, TEMPORARY = "features.lock", "features.tmp"
"""Names in the scratch folder that a run leaves alone; who holds the lock writes the part."""
LOCK_WAIT_S = 60.0
"""How long a part waits for another process to place its own."""


def say_broken(part: Folder) -> None:
    """Say of a part that it cannot be read."""
    click.echo(f"{part}: a part of the features cannot be read and is left out; --index makes it anew", err=True)


def kept(out: Folder, digest: str, broken: Callable[[Folder], None] = say_broken) -> set[str]:
    """Return the hashes of what has vectors; `broken` is told of parts that cannot be read."""
    tables = _tables(out, digest, ["sha256"], broken)
    return {sha256 for table in tables for sha256 in table.column("sha256").to_pylist()}


def cosines(out: Folder, digest: str, wanted: NDArray[np.float32], hashes: pa.ChunkedArray) -> NDArray[np.float64]:
    """Return the cosine of a unit vector (E,) with the vector of each hash, (N,); -1 for a hash that has none."""
    import torch

    asked = torch.from_numpy(np.asarray(wanted, np.float16))  # (E,); half a product is quicker than numpy's whole one
    near, have = [np.array([-1.0])], [pa.array([""])]
    for table in _tables(out, digest, None, lambda _: None):
        for chunk in table.column("vector").chunks:
            halves = np.frombuffer(chunk.buffers()[1], "<f2").reshape(-1, len(asked))  # (n, E)
            rows = torch.from_numpy(halves[chunk.offset : chunk.offset + len(chunk)].copy())
            near.append((rows @ asked).double().numpy())
        have += table.column("sha256").chunks
    places = pc.index_in(hashes, value_set=pa.chunked_array(have))
    found: NDArray[np.float64] = np.concatenate(near)[np.asarray(pc.fill_null(places, 0))]
    return found


def _tables(
    out: Folder, digest: str, columns: list[str] | None, broken: Callable[[Folder], None]
) -> Iterator[pa.Table]:
    """Yield the parts, one after another, so that no more than one lies in memory."""
    folder = paths.features_folder(out, digest)
    for name in sorted(names_in(folder)):
        if name.endswith(".parquet"):
            data = read_file(folder / name) or b""
            try:
                table = pq.read_table(pa.BufferReader(data), columns=columns)
            except (pa.ArrowInvalid, OSError):  # the bytes are at fault: they have been read
                broken(folder / name)
            else:
                yield table


def keep(out: Folder, captioner: Any, advance: Callable[[int], None]) -> tuple[int, int]:
    """Make and keep the vectors of all photos of the manifest that have none; return how many, and how many failed.

    A photo that is gone, changed or unreadable is left out. Each part is whole or not there; what was made before an
    interruption is kept.
    """
    from captioner.comparing import digest_of, photo_vectors

    digest = digest_of(captioner)
    rows, seen = [], kept(out, digest, remove)
    for _, row in Manifest(out).read(("id", "uri", "sha256", "width_px")):
        if row["sha256"] and row["width_px"] and row["sha256"] not in seen:
            seen.add(row["sha256"])
            rows.append(row)
    made, failed = 0, 0
    for start in range(0, len(rows), PHOTOS_A_PART):
        part: list[tuple[str, NDArray[np.float32]]] = []
        try:
            for batch in _batches(rows[start : start + PHOTOS_A_PART]):
                photos = [photo for row in batch if (photo := _photo(row, captioner.input_size_px)) is not None]
                failed += len(batch) - len(photos)
                if photos:
                    part += zip([one.sha256 for one in photos], photo_vectors(captioner, photos), strict=True)
                advance(len(batch))
        finally:
            add(out, digest, part)
        made += len(part)
    return made, failed


def _batches(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    yield from (rows[start : start + BATCH_PHOTOS] for start in range(0, len(rows), BATCH_PHOTOS))


def _photo(row: Row, side_px: int) -> Any:
    """Read a row's photo again; None where it is not what it was."""
    from captioner.photos import decode_photo
    from captioner.records import Photo

    try:
        photo = decode_photo(read(row["uri"]), row["id"], side_px)
    except OSError:
        return None
    return photo if isinstance(photo, Photo) and photo.sha256 == row["sha256"] else None


def add(out: Folder, digest: str, part: Sequence[tuple[str, NDArray[np.float32]]]) -> None:
    """Keep vectors (E,) under their hashes: a part, whole, under the next free number; none of no vectors."""
    if not part:
        return
    folder, temporary = paths.features_folder(out, digest), paths.scratch_folder(out) / TEMPORARY
    width = len(part[0][1])
    vectors = [np.asarray(vector, "<f2").tobytes() for _, vector in part]
    table = pa.table({
        "sha256": [sha256 for sha256, _ in part],
        "vector": pa.array(vectors, pa.binary(2 * width)),
    })  # fmt: skip
    with _held(out):
        pq.write_table(table, temporary, compression="none", use_dictionary=False)  # nothing repeats
        taken = set(names_in(folder))
        free = next(name for number in count() if (name := f"part-{number:06d}.parquet") not in taken)
        place(temporary, folder / free)


@contextmanager
def _held(out: Folder) -> Iterator[None]:
    """Hold the features against other writers of this machine."""
    lock = paths.scratch_folder(out) / LOCK
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(lock, timeout=LOCK_WAIT_S):
            yield
    except Timeout as error:
        mend = "wait for the other one, then run this again"
        raise FlowError("another process has been writing features for a minute", str(lock), mend) from error
