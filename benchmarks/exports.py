"""How long each export takes over many rows, and how much memory: 100,000 rows of words, 4,000 with photo and sound.

    python -P benchmarks/exports.py      (about ten minutes of one core)

The rows are synthetic; they share fifty photos of 400 x 300 pixels and fifty clips of 3 s, which are opened, compared
and written for each row as if they were its own. Each export runs in a process of its own, once over a tenth of the
rows and once over all of them: memory that does not grow with the rows stays where it was. Writes exports.csv beside
this file, a line at a time; what stands there is not measured again.
"""

import argparse
import csv
import hashlib
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile
from PIL import Image

from flows.exports.exporting import export
from flows.exports.settings import Export
from flows.schema import SCHEMA

TABLE = Path(__file__).with_suffix(".csv")
FILES = 50
ROWS = {"csv": 100_000, "jsonl": 100_000, "parquet": 100_000, "vtt": 100_000, "digest": 100_000, "xmp": 20_000,
        "html": 4_000, "iiif": 4_000, "epub": 4_000, "podcast": 4_000}  # fmt: skip


def write_files(folder: Path) -> list[dict[str, Any]]:
    """Write the photos and the clips; return the columns of each pair."""
    random, found = np.random.default_rng(1), []
    (folder / "photos").mkdir(parents=True)
    (folder / "out" / "audio").mkdir(parents=True)
    for number in range(FILES):
        photo, clip = folder / "photos" / f"{number:02d}.jpg", folder / "out" / "audio" / f"{number:02d}.mp3"
        shapes = np.kron(random.integers(0, 256, (30, 40, 3)), np.ones((10, 10, 1))).astype(np.uint8)  # (300, 400, 3)
        Image.fromarray(shapes).save(photo, quality=85)
        soundfile.write(clip, 0.1 * np.sin(np.arange(66150) * 0.05 * (1 + number / 50)), 22050)
        names = {"uri": photo.as_uri(), "sha256": hashlib.sha256(photo.read_bytes()).hexdigest()}
        sound = {"audio_path": f"audio/{clip.name}", "audio_sha256": hashlib.sha256(clip.read_bytes()).hexdigest()}
        found.append(names | sound | {"duration_s": 3.0, "seconds_encode": 0.1})
    return found


def write_rows(out: Path, files: list[dict[str, Any]], count: int) -> None:
    """Write a manifest of `count` synthetic rows in parts of 512, and the account of a run that made them."""
    (out / "manifest").mkdir(parents=True)
    (out / "runs").mkdir()
    (out / "runs" / "20260101T000000-bench.json").write_text("{}", encoding="utf-8")
    for part, start in enumerate(range(0, count, 512)):
        rows = [
            dict.fromkeys(SCHEMA.names)
            | {"id": f"folder-{n % 97:02d}/photo-{n:06d}.jpg", "status": "described", "alt_flags": []}
            | {"alt_text": f"A dog runs over field number {n}.", "caption": f"a dog runs over field number {n}"}
            | {"language": "en", "captioner": "c", "words_by": "captioner", "width_px": 400, "height_px": 300}
            | {"voice": "narrator", "run_id": "20260101T000000-bench", "own": f'{{"sku": "{n}"}}'}
            | files[n % len(files)]
            for n in range(start, min(start + 512, count))
        ]
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), out / "manifest" / f"part-{part:06d}.parquet")


def measure(out: Path, to: str) -> None:
    """Write one export and print rows, seconds, peak memory in MB and the size of what was written in MB."""
    began = time.perf_counter()
    into = out.parent / f"export-{to}{'' if to in ('html', 'iiif', 'podcast', 'digest', 'xmp') else f'.{to}'}"
    place, tally = export(Export(out, to, into=into, web="https://example.org/photos"))
    seconds = time.perf_counter() - began
    files = [place] if place.is_file() else place.rglob("*")
    size_mb = sum(path.stat().st_size for path in files if path.is_file()) / 1e6
    memory_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(tally.written, round(seconds, 1), round(memory_mb), round(size_mb, 1))


def main() -> None:
    """Measure what is not in the table yet; print and write the figures."""
    parser = argparse.ArgumentParser(description="Measure the exports over many rows.")
    parser.add_argument("--measure", nargs=2, metavar=("OUT", "FORMAT"), help="one export, in this process")
    options = parser.parse_args()
    if options.measure:
        measure(Path(options.measure[0]), options.measure[1])
        return
    done = set()
    if TABLE.exists():
        done = {(row["format"], int(row["rows"])) for row in csv.DictReader(TABLE.open(encoding="utf-8"))}
    for count in sorted({rows // share for rows in ROWS.values() for share in (10, 1)}, reverse=True):
        wanted = [to for to, rows in ROWS.items() if count in (rows, rows // 10) and (to, count) not in done]
        with tempfile.TemporaryDirectory(prefix="exports-") as folder:
            if wanted:
                write_rows(Path(folder) / "out", write_files(Path(folder)), count)
            for to in wanted:
                command = [sys.executable, "-P", __file__, "--measure", f"{folder}/out", to]
                said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
                write([to, count, *said])


def write(line: list[Any]) -> None:
    """Add a line to the table."""
    is_new = not TABLE.exists()
    with TABLE.open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        if is_new:
            writer.writerow(["format", "rows", "written", "seconds", "peak_memory_mb", "size_mb"])
        writer.writerow(line)
    print(*line, flush=True)


if __name__ == "__main__":
    main()
