"""The same run under Prefect and without: same rows, same clips; what Prefect cannot do never ends the run."""

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from narrating import Runs, make_photos, settled_rows
from servers import ask, real_server, runs_into, until

from flows.server import TemporaryServer, configured_api_url

STAGES = ["ingest", "features", "captions", "alt text", "speech", "master and encode", "commit"]


def same(runs: Runs, other: Path) -> bool:
    clips = runs.clips().items()
    return settled_rows(runs.out) == settled_rows(other) and all(
        (other / path).read_bytes() == clip for path, clip in clips
    )


def test_the_default_engine_gives_the_same_rows_and_clips_as_none_and_is_quiet(runs: Runs, tmp_path: Path):
    make_photos(runs.photos, 3)
    plain = runs.out.with_name("plain")
    runs.run(out=plain)

    home = tmp_path / "home"
    home.mkdir()

    result = runs.spawn(engine="prefect", environment={"HOME": str(home)})

    assert result.returncode == 0, result.stderr
    assert result.stderr.splitlines() == ["Narrating 3 photos; loading the captioner and the voice ..."]
    assert same(runs, plain)
    (account,) = (json.loads(path.read_text()) for path in (runs.out / "runs").iterdir())
    assert account["orchestration"] == "prefect, temporary server"
    assert not (home / ".prefect").exists()


def test_a_temporary_server_ends_with_the_process_that_started_it():
    code = "import os; from flows.server import TemporaryServer; server = TemporaryServer();"
    code += "print(server.home, server.wait(), flush=True); os._exit(9)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    home, url = result.stdout.split()
    deadline = time.monotonic() + 300

    while Path(home).exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    with pytest.raises(OSError, match=r"refused|closed|reset"):
        urllib.request.urlopen(f"{url}/health", timeout=5)


def test_a_temporary_server_that_does_not_come_up_is_said_in_one_line_and_the_run_goes_on(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    make_photos(runs.photos, 1)
    monkeypatch.setattr(TemporaryServer, "wait", lambda _self: None)

    summary = runs.run(engine="prefect")

    assert summary.counts.described == 1
    assert "did not come up" in capfd.readouterr().err


def test_an_api_that_cannot_be_reached_is_said_in_one_line_and_the_run_goes_on(runs: Runs):
    make_photos(runs.photos, 1)

    result = runs.spawn(engine="prefect", environment={"PREFECT_API_URL": "http://127.0.0.1:9/api"})

    assert result.returncode == 0
    assert result.stderr.count("\n") == 2
    assert "Prefect cannot be reached" in result.stderr
    assert "1 described" in result.stdout


def test_the_users_own_server_is_found_by_variable_and_by_profile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert configured_api_url() is None
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    (tmp_path / "profiles.toml").write_text(
        'active = "office"\n[profiles.office]\nPREFECT_API_URL = "http://office/api"\n'
    )
    assert configured_api_url() == "http://office/api"
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    assert configured_api_url() == "http://127.0.0.1:4200/api"


def test_a_server_that_dies_in_mid_run_costs_a_line_and_no_photo(runs: Runs, tmp_path: Path):
    make_photos(runs.photos, 60)
    with real_server(tmp_path / "prefect") as (url, server):
        environment = os.environ | {"PREFECT_API_URL": url}
        command = runs.command(engine="prefect", shard_size=4)
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        while not (runs.out / "manifest").is_dir():
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        server.kill()
        out, said = process.communicate(timeout=400)

    assert process.returncode == 0
    assert "60 photos: 60 described" in out.splitlines()[-1]
    assert [line for line in said.splitlines() if "Narrating" not in line and "photos/s" not in line] == [
        next(line for line in said.splitlines() if line.startswith("Prefect is away"))
    ]


def test_a_run_its_tasks_its_progress_and_its_results_are_seen_in_a_real_server(runs: Runs, prefect_server: str):
    """Task runs travel as events, so the last of them may arrive a little after the run."""
    make_photos(runs.photos, 5)
    (runs.photos / "empty.jpg").write_bytes(b"")

    result = runs.spawn(engine="prefect", shard_size=4, environment={"PREFECT_API_URL": prefect_server})

    assert result.returncode == 0, result.stderr
    (flow_run,) = runs_into(prefect_server, runs.out)
    assert flow_run["state_type"] == "COMPLETED"
    assert flow_run["name"].startswith("photos 20")
    assert flow_run["state"]["message"].startswith("6 photos: 5 described")
    of_run = {"flow_runs": {"id": {"any_": [flow_run["id"]]}}}
    expected = sorted(["report", *(f"{stage}, shard {number}" for stage in STAGES for number in (1, 2))])

    def completed() -> list[str]:
        return sorted(task["name"] for task in ask(prefect_server, "task_runs", **of_run) if is_completed(task))

    until(lambda: completed() == expected, 120, "all task runs are completed")
    artifacts = {artifact["key"]: artifact for artifact in ask(prefect_server, "artifacts", **of_run)}
    assert artifacts["narrate-progress"]["data"] == 100.0
    table = json.loads(artifacts["narrate-results"]["data"])
    assert {"status": "refused", "reason": "empty", "photos": 1, "first": "empty.jpg"} in table
    page = artifacts["narrate-summary"]["data"]
    (account,) = (json.loads(path.read_text()) for path in (runs.out / "runs").iterdir())
    assert f"**{6 / account['wall_s']:.2f} photos a second**" in page
    assert "| refused | empty | 1 | `empty.jpg` |" in page
    assert (runs.out / "report" / "index.html").as_uri() in page
    assert set(STAGES) <= {line.split(" | ")[0].removeprefix("| ") for line in page.splitlines()}
    runs.spawn(engine="prefect", environment={"PREFECT_API_URL": prefect_server})
    idle = runs_into(prefect_server, runs.out)[-1]
    assert idle["state"]["message"] == "6 photos: 0 described, 6 taken over from before, 0 refused, 0 failed"
    logs = [line["message"] for line in ask(prefect_server, "logs", logs={"flow_run_id": of_run["flow_runs"]["id"]})]
    assert "Finished in state Completed()" not in logs  # of each stage; the shards have a line each
    assert sorted(line for line in logs if line.startswith("shard ")) == [
        "shard 1: 4 of 6 photos committed, 0 refused, 0 failed",
        "shard 2: 6 of 6 photos committed, 1 refused, 0 failed",
    ]


def is_completed(run: dict[str, Any]) -> bool:
    return bool(run["state_type"] == "COMPLETED")


@pytest.mark.parametrize(("max_failed", "state", "status"), [("1%", "FAILED", 1), ("50%", "COMPLETED", 0)])
def test_a_run_fails_where_more_photos_failed_than_it_puts_up_with(
    runs: Runs, prefect_server: str, max_failed: str, state: str, status: int
):
    make_photos(runs.photos, 2)
    photos = runs.photos.parent / "list.txt"
    photos.write_text("photos/000.png\nphotos/001.png\nphotos/nowhere.png\n")
    settings = {"engine": "prefect", "photos": photos, "max_failed": max_failed}

    result = runs.spawn(environment={"PREFECT_API_URL": prefect_server}, **settings)

    assert result.returncode == status, result.stderr
    (latest,) = runs_into(prefect_server, runs.out)
    assert latest["state_type"] == state
    assert latest["state"]["message"].startswith("3 photos: 2 described")
