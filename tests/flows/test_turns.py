"""Runs that share a GPU: one slot a run, by turns, on a real Prefect server."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from servers import ask

from flows.stopping import Stop
from flows.turns import Turns, limit_name, turns_at

CODE = """
import os, sys
from flows.stopping import Stop
from flows.turns import Limit
with Limit("shared", Stop(print, print), print).slot():
    print("held", flush=True)
    sys.stdin.readline()
    if sys.argv[1] == "dies":
        os._exit(9)
"""


def holder(url: str, end: str) -> "subprocess.Popen[str]":
    """Start a process that takes the slot, says so, and ends by a line on its standard input."""
    environment = os.environ | {"PREFECT_API_URL": url}
    return subprocess.Popen(
        [sys.executable, "-c", CODE, end], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )


def ended(process: "subprocess.Popen[str]") -> int:
    """Let a holder end; return its status."""
    with suppress(BrokenPipeError):
        process.communicate("\n", timeout=300)
    return process.wait(300)


def test_the_limit_is_made_where_it_is_missing_and_a_second_run_waits_for_the_first(prefect_server: str):
    with holder(prefect_server, "ends") as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        (limit,) = [one for one in ask(prefect_server, "v2/concurrency_limits") if one["name"] == "shared"]
        assert (limit["limit"], limit["active_slots"]) == (1, 1)
        with holder(prefect_server, "ends") as second:
            assert second.stdout is not None
            with pytest.raises(subprocess.TimeoutExpired):
                second.wait(3)
            assert ended(first) == 0
            assert second.stdout.readline() == "held\n"
            assert ended(second) == 0


@pytest.mark.faults
def test_a_holder_that_dies_gives_its_slot_back_when_its_lease_runs_out(prefect_server: str):
    with holder(prefect_server, "dies") as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        assert ended(first) == 9
    with holder(prefect_server, "ends") as second:
        assert second.stdout is not None
        assert second.stdout.readline() == "held\n"
        assert ended(second) == 0


class Slots:
    """Counts who holds what."""

    def __init__(self) -> None:
        self.taken = self.held = 0

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Hold one."""
        self.taken += 1
        self.held += 1
        yield
        self.held -= 1


def test_the_stages_of_one_run_hold_one_slot_together():
    slots = Slots()
    turns = Turns(slots.slot)
    with turns.turn():
        with turns.turn():
            assert slots.held == 1
        assert slots.held == 1
    assert (slots.held, slots.taken) == (0, 1)


def test_a_run_that_held_the_gpu_for_long_lets_its_stages_out_before_it_takes_the_slot_again():
    slots = Slots()
    turns = Turns(slots.slot, hold_s=0.0)
    inside = threading.Event()

    def another_stage() -> None:
        with turns.turn():
            inside.set()

    with turns.turn():
        with turns.turn():
            pass
        thread = threading.Thread(target=another_stage)
        thread.start()
        assert not inside.wait(0.2)
    thread.join(60)

    assert inside.is_set()
    assert (slots.held, slots.taken) == (0, 2)


def test_a_limit_that_cannot_be_had_is_said_once_and_ends_no_run():
    code = "from flows.stopping import Stop; from flows.turns import Limit\n"
    code += (
        "limit = Limit('shared', Stop(print, print), print)\nfor _ in range(2):\n with limit.slot(): print('at work')"
    )
    environment = {"PREFECT_API_URL": "http://127.0.0.1:9/api", "PREFECT_CLIENT_MAX_RETRIES": "0"}
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300, check=False)

    assert result.returncode == 0, result.stderr
    said, *rest = result.stdout.splitlines()
    assert said.startswith("The GPU's limit shared cannot be had (")
    assert rest == ["at work", "at work"]


def test_only_a_gpu_with_a_server_of_the_users_own_is_shared(monkeypatch: pytest.MonkeyPatch):
    stop = Stop(lambda _line: None, lambda: None)
    assert turns_at("cuda", stop, print) is None
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    assert turns_at("cpu", stop, print) is None
    assert turns_at("cuda:1", stop, print) is not None
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    assert limit_name("cuda:1").endswith("-3")
    assert limit_name("cuda").endswith("-2")
