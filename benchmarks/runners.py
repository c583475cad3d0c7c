"""What a cluster costs: the same photos by threads, by two Dask workers and by two Ray workers on this machine.

    python -P benchmarks/runners.py --csv benchmarks/runners.csv --photos 48 --workers 2 --shard-size 8 [more options]

`process_s` has the start of Prefect's temporary server and of the cluster in it, `shards_s` the time from the first
shard's start to the last one's end with the loading of the workers' models. `work_s` is the stages' own time, all
workers together; `shards_s * workers - work_s` is what waiting, loading and transport take. `load` is the machine's
load average when the run ended: with more than its cores the wall times are noise.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

from orchestration import make_photos


def measure(photos: Path, out: Path, runner: str, workers: int, more: list[str]) -> dict[str, Any]:
    """Run once and return the figures of the run."""
    given = ["--runner", runner, "--workers", str(workers), *more]
    began = perf_counter()
    subprocess.run([sys.executable, "-m", "flows", "run", str(photos), str(out), *given], check=True)
    process_s = perf_counter() - began
    (account,) = (json.loads(path.read_text()) for path in (out / "runs").iterdir())
    figures: dict[str, Any] = {"runner": runner, "photos": account["counts"]["described"]}
    figures |= {"workers": len(account["workers"]) or 1, "process_s": round(process_s, 1)}
    figures |= {"shards_s": round(account["wall_s"], 1), "work_s": round(sum(account["stage_seconds"].values()), 1)}
    figures["driver_s"] = round(sum(account["stage_seconds"].get(name, 0.0) for name in ("look up", "commit")), 2)
    return figures | {"load": round(os.getloadavg()[0], 1)}


def main() -> None:
    """Measure each runner, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=48, help="how many photos to narrate")
    parser.add_argument("--workers", type=int, default=2, help="worker processes of the clusters")
    parser.add_argument("--runners", nargs="+", default=["threads", "dask", "ray"], help="in this order")
    parser.add_argument("--csv", type=Path, required=True, help="file to write the table to")
    options, more = parser.parse_known_args()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as scratch:
        photos = Path(scratch) / "photos"
        make_photos(photos, options.photos)
        for turn, runner in enumerate(options.runners):
            rows.append(measure(photos, Path(scratch) / f"out-{turn}", runner, options.workers, more))
            print(rows[-1], flush=True)
            with options.csv.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, rows[0], lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)


if __name__ == "__main__":
    main()
