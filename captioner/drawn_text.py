"""Screens and pages of text, and photos with words laid over them, drawn with fonts that come with the libraries.

Two sets of styles share neither layout nor font: see captioner.drawn_pictures.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

Font = Any
Style = Callable[[np.random.Generator, "Fonts"], Image.Image]
Box = tuple[float, float, float, float]

_FONTS = {
    "fit": {"plain": "DejaVuSans", "heavy": "DejaVuSans-Bold", "book": "DejaVuSerif", "even": "DejaVuSansMono"},
    "report": {"plain": "cmss10", "heavy": "STIXGeneralBol", "book": "STIXGeneral", "even": "cmtt10"},
}
_WORDS = re.findall(
    r"\w+",
    "the of and to in is that for it as was with be by on not he his but at are this have from or had an they which "
    "one you were all her she there would their we him been has when who will no more if out so up said what its about "
    "than into them can only other time new some could these two may first then do any like my now over such our man "
    "Monday account address agree April balance button cancel change company contact customer delivery details email "
    "error file folder help history invoice language letter London manager meeting message network number office open "
    "order page password payment please price print product profile question receipt report save search security "
    "service settings share system table today total update user version water window work world year yesterday",
)


class Fonts:
    """The fonts of one set of styles, and words to set in them."""

    def __init__(self, purpose: str, random: np.random.Generator) -> None:
        """Choose the set by purpose, `fit` or `report`."""
        self.purpose, self.random = purpose, random

    def font(self, kind: str, size_px: float) -> Font:
        """Return the set's font of a kind (`plain`, `heavy`, `book` or `even`) in a size."""
        return _font(_FONTS[self.purpose][kind], max(6, round(size_px)))

    def words(self, count: int) -> str:
        """Draw words by chance, some of them numbers."""
        drawn = self.random.choice(_WORDS, count)
        return " ".join(f"{self.random.integers(0, 9999)}" if self.random.random() < 0.06 else word for word in drawn)  # noqa: PLR2004

    def some(self, least: int, most: int) -> str:
        """Draw between `least` and `most` words, the first with a capital."""
        text = self.words(int(self.random.integers(least, most + 1)))
        return text[0].upper() + text[1:]


@cache
def _font(name: str, size_px: int) -> Font:
    import matplotlib as mpl

    return ImageFont.truetype(str(Path(mpl.get_data_path()) / "fonts" / "ttf" / f"{name}.ttf"), size_px)


def _canvas(random: np.random.Generator, shape: tuple[float, float], colour: Any) -> tuple[Image.Image, Any]:
    """Return a picture of an aspect drawn from `shape`, width over height, and what draws on it."""
    height = int(random.integers(360, 1000))
    picture = Image.new("RGB", (round(height * random.uniform(*shape)), height), colour)
    return picture, ImageDraw.Draw(picture)


def _lines(fonts: Fonts, font: Font, width_px: float) -> Iterator[str]:
    """Yield lines of words that fill a width, for ever."""
    line = fonts.words(1)
    while True:
        word = fonts.words(1)
        if font.getlength(f"{line} {word}") > width_px:
            yield line
            line = word
        else:
            line = f"{line} {word}"


def _paragraphs(pen: Any, box: Box, fonts: Fonts, font: Font, colour: Any) -> None:
    """Fill a box with paragraphs."""
    left, top, right, bottom = box
    step = font.size * 1.35
    lines, y = _lines(fonts, font, right - left), top
    while y + step < bottom:
        for _ in range(int(fonts.random.integers(3, 9))):
            if y + step < bottom:
                pen.text((left, y), next(lines), fill=colour, font=font)
                y += step
        y += step * 0.6


def _book(random: np.random.Generator, fonts: Fonts) -> Image.Image:
    picture, pen = _canvas(random, (0.6, 0.8), random.choice(["#ffffff", "#fbf7ec", "#f4f0e4"]))
    width, height = picture.size
    font = fonts.font("book", height / random.uniform(30, 60))
    _paragraphs(pen, (width * 0.1, height * 0.08, width * 0.9, height * 0.93), fonts, font, "#1a1a1a")
    return picture


def _letter(random: np.random.Generator, fonts: Fonts) -> Image.Image:
    picture, pen = _canvas(random, (0.68, 0.75), "white")
    width, height = picture.size
    font = fonts.font("plain", height / random.uniform(45, 70))
    for line in range(4):
        pen.text((width * 0.6, height * (0.05 + 0.025 * line)), fonts.some(2, 3), fill="black", font=font)
    pen.text((width * 0.1, height * 0.2), fonts.some(3, 6), fill="black", font=fonts.font("heavy", font.size * 1.3))
    _paragraphs(pen, (width * 0.1, height * 0.27, width * 0.9, height * random.uniform(0.5, 0.9)), fonts, font, "black")
    return picture


