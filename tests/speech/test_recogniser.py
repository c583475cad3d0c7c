import gc
import os
import signal
from collections.abc import Iterator

import numpy as np
import pytest

from speech.recogniser import RATE_HZ, Recogniser

pytest.importorskip("moonshine_voice")
SILENCE = np.zeros(RATE_HZ, np.float32)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture
def recogniser() -> Iterator[Recogniser]:
    recogniser = Recogniser(clips_a_child=2)
    yield recogniser
    del recogniser


def test_the_child_is_replaced_after_its_clips_and_there_is_never_more_than_one(recogniser: Recogniser):
    children = []
    for _ in range(5):
        assert recogniser.transcribe(SILENCE) == ""
        children.append(recogniser.pid)
        alive = [pid for pid in set(children) if pid is not None and is_alive(pid)]
        assert alive == [recogniser.pid]

    assert [children.index(pid) for pid in children] == [0, 0, 2, 2, 4]


def test_a_child_that_was_killed_is_replaced_and_the_clip_is_heard(recogniser: Recogniser):
    killed = recogniser.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)

    assert recogniser.transcribe(SILENCE) == ""
    assert recogniser.pid != killed


def test_the_child_ends_with_the_object():
    recogniser = Recogniser()
    child = recogniser.pid
    assert child is not None
    del recogniser
    gc.collect()

    assert not is_alive(child)


def test_where_every_child_dies_it_says_so(monkeypatch: pytest.MonkeyPatch, recogniser: Recogniser):
    monkeypatch.setattr("speech.recogniser.LONGEST_WAIT_S", 0.0)

    with pytest.raises(RuntimeError, match="memory"):
        recogniser.transcribe(SILENCE)
