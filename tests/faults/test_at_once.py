"""Two at work on one output folder: the second run says who holds it, and a killed run's lock holds nobody up."""

import os
import signal
from pathlib import Path

import pandas as pd
import pytest
from filelock import FileLock, Timeout
from killing import Forks, narrate
from narrating import Runs, make_photos


@pytest.fixture
def runs(workplace: Path, curt_captioner: Path, tiny_voice: Path) -> Runs:
    """Return quick runs over an empty folder of photos."""
    runs = Runs(workplace, curt_captioner, tiny_voice)
    runs.settings |= {"format": "wav", "shard_size": 4}
    return runs


def test_the_second_run_says_who_holds_the_folder_and_a_killed_runs_lock_holds_nobody_up(runs: Runs, forks: Forks):
    make_photos(runs.photos, 40)
    first = forks.start(runs.out, runs.out.with_suffix(".trace"), narrate, runs.settings)
    assert first.begun.wait(60)
    while not (runs.out / "manifest").is_dir():
        assert first.process.is_alive(), first.said()
    os.kill(first.process.pid, signal.SIGSTOP)
    second = runs.spawn()
    os.killpg(first.process.pid, signal.SIGKILL)

    assert first.end() == -9
    assert second.returncode == 2
    assert f"process {first.process.pid} on" in second.stderr
    assert "is at work in this output folder; wait for it, or choose another" in second.stderr
    assert runs.run().counts.found == 40
    assert len(runs.rows()) == 40


def test_of_runs_that_start_at_the_same_moment_one_works_and_the_others_say_who(runs: Runs, forks: Forks):
    make_photos(runs.photos, 40)
    forked = [
        forks.start(runs.out, runs.out.with_suffix(f".trace-{number}"), narrate, runs.settings) for number in range(4)
    ]
    ends = [fork.end() for fork in forked]
    refused = [fork.said() for fork, end in zip(forked, ends, strict=True) if end]

    assert sorted(ends) == [0, 1, 1, 1]
    assert all("is at work in this output folder" in said for said in refused), refused
    assert len(pd.read_parquet(runs.out / "manifest")) == 40


def test_a_run_does_not_take_the_lock_of_people_who_decide(runs: Runs):
    make_photos(runs.photos, 1)
    place = runs.out / ".narrate" / "reviews.lock"
    place.parent.mkdir(parents=True)
    with FileLock(place):
        runs.run()
        with pytest.raises(Timeout):
            FileLock(place).acquire(timeout=0)
