"""Rows by their place in the manifest: what a page that scrolls through 100,000 of them asks for."""

from collections import OrderedDict

import pyarrow as pa

from flows import paths
from flows.errors import FlowError
from flows.manifest import Manifest
from flows.records import Row
from flows.storage import Folder, version_of_file

KEPT_PARTS = 64
"""Parts held in memory: 64 of 512 rows take some 60 MB."""


class NumberedRows:
    """The rows of an output folder by number, from 0; a part that a run has rewritten meanwhile is read again.

    A row keeps its number for ever: parts are never renumbered, and new rows come at the end.
    """

    def __init__(self, out: Folder) -> None:
        """Count the rows; raises FlowError where there are none."""
        self._out, self.manifest = out, Manifest(out)
        if not self.manifest.parts:
            raise FlowError("there is no manifest here", str(out), "give the output folder of narrate run")
        self._tables: OrderedDict[tuple[int, str], pa.Table] = OrderedDict()
        self._starts: list[tuple[int, int]] = []
        total = 0
        for part in self.manifest.parts:
            self._starts.append((total, part))
            total += self.manifest.size(part)

    def __getitem__(self, number: int) -> Row:
        """Return the row as it is on the disk now; raises IndexError for a number that is not there."""
        if number < 0:
            raise IndexError(number)
        start, part = max(place for place in self._starts if place[0] <= number)
        table = self._table(part)
        if number - start >= table.num_rows:
            raise IndexError(number)
        row: Row = table.slice(number - start, 1).to_pylist()[0]
        return row

    def _table(self, part: int) -> pa.Table:
        key = (part, version_of_file(paths.part_path(self._out, part)))
        if key not in self._tables:
            self._tables[key] = self.manifest.part(part)
        self._tables.move_to_end(key)
        while len(self._tables) > KEPT_PARTS:
            self._tables.popitem(last=False)
        return self._tables[key]
