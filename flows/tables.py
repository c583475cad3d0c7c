"""The caller's own tables, CSV or Parquet: a photo a row, with what the caller knows of it."""

import csv
import io
import json
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from flows.addresses import is_address
from flows.errors import FlowError
from flows.storage import read

IMAGE_COLUMNS = ("image", "photo", "file", "filename", "file_name", "path", "image_path", "url", "uri", "image_url")
"""Names of the column that says where the photo is, the first that is there counts; capitals do not matter."""

TABLE_ENDINGS = (".csv", ".tsv", ".parquet")
"""Endings of tables; another list is a text file with one path a line."""

TableRow = dict[str, Any]
"""A row as the caller wrote it, by column name."""


def is_table(place: str) -> bool:
    """Return whether the name of a file says that it is a table."""
    return place.lower().endswith(TABLE_ENDINGS)


def read_table(place: str) -> Iterator[TableRow]:
    """Yield the rows of the CSV or Parquet file at a path or an address, a few in memory at a time.

    A value of a CSV file is text as it stands there, so that 007 stays 007. Raises FlowError where it cannot be read.
    """
    try:
        with _opened(place) as file:
            yield from _parquet_rows(file) if place.lower().endswith(".parquet") else _csv_rows(file, place)
    except (OSError, ValueError, csv.Error) as error:
        words = getattr(error, "strerror", None) or str(error)
        mend = "give a CSV file in UTF-8 with a line of column names, or a Parquet file"
        raise FlowError(f"the table cannot be read ({words})", place, mend) from error


def _opened(place: str) -> IO[bytes]:
    return io.BytesIO(read(place)) if is_address(place) else Path(place).expanduser().open("rb")


def _parquet_rows(file: IO[bytes]) -> Iterator[TableRow]:
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(file).iter_batches(batch_size=1024):
        yield from batch.to_pylist()


def _csv_rows(file: IO[bytes], place: str) -> Iterator[TableRow]:
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    heading = text.readline()
    text.seek(0)
    separator = max(",;\t", key=heading.count)
    reader = csv.DictReader(text, delimiter=separator, strict=True)
    for row in reader:
        if None in row:
            raise FlowError(f"line {reader.line_num} has more values than there are columns", place, "put it right")
        yield dict(row)


def image_column(columns: Iterable[str], wanted: str | None, place: str) -> str:
    """Return the column that says where the photo is; raises FlowError where there is none."""
    found = column_named(columns, [wanted] if wanted else IMAGE_COLUMNS)
    if found is None:
        what = f"the table has no column {wanted or 'image'} (it has {', '.join(map(str, columns))})"
        raise FlowError(what, place, "name the column of the photos' paths with --image-column")
    return found


def column_named(columns: Iterable[str], names: Sequence[str]) -> str | None:
    """Return the column that has the first of `names` that is there, whatever its capitals."""
    known = {str(column).strip().lower(): column for column in columns}
    return next((known[name.lower()] for name in names if name.lower() in known), None)


def own_columns(row: TableRow) -> str:
    """Return the caller's columns of a photo as one JSON object, empty values left out."""
    kept = {name: value for name, value in row.items() if value is not None and value != "" and value == value}  # noqa: PLR0124 - not a number
    return json.dumps(kept, ensure_ascii=False, default=str)


def table_id(row: TableRow) -> str | None:
    """Return the caller's own id of a photo; None where the table has none."""
    column = column_named(row, ["id"])
    text = str(row[column]).strip() if column is not None and row[column] is not None else ""
    if any(unicodedata.category(letter) == "Cc" for letter in text):
        raise FlowError(f"the id {text!r} has control characters in it", "the table", "put it right")
    return unicodedata.normalize("NFC", text) or None


def row_id(row: TableRow, wanted: str | None, place: str) -> str:
    """Return the id of the photo that a row of a table beside the photos is about: its `id`, else its image column."""
    named = None if wanted else table_id(row)
    return named or unicodedata.normalize("NFC", str(row[image_column(row, wanted, place)] or "").strip())
