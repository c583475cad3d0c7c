"""What does it win that shards overlap? The same photos with and without, turn by turn, the built-in models.

python benchmarks/overlap.py --photos 96 --shard-size 16 --turns 2 --csv benchmarks/overlap.csv

Photos are random crops of the sample photos. The first line of each pair runs with `--overlap`, the second without;
noted are the wall time of the shards (loading left out), the time of each stage, and the system's load before the run.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from orchestration import make_photos


def measure(photos: Path, out: Path, switch: str, more: list[str]) -> dict[str, object]:
    """Run once and return its figures."""
    load = os.getloadavg()[0]
    command = [sys.executable, "-m", "flows", "run", str(photos), str(out), "--engine", "none", switch, *more]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    (account,) = (json.loads(path.read_text()) for path in (out / "runs").iterdir())
    figures = {
        "overlap": switch == "--overlap",
        "photos": account["counts"]["described"],
        "load_before": round(load, 1),
    }
    figures["wall_s"] = round(account["wall_s"], 2)
    return figures | {f"{name.replace(' ', '_')}_s": round(s, 2) for name, s in account["stage_seconds"].items()}


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=96, help="how many photos to narrate in each run")
    parser.add_argument("--turns", type=int, default=2, help="how often each way is measured")
    parser.add_argument("--csv", type=Path, help="file to write the table to")
    options, more = parser.parse_known_args()
    rows: list[dict[str, object]] = []
    with tempfile.TemporaryDirectory() as scratch:
        make_photos(Path(scratch) / "photos", options.photos)
        for turn in range(options.turns):
            for switch in ("--overlap", "--no-overlap"):
                out = Path(scratch) / f"out-{turn}{switch}"
                rows.append({"turn": turn} | measure(Path(scratch) / "photos", out, switch, more))
                print(rows[-1], flush=True)
    totals = {on: sum(float(str(row["wall_s"])) for row in rows if row["overlap"] is on) for on in (True, False)}
    print(f"without overlap {totals[False] / totals[True]:.3f} times as long as with it")
    if options.csv:
        with options.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
