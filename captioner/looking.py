"""Where a captioner looked for each word, as pictures: `python -m captioner.looking PHOTO... [--model NAME] --out DIR`.

One PNG a photo: the photo with its caption, then the photo once for each word, bright where the captioner looked.
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import count
from math import isqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from captioner.captioning import Captioner
from captioner.errors import CaptionerError, ModelError
from captioner.photos import open_photo
from captioner.records import Caption, Photo

COLUMNS = 5
"""Pictures in a row."""
SIDE_PX = 240
"""Longer side of each of them."""
LEAST_LIGHT = 0.2
"""Share of its light that is left where nothing was looked for."""


def lit(pixels: NDArray[np.uint8], looked: bytes) -> NDArray[np.uint8]:
    """Darken (H, W, 3) where it was not looked at; `looked` holds 0..255 for each cell of a square grid, by rows."""
    side = isqrt(len(looked))
    grid = Image.frombytes("L", (side, side), looked).resize(pixels.shape[1::-1], Image.Resampling.BICUBIC)
    light = LEAST_LIGHT + (1 - LEAST_LIGHT) * np.asarray(grid, np.float32)[..., None] / 255  # (H, W, 1)
    shown: NDArray[np.uint8] = (pixels * light).astype(np.uint8)
    return shown


def draw_attention(photo: Photo, caption: Caption, path: Path) -> Path:
    """Draw a photo and where each word of its caption was looked for as one PNG; return its path.

    Raises ModelError where the captioner looked nowhere.
    """
    from matplotlib.figure import Figure

    if not caption.attention:
        raise ModelError("this captioner says nothing of where it looks", path.name, "take one with attention")
    image = Image.fromarray(photo.pixels)
    image.thumbnail((SIDE_PX, SIDE_PX))
    pixels = np.asarray(image)
    shown = [(caption.text, pixels)]
    shown += [
        (word, lit(pixels, looked)) for word, looked in zip(caption.text.split(), caption.attention, strict=False)
    ]
    rows = -(-len(shown) // COLUMNS)
    figure = Figure(figsize=(COLUMNS * 2, rows * 2.1 * pixels.shape[0] / pixels.shape[1] + 0.3), layout="constrained")
    for number, (text, picture) in enumerate(shown):
        axes = figure.add_subplot(rows, COLUMNS, number + 1)
        axes.imshow(picture)
        axes.set_title(text if number else "the photo", fontsize=11)
        axes.set_axis_off()
    figure.suptitle(caption.text, fontsize=12)
    figure.savefig(path, format="png", dpi=70)
    return path


def main(arguments: Sequence[str] | None = None) -> int:
    """Caption and draw; return the exit status: 0 done, 1 but for photos that cannot be read, 2 could not start."""
    parser = argparse.ArgumentParser(prog="python -m captioner.looking", description="Show where a captioner looks.")
    parser.add_argument("photos", type=Path, nargs="+", help="the photos")
    parser.add_argument("--model", default="narrator-lite", help="name or folder of the captioner")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pictures")
    given = parser.parse_args(arguments)
    left_out, taken = 0, set[Path]()
    try:
        captioner = Captioner.load(given.model)
        given.out.mkdir(parents=True, exist_ok=True)
        for path in given.photos:
            photo = open_photo(path, captioner.input_size_px)
            if not isinstance(photo, Photo):
                print(f"{path}: {photo.message}")  # noqa: T201  a command's output
                left_out += 1
                continue
            caption = captioner.decode(captioner.encode([photo]))[0]
            drawn = draw_attention(photo, caption, free_name(given.out, path.stem, taken))
            print(f"{drawn}: {caption.text}")  # noqa: T201
    except (CaptionerError, OSError) as error:
        print(f"error: {error}")  # noqa: T201
        return 2
    return 1 if left_out else 0


def free_name(folder: Path, stem: str, taken: set[Path]) -> Path:
    """Return the place of a picture in a folder: of photos with one name the second gets a number, and so on."""
    names = (folder / f"{stem}{'' if number == 1 else f'-{number}'}.png" for number in count(1))
    free = next(name for name in names if name not in taken)
    taken.add(free)
    return free


if __name__ == "__main__":
    sys.exit(main())
