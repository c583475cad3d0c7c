"""A small painted data set that a small captioner can learn: squares of one colour, with captions that say so."""

import csv
import io
import tarfile
from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"red": (200, 30, 30), "green": (30, 180, 40), "blue": (30, 40, 200)}
SIZES = {"big": 56, "small": 20}


def painted(folder: Path, split: str, count: int, seed: int) -> Path:
    """Write `count` photos with two captions each as a TSV with a tar."""
    random = np.random.default_rng(seed)
    rows = [["image", "caption"]]
    with tarfile.open(folder / f"images-{split}-00.tar", "w") as tar:
        for number in range(count):
            colour, size = list(COLOURS)[number % 3], list(SIZES)[number // 3 % 2]
            pixels = random.integers(200, 256, (64, 64, 3), dtype=np.uint8)
            pixels[: SIZES[size], : SIZES[size]] = COLOURS[colour]
            stream = io.BytesIO()
            Image.fromarray(pixels).save(stream, "PNG")
            name = f"{split}{number:03d}.png"
            member = tarfile.TarInfo(name)
            member.size = stream.tell()
            stream.seek(0)
            tar.addfile(member, stream)
            rows += [[name, f"a {size} {colour} dog"], [name, f"the {size} {colour} dog"]]
    with (folder / f"captions-{split}.tsv").open("w", encoding="utf-8", newline="") as stream_out:
        csv.writer(stream_out, delimiter="\t", lineterminator="\n").writerows(rows)
    return folder
