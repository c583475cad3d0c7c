"""The same run on a cluster's workers as in one process: same rows, same clips, models loaded once a worker."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from narrating import Runs, make_photo, make_photos, settled_rows
from servers import ask, runs_into, until


@pytest.fixture(scope="module")
def dask_cluster() -> Iterator[Any]:
    """Return a Dask cluster of two processes on loopback."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        yield cluster


def some_of_each(runs: Runs) -> None:
    """Write photos of every fate: new, copied in other shards, broken, a person's words, decorative."""
    make_photos(runs.photos, 7)
    (runs.photos / "copy-of-0.png").write_bytes((runs.photos / "000.png").read_bytes())
    (runs.photos / "zz-copy-of-6.png").write_bytes((runs.photos / "006.png").read_bytes())
    (runs.photos / "empty.jpg").write_bytes(b"")
    table = runs.photos.parent / "own.csv"
    table.write_text("id,alt_text,decorative\n003.png,Two swans on a lake.,\n004.png,,yes\n")
    runs.settings |= {"shard_size": 2, "table": str(table)}


def account(out: Path) -> dict[str, Any]:
    """Return what the latest run kept of itself."""
    found: dict[str, Any] = json.loads(max((out / "runs").iterdir()).read_text())
    return found


def is_same(runs: Runs, plain: Path) -> bool:
    """Return whether rows and clips are those of another folder."""
    clips = all((plain / path).read_bytes() == clip for path, clip in runs.clips().items())
    return clips and settled_rows(runs.out) == settled_rows(plain)


@pytest.mark.slow
def test_a_dask_cluster_of_two_processes_gives_the_rows_and_clips_of_one_process(
    runs: Runs, prefect_server: str, dask_cluster: Any
):
    some_of_each(runs)
    plain = runs.out.with_name("plain")
    runs.run(out=plain)
    environment = {"PREFECT_API_URL": prefect_server}
    settings = {"engine": "prefect", "runner": "dask", "address": dask_cluster.scheduler_address}

    result = runs.spawn(environment=environment, **settings)

    assert result.returncode == 0, result.stderr
    assert [line for line in result.stderr.splitlines() if "photos/s" not in line] == [
        f"Narrating 10 photos by dask ({dask_cluster.scheduler_address}) ..."
    ]
    assert is_same(runs, plain)
    workers = account(runs.out)["workers"]
    assert sum(shards for shards, _ in workers.values()) >= 3
    assert all(loads == 1 for _, loads in workers.values())
    (flow_run,) = runs_into(prefect_server, runs.out)
    of_run = {"flow_runs": {"id": {"any_": [flow_run["id"]]}}}

    def tasks() -> set[str]:
        return {task["name"] for task in ask(prefect_server, "task_runs", **of_run)}

    until(lambda: {"ingest, shard 1", "narrate, shard 1", "commit, shard 1"} <= tasks(), 120, "its task runs")
    (runs.photos / "again.png").write_bytes((runs.photos / "005.png").read_bytes())
    make_photo(runs.photos / "new.png", 99)
    runs.settings["policy"] = "short-125"

    again = runs.spawn(environment=environment, **settings)

    assert again.returncode == 0, again.stderr
    assert account(runs.out)["captioned"] == 1
    runs.run(out=plain)
    assert is_same(runs, plain)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"engine": "none"},
            "--runner dask: the workers of a cluster are called by Prefect",
        ),
        ({"engine": "prefect", "address": "tcp://127.0.0.1:9"}, "--address tcp://127.0.0.1:9: the dask cluster cannot"),
    ],
)
def test_what_keeps_a_cluster_from_being_used_is_said_in_one_line(runs: Runs, settings: dict[str, str], says: str):
    make_photos(runs.photos, 1)

    result = runs.spawn(runner="dask", environment={"PREFECT_API_URL": "http://127.0.0.1:9/api"}, **settings)

    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith(f"narrate: {says}")


@pytest.mark.slow
def test_a_local_ray_gives_the_rows_and_clips_of_one_process(runs: Runs):
    some_of_each(runs)
    plain = runs.out.with_name("plain")
    runs.run(out=plain)

    result = subprocess.run(
        runs.command(engine="prefect", runner="ray", workers=2),
        capture_output=True,
        text=True,
        timeout=1200,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    assert all("Narrating" in line or "photos/s" in line for line in result.stderr.splitlines())
    assert is_same(runs, plain)
    assert all(loads == 1 for _, loads in account(runs.out)["workers"].values())


def workers_of(process: psutil.Process, runner: str) -> list[psutil.Process]:
    """Return the processes of a run that are at a shard."""
    family = process.children(recursive=True)
    if runner == "ray":
        return [one for one in family if one.cmdline() and one.cmdline()[0].startswith("ray::narrate")]
    return [one for one in family if "from multiprocessing.spawn" in " ".join(one.cmdline())]


@pytest.mark.slow
@pytest.mark.parametrize("runner", ["dask", "ray"])
def test_a_worker_that_dies_leaves_its_shard_to_another(runs: Runs, runner: str):
    make_photos(runs.photos, 24)
    runs.settings["shard_size"] = 2
    plain = runs.out.with_name("plain")
    runs.run(out=plain)
    command = runs.command(engine="prefect", runner=runner, workers=2)
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: list((runs.out / "manifest").glob("part-*")) or process.poll() is not None, 900, "a shard", 0.05)
        assert process.poll() is None, process.communicate()
        victim = until(lambda: workers_of(psutil.Process(process.pid), runner), 300, "a worker at work")[0]
        os.kill(victim.pid, signal.SIGKILL)
        out, said = process.communicate(timeout=1200)

    assert process.returncode == 0, said
    assert "24 photos: 24 described" in out.splitlines()[-1]
    assert is_same(runs, plain)
    assert len(account(runs.out)["workers"]) >= 2
