"""Drawn shapes with captions, boxes, questions and answers: a small world that any network can learn in a minute.

`python -m captioner.drawings DIR` writes 400 drawings to learn from and 60 to score on, in the layout that
captioner.dataset reads: a class can train every family on them without a data set; with `--questions` each has
questions with their answers instead of captions. One shape a drawing, of one kind,
colour and size, anywhere, on black or on white.
"""

import argparse
import csv
import io
import json
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

SIDE_PX = 32
COLOURS = {"red": (220, 30, 30), "green": (30, 180, 40), "blue": (40, 60, 230), "yellow": (230, 210, 20)}
KINDS = ("square", "ring", "cross")
SIZES_PX = {"small": 13, "big": 24}
GROUNDS = {"black": (10, 10, 10), "white": (245, 245, 245)}
ANSWER = "answer"
"""The word between a question and its answer."""
GRAIN = 6.0
"""Standard deviation of the noise on each pixel, of 255: no two drawings are equal."""


@dataclass(frozen=True, eq=False)
class Drawing:
    """One drawn shape and what can be said of it."""

    pixels: NDArray[np.uint8]
    """(32, 32, 3) RGB."""
    box: tuple[int, int, int, int]
    """Left, top, right, bottom of the shape in pixels, right and bottom outside it."""
    kind: str
    """One of `KINDS`."""
    colour: str
    """One of `COLOURS`."""
    size: str
    """One of `SIZES_PX`."""
    ground: str
    """One of `GROUNDS`."""

    @property
    def captions(self) -> tuple[str, ...]:
        """Two ways to say it."""
        shape = f"{self.size} {self.colour} {self.kind}"
        return (f"a {shape} on {self.ground}", f"there is a {shape} on {self.ground}")

    @property
    def questions(self) -> tuple[tuple[str, str], ...]:
        """Four questions, each with its answer of one word."""
        kind, colour = f"what is the {self.kind}", f"the {self.kind}"
        return (
            ("what shape is it", self.kind),
            (f"what colour is {colour}", self.colour),
            (f"how big is {colour}", self.size),
            (f"{kind} drawn on", self.ground),
        )


def draw(random: np.random.Generator) -> Drawing:
    """Draw one shape by chance."""
    kind, colour, size, ground = (str(random.choice(list(one))) for one in (KINDS, COLOURS, SIZES_PX, GROUNDS))
    side = SIZES_PX[size] + int(random.integers(-1, 2))
    left, top = (int(random.integers(0, SIDE_PX - side + 1)) for _ in range(2))
    image = Image.new("RGB", (SIDE_PX, SIDE_PX), GROUNDS[ground])
    pen, right, bottom = ImageDraw.Draw(image), left + side - 1, top + side - 1
    if kind == "square":
        pen.rectangle((left, top, right, bottom), fill=COLOURS[colour])
    elif kind == "ring":
        pen.ellipse((left, top, right, bottom), outline=COLOURS[colour], width=3)
    else:
        pen.line((left, top, right, bottom), fill=COLOURS[colour], width=3)
        pen.line((left, bottom, right, top), fill=COLOURS[colour], width=3)
    grained = np.asarray(image, np.float32) + random.normal(0, GRAIN, (SIDE_PX, SIDE_PX, 3))
    pixels = grained.clip(0, 255).astype(np.uint8)
    return Drawing(pixels, (left, top, right + 1, bottom + 1), kind, colour, size, ground)


def drawings(count: int, seed: int) -> list[Drawing]:
    """Draw `count` shapes, the same for the same seed."""
    random = np.random.default_rng(seed)
    return [draw(random) for _ in range(count)]


def texts_of(drawing: Drawing, *, questions: bool) -> tuple[str, ...]:
    """Return a drawing's captions, or its questions with their answers after the word `answer`."""
    if not questions:
        return drawing.captions
    return tuple(f"{question} {ANSWER} {answer}" for question, answer in drawing.questions)


def write_set(folder: Path, split: str, made: Sequence[Drawing], *, questions: bool = False) -> Path:
    """Write drawings as `images-SPLIT-00.tar`, `captions-SPLIT.tsv` and `boxes-SPLIT.json`; return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{split}{number:04d}.png" for number in range(len(made))]
    with tarfile.open(folder / f"images-{split}-00.tar", "w") as tar:
        for name, drawing in zip(names, made, strict=True):
            stream = io.BytesIO()
            Image.fromarray(drawing.pixels).save(stream, "PNG")
            member = tarfile.TarInfo(name)
            member.size = stream.tell()
            stream.seek(0)
            tar.addfile(member, stream)
    rows = [[name, text] for name, one in zip(names, made, strict=True) for text in texts_of(one, questions=questions)]
    with (folder / f"captions-{split}.tsv").open("w", encoding="utf-8", newline="") as stream_out:
        csv.writer(stream_out, delimiter="\t", lineterminator="\n").writerows([["image", "caption"], *rows])
    boxes = {name: drawing.box for name, drawing in zip(names, made, strict=True)}
    (folder / f"boxes-{split}.json").write_text(json.dumps(boxes) + "\n", encoding="utf-8")
    return folder


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the drawings; return the exit status: 0 done, 2 not written."""
    parser = argparse.ArgumentParser(prog="python -m captioner.drawings", description="Draw shapes to learn from.")
    parser.add_argument("folder", type=Path, help="where to write them")
    parser.add_argument("--questions", action="store_true", help="questions and answers instead of captions")
    given = parser.parse_args(arguments)
    try:
        write_set(given.folder, "train", drawings(400, seed=1), questions=given.questions)
        write_set(given.folder, "dev", drawings(60, seed=2), questions=given.questions)
    except OSError as error:
        print(f"error: {given.folder}: {error.strerror}; name a folder that can be written to")  # noqa: T201
        return 2
    print(f"400 drawings to learn from and 60 to score on are in {given.folder}")  # noqa: T201  a command's output
    return 0


if __name__ == "__main__":
    sys.exit(main())
