"""Processes that open photos beside the GPU's work; one that is killed takes no more than its own photo with it."""

import signal
from collections.abc import Callable, Iterable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any


class Workers(Executor):
    """A pool of processes that is made anew where one of them is killed."""

    def __init__(self, count: int) -> None:
        """Make a pool of `count` processes, which start when they are needed."""
        self._count = count
        self._pool = self._new_pool()

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> "Future[Any]":
        """Give one call to a worker."""
        return self._pool.submit(function, *arguments, **named)

    def map(self, function: Callable[..., Any], *iterables: Iterable[Any], **_: Any) -> "list[Any]":  # type: ignore[override]
        """Return what `function` makes of each set of arguments, in order; a MemoryError for one that kills its worker.

        Where a worker dies, nobody knows which call it had: each that got no answer is made again, alone.
        """
        calls = list(zip(*iterables, strict=True))
        answers = [self._begin(function, call) for call in calls]
        return [self._end(answer) or self._alone(function, call) for answer, call in zip(answers, calls, strict=True)]

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End the processes."""
        self._pool.shutdown(wait, cancel_futures=cancel_futures)

    def _begin(self, function: Callable[..., Any], call: tuple[Any, ...]) -> "Future[Any] | None":
        try:
            return self._pool.submit(function, *call)
        except BrokenProcessPool:
            return None

    def _end(self, answer: "Future[Any] | None") -> Any:
        """Return the answer of a call; None where its pool broke."""
        try:
            return answer.result() if answer is not None else None
        except BrokenProcessPool:
            return None

    def _alone(self, function: Callable[..., Any], call: tuple[Any, ...]) -> Any:
        """Make a call with no other at work, in a pool that is whole."""
        answer = self._begin(function, call)
        if answer is None:
            self._pool.shutdown(wait=False)
            self._pool = self._new_pool()
            answer = self._pool.submit(function, *call)
        outcome = self._end(answer)
        return MemoryError("the process that opened it was killed") if outcome is None else outcome

    def _new_pool(self) -> ProcessPoolExecutor:
        hush = (signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the run's business alone
        return ProcessPoolExecutor(self._count, get_context("spawn"), signal.signal, hush)