def _receipt(random: np.random.Generator, fonts: Fonts) -> Image.Image:
    picture, pen = _canvas(random, (0.4, 0.6), "#fdfdfa")
    width, height = picture.size
    font, y = fonts.font("even", width / 22), height * 0.04
    pen.text((width / 2, y), fonts.some(1, 2), fill="#222", font=fonts.font("even", width / 12), anchor="ma")
    y += width / 6
    while y < height * 0.95:
        pen.text((width * 0.06, y), fonts.some(1, 2), fill="#222", font=font)
        pen.text((width * 0.94, y), f"{random.uniform(0.1, 99):.2f}", fill="#222", font=font, anchor="ra")
        y += font.size * 1.5
    return picture


def _newspaper(random: np.random.Generator, fonts: Fonts) -> Image.Image:
    picture, pen = _canvas(random, (0.7, 1.3), random.choice(["#f2efe6", "#e9e6dd", "#ffffff"]))
    width, height = picture.size
    pen.text(
        (width / 2, height * 0.03), fonts.some(2, 4), fill="black", font=fonts.font("heavy", height / 14), anchor="ma"
    )
    pen.line((width * 0.04, height * 0.13, width * 0.96, height * 0.13), fill="black", width=2)
    columns, font = int(random.integers(2, 5)), fonts.font("book", height / random.uniform(50, 75))
    for number in range(columns):
        left = width * (0.04 + 0.92 * number / columns)
        box = (left, height * random.uniform(0.15, 0.3), left + width * (0.88 / columns), height * 0.97)
        _paragraphs(pen, box, fonts, font, "#111")
    return picture


def _poem(random: np.random.Generator, fonts: Fonts) -> Image.Image:
    picture, pen = _canvas(random, (0.6, 1.0), random.choice(["white", "#fff8e7", "#eef3f8"]))
    width, height = picture.size
    font, y = fonts.font("book", height / random.uniform(24, 36)), height * 0.1
    while y < height * 0.88:
        if random.random() > 0.15:  # noqa: PLR2004  now and then a verse ends
            pen.text((width / 2, y), fonts.some(3, 7), fill="#222", font=font, anchor="ma")
        y += font.size * 1.5
    return picture


def _slide(random: np.random.Generator, fonts: Fonts) -> Image.Image:
    dark = random.random() < 0.5  # noqa: PLR2004  half
    picture, pen = _canvas(random, (1.3, 1.8), "#16324f" if dark else "white")
    width, height = picture.size
    ink = "white" if dark else "#123"
    pen.text((width * 0.07, height * 0.08), fonts.some(2, 5), fill=ink, font=fonts.font("heavy", height / 11))
    font = fonts.font("plain", height / random.uniform(16, 24))
    for line in range(int(random.integers(3, 8))):
        pen.text((width * 0.1, height * (0.3 + 0.085 * line)), f"- {fonts.some(3, 7)}", fill=ink, font=font)
    return picture


