"""Rows as tables: Parquet (the whole manifest in one file), CSV for spreadsheets, JSON Lines for a CMS."""

import csv
import json
import unicodedata
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from flows.exports.published import EDITED, Published
from flows.exports.target import Target
from flows.schema import SCHEMA

GROUP_ROWS = 4096
"""Rows in memory at a time, and in a row group of the Parquet file."""

MADE_BY = pa.field(
    "text_made_by",
    pa.string(),
    metadata={"description": "how the alt text was made: `trained model NAME` or `edited by a person`"},
)

COLUMNS = ("id", "sha256", "decorative", "alt_text", "long_description", "language", "text_made_by", "review",
           "reviewed_by", "reviewed_at", "captioner_digest", "audio_path", "audio_sha256", "duration_s", "voice",
           "photo", "width_px", "height_px", "missing_since", "needs_review", "confidence", "alt_flags",
           "own")  # fmt: skip
"""The columns of the CSV file."""

_STARTS_FORMULA = tuple("=+-@\t\r\n'")


def write_parquet(rows: Iterator[Published], target: Target) -> None:
    """Write the chosen rows of the manifest to one file, with the words that hold now and how they were made."""
    schema = SCHEMA.append(MADE_BY)
    with pq.ParquetWriter(target.place, schema, compression="zstd") as writer:
        while group := list(islice(rows, GROUP_ROWS)):
            writer.write_table(pa.Table.from_pylist([_whole(row) for row in group], schema=schema))
            target.advance(len(group))


def _whole(one: Published) -> dict[str, Any]:
    changed: dict[str, Any] = {"alt_text": one.alt_text} if one.alt_text else {}
    if one.review:
        changed |= {"review": one.review, "reviewed_by": one.reviewed_by, "reviewed_at": one.reviewed_at}
    if one.is_pending and one.made_by == EDITED:
        changed |= {"words_by": "person", "confidence": one.confidence, "alt_flags": one.alt_flags}
    changed |= {"needs_review": one.needs_review}
    return one.row | changed | {MADE_BY.name: one.made_by or None}


def write_csv(rows: Iterator[Published], target: Target) -> None:
    """Write RFC 4180 CSV in UTF-8 with a mark of its coding, as spreadsheets want it, and no cell that is a formula."""
    with Path(target.place).open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for one in rows:
            writer.writerow([safe_cell(value) for value in _cells(one)])
            target.advance(1)


def _cells(one: Published) -> list[Any]:
    row = one.row
    values = {
        "decorative": "yes" if one.is_decorative else "",
        "alt_text": one.alt_text,
        "long_description": one.long_text,
        "text_made_by": one.made_by,
        "review": one.review,
        "reviewed_by": one.reviewed_by,
        "reviewed_at": _iso(one.reviewed_at),
        "audio_path": one.clip,
        "audio_sha256": row["audio_sha256"] if one.clip else None,
        "duration_s": one.duration_s or None,
        "photo": row["uri"],
        "missing_since": _iso(row["missing_since"]),
        "needs_review": "yes" if one.needs_review else "",
        "confidence": _rounded(one.confidence),
        "alt_flags": " ".join(flag["rule"] for flag in one.alt_flags),
    }
    return [values[name] if name in values else row[name] for name in COLUMNS]


def safe_cell(value: Any) -> str:
    """Return a cell that no spreadsheet takes for a formula: one that could be, or begins with ', gets a ' before it.

    So it can be undone: take one ' off the front where there is one. Neither spaces before a formula nor signs of full
    width hide it.
    """
    text = "" if value is None else str(value)
    return f"'{text}" if unicodedata.normalize("NFKC", text).lstrip(" ").startswith(_STARTS_FORMULA) else text


def plain_cell(cell: str) -> str:
    """Return what `safe_cell` was given."""
    return cell.removeprefix("'")


def write_jsonl(rows: Iterator[Published], target: Target) -> None:
    """Write a JSON object a line: photo, words, how they were made, sound, and the caller's own columns."""
    with Path(target.place).open("w", encoding="utf-8") as file:
        for one in rows:
            file.write(json.dumps(_object(one), ensure_ascii=False) + "\n")
            target.advance(1)


def _object(one: Published) -> dict[str, Any]:
    row = one.row
    photo = {"url": row["uri"], "width": row["width_px"], "height": row["height_px"], "format": row["format"]}
    audio = {"path": one.clip, "sha256": row["audio_sha256"], "duration_s": one.duration_s, "voice": row["voice"]}
    made = {"text_made_by": one.made_by or None, "captioner_digest": row["captioner_digest"]}
    told = {"decision": one.review, "by": one.reviewed_by, "at": _iso(one.reviewed_at)} if one.review else None
    words = {"alt_text": one.alt_text, "long_description": one.long_text or None, "language": row["language"]}
    return {
        "id": one.id,
        "sha256": one.sha256,
        "decorative": one.is_decorative,
        **words,
        **made,
        "review": told,
        "needs_review": one.needs_review,
        "confidence": _rounded(one.confidence),
        "alt_flags": one.alt_flags,
        "audio": audio if one.clip else None,
        "photo": photo | {"missing_since": _iso(row["missing_since"])},
        "own": one.own or None,
    }


def _rounded(confidence: float | None) -> float | None:
    return None if confidence is None else round(confidence, 3)


def _iso(time: Any) -> str | None:
    return None if time is None else time.isoformat()
