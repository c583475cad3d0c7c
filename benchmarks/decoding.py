"""Our search against transformers' `generate` on the same weights: the same words, photos a second, one run.

    PYTHONPATH=tests/fakes python benchmarks/decoding.py PHOTOS --csv benchmarks/decoding.csv

`PHOTOS` is a folder of photos; they are encoded first and untimed. transformers' model is the one that holds our
decoder's weights exactly (tests/fakes/blenderbot.py). Both are handed the regions that our encoder layers made
("decoding") or make them first ("all"), which is the same work for both. They take turns, and each figure is the
median of the rounds, in the processor's time, so that other programs on the machine weigh little. The words of every
caption that is timed are compared; a difference ends the benchmark.
"""

import argparse
import csv
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from blenderbot import as_blenderbot, generate
from torch import Tensor

from captioner.captioning import Captioner
from captioner.decoding import Search, search_captions
from captioner.models import TransformerCaptioner
from captioner.photos import open_photo
from captioner.records import Photo

Tokens = list[tuple[int, ...]]


class FromMemory(TransformerCaptioner):
    """The network with its encoder layers left out: it is given what they made."""

    def encode(self, regions: Tensor) -> Tensor:
        """Return (B, L, W) as it is."""
        return regions


def regions_of(captioner: Captioner, folder: Path, count: int) -> Tensor:
    """Encode `count` photos of a folder, again from the first where there are fewer: (B, L, D)."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    photos = [one for one in map(open_photo, paths[:count]) if isinstance(one, Photo)]
    made = np.stack([one.regions for one in captioner.encode(photos)])
    return torch.from_numpy(np.resize(made, (count, *made.shape[1:]))).float()


def timed(work: Callable[[], Tokens], spent_s: list[float]) -> Tokens:
    """Do the work, note the processor's seconds, and return the captions."""
    begun = time.process_time()
    made = work()
    spent_s.append(time.process_time() - begun)
    return made


@torch.inference_mode()
def compare(network: TransformerCaptioner, given: Tensor, search: Search, batch: int, rounds: int) -> list[str]:
    """Let both search, by turns, and return their photos a second and the ratio."""
    theirs = as_blenderbot(network)
    ours_s: list[float] = []
    theirs_s: list[float] = []

    def ours(some: Tensor) -> Tokens:
        return [said.tokens for found in search_captions(network, some, search) for said in found]

    for number in range(rounds + 1):
        some = given[number * batch % len(given) :][:batch]
        same = timed(lambda s=some: ours(s), ours_s)
        if same != timed(lambda s=some: generate(theirs, network, s, search), theirs_s):
            sys.exit("the captions differ")
    ours_ms, theirs_ms = (statistics.median(one[1:]) / batch * 1e3 for one in (ours_s, theirs_s))
    return [f"{1e3 / ours_ms:.1f}", f"{1e3 / theirs_ms:.1f}", f"{theirs_ms / ours_ms:.2f}"]


def main() -> None:
    """Measure and write the CSV."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--model", default="narrator-lite")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    captioner = Captioner.load(given.model)
    regions = regions_of(captioner, given.photos, 64)
    bare = FromMemory(captioner.model.config).eval()
    bare.load_state_dict(captioner.model.state_dict())
    with torch.inference_mode():
        memory = captioner.model.encode(regions)
    rows = []
    for beams in (1, captioner.search.beams):
        search = Search(beams=beams, longest=captioner.search.longest)
        for batch in (1, 16, 64):
            for part, network, some in (("decoding", bare, memory), ("all", captioner.model, regions)):
                figures = compare(network, some, search, batch, given.rounds)
                rows.append([part, beams, batch, given.threads, *figures])
                print(*rows[-1], sep=", ", flush=True)
    with given.csv.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["part", "beams", "batch", "threads", "ours_photos_s", "generate_photos_s", "ratio"])
        writer.writerows(rows)


if __name__ == "__main__":
    main()
