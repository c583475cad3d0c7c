"""Lanes: side by side, in order, bounded, and broken off cleanly."""

import threading
from collections.abc import Iterator
from contextvars import ContextVar
from itertools import count

import pytest

from flows.lanes import in_lanes

PATIENCE_S = 30.0


def never() -> None:
    raise AssertionError("nothing broke off")


def test_a_lane_is_at_the_next_thing_while_the_one_after_is_still_at_this():
    """The second lane has done with the first thing only once the first lane has begun the second thing."""
    begun = [threading.Event() for _ in range(3)]

    def first(thing: int) -> None:
        begun[thing].set()

    def second(thing: int) -> None:
        assert begun[min(thing + 1, 2)].wait(PATIENCE_S)

    assert list(in_lanes(range(3), [first, second], never)) == [0, 1, 2]


def test_every_lane_takes_the_things_in_their_order():
    seen: list[list[int]] = [[], [], []]

    arrived = list(in_lanes(range(50), [seen[0].append, seen[1].append, seen[2].append], never))

    assert arrived == list(range(50))
    assert seen == [arrived] * 3


@pytest.mark.parametrize("waiting", [1, 4])
def test_no_more_things_are_underway_than_there_is_room_for(waiting: int):
    taken = count(1)
    taken_so_far = [0]

    def things() -> Iterator[int]:
        for number in range(100):
            taken_so_far[0] = next(taken)
            yield number

    lanes = [lambda _: None] * 3
    underway = [taken_so_far[0] - arrived for arrived, _ in enumerate(in_lanes(things(), lanes, never, waiting))]

    assert max(underway) == 3 + waiting


def test_an_error_lets_what_is_ahead_arrive_and_nothing_that_comes_after():
    halted: list[bool] = []
    seen: list[int] = []
    arrived: list[int] = []

    def fail_at_three(thing: int) -> None:
        if thing == 3:
            raise OSError(28, "No space left on device")

    way = in_lanes(range(10), [lambda _: None, fail_at_three, seen.append], lambda: halted.append(True))
    with pytest.raises(OSError, match="No space"):
        arrived.extend(way)

    assert seen == arrived == [0, 1, 2]
    assert halted == [True]


def test_lanes_see_the_callers_context_and_their_threads_end_with_it():
    flow = ContextVar("flow", default="none")
    token = flow.set("of the caller")
    seen: list[str] = []
    before = threading.active_count()

    list(in_lanes(range(2), [lambda _: seen.append(flow.get()), lambda _: seen.append(flow.get())], never))
    flow.reset(token)

    assert set(seen) == {"of the caller"}
    assert threading.active_count() == before