def _scan(random: np.random.Generator, fonts: Fonts) -> Image.Image:
    """Draw a typed sheet that lay askew under a scanner."""
    picture, pen = _canvas(random, (0.65, 0.8), "#efe9dc")
    width, height = picture.size
    font = fonts.font("even", height / random.uniform(40, 60))
    _paragraphs(
        pen, (width * 0.12, height * 0.1, width * 0.88, height * random.uniform(0.6, 0.95)), fonts, font, "#2b2b33"
    )
    turned = picture.rotate(random.uniform(-4, 4), Image.Resampling.BICUBIC, fillcolor="#cfc9bd")
    grain = np.asarray(turned).astype(float) + random.normal(0, random.uniform(2, 10), (height, width, 1))
    return Image.fromarray(np.clip(grain, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(0.6))


def _dialog(random: np.random.Generator, fonts: Fonts) -> Image.Image:
    picture, pen = _canvas(random, (1.2, 1.8), tuple(random.integers(0, 130, 3).tolist()))
    width, height = picture.size
    left, top, right, bottom = width * 0.22, height * 0.25, width * 0.78, height * 0.75
    pen.rectangle((left, top, right, bottom), fill="#f0f0f0", outline="#888")
    pen.rectangle((left, top, right, top + height * 0.06), fill="#0a4a9a")
    font = fonts.font("plain", height / 34)
    pen.text((left + 10, top + height * 0.012), fonts.some(2, 4), fill="white", font=font)
    _paragraphs(pen, (left + 20, top + height * 0.1, right - 20, bottom - height * 0.1), fonts, font, "black")
    for number in range(2):
        x = right - width * 0.13 * (number + 1)
        pen.rectangle(
            (x, bottom - height * 0.08, x + width * 0.11, bottom - height * 0.02), fill="#ddd", outline="#666"
        )
        pen.text((x + 12, bottom - height * 0.07), fonts.some(1, 1), fill="black", font=font)
    return picture


def _terminal(random: np.random.Generator, fonts: Fonts) -> Image.Image:
    picture, pen = _canvas(random, (1.1, 1.9), "#101010")
    height = picture.height
    font, y = fonts.font("even", height / random.uniform(28, 45)), 8.0
    while y < height * random.uniform(0.6, 1.0):
        colour = str(random.choice(["#dddddd", "#88dd88", "#88bbff", "#dddd66"]))
        pen.text((8, y), f"$ {fonts.words(int(random.integers(1, 12)))}", fill=colour, font=font)
        y += font.size * 1.3
    return picture


def _files(random: np.random.Generator, fonts: Fonts) -> Image.Image:
    """Draw a window with a menu, a side bar and a list of files."""
    picture, pen = _canvas(random, (1.2, 1.8), "white")
    width, height = picture.size
    font = fonts.font("plain", height / random.uniform(32, 44))
    pen.rectangle((0, 0, width, height * 0.07), fill="#e8e8ec")
    pen.text((10, height * 0.02), "   ".join(fonts.some(1, 1) for _ in range(7)), fill="black", font=font)
    pen.rectangle((0, height * 0.07, width * 0.2, height), fill="#f4f4f8")
    y = height * 0.1
    while y < height * 0.97:
        pen.text((10, y), fonts.some(1, 1), fill="#335", font=font)
        for x, words in ((0.24, 3), (0.6, 1), (0.8, 2)):
            pen.text((width * x, y), fonts.some(1, words), fill="#222", font=font)
        y += font.size * 1.7
    return picture


def _bars(random: np.random.Generator, fonts: Fonts) -> Image.Image:
    """Draw a diagram of bars with a title and labels."""
    picture, pen = _canvas(random, (1.1, 1.7), "white")
    width, height = picture.size
    pen.text(
        (width / 2, height * 0.03), fonts.some(3, 6), fill="black", font=fonts.font("heavy", height / 22), anchor="ma"
    )
    colour, count = tuple(random.integers(30, 220, 3).tolist()), int(random.integers(4, 10))
    for number in range(count):
        left, top = width * (0.1 + 0.85 * number / count), height * random.uniform(0.15, 0.7)
        pen.rectangle((left, top, left + width * 0.6 / count, height * 0.85), fill=colour)
        pen.text((left, height * 0.87), fonts.some(1, 1), fill="black", font=fonts.font("plain", height / 40))
    pen.line((width * 0.08, height * 0.85, width * 0.97, height * 0.85), fill="black", width=2)
    return picture


def _sheet(random: np.random.Generator, fonts: Fonts) -> Image.Image:
    """Draw a spreadsheet."""
    picture, pen = _canvas(random, (1.2, 2.0), "white")
    width, height = picture.size
    rows, columns = int(random.integers(14, 30)), int(random.integers(5, 10))
    font = fonts.font("plain", height / rows * 0.55)
    pen.rectangle((0, 0, width, height / rows * 2), fill="#217346")
    for row in range(2, rows):
        for column in range(columns):
            x, y = width * column / columns, height * row / rows
            pen.rectangle((x, y, x + width / columns, y + height / rows), outline="#c8c8c8")
            text = fonts.some(1, 1) if column == 0 or row == 2 else f"{random.uniform(0, 9999):.1f}"  # noqa: PLR2004
            pen.text((x + 4, y + 3), text, fill="#111", font=font)
    return picture


def _chat(random: np.random.Generator, fonts: Fonts) -> Image.Image:
    picture, pen = _canvas(random, (0.45, 0.65), random.choice(["#ece5dd", "#0b141a", "#ffffff"]))
    width, height = picture.size
    font, y = fonts.font("plain", width / random.uniform(20, 28)), height * 0.09
    pen.rectangle((0, 0, width, height * 0.07), fill="#075e54")
    pen.text((width * 0.15, height * 0.02), fonts.some(1, 2), fill="white", font=fonts.font("heavy", width / 16))
    while y < height * 0.9:
        mine, lines = random.random() < 0.5, int(random.integers(1, 4))  # noqa: PLR2004  half
        left = width * (0.25 if mine else 0.04)
        bottom = y + font.size * (1.35 * lines + 0.8)
        pen.rounded_rectangle((left, y, left + width * 0.7, bottom), 12, fill="#dcf8c6" if mine else "#d9d9e0")
        told = _lines(fonts, font, width * 0.64)
        for line in range(lines):
            pen.text((left + 10, y + 6 + font.size * 1.35 * line), next(told), fill="#111", font=font)
        y = bottom + font.size * 0.7
    return picture


def _site(random: np.random.Generator, fonts: Fonts) -> Image.Image:
    """Draw a page of the web: a bar, a headline, an article, boxes at its side."""
    picture, pen = _canvas(random, (1.2, 1.9), "white")
    width, height = picture.size
    hue = tuple(random.integers(0, 200, 3).tolist())
    pen.rectangle((0, 0, width, height * 0.09), fill=hue)
    font = fonts.font("plain", height / random.uniform(34, 46))
    pen.text((width * 0.03, height * 0.03), "    ".join(fonts.some(1, 1) for _ in range(6)), fill="white", font=font)
    pen.text((width * 0.05, height * 0.13), fonts.some(3, 6), fill="#111", font=fonts.font("heavy", height / 16))
    _paragraphs(pen, (width * 0.05, height * 0.25, width * 0.65, height * 0.97), fonts, font, "#333")
    for number in range(3):
        top = height * (0.25 + 0.25 * number)
        pen.rectangle((width * 0.7, top, width * 0.96, top + height * 0.2), fill="#eef1f4", outline=hue)
        _paragraphs(pen, (width * 0.715, top + 8, width * 0.95, top + height * 0.19), fonts, font, "#444")
    return picture


def _editor(random: np.random.Generator, fonts: Fonts) -> Image.Image:
    """Code on a dark ground, with numbers before the lines."""
    picture, pen = _canvas(random, (1.2, 1.9), "#1e1e2e")
    width, height = picture.size
    font, y = fonts.font("even", height / random.uniform(28, 42)), height * 0.05
    pen.rectangle((0, 0, width, height * 0.04), fill="#313244")
    for number in range(1, int((height * 0.93) / (font.size * 1.4))):
        pen.text((width * 0.02, y), str(number), fill="#6c7086", font=font)
        x = width * (0.07 + 0.03 * random.integers(0, 4))
        for _ in range(int(random.integers(0, 6))):
            word = fonts.words(1) + str(random.choice(["(", ")", " =", ":", ".", ","]))
            pen.text((x, y), word, fill=str(random.choice(["#cdd6f4", "#f38ba8", "#a6e3a1", "#89b4fa"])), font=font)
            x += font.getlength(word + " ")
        y += font.size * 1.4
    return picture


def _settings(random: np.random.Generator, fonts: Fonts) -> Image.Image:
    """Draw a telephone's list of settings with switches."""
    picture, pen = _canvas(random, (0.45, 0.6), "#f2f2f7")
    width, height = picture.size
    pen.text((width * 0.05, height * 0.03), fonts.some(1, 1), fill="black", font=fonts.font("heavy", width / 10))
    step = height * random.uniform(0.055, 0.08)
    y = height * 0.12
    while y + step < height:
        pen.rectangle((0, y, width, y + step), fill="white", outline="#d0d0d8")
        pen.text((width * 0.06, y + step * 0.25), fonts.some(1, 3), fill="black", font=fonts.font("plain", step * 0.4))
        on = "#34c759" if random.random() < 0.5 else "#d0d0d6"  # noqa: PLR2004  half
        pen.rounded_rectangle((width * 0.82, y + step * 0.25, width * 0.95, y + step * 0.75), 12, fill=on)
        y += step
    return picture


SCREENS: dict[str, tuple[Style, ...]] = {
    "fit": (_dialog, _terminal, _files, _bars),
    "report": (_sheet, _chat, _site, _editor, _settings),
}
"""Styles of screens by purpose."""
PAGES: dict[str, tuple[Style, ...]] = {"fit": (_book, _letter, _receipt), "report": (_newspaper, _poem, _slide, _scan)}
"""Styles of pages by purpose."""
