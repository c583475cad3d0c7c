"""Ctrl-C and SIGTERM: the first ends the run after the batch in hand, the second at once."""

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from flows.errors import Interrupted

EXIT_STATUS = {"SIGINT": 130, "SIGTERM": 143}
"""What the program ends with, by the signal that ended it."""


class Stop:
    """Whether the run was asked to end; stages look at it between batches."""

    def __init__(self, say: Callable[[str], None], at_once: Callable[[], None]) -> None:
        """`say` tells the user what happens; `at_once` puts away what must not outlive the program."""
        self.signal: str | None = None
        self._say, self._at_once = say, at_once
        self._event = threading.Event()
        self._halted = threading.Event()

    @property
    def asked(self) -> bool:
        """Whether somebody asked the run to end."""
        return self._event.is_set()

    def check(self) -> None:
        """Raise Interrupted where the run was asked to end, or broke off."""
        if self.asked or self._halted.is_set():
            raise Interrupted

    def halt(self) -> None:
        """End what other shards are at, too: the run broke off."""
        self._halted.set()

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Handle SIGINT and SIGTERM inside the block; call it from the main thread, after any library that does so."""
        with handling(self._handle):
            yield

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        name = signal.Signals(number).name
        if self.asked:
            self._say("Stopped at once; what was committed stands, the shards in hand are dropped.")
            self._at_once()
            os._exit(EXIT_STATUS[name])
        self.signal = name
        self._event.set()
        self._say(
            "Stopping after the batch in hand; the shards in hand are dropped and done again next time. "
            "Once more stops at once."
        )


@contextmanager
def ending_at_once() -> Iterator[None]:
    """End the program by SystemExit at SIGINT or SIGTERM inside the block, where nothing begun could be lost."""

    def end(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(EXIT_STATUS[signal.Signals(number).name])

    with handling(end):
        yield


@contextmanager
def handling(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle SIGINT and SIGTERM by `handler` inside the block; elsewhere than in the main thread do nothing."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)
