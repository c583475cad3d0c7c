"""Ctrl-C and SIGTERM: said at once, the shard in hand dropped whole, the next run finishes the folder."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from narrating import Runs, make_photos

PATIENCE_S = 120.0


def wait_for(path: Path, process: "subprocess.Popen[str]") -> None:
    """Return once `path` is there; fail where the process ends before."""
    deadline = time.monotonic() + PATIENCE_S
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def start(runs: Runs, *options: str, **settings: object) -> "subprocess.Popen[str]":
    command = runs.command(*options, **settings)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_is_answered_within_two_seconds_and_drops_the_shard_whole(
    runs: Runs, number: signal.Signals, status: int
):
    make_photos(runs.photos, 400)
    process = start(runs, shard_size=4)
    wait_for(runs.out / "manifest" / "part-000000.parquet", process)
    process.send_signal(number)
    began = time.monotonic()
    said = ""
    while "Stopping" not in said:
        said = process.stderr.readline()
        assert said, "the process ended without a word"
    answered = time.monotonic() - began
    out, _ = process.communicate(timeout=PATIENCE_S)
    rows = pd.read_parquet(runs.out / "manifest")

    assert answered < 2
    assert "the shards in hand are dropped" in said
    assert process.returncode == status
    assert "left for another run" in out.splitlines()[-1]
    assert 0 < len(rows) < 400
    assert len(rows) % 4 == 0
    assert {str(path.relative_to(runs.out)) for path in runs.out.glob("audio/*")} == set(rows["audio_path"])


def test_the_run_after_an_interrupted_one_finishes_the_folder(runs: Runs):
    make_photos(runs.photos, 40)
    process = start(runs, shard_size=4)
    wait_for(runs.out / "manifest" / "part-000000.parquet", process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_S)
    done = len(runs.rows())

    summary = runs.run()

    assert summary.counts.taken_over == done
    assert len(runs.rows()) == 40
    assert (runs.rows()["status"] == "described").all()


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_while_the_models_load_ends_the_run_at_once(runs: Runs, number: signal.Signals, status: int):
    make_photos(runs.photos, 2)
    process = start(runs, engine="prefect")
    said = process.stderr.readline()
    process.send_signal(number)
    began = time.monotonic()
    _, rest = process.communicate(timeout=PATIENCE_S)

    assert "Narrating 2 photos" in said
    assert process.returncode == status
    assert time.monotonic() - began < 6
    assert "Traceback" not in rest
    assert runs.run().counts.described == 2


STUCK = """
import threading
from flows.engine import run_directly
from flows.stopping import Stop
stop = Stop(lambda line: print(line, flush=True), lambda: print("put away", flush=True))
def body(call, watchers):
    with stop.listening():
        print("begun", flush=True)
        call("speech", 1, threading.Event().wait)
run_directly(body)
"""


def test_the_second_signal_ends_a_run_at_once_whatever_it_does():
    """The stage never ends by itself."""
    process = subprocess.Popen([sys.executable, "-c", STUCK], stdout=subprocess.PIPE, text=True)
    lines = [process.stdout.readline()]
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        lines.append(process.stdout.readline())
    rest = process.stdout.read()
    process.wait(timeout=PATIENCE_S)

    assert lines[0] == "begun\n"
    assert "Once more stops at once" in lines[1]
    assert "Stopped at once" in lines[2]
    assert rest == "put away\n"
    assert process.returncode == 130


def test_a_killed_run_leaves_only_whole_files_and_the_next_one_finishes(runs: Runs):
    make_photos(runs.photos, 40)
    process = start(runs, shard_size=4)
    wait_for(runs.out / "manifest" / "part-000000.parquet", process)
    process.kill()
    process.communicate(timeout=PATIENCE_S)
    done = len(runs.rows())

    summary = runs.run()

    assert summary.counts.taken_over == done
    assert sorted(runs.clips()) == sorted(runs.rows()["audio_path"])


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_under_prefect_ends_the_run_as_it_does_without(runs: Runs, number: signal.Signals, status: int):
    make_photos(runs.photos, 400)
    process = start(runs, shard_size=4, engine="prefect")
    wait_for(runs.out / "manifest" / "part-000000.parquet", process)
    process.send_signal(number)
    out, said = process.communicate(timeout=PATIENCE_S)

    assert process.returncode == status
    assert "Stopping after the batch in hand" in said
    assert "Traceback" not in said
    assert "left for another run" in out.splitlines()[-1]
    assert len(runs.rows()) % 4 == 0
