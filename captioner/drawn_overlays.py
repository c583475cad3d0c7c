"""Words laid over photos: subtitles, posters, labels, stamps; what teaches and tests the flag `contains-text`."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from captioner.drawn_pictures import Purpose
from captioner.drawn_text import Box, Fonts

Overlay = Callable[[Any, tuple[int, int], np.random.Generator, Fonts], list[Box]]
"""Writes on a picture of (width, height) and returns where."""


def with_words(pixels: NDArray[np.uint8], number: int, purpose: Purpose) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Lay words over a photo, (H, W, 3), in the style of `number`; return it with where they are, (H, W)."""
    random = np.random.default_rng([7, ("fit", "report").index(purpose), number])
    picture = Image.fromarray(pixels)
    styles = OVERLAYS[purpose]
    boxes = styles[number % len(styles)](ImageDraw.Draw(picture), picture.size, random, Fonts(purpose, random))
    where = np.zeros(pixels.shape[:2], dtype=bool)
    for left, top, right, bottom in boxes:
        where[max(0, int(top)) : int(bottom), max(0, int(left)) : int(right)] = True
    return np.asarray(picture), where


def _fitting(fonts: Fonts, kind: str, text: str, size_px: float, width_px: float) -> Any:
    """Return a font in which the text is no wider than it may be, and no smaller than 9 px."""
    font = fonts.font(kind, size_px)
    return fonts.font(kind, max(9, min(size_px, size_px * width_px / font.getlength(text))))


def _line(pen: Any, place: tuple[float, float], text: str, font: Any, **look: Any) -> Box:
    """Write a line around a place and return its box."""
    pen.text(place, text, font=font, anchor="mm", **look)
    box: Box = pen.textbbox(place, text, font=font, anchor="mm")
    return box


def _meme(pen: Any, size: tuple[int, int], random: np.random.Generator, fonts: Fonts) -> list[Box]:
    width, height = size
    look = {"fill": "white", "stroke_width": max(1, height // 120), "stroke_fill": "black"}
    boxes = []
    for place in (0.1, 0.9)[: int(random.integers(1, 3))]:
        text = fonts.some(2, 5).upper()
        font = _fitting(fonts, "heavy", text, height * random.uniform(0.07, 0.13), width * 0.94)
        boxes.append(_line(pen, (width / 2, height * place), text, font, **look))
    return boxes


def _boxed(pen: Any, size: tuple[int, int], random: np.random.Generator, fonts: Fonts) -> list[Box]:
    """Write lines in a box of one colour."""
    width, height = size
    step, lines = height * random.uniform(0.05, 0.08), int(random.integers(1, 5))
    left, top = width * random.uniform(0.02, 0.3), height * random.uniform(0.05, 0.6)
    right, bottom = left + width * random.uniform(0.4, 0.68), top + step * 1.4 * lines + step
    paper, ink = (("white", "black"), ("#222", "white"), ("#ffd800", "#111"))[int(random.integers(0, 3))]
    pen.rectangle((left, top, right, bottom), fill=paper)
    for line in range(lines):
        text = fonts.some(2, 5)
        font = _fitting(fonts, "plain", text, step, (right - left) * 0.94)
        _line(pen, ((left + right) / 2, top + step * (1 + 1.4 * line)), text, font, fill=ink)
    return [(left, top, right, bottom)]


def _sign(pen: Any, size: tuple[int, int], random: np.random.Generator, fonts: Fonts) -> list[Box]:
    """Write one or two large words somewhere."""
    width, height = size
    text = fonts.some(1, 2)
    font = _fitting(fonts, str(random.choice(["book", "heavy"])), text, height * random.uniform(0.1, 0.2), width * 0.6)
    place = (width * random.uniform(0.32, 0.68), height * random.uniform(0.12, 0.88))
    return [_line(pen, place, text, font, fill=tuple(random.integers(0, 256, 3).tolist()), stroke_width=1)]


def _subtitle(pen: Any, size: tuple[int, int], random: np.random.Generator, fonts: Fonts) -> list[Box]:
    width, height = size
    boxes = []
    for line in range(int(random.integers(1, 3))):
        text = fonts.some(3, 7)
        font = _fitting(fonts, "plain", text, height * random.uniform(0.06, 0.085), width * 0.9)
        place = (width / 2, height * (0.93 - 0.09 * line))
        look = {"fill": str(random.choice(["white", "#ffee66"])), "stroke_width": 1, "stroke_fill": "black"}
        boxes.append(_line(pen, place, text, font, **look))
    return boxes


def _poster(pen: Any, size: tuple[int, int], random: np.random.Generator, fonts: Fonts) -> list[Box]:
    """Write a title and smaller lines below it."""
    width, height = size
    ink = str(random.choice(["white", "#111111", "#e03020", "#f5e050"]))
    y, boxes = height * random.uniform(0.1, 0.4), []
    for share in (0.14, 0.07, 0.06, 0.06)[: int(random.integers(2, 5))]:
        text = fonts.some(1, 3) if share > 0.1 else fonts.some(3, 6)  # noqa: PLR2004  the title is short
        font = _fitting(fonts, "heavy" if share > 0.1 else "book", text, height * share, width * 0.88)  # noqa: PLR2004
        boxes.append(_line(pen, (width / 2, y), text, font, fill=ink))
        y += height * share * 1.3
    return boxes


def _label(pen: Any, size: tuple[int, int], random: np.random.Generator, fonts: Fonts) -> list[Box]:
    """Stick on a label with a frame, as on a shop or a parcel."""
    width, height = size
    text = fonts.some(1, 3)
    font = _fitting(fonts, "heavy", text, height * random.uniform(0.08, 0.14), width * 0.5)
    x, y = width * random.uniform(0.3, 0.7), height * random.uniform(0.15, 0.85)
    left, top, right, bottom = pen.textbbox((x, y), text, font=font, anchor="mm")
    box = (left - 8, top - 8, right + 8, bottom + 8)
    paper = tuple(random.integers(0, 256, 3).tolist())
    pen.rectangle(box, fill=paper, outline="white", width=2)
    _line(pen, (x, y), text, font, fill="white" if sum(paper) < 330 else "black")  # noqa: PLR2004  dark paper
    return [box]


OVERLAYS: dict[str, tuple[Overlay, ...]] = {"fit": (_meme, _boxed, _sign), "report": (_subtitle, _poster, _label)}
"""Styles by purpose."""
