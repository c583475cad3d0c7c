"""How much of a run's wall time is Prefect's: the same photos with `--engine none` and with the default, in one go.

    python benchmarks/orchestration.py --photos 1000 --csv benchmarks/orchestration.csv

Photos are random crops of the sample photos (seed 0), so that each has bytes of its own. Of each run are noted the
whole process (start, loading and Prefect's temporary server included), the time from the first shard's start to the
last one's end, the stages' own time, and orchestration: the time from each stage's call to its return without the
stage itself. Stages of neighbouring shards overlap, so their times together are more than the wall's.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]


def make_photos(folder: Path, count: int) -> None:
    """Write `count` random crops of the sample photos, 500 pixels wide or less."""
    rng = np.random.default_rng(0)
    samples = [Image.open(path).convert("RGB") for path in sorted((ROOT / "data" / "samples").glob("*.[jpw]*g*"))]
    folder.mkdir(parents=True)
    for number in range(count):
        photo = samples[number % len(samples)]
        width, height = (int(side * rng.uniform(0.6, 0.95)) for side in photo.size)
        left, top = int(rng.integers(photo.width - width)), int(rng.integers(photo.height - height))
        crop = photo.crop((left, top, left + width, top + height))
        crop.thumbnail((500, 500))
        crop.save(folder / f"{number:05d}.jpg", quality=85)


def measure(photos: Path, out: Path, engine: str, more: list[str]) -> dict[str, object]:
    """Run once and return the figures of the run."""
    command = [sys.executable, "-m", "flows", "run", str(photos), str(out), "--engine", engine, *more]
    began = perf_counter()
    subprocess.run(command, check=True)
    process_s = perf_counter() - began
    (account,) = (json.loads(path.read_text()) for path in (out / "runs").iterdir())
    stages_s = sum(account["stage_seconds"].values())
    wall_s = account["wall_s"]
    figures: dict[str, object] = {"engine": engine, "photos": account["counts"]["described"]}
    figures |= {"process_s": round(process_s, 2), "shards_s": round(wall_s, 2), "stages_s": round(stages_s, 2)}
    figures |= {
        "orchestration_s": round(account["orchestration_s"], 3),
        "share_of_process": round(account["orchestration_s"] / process_s, 5),
    }
    return figures | {
        name.replace(" ", "_") + "_s": round(value, 2) for name, value in account["stage_seconds"].items()
    }


def main() -> None:
    """Measure both engines, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=1000, help="how many photos to narrate")
    parser.add_argument("--engines", nargs="+", default=["none", "prefect"], help="engines to measure, in this order")
    parser.add_argument("--csv", type=Path, help="file to write the table to")
    options, more = parser.parse_known_args()
    rows = []
    with tempfile.TemporaryDirectory() as scratch:
        make_photos(Path(scratch) / "photos", options.photos)
        for turn, engine in enumerate(options.engines):
            rows.append(measure(Path(scratch) / "photos", Path(scratch) / f"out-{turn}", engine, more))
            print(rows[-1])
    if options.csv:
        with options.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
