"""A machine that dies in mid-run: its run is marked Crashed, the slot is free, and the next night finishes the folder.

The times of what happened are written to `benchmarks/zombie.csv`.
"""

import csv
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from narrating import Runs, make_photos
from servers import kill_whole, real_server, runs_into, until, worker_command, working
from test_deploy import spawn

TABLE = Path(__file__).parents[2] / "benchmarks" / "zombie.csv"

PHOTOS = 40


class Watch:
    """Keeps what happened when, in seconds from the first."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.lines: list[tuple[float, str]] = []

    def note(self, what: str) -> None:
        """Take down that this happened now."""
        self.lines.append((round(time.monotonic() - self.began, 1), what))

    def write(self) -> None:
        """Write the table."""
        with TABLE.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(("second", "what happened"))
            writer.writerows(self.lines)


def committed(runs: Runs) -> int:
    """Return how many rows there are."""
    return len(runs.rows()) if list((runs.out / "manifest").glob("part-*.parquet")) else 0


@pytest.mark.faults
def test_a_run_whose_machine_dies_is_crashed_and_the_next_one_finishes_the_folder(runs: Runs, tmp_path: Path):
    make_photos(runs.photos, PHOTOS)
    runs.settings |= {"shard_size": 2, "max_failed": "0"}
    watch = Watch()
    with real_server(tmp_path / "server") as (url, _):

        def ended(state: str) -> list[dict[str, Any]]:
            return [run for run in runs_into(url, runs.out) if run["state_type"] == state]

        deployed = spawn(runs, "deploy", "--cron", "* * * * *", "--heartbeat", "30", PREFECT_API_URL=url)
        assert deployed.returncode == 0, deployed.stderr
        watch.note("deployed: a run every minute, one at a time; heartbeat 30 s, silent for 90 s is crashed")
        with working(worker_command("narrate"), tmp_path / "worker", PREFECT_API_URL=url) as worker:
            until(lambda: committed(runs) >= 2, 900, "a scheduled run in mid-run", pause_s=0.05)
            kill_whole(worker)
            (first,) = ended("RUNNING")  # what it was when nobody was left to say otherwise
        left = committed(runs)
        watch.note(f"killed -9: the worker and its run, {left} of {PHOTOS} photos committed")
        assert 0 < left < PHOTOS
        with working(worker_command("narrate"), tmp_path / "other", PREFECT_API_URL=url):
            watch.note("another worker started")
            until(
                lambda: first["id"] in [run["id"] for run in ended("CRASHED")], 900, "the killed run is marked Crashed"
            )
            watch.note(f"the killed run is Crashed; nights turned away meanwhile: {len(ended('CANCELLED'))}")
            (done, *_) = until(lambda: ended("COMPLETED"), 1800, "a later run ends")
            watch.note(f"the next night is Completed: {done['state']['message']}")

    assert done["state"]["message"].startswith(f"{PHOTOS} photos: {PHOTOS - committed_before(done)} described")
    assert len(runs.rows()) == PHOTOS
    assert runs.spawn(engine="none").stdout.splitlines()[-1].startswith(f"{PHOTOS} photos: 0 described")
    verified = subprocess.run(
        [*runs.command()[:3], "verify", str(runs.out)], capture_output=True, text=True, timeout=400, check=False
    )
    assert verified.returncode == 0, verified.stdout
    watch.write()


def committed_before(run: dict[str, dict[str, str]]) -> int:
    """Return how many photos a run took over from before, by its own words."""
    return int(run["state"]["message"].split(" described, ")[1].split()[0])
