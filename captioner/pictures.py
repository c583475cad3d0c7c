"""Pictures of a captioner: photos with what it said about them, and how its training went."""

import csv
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from captioner.errors import DataError

COLUMNS = 5
"""Photos in a row of a contact sheet."""
CAPTION_WIDTH = 30
"""Letters in a line under a photo."""
CURVES = {
    "loss": (("loss", "training"), ("dev_loss", "dev")),
    "CIDEr-D on dev": (("dev_cider_d", "greedy"),),
}
"""Title of each diagram to the columns of `log.csv` that it shows, with their names in the legend."""


def draw_contact_sheet(photos: Sequence[NDArray[np.uint8]], captions: Sequence[str], path: Path) -> Path:
    """Draw photos, each (H, W, 3), with their captions below as one PNG; return its path."""
    from matplotlib.figure import Figure

    rows = -(-len(photos) // COLUMNS)
    figure = Figure(figsize=(COLUMNS * 3, rows * 3.7), layout="constrained")
    for number, (pixels, caption) in enumerate(zip(photos, captions, strict=True)):
        axes = figure.add_subplot(rows, COLUMNS, number + 1)
        axes.imshow(pixels)
        axes.set_title(textwrap.fill(caption, CAPTION_WIDTH), y=-0.05, verticalalignment="top", fontsize=11)
        axes.set_axis_off()
    figure.savefig(path, format="png", dpi=80)
    return path


def draw_curves(log: Path, path: Path) -> Path:
    """Draw a training's `log.csv` as one PNG: losses and scores by step; return its path.

    Raises DataError where the file cannot be read or holds no figures.
    """
    from matplotlib.figure import Figure

    rows = _read_log(log)
    figure = Figure(figsize=(9, 4), layout="constrained")
    for number, (title, columns) in enumerate(CURVES.items()):
        axes = figure.add_subplot(1, len(CURVES), number + 1)
        for column, name in columns:
            points = [(int(row["step"]), float(row[column])) for row in rows if row.get(column)]
            if points:
                axes.plot(*zip(*points, strict=True), label=name, marker="." if len(points) < len(rows) / 2 else "")
        axes.set(title=title, xlabel="step")
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
    figure.savefig(path, format="png", dpi=100)
    return path


def draw_runs(logs: Mapping[str, Path], path: Path) -> Path:
    """Draw the dev loss of several runs by step and by time as one PNG, with a CSV beside it; return the PNG's path.

    `logs` are names to files `log.csv`; raises DataError where one cannot be read.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    sides = [figure.add_subplot(1, 2, number + 1) for number in range(2)]
    table: list[list[str]] = []
    for name, log in logs.items():
        rows = [row for row in _read_log(log) if row.get("dev_loss")]
        losses = [float(row["dev_loss"]) for row in rows]
        sides[0].plot([int(row["step"]) for row in rows], losses, label=name, marker=".")
        sides[1].plot([float(row["spent_s"]) / 60 for row in rows], losses, label=name, marker=".")
        table += [[name, row["step"], row["spent_s"], row["loss"], row["dev_loss"]] for row in rows]
    for axes, title in zip(sides, ("step", "minutes"), strict=True):
        axes.set(xlabel=title, ylabel="dev loss, nats a word")
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, format="png", dpi=100)
    with path.with_suffix(".csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerows([["run", "step", "spent_s", "loss", "dev_loss"], *table])
    return path


def _read_log(log: Path) -> list[dict[str, str]]:
    mend = "give the log.csv that captioner.train wrote"
    try:
        with log.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"the training's log cannot be read ({error})", str(log), mend) from error
    if not rows or "step" not in rows[0]:
        raise DataError("no steps in the training's log", str(log), mend)
    return rows
