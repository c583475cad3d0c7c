"""The manifest: a Parquet row for each source, in parts of 512 rows that are rewritten whole and renamed into place."""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import pyarrow as pa
import pyarrow.parquet as pq

from flows import paths
from flows.errors import FlowError
from flows.records import Row
from flows.schema import SCHEMA, VERSION, migrated, version_of
from flows.storage import Folder, names_in, place, read_file

ROWS_A_PART = 512
"""New rows fill the last part up to this many, then a new part begins."""


class Manifest:
    """The parts in an output folder: read by part, committed by row."""

    def __init__(self, out: Folder) -> None:
        """Find the parts; nothing is read or made yet. Raises OSError where a store cannot be asked."""
        self.out = out
        self.parts = sorted(_part_number(name) for name in _part_names(paths.manifest_folder(out)))
        self._tables: OrderedDict[int, pa.Table] = OrderedDict()

    def read(self, columns: Sequence[str]) -> Iterator[tuple[int, Row]]:
        """Yield the part number and the chosen columns of every row."""
        for part in self.parts:
            for row in self._load(part, columns).to_pylist():
                yield part, row

    def count(self) -> int:
        """Return how many rows there are."""
        return sum(self.size(part) for part in self.parts)

    def size(self, part: int) -> int:
        """Return how many rows a part has."""
        return int(self._open(part).metadata.num_rows)

    def part(self, part: int) -> pa.Table:
        """Return the rows of one part as they are on the disk now."""
        return self._load(part, None)

    def table(self, columns: Sequence[str]) -> pa.Table:
        """Return the chosen columns of every row, in order."""
        return pa.concat_tables(self._load(part, columns) for part in self.parts)

    def row(self, part: int, photo_id: str) -> Row:
        """Return the whole row of `photo_id`, which lies in `part`."""
        table = self._cached(part)
        place = table.column("id").to_pylist().index(photo_id)
        row: Row = table.slice(place, 1).to_pylist()[0]
        return row

    def commit(self, replaced: dict[int, list[Row]], new: Sequence[Row]) -> dict[str, int]:
        """Write `replaced` rows into the parts they live in and append `new` ones; return the part of each new row.

        Each part is written under a temporary name, synced and renamed (in a store: put), so that a reader sees each
        id exactly once at every instant. Raises OSError where the disk or the store refuses.
        """
        home: dict[str, int] = {}
        for part, rows in self._fill(new):
            home |= {row["id"]: part for row in rows}
            replaced = replaced | {part: [*replaced.get(part, []), *rows]}
        for part in sorted(replaced):
            self._rewrite(part, replaced[part])
        return home

    def _fill(self, new: Sequence[Row]) -> Iterator[tuple[int, Sequence[Row]]]:
        """Yield the part number for each run of new rows: the last part up to 512 rows, then new parts."""
        part = self.parts[-1] if self.parts else 0
        room = ROWS_A_PART - self._cached(part).num_rows if self.parts else ROWS_A_PART
        while new:
            if room > 0:
                yield part, new[:room]
                new = new[room:]
            part, room = part + 1, ROWS_A_PART

    def _rewrite(self, part: int, rows: Sequence[Row]) -> None:
        before = self._cached(part).to_pylist() if part in self.parts else []
        merged = {row["id"]: row for row in before} | {row["id"]: row for row in rows}
        table = pa.Table.from_pylist(list(merged.values()), schema=SCHEMA)
        scratch = paths.scratch_folder(self.out) / f"part-{part:06d}.tmp"
        scratch.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, scratch, compression="zstd")
        place(scratch, paths.part_path(self.out, part))
        self.parts = sorted({*self.parts, part})
        self._remember(part, table)

    def _cached(self, part: int) -> pa.Table:
        if part not in self._tables:
            self._remember(part, self._load(part, None))
        self._tables.move_to_end(part)
        return self._tables[part]

    def _remember(self, part: int, table: pa.Table) -> None:
        self._tables[part] = table
        self._tables.move_to_end(part)
        while len(self._tables) > 4:  # noqa: PLR2004 - a shard touches a few neighbouring parts; memory stays flat
            self._tables.popitem(last=False)

    def renew(self) -> None:
        """Rewrite each part of an older version as one of this version, so that plain readers find every column."""
        for part in self.parts:
            if self._open(part).schema_arrow != SCHEMA:
                self._rewrite(part, [])

    def _load(self, part: int, columns: Sequence[str] | None) -> pa.Table:
        """Return a part, or some of its columns; a part of an older version is read whole and brought forward."""
        file = self._open(part)
        wanted = list(columns) if columns else None
        try:
            if file.schema_arrow == SCHEMA:
                return file.read(columns=wanted)
            table = migrated(file.read())
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(part, error) from error
        return table.select(wanted) if wanted else table

    def _open(self, part: int) -> pq.ParquetFile:
        """Open a part of this version or an older one."""
        path = paths.part_path(self.out, part)
        try:
            # A store's part is fetched whole by one request; on a disk the chosen columns alone are read.
            file = pq.ParquetFile(path if isinstance(path, Path) else pa.BufferReader(read_file(path) or b""))
        except (pa.ArrowException, OSError) as error:
            raise self._unreadable(part, error) from error
        version = version_of(file.schema_arrow)
        if not 1 <= version <= VERSION:
            what = f"this part of the manifest has version {version}, and this program writes version {VERSION}"
            raise FlowError(what, str(path), "use the program that wrote it, or another output folder")
        return file

    def _unreadable(self, part: int, error: Exception) -> FlowError:
        mend = "put back a copy of it, or move it away and its photos are narrated again"
        where = str(paths.part_path(self.out, part))
        return FlowError(f"this part of the manifest cannot be read ({error})", where, mend)


def _part_names(folder: Folder) -> list[str]:
    """Return the file names in the folder of the parts that are parts by their names."""
    return [name for name in names_in(folder) if name.startswith("part-") and name.endswith(".parquet")]


def _part_number(name: str) -> int:
    number = PurePosixPath(name).stem.removeprefix("part-")
    if not number.isdecimal():
        raise FlowError("this is no part of a manifest of ours", name, "move it away")
    return int(number)
