"""Measure how long the built-in captioner takes for a photo, and where the time goes.

`python benchmarks/captioner_speed.py PHOTOS [--threads 2]` reads every photo in a folder, then encodes and decodes
them in batches of several sizes; milliseconds a photo, wall time and processor time, as CSV.
"""

import argparse
import csv
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from captioner.captioning import Captioner
from captioner.photos import open_photo
from captioner.records import Photo


def timed(work: Callable[[], object], photos: int) -> tuple[float, float, object]:
    """Return wall and processor milliseconds a photo, and what the work gave."""
    wall, processor = time.perf_counter(), time.process_time()
    given = work()
    return (time.perf_counter() - wall) / photos * 1e3, (time.process_time() - processor) / photos * 1e3, given


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--model", default="narrator-lite")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    captioner = Captioner.load(given.model)
    paths = sorted(path for path in given.photos.rglob("*") if path.is_file())
    writer = csv.writer(sys.stdout)
    writer.writerow(["stage", "batch", "threads", "photos", "wall_ms_a_photo", "processor_ms_a_photo"])
    opened = [one for one in map(open_photo, paths) if isinstance(one, Photo)]
    wall, processor, _ = timed(lambda: [open_photo(path) for path in paths], len(paths))
    writer.writerow(["open", 1, 1, len(paths), f"{wall:.1f}", f"{processor:.1f}"])
    captioner.decode(captioner.encode(opened[:4]))
    for batch in (1, 4, 8, 16, 32):
        captioner.batch_photos = batch
        wall, processor, features = timed(lambda: captioner.encode(opened), len(opened))
        writer.writerow(["encode", batch, given.threads, len(opened), f"{wall:.1f}", f"{processor:.1f}"])
        wall, processor, _ = timed(lambda found=features: captioner.decode(found), len(opened))
        writer.writerow(["decode", batch, given.threads, len(opened), f"{wall:.1f}", f"{processor:.1f}"])


if __name__ == "__main__":
    main()
