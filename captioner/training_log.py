"""What a training run shows of itself: a table `log.csv`, and a progress bar, or plain lines where nobody watches."""

import csv
import sys
from pathlib import Path
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

COLUMNS = ("step", "spent_s", "rate", "loss", "dev_loss", "dev_cider_d")
"""Columns of `log.csv`. A row has the loss of the steps since the row before, or what the dev photos gave."""


class TrainingLog:
    """Writes rows to `log.csv` and tells whoever watches; a context, since a bar must be taken down at the end."""

    def __init__(self, path: Path) -> None:
        """Write to this file, after what is there."""
        self.path = path
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        console = Console(file=sys.stdout)
        self.bar = Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal)
        self.task = self.bar.add_task("training", total=None)
        self.scored = ""

    def __enter__(self) -> Self:
        """Put the bar up where a terminal watches."""
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the bar down."""
        self.bar.stop()

    def forget_after(self, step: int) -> None:
        """Drop the rows of steps that a killed run took after its last checkpoint: they will be taken again."""
        if not self.path.exists():
            return
        rows = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        kept = [row for row in rows[1:] if row.endswith("\n") and int(row.split(",", 1)[0]) <= step]
        self.path.write_text("".join([*rows[:1], *kept]), encoding="utf-8")

    def show(self, step: int, total: int) -> None:
        """Move the bar."""
        self.bar.update(self.task, completed=step, total=total or None)

    def row(self, step: int, total: int, spent_s: float, rate: float, *losses: float | None) -> None:
        """Add a row: the training loss, the dev loss, the dev CIDEr-D, each None where it was not measured."""
        loss, dev_loss, dev_cider_d = cells = ["" if one is None else f"{one:.4f}" for one in losses]
        new = not self.path.exists()
        with self.path.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            if new:
                writer.writerow(COLUMNS)
            writer.writerow([step, f"{spent_s:.0f}", f"{rate:.2e}", *cells])
        measured = {"dev CIDEr-D": dev_cider_d, "dev loss": dev_loss}
        if dev_cider_d or dev_loss:
            self.scored = "".join(f", {name} {cell}" for name, cell in measured.items() if cell)
        what = f"loss {loss}" if loss else self.scored.removeprefix(", ")
        if loss and (dev_loss or dev_cider_d):
            what += self.scored
        if self.bar.disable:
            left_s = spent_s / max(1, step) * (total - step) if total else 0
            say(f"step {step} of {total or '?'}, {what}, {left_s / 60:.0f} min left")
        else:
            self.bar.update(self.task, description=f"loss {loss}{self.scored}" if loss else what)


def say(line: str) -> None:
    """Print one progress line at once."""
    print(line, flush=True)  # noqa: T201  a command's output
