"""How many photos a second, end to end, and where does the time go? One run of the command as it comes.

    python benchmarks/throughput.py --photos 128 --csv benchmarks/throughput.csv
    python benchmarks/throughput.py --from FOLDER --csv benchmarks/throughput.csv --shard-size 32

The photos are random crops of the sample photos, or those of FOLDER; options that are not known here go to `narrate
run`. A line of the table is the whole process (start, loading and Prefect's server included), the shards from the first
one's start to the last one's end, a stage, or what Prefect takes around the stages. Stages of neighbouring shards
overlap and share the cores, so their times together are more than the shards'. The last column is a PROJECTION: 277.8
photos a second, a million an hour, times the line's time for a photo; how many such machines (first two lines) or
lanes as busy as this one's (the others) that takes, if all scales as it stands.
"""

import argparse
import csv
import json
import os
import sys
import tempfile
from pathlib import Path
from time import perf_counter
from typing import Any

from orchestration import make_photos

A_MILLION_AN_HOUR = 1_000_000 / 3600
"""In photos a second."""


def measure(photos: str, out: Path, more: list[str]) -> tuple[dict[str, Any], float, float]:
    """Run once; return the run's account, the wall time and the processor time of the whole process in seconds."""
    command = [sys.executable, "-m", "flows", "run", photos, str(out), *more]
    began = perf_counter()
    process = os.posix_spawn(sys.executable, command, os.environ)
    _, status, usage = os.wait4(process, 0)
    if status:
        sys.exit(f"the run over {photos} ended with {os.waitstatus_to_exitcode(status)}")
    (account,) = (json.loads(path.read_text()) for path in (out / "runs").iterdir())
    return account, perf_counter() - began, usage.ru_utime + usage.ru_stime


def table(account: dict[str, Any], process_s: float, processor_s: float) -> list[dict[str, object]]:
    """Return a line for the process, the shards, each stage, and what orchestration took."""
    described: int = account["counts"]["described"]
    seconds = {"whole process": process_s, "shards": account["wall_s"], "processor time": processor_s}
    seconds |= account["stage_seconds"] | {f"orchestration ({account['orchestration']})": account["orchestration_s"]}
    return [
        {
            "part": part,
            "photos": described,
            "seconds": round(taken, 3),
            "ms_a_photo": round(1000 * taken / described, 2),
            "photos_a_second": round(described / taken, 2),
            "share_of_shards": round(taken / account["wall_s"], 5),
            "projected_for_a_million_an_hour": round(A_MILLION_AN_HOUR * taken / described, 1),
        }
        for part, taken in seconds.items()
    ]


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=128, help="how many crops of the sample photos to narrate")
    parser.add_argument("--from", dest="folder", help="narrate the photos of this folder instead")
    parser.add_argument("--csv", type=Path, help="file to write the table to")
    options, more = parser.parse_known_args()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as scratch:
        photos = options.folder or str(Path(scratch) / "photos")
        if options.folder is None:
            make_photos(Path(photos), options.photos)
        account, process_s, processor_s = measure(photos, Path(scratch) / "out", more)
    rows = [row | {"load_before": round(load, 1)} for row in table(account, process_s, processor_s)]
    for row in rows:
        print(row)
    spoken_s = account["audio_s"] / max(account["stage_seconds"].get("speech", 0.0), 1e-9)
    print(f"{account['audio_s']:.0f} s of speech, {spoken_s:.2f} for each second of the stage of speech")
    if options.csv:
        with options.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
