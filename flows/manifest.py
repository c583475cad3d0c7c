"""The manifest: a Parquet row for each source, in parts of 512 rows that are rewritten whole and renamed into place."""

import json
import os
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from captioner.photos import REASONS as REFUSALS
from flows import paths
from flows.errors import FlowError
from flows.records import Row

VERSION = 1
"""Version of the columns; kept in the schema's metadata under `image_narrator_version`."""

ROWS_A_PART = 512
"""New rows fill the last part up to this many, then a new part begins."""

DEAD_LINK = "dead-link"
"""Reason of status `refused` for a symbolic link that leads nowhere."""

FAILURES = ("unreadable", "vanished", "out-of-memory", "model-error", "unspeakable", "bad-audio")
"""Reasons of status `failed`: we, the disk or the models are at fault; they are tried again at the next run."""

REASONS = (*REFUSALS, DEAD_LINK, *FAILURES)
"""Every value of the column `reason`: a closed list."""

_TIME = pa.timestamp("us", tz="UTC")

COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "id": (pa.string(), "path below the folder of photos, `/`-separated, NFC; unique"),
    "uri": (pa.string(), "`file://` address of the photo when it was last found"),
    "sha256": (pa.string(), "hash of the photo's bytes: its identity"),
    "size_bytes": (pa.int64(), "length of the photo's file"),
    "mtime": (_TIME, "time of the file's last change; null where its store does not say"),
    "etag": (pa.string(), "what the photo's store (S3, a web server) calls this version of it; null on disks"),
    "width_px": (pa.int32(), "width of the upright photo"),
    "height_px": (pa.int32(), "height of the upright photo"),
    "format": (pa.string(), "`jpeg`, `png`, `webp`, ... by content"),
    "status": (pa.string(), "`described`, `decorative`, `refused` (the file is at fault) or `failed` (we are)"),
    "reason": (pa.string(), "why it was refused or failed, from a closed list"),
    "message": (pa.string(), "the reason in words, with what mends it"),
    "caption": (pa.string(), "what the model said"),
    "alt_text": (pa.string(), "what is published and spoken"),
    "words_by": (pa.string(), "who wrote the alt text: `captioner`, or `table` where it came with the photos"),
    "language": (pa.string(), "BCP 47 tag of the alt text"),
    "alt_flags": (
        pa.list_(pa.struct([("rule", pa.string()), ("reason", pa.string())])),
        "rules that changed or doubted the alt text",
    ),
    "mean_logprob": (pa.float32(), "mean log-probability of the caption's tokens"),
    "confidence": (pa.float32(), "probability that the caption is right; null until calibrated"),
    "needs_review": (pa.bool_(), "whether a person should look: a rule doubted the words, or there are none"),
    "captioner": (pa.string(), "name of the captioner"),
    "captioner_digest": (pa.string(), "digest of its weights and settings"),
    "captioner_licence": (pa.string(), "licence and terms of its weights"),
    "alt_text_digest": (pa.string(), "digest of the policy that made the alt text"),
    "voice": (pa.string(), "name of the voice"),
    "voice_digest": (pa.string(), "digest of its weights and settings"),
    "voice_licence": (pa.string(), "licence of its weights"),
    "audio_path": (pa.string(), "the clip, relative to the output folder"),
    "audio_sha256": (pa.string(), "hash of the clip's bytes"),
    "audio_digest": (pa.string(), "digest of the settings that mastered and encoded the clip"),
    "duration_s": (pa.float64(), "length of the clip"),
    "sample_rate_hz": (pa.int32(), "samples a second of the clip"),
    "loudness_lufs": (pa.float64(), "integrated loudness, measured on the encoded file"),
    "loudness_reliable": (pa.bool_(), "false for clips under 3 s"),
    "true_peak_dbtp": (pa.float64(), "true peak, measured on the encoded file"),
    "own": (pa.string(), "the columns that the caller gave with the photo, as a JSON object"),
    "missing_since": (_TIME, "when the photo was first found gone; null while it is there"),
    "run_id": (pa.string(), "the run that committed the row"),
    "committed_at": (_TIME, "when the row was committed"),
}
"""The columns, their types and their meanings, in order."""

SCHEMA = pa.schema(
    [pa.field(name, kind, metadata={"description": text}) for name, (kind, text) in COLUMNS.items()],
    metadata={"image_narrator_version": str(VERSION)},
)


class Manifest:
    """The parts in an output folder: read by part, committed by row."""

    def __init__(self, out: Path) -> None:
        """Find the parts; nothing is read or made yet."""
        self.out = out
        self.parts = sorted(_part_number(path) for path in paths.manifest_folder(out).glob("part-*.parquet"))
        self._tables: OrderedDict[int, pa.Table] = OrderedDict()

    def read(self, columns: Sequence[str]) -> Iterator[tuple[int, Row]]:
        """Yield the part number and the chosen columns of every row."""
        for part in self.parts:
            for row in self._load(part, columns).to_pylist():
                yield part, row

    def count(self) -> int:
        """Return how many rows there are."""
        return sum(pq.ParquetFile(paths.part_path(self.out, part)).metadata.num_rows for part in self.parts)

    def row(self, part: int, photo_id: str) -> Row:
        """Return the whole row of `photo_id`, which lies in `part`."""
        table = self._cached(part)
        place = table.column("id").to_pylist().index(photo_id)
        row: Row = table.slice(place, 1).to_pylist()[0]
        return row

    def commit(self, replaced: dict[int, list[Row]], new: Sequence[Row]) -> dict[str, int]:
        """Write `replaced` rows into the parts they live in and append `new` ones; return the part of each new row.

        Each part is written under a temporary name, synced and renamed, so that a reader sees each id exactly once at
        every instant. Raises OSError where the disk refuses.
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
        final = paths.part_path(self.out, part)
        scratch.parent.mkdir(parents=True, exist_ok=True)
        final.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, scratch, compression="zstd")
        replace_durably(scratch, final)
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

    def _load(self, part: int, columns: Sequence[str] | None) -> pa.Table:
        path = paths.part_path(self.out, part)
        try:
            table = pq.ParquetFile(path).read(columns=list(columns) if columns else None)
        except (pa.ArrowException, OSError) as error:
            mend = "put back a copy of it, or move it away and its photos are narrated again"
            raise FlowError(f"this part of the manifest cannot be read ({error})", str(path), mend) from error
        version = int((table.schema.metadata or {}).get(b"image_narrator_version", b"0"))
        if version != VERSION:
            what = f"this part of the manifest has version {version}, and this program writes version {VERSION}"
            raise FlowError(what, str(path), "use the program that wrote it, or another output folder")
        return table


def replace_durably(scratch: Path, final: Path) -> None:
    """Rename a finished `scratch` file to `final` so that either the old file or the whole new one survives a crash."""
    with scratch.open("rb") as file:
        os.fsync(file.fileno())
    scratch.replace(final)
    folder = os.open(final.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_json(path: Path, value: object, scratch: Path) -> None:
    """Write `value` as JSON to `path` by way of a temporary file in the folder `scratch`."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n", scratch)


def write_text(path: Path, text: str, scratch: Path) -> None:
    """Write `text` as UTF-8 to `path` by way of a temporary file in the folder `scratch`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch.mkdir(parents=True, exist_ok=True)
    temporary = scratch / f"{path.name}.tmp"
    temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
    replace_durably(temporary, path)


def _part_number(path: Path) -> int:
    number = path.stem.removeprefix("part-")
    if not number.isdecimal():
        raise FlowError("this is no part of a manifest of ours", str(path), "move it away")
    return int(number)
