"""What a person at the terminal sees of a run: a progress bar, or plain lines where there is no terminal."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from flows.records import Summary

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

SHARES = {"ingest": 0.15, "features": 0.15, "captions": 0.15, "alt text": 0.0, "speech": 0.4, "master and encode": 0.15}
"""About how much of a photo's time each stage takes, so that the bar moves evenly."""

LINE_EVERY_S = 10.0
"""Where there is no terminal, a line no more often than this."""


class Console:
    """Says what happens on standard error; standard output is for results."""

    def __init__(self) -> None:
        """Look whether there is a terminal."""
        self.is_terminal = sys.stderr.isatty()
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._began = self._last_line = monotonic()

    def say(self, line: str) -> None:
        """Print one line, above the bar where there is one."""
        if self._bar is not None:
            self._bar.console.print(line, markup=False, highlight=False)
        else:
            os.write(2, f"{line}\n".encode())  # not by `sys.stderr`: a signal's handler says things too

    @contextmanager
    def progress(self, to_do: int) -> Iterator[None]:
        """Show a bar of `to_do` photos inside the block."""
        self._began = self._last_line = monotonic()
        if not self.is_terminal:
            yield
            return
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("narrating"), BarColumn(), MofNCompleteColumn(), TextColumn("photos"))
        speed = (TextColumn("{task.fields[speed]}"), TimeRemainingColumn(), TextColumn("left"))
        with Progress(*columns, *speed, console=RichConsole(stderr=True), transient=True) as bar:
            self._bar, self._task = bar, bar.add_task("", total=to_do, speed="")
            try:
                yield
            finally:
                self._bar = self._task = None

    def advance(self, stage: str, photos: int) -> None:
        """Move the bar by one stage's share of `photos`."""
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, photos * SHARES.get(stage, 0.0))

    def shard_done(self, summary: Summary, to_do: int) -> None:
        """Show what is committed, how fast, and the time left."""
        done, seconds = summary.counts.committed, max(monotonic() - self._began, 1e-3)
        speed = f"{done / seconds:.1f} photos/s"
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, speed=speed)
        elif done < to_do and monotonic() - self._last_line >= LINE_EVERY_S:
            self._last_line = monotonic()
            self.say(f"{done} of {to_do} photos, {speed}, about {duration(seconds * (to_do - done) / done)} left")

    def finished(self, summary: Summary) -> None:
        """Nothing more to show: the last line is the command's."""


@contextmanager
def counting(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """Show how many of `total` are done inside the block; hands over what is told how many more are."""
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = RichConsole(stderr=True)
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("left"))
    both, hidden = sys.stdout.isatty(), not console.is_terminal  # lines that are piped elsewhere stay what they are
    with Progress(*columns, console=console, transient=True, redirect_stdout=both, disable=hidden) as bar:
        task = bar.add_task("", total=total)
        yield lambda done: bar.advance(task, done)


def amount(number: int, one: str) -> str:
    """Return how many there are of a thing in words: `1 photo`, `2 photos`."""
    return f"{number} {one}" if number == 1 else f"{number} {one}s"


def duration(seconds: float) -> str:
    """Return a length of time in words that fit it: `40 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:  # noqa: PLR2004 - below, seconds say more than minutes
        return f"{max(1, round(seconds))} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"  # noqa: PLR2004 - minutes an hour


def size(amount_bytes: float) -> str:
    """Return an amount of bytes in the unit that fits it, such as `12 MB`."""
    for unit in ("kB", "MB", "GB"):
        amount_bytes /= 1000
        if amount_bytes < 1000:  # noqa: PLR2004 - a thousand of one unit is one of the next
            return f"{amount_bytes:.3g} {unit}"
    return f"{amount_bytes / 1000:.3g} TB"
