"""Time a run over an unchanged folder, and count the photos that it opens.

python benchmarks/second_run.py --work FOLDER --csv benchmarks/second_run.csv OPTIONS

The options of the runs that left FOLDER must be given again, or they would count as changes.

FOLDER is what `memory.py` left: photos and finished outputs. strace, where it is installed, counts the photos that are
opened; without it that column is empty.
"""

import argparse
import csv
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from time import perf_counter


def run(photos: Path, out: Path, models: list[str], before: tuple[str, ...] = ()) -> tuple[float, float, str]:
    """Run once; return wall and processor seconds and the last line."""
    used, began = getrusage(RUSAGE_CHILDREN), perf_counter()
    command = [*before, sys.executable, "-m", "flows", "run", str(photos), str(out), "--engine", "none", *models]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    now = getrusage(RUSAGE_CHILDREN)
    busy = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    return perf_counter() - began, busy, said.splitlines()[-1]


def count_opened(photos: Path, out: Path, models: list[str]) -> int | None:
    """Return how many files below `photos` a run opens to read; None without strace."""
    if shutil.which("strace") is None:
        return None
    with tempfile.NamedTemporaryFile("r") as trace:
        run(photos, out, models, ("strace", "-f", "-e", "trace=open,openat", "-o", trace.name))
        lines = Path(trace.name).read_text(errors="replace").splitlines()
    return sum(f'"{photos}/' in line and "O_DIRECTORY" not in line for line in lines)


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True, help="folder that memory.py left")
    parser.add_argument("--photos", type=int, nargs="+", default=[1000, 10000])
    parser.add_argument("--csv", type=Path, help="file to write the table to")
    options, more = parser.parse_known_args()
    models = ["--captioner", str(options.work / "captioner"), "--voice", str(options.work / "voice"), *more]
    rows = []
    for count in options.photos:
        places = options.work / f"photos-{count}", options.work / f"out-{count}"
        wall, busy, last = run(*places, models)
        opened = count_opened(*places, models)
        rows.append({"photos": count, "wall_s": round(wall, 2), "cpu_s": round(busy, 2), "photos_opened": opened})
        print(rows[-1], last, flush=True)
    if options.csv:
        with options.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
