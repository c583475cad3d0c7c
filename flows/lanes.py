"""Shards through lanes: each lane is a thread, so that neighbouring shards are in different lanes at once."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from typing import Generic, TypeVar

Thing = TypeVar("Thing")


def in_lanes(
    things: Iterable[Thing],
    lanes: Sequence[Callable[[Thing], None]],
    halt: Callable[[], None],
    waiting: int = 1,
    widths: Sequence[int] = (),
) -> Iterator[Thing]:
    """Yield each thing, in order, once every lane in turn has had it.

    A lane takes one thing at a time, or as many as its width says, in order. At most `waiting` things more than that
    are on their way, so that memory does not grow with their number. Lanes see the caller's context variables. A thing
    that fails in a lane lets those ahead of it arrive and nothing that comes after it; its error is raised here when
    its turn comes, and `halt` is called for what the lanes are still at.
    """
    underway: deque[tuple[Thing, Future[None]]] = deque()
    widths = widths or [1] * len(lanes)
    tracks = [_Lane(lane, width) for lane, width in zip(lanes, widths, strict=True)]
    try:
        for thing in things:
            underway.append((thing, _send(thing, tracks)))
            if len(underway) >= sum(widths) + waiting:
                yield _arrived(underway)
        while underway:
            yield _arrived(underway)
    except BaseException:
        halt()
        raise
    finally:
        for track in tracks:
            track.pool.shutdown(cancel_futures=True)


class _Lane(Generic[Thing]):
    """One lane: its threads, and the error that broke it."""

    def __init__(self, walk: Callable[[Thing], None], width: int) -> None:
        self.pool = ThreadPoolExecutor(width, thread_name_prefix="lane")
        self._walk = walk
        self._error: BaseException | None = None

    def take(self, thing: Thing, before: "Future[None] | None") -> None:
        """Wait until the lane `before` has done with `thing`, then walk it; a broken lane takes nothing more."""
        if self._error is not None:
            raise self._error
        try:
            if before is not None:
                before.result()
            self._walk(thing)
        except BaseException as error:
            self._error = error
            raise


def _send(thing: Thing, lanes: "Sequence[_Lane[Thing]]") -> "Future[None]":
    """Line `thing` up in every lane; return what the last one makes known."""
    done: Future[None] = Future()
    before: Future[None] | None = None
    for lane in lanes:
        done = before = lane.pool.submit(copy_context().run, lane.take, thing, before)
    return done


def _arrived(underway: "deque[tuple[Thing, Future[None]]]") -> Thing:
    thing, last = underway.popleft()
    last.result()
    return thing
