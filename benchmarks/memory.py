"""Does a run's memory grow with the number of photos? Peak resident memory of whole runs over 1,000 and 10,000 photos.

python -P benchmarks/memory.py --work FOLDER --csv benchmarks/memory.csv

The models are the small real ones of the tests, so that what grows with the photos is not hidden behind the weights;
the photos are small and all different. The folder stays, for `second_run.py`. -P keeps
`benchmarks/speech.py` from standing in for the package.
"""

import argparse
import csv
import os
import sys
from pathlib import Path
from time import perf_counter

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "fakes"))


def make_photos(folder: Path, count: int) -> None:
    """Write `count` different photos of 80 x 60 pixels."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        pixels = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((80, 60)).save(folder / f"{number:05d}.jpg")


def measure(photos: Path, out: Path, more: list[str]) -> tuple[float, float]:
    """Run once in a process of its own; return its peak resident memory in MB and its wall time in seconds."""
    command = [sys.executable, "-m", "flows", "run", str(photos), str(out), "--engine", "none", *more]
    began = perf_counter()
    process = os.posix_spawn(sys.executable, command, os.environ)
    _, status, usage = os.wait4(process, 0)
    if status:
        sys.exit(f"the run over {photos} ended with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_maxrss / 1000, perf_counter() - began


def main() -> None:
    """Measure each number of photos, print and write the table."""
    from make_tiny_captioner import tiny_captioner
    from make_tiny_voice import tiny_voice

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, nargs="+", default=[1000, 10000], help="how many photos to narrate")
    parser.add_argument("--work", type=Path, required=True, help="folder for photos, models and outputs; must be new")
    parser.add_argument("--csv", type=Path, help="file to write the table to")
    options, more = parser.parse_known_args()
    captioner, voice = tiny_captioner(options.work / "captioner"), tiny_voice(options.work / "voice")
    rows = []
    for count in options.photos:
        photos, out = options.work / f"photos-{count}", options.work / f"out-{count}"
        make_photos(photos, count)
        peak, wall = measure(photos, out, ["--captioner", str(captioner), "--voice", str(voice), *more])
        rows.append({"photos": count, "peak_rss_mb": round(peak, 1), "wall_s": round(wall, 1)})
        rows[-1]["to_first"] = round(peak / rows[0]["peak_rss_mb"], 4)
        print(rows[-1], flush=True)
    if options.csv:
        with options.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
