"""How long the captioner takes from file to caption, where the time goes, and what each optimisation gave.

    python benchmarks/captioner_speed.py --csv benchmarks/captioner_speed.csv [--data DATA] [--threads 2] [--only files]

Two kinds of photos, 64 of each: dev photos of a data set (`--data`, in a layout of captioner.dataset; without it the
sample photos), and JPEGs of 12 megapixels made here from the sample photos, as a telephone would: 4,000 x 3,000,
quality 92, with grain. Of each part (decode the file, encode, search, all) wall and processor milliseconds a photo.
Then the encoder as it comes and with each optimisation, on a batch of 16 tensors, the best of the rounds.
"""

import argparse
import copy
import csv
import io
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from PIL import Image
from torch import Tensor

from captioner.captioning import Captioner
from captioner.dataset import find_data
from captioner.encoders import fold_batch_norms
from captioner.photos import decode_photo
from captioner.records import Photo

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
COUNT = 64
"""Photos of each kind."""
BATCH = 16
"""Photos in a batch, as `Captioner` has it."""


def large_jpegs(count: int) -> list[bytes]:
    """Return `count` JPEGs of 12 megapixels: sample photos enlarged, with grain, so that they are as large as real."""
    rng, made = np.random.default_rng(0), []
    for path in sorted(SAMPLES.glob("*.[jpw]*g*"))[: min(count, 8)]:
        grown = np.asarray(Image.open(path).convert("RGB").resize((4000, 3000), Image.Resampling.BICUBIC), np.int16)
        grain = rng.normal(0, 4, grown.shape).astype(np.int16)
        stream = io.BytesIO()
        Image.fromarray((grown + grain).clip(0, 255).astype(np.uint8)).save(stream, "JPEG", quality=92)
        made.append(stream.getvalue())
    return [made[number % len(made)] for number in range(count)]


def small_files(data: Path | None, count: int) -> list[bytes]:
    """Return the files of dev photos, or of the sample photos over and over."""
    if data is None:
        paths = sorted(SAMPLES.glob("*.[jpw]*g*"))
        return [paths[number % len(paths)].read_bytes() for number in range(count)]
    files = []
    for one in find_data(data).dev[:count]:
        with one.file.open("rb") as stream:
            stream.seek(one.offset_bytes or 0)
            files.append(stream.read(one.size_bytes or -1))
    return files


def opened(files: list[bytes], side_px: int) -> list[Photo]:
    """Decode photos side by side in two threads, as a run on two cores does."""
    with ThreadPoolExecutor(2) as threads:
        found = threads.map(lambda data: decode_photo(data, "photo", side_px), files)
        return [photo for photo in found if isinstance(photo, Photo)]


def measure(kind: str, files: list[bytes], captioner: Captioner) -> Iterator[list[object]]:
    """Yield a row for each part of the way from file to caption."""
    captioner.decode(captioner.encode(opened(files[:BATCH], captioner.input_size_px)))  # the first call is slower
    times = [(time.perf_counter(), time.process_time())]
    photos = opened(files, captioner.input_size_px)
    times.append((time.perf_counter(), time.process_time()))
    features = captioner.encode(photos)
    times.append((time.perf_counter(), time.process_time()))
    captioner.decode(features)
    times.append((time.perf_counter(), time.process_time()))
    parts = [("open", times[0], times[1]), ("encode", times[1], times[2]), ("search", times[2], times[3])]
    for part, begun, ended in [*parts, ("all", times[0], times[3])]:
        wall, processor = ((end - begin) / len(files) * 1e3 for begin, end in zip(begun, ended, strict=True))
        yield [kind, part, BATCH, torch.get_num_threads(), f"{wall:.1f}", f"{processor:.1f}"]


def encoders(captioner: Captioner) -> dict[str, Callable[[Tensor], Any]]:
    """Return the network as it comes and with each optimisation, all of one architecture."""
    name = captioner.encoder.config.network
    plain = timm.create_model(name, pretrained=False, num_classes=0, global_pool="").eval()
    last = torch.channels_last
    lying = copy.deepcopy(plain).to(memory_format=last)
    folded = fold_batch_norms(copy.deepcopy(plain))
    ours = captioner.encoder.network
    halves = copy.deepcopy(ours).to(torch.bfloat16)
    traced = torch.jit.freeze(torch.jit.trace(ours, torch.zeros(BATCH, 3, 260, 260).contiguous(memory_format=last)))
    return {
        "plain": plain,
        "batch norms folded": folded,
        "channels_last": lambda batch: lying(batch.contiguous(memory_format=last)),
        "both (kept)": lambda batch: ours(batch.contiguous(memory_format=last)),
        "both, traced and frozen": lambda batch: traced(batch.contiguous(memory_format=last)),
        "both, bfloat16": lambda batch: halves(batch.to(torch.bfloat16).contiguous(memory_format=last)),
    }


@torch.inference_mode()
def timed_best(ways: dict[str, Callable[[Tensor], Any]], batch: Tensor, rounds: int) -> dict[str, float]:
    """Return the best of the rounds of each way, in the processor's seconds."""
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name, way in ways.items():
            begun = time.process_time()
            way(batch)
            best[name] = min(best.get(name, float("inf")), time.process_time() - begun)
    return best


def steps(captioner: Captioner, rounds: int) -> Iterator[list[object]]:
    """Yield a row for each optimisation: its milliseconds a photo, and how many times the plain network's speed."""
    side = captioner.input_size_px
    batch = torch.rand(BATCH, 3, side, side, generator=torch.Generator().manual_seed(0)) * 2 - 1
    best = timed_best(encoders(captioner), batch, rounds)
    for name, seconds in best.items():
        yield [name, BATCH, torch.get_num_threads(), f"{seconds / BATCH * 1e3:.1f}", f"{best['plain'] / seconds:.2f}"]


def write(path: Path, head: list[str], rows: Iterator[list[object]]) -> None:
    """Write rows as CSV and print them as they come."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(head)
        for row in rows:
            writer.writerow(row)
            print(*row, sep=", ", flush=True)


def main() -> None:
    """Measure and write `NAME.csv` and `NAME_steps.csv`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--model", default="narrator-lite")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=["files", "steps"], help="one of the two tables")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    captioner = Captioner.load(given.model, batch_photos=BATCH)
    if given.only != "steps":
        from_files(given.csv, given.data, captioner)
    if given.only != "files":
        head = ["encoder", "batch", "threads", "processor_ms_a_photo", "times_as_fast"]
        write(given.csv.with_name(f"{given.csv.stem}_steps.csv"), head, steps(captioner, given.rounds))


def from_files(path: Path, data: Path | None, captioner: Captioner) -> None:
    """Measure from file to caption, both kinds of photos."""
    kinds = {"dev photos" if data else "samples": small_files(data, COUNT), "12 MP": large_jpegs(COUNT)}
    found = (row for kind, files in kinds.items() for row in measure(kind, files, captioner))
    write(path, ["photos", "part", "batch", "threads", "wall_ms_a_photo", "processor_ms_a_photo"], found)


if __name__ == "__main__":
    main()
