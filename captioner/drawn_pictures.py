"""Pictures that are no photos, drawn by number: blanks, noise, screens and pages of text.

A captioner says something about each of them, and it is never right: they teach the calibration to abstain, and test
whether it does. Each kind is drawn in two sets of styles that share neither layout nor font, `FIT` to learn from and
`REPORT` to be judged on. The same number gives the same picture.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from captioner.drawn_text import PAGES, SCREENS, Fonts

Purpose = Literal["fit", "report"]
Pixels = NDArray[np.uint8]
Draw = Callable[[np.random.Generator], Pixels]

_SIDES_PX = (240, 1100)


def draw(kind: str, number: int, purpose: Purpose) -> Pixels:
    """Return picture `number` of a kind (`blank`, `noise`, `screen` or `page`), (H, W, 3)."""
    random = np.random.default_rng([KINDS.index(kind), ("fit", "report").index(purpose), number])
    if kind in ("screen", "page"):
        styles = (SCREENS if kind == "screen" else PAGES)[purpose]
        return np.asarray(styles[number % len(styles)](random, Fonts(purpose, random)))
    plain = _PLAIN[kind, purpose]
    return plain[number % len(plain)](random)


KINDS = ("blank", "noise", "screen", "page")
"""What is drawn."""


def _size(random: np.random.Generator) -> tuple[int, int]:
    height, width = random.integers(*_SIDES_PX, 2).tolist()
    return height, width


def _colour(random: np.random.Generator) -> NDArray[np.float64]:
    return random.integers(0, 256, 3).astype(float)


def _to_pixels(values: NDArray[np.float64]) -> Pixels:
    return np.clip(values.round(), 0, 255).astype(np.uint8)


def _filled(random: np.random.Generator, colour: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.broadcast_to(colour, (*_size(random), 3)).copy()


def _one_colour(random: np.random.Generator) -> Pixels:
    return _to_pixels(_filled(random, _colour(random)))


def _one_grey(random: np.random.Generator) -> Pixels:
    return _to_pixels(_filled(random, np.full(3, float(random.choice([0, 20, 128, 235, 255])))))


def _gradient(random: np.random.Generator) -> Pixels:
    """From one colour at the top to another one below."""
    height, width = _size(random)
    share = np.linspace(0, 1, height)[:, None, None]
    return _to_pixels(np.broadcast_to(_colour(random) * share + _colour(random) * (1 - share), (height, width, 3)))


def _black_or_white(random: np.random.Generator) -> Pixels:
    return _to_pixels(_filled(random, np.full(3, 255.0 * random.integers(0, 2))))


def _grainy_colour(random: np.random.Generator) -> Pixels:
    """One colour as a camera sees it: with a little grain, and darker in the corners."""
    picture = _filled(random, _colour(random))
    height, width = picture.shape[:2]
    distance = np.hypot(*np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height)))
    dark = 1 - random.uniform(0, 0.35) * distance[..., None] ** 2
    return _to_pixels(picture * dark + random.normal(0, random.uniform(0.5, 4), picture.shape))


def _lens_cap(random: np.random.Generator) -> Pixels:
    """All but black, with the sensor's own noise and a few hot pixels."""
    picture = np.abs(random.normal(0, random.uniform(1, 6), (*_size(random), 3)))
    picture[random.random(picture.shape[:2]) < 2e-5]  # noqa: PLR2004  a few = 255
    return _to_pixels(picture)


def _spot(random: np.random.Generator) -> Pixels:
    """One colour that fades into another one away from a point."""
    height, width = _size(random)
    x, y = random.uniform(-1, 1, 2)
    distance = np.hypot(*np.meshgrid(np.linspace(-1, 1, width) - x, np.linspace(-1, 1, height) - y))
    share = np.clip(distance, 0, 2)[..., None] / 2
    return _to_pixels(_colour(random) * share + _colour(random) * (1 - share))


def _even_noise(random: np.random.Generator) -> Pixels:
    return random.integers(0, 256, (*_size(random), 3), dtype=np.uint8)


def _mosaic(random: np.random.Generator) -> Pixels:
    """Squares of random colours."""
    height, width = _size(random)
    side = int(random.integers(3, 24))
    small = random.integers(0, 256, (-(-height // side), -(-width // side), 3), dtype=np.uint8)
    return small.repeat(side, 0).repeat(side, 1)[:height, :width]


def _stripes(random: np.random.Generator) -> Pixels:
    height, width = _size(random)
    lines = random.integers(0, 256, (height, 1, 3), dtype=np.uint8).repeat(width, 1)
    return lines if random.random() < 0.5 else np.ascontiguousarray(lines.transpose(1, 0, 2))  # noqa: PLR2004  half


def _soft_noise(random: np.random.Generator) -> Pixels:
    """Noise that was blurred a little."""
    radius = float(random.uniform(0.7, 2.5))
    return np.asarray(Image.fromarray(_even_noise(random)).filter(ImageFilter.GaussianBlur(radius)))


def _grey_noise(random: np.random.Generator) -> Pixels:
    height, width = _size(random)
    grey = random.normal(random.uniform(60, 190), random.uniform(20, 80), (height, width, 1))
    return _to_pixels(grey.repeat(3, 2))


def _salt_and_pepper(random: np.random.Generator) -> Pixels:
    grey = random.choice([0, 128, 255], (*_size(random), 1), p=[0.25, 0.5, 0.25])
    return grey.astype(np.uint8).repeat(3, 2)


def _clouds(random: np.random.Generator) -> Pixels:
    """Smooth noise in several sizes, as of a badly tuned screen."""
    height, width = _size(random)
    total = np.zeros((height, width, 3))
    for cells in (3, 8, 20, 50):
        small = Image.fromarray(random.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += np.asarray(small.resize((width, height), Image.Resampling.BICUBIC)) * random.uniform(0.1, 0.4)
    return _to_pixels(total)


def _television(random: np.random.Generator) -> Pixels:
    """Grey noise line by line, every other one darker."""
    height, width = _size(random)
    grey = random.gamma(2.0, 45.0, (height, width, 1))
    grey[::2] *= random.uniform(0.4, 0.8)
    return _to_pixels(grey.repeat(3, 2))


_PLAIN: dict[tuple[str, str], tuple[Draw, ...]] = {
    ("blank", "fit"): (_one_colour, _one_grey, _gradient),
    ("blank", "report"): (_black_or_white, _grainy_colour, _lens_cap, _spot, _one_colour),
    ("noise", "fit"): (_even_noise, _mosaic, _stripes, _soft_noise),
    ("noise", "report"): (_grey_noise, _salt_and_pepper, _clouds, _television, _even_noise),
}
