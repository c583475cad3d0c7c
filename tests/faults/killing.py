"""Runs that can be killed for good: each in a process and a process group of its own, forked from one that is warm.

A run in a new interpreter spends seconds on imports. Here a server imports everything once and forks a child a run, so
that a hundred kills are affordable; the kill is the system's own SIGKILL to the child's process group, and the
program's code is as it is. An audit hook, Python's own, sees each write before it is made: it notes when and what, and
pulls the trigger where a kill is aimed at one call.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

PATIENCE_S = 900.0
AUDIO_RENAME, PART_RENAME, REVIEW_APPEND, OTHER = "audio rename", "part rename", "review append", "other write"
WARM = ["captioner.captioning", "speech.speaking", "flows.run", "flows.page", "jinja2", "pyarrow.parquet", "rich.table"]


@dataclass(frozen=True)
class Aim:
    """When a run is killed."""

    kind: str | None = None
    """The kind of write that it is aimed at; None goes by the clock."""
    number: int = 0
    """Which write of that kind, from 1."""
    after: bool = False
    """Whether that write has been made, and nothing after it."""
    seconds: float = 0.0
    """By the clock: so long after the run's first write."""


@dataclass(frozen=True)
class Write:
    """One write of a run in its output folder, as the audit hook saw it."""

    time_s: float
    """On the system's monotonic clock."""
    kind: str
    """One of the four kinds."""
    path: str
    """The file, relative to the output folder."""


class Forks:
    """Calls functions in forked processes that can be killed."""

    def __init__(self) -> None:
        """Make nothing yet: the server starts with the first fork."""
        self.context = get_context("forkserver")
        self.context.set_forkserver_preload(WARM)

    def start(
        self, out: Path, trace: Path, call: Callable[..., None], *arguments: Any, aim: Aim | None = None
    ) -> "Fork":
        """Start `call` in a process group of its own, its writes below `out` noted in the file `trace`."""
        trace.write_bytes(b"")
        begun = self.context.Event()
        process = self.context.Process(target=_carry_out, args=(out, trace, begun, aim, call, arguments))
        process.start()
        return Fork(process, begun, trace)


@dataclass
class Fork:
    """A process that was forked."""

    process: BaseProcess
    begun: Event
    """Set at the first write."""
    trace: Path

    def kill_after(self, seconds: float) -> None:
        """Kill the process group so long after its first write; nothing where it has ended by then."""
        began = time.monotonic()
        while not self.begun.wait(0.2):
            if not self.process.is_alive() or time.monotonic() - began > PATIENCE_S:
                return
        self.process.join(seconds)
        if self.process.is_alive():
            os.killpg(self.process.pid or 0, signal.SIGKILL)

    def end(self) -> int:
        """Wait for the end; return the exit status, -9 where the process was killed."""
        self.process.join(PATIENCE_S)
        if self.process.is_alive():
            os.killpg(self.process.pid or 0, signal.SIGKILL)
            raise AssertionError(f"the run did not end within {PATIENCE_S} s: {self.said()}")
        return self.process.exitcode or 0

    def said(self) -> str:
        """Return what the process wrote to its standard error."""
        return self.trace.with_suffix(".said").read_text(errors="replace")

    def writes(self) -> list[Write]:
        """Return the writes, in order; the last one may not have been made: the hook sees it before."""
        lines = self.trace.read_text(errors="surrogateescape").split("\n")[:-1]
        return [Write(float(time_s), kind, path) for time_s, kind, path in (line.split("\t") for line in lines)]


def _carry_out(
    out: Path, trace: Path, begun: Event, aim: Aim | None, call: Callable[..., None], arguments: tuple[Any, ...]
) -> None:
    os.setsid()
    said = os.open(trace.with_suffix(".said"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(said, 1)
    os.dup2(said, 2)
    sys.addaudithook(Trigger(str(out), os.open(trace, os.O_WRONLY | os.O_APPEND), begun, aim or Aim()))
    call(*arguments)


class Trigger:
    """The audit hook: notes each write below a folder, and kills its own process group at the one that is aimed at."""

    def __init__(self, folder: str, trace: int, begun: Event, aim: Aim) -> None:
        """`trace` is the open file that the writes are noted in; `begun` is set at the first."""
        self.folder, self.trace, self.begun, self.aim = folder + os.sep, trace, begun, aim
        self.seen = 0
        self.shot_by: int | None = None

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take note of `event` where it is a write; see https://docs.python.org/3/library/audit_events.html."""
        if self.shot_by == threading.get_ident():
            self._shoot()
        path = _written(event, arguments)
        if path is None or not path.startswith(self.folder):
            return
        kind = kind_of(event, path[len(self.folder) :], arguments)
        os.write(self.trace, os.fsencode(f"{time.monotonic():.6f}\t{kind}\t{path[len(self.folder) :]}\n"))
        if not self.begun.is_set():
            self.begun.set()
        self.seen += kind == self.aim.kind
        if kind == self.aim.kind and self.seen == self.aim.number:
            if self.aim.after:
                self.shot_by = threading.get_ident()  # the next thing that this thread does comes after the write
            else:
                self._shoot()

    def _shoot(self) -> None:
        self.shot_by, self.aim = None, Aim()  # `kill` is audited too
        os.kill(0, signal.SIGKILL)  # 0 is the whole process group


def _written(event: str, arguments: tuple[Any, ...]) -> str | None:
    """Return the path that an audit event is about to change; None where it changes none."""
    path: Any = None
    if event in ("os.rename", "os.link", "os.symlink"):
        path = arguments[1]
    elif event in ("os.mkdir", "os.remove", "os.rmdir", "os.truncate") or (
        event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    ):
        path = arguments[0]
    return str(Path(os.fsdecode(path)).absolute()) if isinstance(path, str | bytes | os.PathLike) else None


def kind_of(event: str, path: str, arguments: tuple[Any, ...]) -> str:
    """Return the kind of a write to `path`, relative to the output folder."""
    if event == "os.rename" and path.startswith("audio/"):
        return AUDIO_RENAME
    if event == "os.rename" and path.startswith("manifest/"):
        return PART_RENAME
    if event == "open" and path.endswith("reviews.jsonl") and arguments[2] & os.O_APPEND:
        return REVIEW_APPEND
    return OTHER


def narrate(settings: dict[str, Any]) -> None:
    """Run the job of `settings` to its end."""
    from flows.console import Console
    from flows.job import Job
    from flows.run import run

    run(Job(**settings), Console())


def open_or_die(path: str, side_px: int) -> Any:
    """Open a photo; the worker that gets a poisoned one is killed, as the system does where memory is short."""
    from captioner.photos import open_photo

    if "poison" in path:
        os.kill(os.getpid(), signal.SIGKILL)
    return open_photo(Path(path), side_px)
