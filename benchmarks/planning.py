"""What a second night costs before its first photo: the listing, the manifest and the plan, on synthetic manifests.

    python benchmarks/planning.py --work FOLDER --csv benchmarks/planning.csv --rows 10000 100000 1000000

Photos and clips are real names (hard links to a few small files) in folders of 1,000, the manifest has real parts of
512 rows with words, alternatives and attention of a usual size. One photo in a thousand is new. Each size is a process
of its own, so that its peak memory is its own; the file system's cache is warm.
"""

import argparse
import csv
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from flows import paths
from flows.addresses import path_uri
from flows.digests import Digests
from flows.inputs import list_photos
from flows.manifest import ROWS_A_PART, Manifest
from flows.plan import Plan
from flows.reviews import Reviews
from flows.schema import COLUMNS, SCHEMA

A_FOLDER = 1000
LINKS = 50_000
DIGESTS = Digests("c" * 16, "a" * 16, "v" * 16, "o" * 16)


def main() -> None:
    """Measure each size in a process of its own and write the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--rows", type=int, nargs="+", required=True)
    parser.add_argument("--measure", type=int)
    given = parser.parse_args()
    if given.measure:
        print(json.dumps(measure(given.work, given.measure)))
        return
    table = []
    for rows in given.rows:
        make_files(given.work, rows)
        make_manifest(given.work, rows)
        command = [sys.executable, *sys.argv, "--measure", str(rows)]
        figures = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        table.append(json.loads(figures))
        print(figures, flush=True)
        shutil.rmtree(given.work)
        with given.csv.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, table[0], lineterminator="\n")
            writer.writeheader()
            writer.writerows(table)


def measure(work: Path, rows: int) -> dict[str, float]:
    """Return the seconds of each step, bytes and peak memory."""
    photos, out = work / "photos", work / "out"
    figures: dict[str, float] = {"rows": rows, "parts": len(list((out / "manifest").iterdir()))}
    figures["manifest_MB"] = round(sum(path.stat().st_size for path in (out / "manifest").iterdir()) / 1e6, 1)
    clock = Clock(figures)
    with clock.of("read_manifest"):
        plan = Plan(Manifest(out), DIGESTS, out / ".narrate", Reviews(out))
    with clock.of("list_photos"):
        plan.add(list_photos(str(photos), None).sources(out))
    with clock.of("plan"):
        plan.mark(None)
        figures["to_do"] = plan.amounts().to_do
    figures["scratch_MB"] = round(sum(path.stat().st_size for path in (out / ".narrate").iterdir()) / 1e6, 1)
    rows_of_shard = [row_of(photos, int(work.source.id.split("/")[1][:-4])) for work in list(plan.works())[:64]]
    with clock.of("commit_shard"):
        plan.commit(rows_of_shard)
    plan.close()
    figures["peak_MB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3, 1)
    return figures


class Clock:
    """Notes how long a step took: by the wall, and of the processor's time."""

    def __init__(self, figures: dict[str, float]) -> None:
        """Write into `figures`."""
        self.figures = figures

    @contextmanager
    def of(self, step: str) -> Iterator[None]:
        """Time the block."""
        wall, cpu = perf_counter(), process_time()
        yield
        self.figures[f"{step}_s"] = round(perf_counter() - wall, 2)
        self.figures[f"{step}_cpu_s"] = round(process_time() - cpu, 2)


def name_of(number: int) -> str:
    """Return the id of a photo."""
    return f"{number // A_FOLDER:05d}/{number:08d}.jpg"


def make_files(work: Path, rows: int) -> None:
    """Make photos and clips."""
    shutil.rmtree(work, ignore_errors=True)
    for number in range(rows):
        _link(work / "photos" / name_of(number), number)
        if number % 1000:
            _link(work / "out" / paths.clip_path(name_of(number), "mp3"), number)


def make_manifest(work: Path, rows: int) -> None:
    """Make the parts: rows as they are written, with what tells one from another put in by column, which is quicker."""
    manifest = work / "out" / "manifest"
    shutil.rmtree(manifest, ignore_errors=True)
    manifest.mkdir()
    known = [number for number in range(rows) if number % 1000]
    usual = pa.Table.from_pylist([row_of(work / "photos", known[0]) for _ in range(ROWS_A_PART)], schema=SCHEMA)
    for part, start in enumerate(range(0, len(known), ROWS_A_PART)):
        numbers = known[start : start + ROWS_A_PART]
        own = [identity_of(work / "photos", number) for number in numbers]
        table = usual.slice(0, len(numbers))
        for name in own[0]:
            values = pa.array([one[name] for one in own], SCHEMA.field(name).type)
            table = table.set_column(SCHEMA.get_field_index(name), SCHEMA.field(name), values)
        pq.write_table(table, manifest / f"part-{part:06d}.parquet", compression="zstd")


def _link(path: Path, number: int) -> None:
    first = path.parents[1] / f"source-{number // LINKS}"
    if number % A_FOLDER in (0, 1):
        path.parent.mkdir(parents=True, exist_ok=True)
    if not first.exists():
        first.write_bytes(b"x" * 100)
    os.link(first, path)


def identity_of(photos: Path, number: int) -> dict[str, Any]:
    """Return the columns in which the rows of two photos differ."""
    path = photos / name_of(number)
    sha256 = hashlib.sha256(str(number).encode()).hexdigest()
    words = f"A man in a yellow shirt number {number} is holding a bat."
    row: dict[str, Any] = {"id": name_of(number), "uri": path_uri(path), "sha256": sha256, "audio_sha256": sha256}
    row |= {"mtime": datetime.fromtimestamp(path.stat().st_mtime_ns // 1000 / 1e6, UTC), "caption": words}
    return row | {"alt_text": words, "audio_path": paths.clip_path(name_of(number), "mp3")}


def row_of(photos: Path, number: int) -> dict[str, Any]:
    """Return a row of a usual size for a photo of ours."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS)
    row |= identity_of(photos, number) | {"size_bytes": 100, "width_px": 4000, "height_px": 3000}
    row |= {"format": "jpeg", "status": "described", "words_by": "captioner", "language": "en"}
    row |= {"alternatives": [{"text": row["caption"] + str(i), "mean_logprob": -0.5} for i in range(2)]}
    row |= {"attention": [os.urandom(49) for _ in range(10)], "mean_logprob": -0.4, "needs_review": False}
    row |= {"captioner": "narrator-lite", "captioner_digest": DIGESTS.captioner, "alt_text_digest": DIGESTS.alt_text}
    row |= {"voice": "narrator", "voice_digest": DIGESTS.voice, "audio_digest": DIGESTS.audio, "duration_s": 2.8}
    row |= {"sample_rate_hz": 22050, "alt_flags": [], "clip_flags": [], "committed_at": datetime.now(UTC)}
    return row | {"run_id": "20261121T031500Z-1f0c"}


if __name__ == "__main__":
    main()
