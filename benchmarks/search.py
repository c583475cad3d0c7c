"""How long a search takes over many photos: by words, and by features.

    python benchmarks/search.py --csv benchmarks/search.csv [--rows 100000] [--width 1280]

The rows are synthetic: captions of one to three words that differ, and random vectors of the built-in captioner's
width. Each time is the best of three, manifest or features read from the disk each time (its cache is warm).
"""

import argparse
import csv
import os
import random
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from flows.features import PHOTOS_A_PART, add, cosines, kept
from flows.schema import SCHEMA
from flows.search import Query, read_rows, search

WORDS = (
    ("dog", "cat", "man", "woman", "child", "boy", "girl", "ball", "beach", "snow", "street", "red", "blue", "green",
     "runs", "jumps", "sits", "plays", "water", "grass")
)  # fmt: skip


def write_rows(out: Path, count: int) -> None:
    """Write a manifest of `count` synthetic rows in parts of 512."""
    chance = random.Random(1)
    (out / "manifest").mkdir(parents=True)
    for part, start in enumerate(range(0, count, 512)):
        many = min(512, count - start)
        texts = [f"A {' '.join(chance.choices(WORDS, k=9))}." for _ in range(many)]
        known = {
            "id": [f"photo-{start + n:06d}.jpg" for n in range(many)],
            "sha256": [f"{start + n:064x}" for n in range(many)],
            "status": ["described"] * many,
            "alt_text": texts,
            "width_px": [400] * many,
        }
        arrays = [
            pa.array(known[one.name], one.type) if one.name in known else pa.nulls(many, one.type) for one in SCHEMA
        ]
        table = pa.Table.from_arrays(arrays, schema=SCHEMA)
        pq.write_table(table, out / "manifest" / f"part-{part:06d}.parquet")


def write_vectors(out: Path, count: int, width: int) -> None:
    """Write unit vectors for all rows as `--index` does."""
    rng = np.random.default_rng(1)
    for start in range(0, count, PHOTOS_A_PART):
        many = min(PHOTOS_A_PART, count - start)
        values = rng.standard_normal((many, width), np.float32) / np.sqrt(width)
        add(out, "digest", [(f"{start + n:064x}", values[n]) for n in range(many)])


def by_features(out: Path, asked: NDArray[np.float32]) -> NDArray[np.int64]:
    """Do what `--by features` does once it has the query's vector; return the rows of the best 24."""
    hashes = read_rows(out).column("sha256")
    kept(out, "digest")  # whether there are any, and who has none
    return np.argsort(-cosines(out, "digest", asked, hashes))[:24]


def best_of(work: Callable[[], object]) -> tuple[float, float]:
    """Return the best of three: seconds by the wall and by the processor."""
    times = []
    for _ in range(3):
        begun = time.perf_counter(), time.process_time()
        work()
        times.append((time.perf_counter() - begun[0], time.process_time() - begun[1]))
    return min(times)


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--width", type=int, default=1280)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        write_rows(out, given.rows)
        write_vectors(out, given.rows, given.width)
        asked = np.random.default_rng(2).standard_normal(given.width).astype(np.float32)
        measured = {
            "by words": best_of(lambda: search(Query(out, "a dog on the beach"))),
            "by features": best_of(lambda: by_features(out, asked)),
        }
    with given.csv.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["search", "rows", "wall_s", "processor_s", "load"])
        for name, (wall_s, processor_s) in measured.items():
            writer.writerow([name, given.rows, f"{wall_s:.2f}", f"{processor_s:.2f}", f"{os.getloadavg()[0]:.0f}"])
    print(given.csv.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
