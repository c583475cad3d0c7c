"""The share of the cores that each stage's models get."""

import os
import threading
from collections.abc import Iterator

import pytest
import torch

from flows.devices import LONGEST, share_cores


@pytest.fixture
def _threads_as_they_were() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_threads_as_they_were")
@pytest.mark.parametrize(
    ("asked", "expected"), [(None, {LONGEST: 6, "features": 3}), ("2", {LONGEST: 2, "features": 2})]
)
def test_speech_may_use_every_core_and_the_stages_beside_it_half(
    monkeypatch: pytest.MonkeyPatch, asked: str | None, expected: dict[str, int]
):
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if asked:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    threads = {}

    def work(stage: str) -> None:
        torch.set_num_threads(2)
        share_cores(stage)
        threads[stage] = torch.get_num_threads()

    for stage in expected:
        lane = threading.Thread(target=work, args=(stage,))
        lane.start()
        lane.join()

    assert threads == expected
