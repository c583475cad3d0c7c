"""A schedule on a real Prefect server: the deployment, its form, its pool and its automations; then a night."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from narrating import Runs, make_photo, make_photos
from servers import ask, kill_whole, real_server, runs_into, until, worker_command, working

from flows.job import Job

NIGHT_LIMIT_S = 600
"""How long a scheduled run may take to come and go: a minute by the clock, and processes that start."""


def spawn(runs: Runs, command: str, *options: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run `narrate COMMAND` with the settings of `runs`."""
    return subprocess.run(
        scheduling(runs, command, *options), env=os.environ | environment, capture_output=True, text=True,
        timeout=400, check=False,
    )  # fmt: skip


def scheduling(runs: Runs, command: str, *options: str) -> list[str]:
    """Return the command line of `narrate deploy` or `narrate serve`."""
    words = runs.command(*options, engine="prefect")
    words[words.index("run")] = command
    return words


def fields_of(form: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of the one parameter of a form."""
    whole = form["properties"]["job"]
    named = whole.get("$ref") or whole["allOf"][0]["$ref"]
    fields: dict[str, Any] = form["definitions"][named.rsplit("/", 1)[-1]]["properties"]
    return fields


def test_a_deployment_has_a_form_that_explains_every_setting_one_run_at_a_time_and_its_watchers(
    runs: Runs, prefect_server: str
):
    options = ("--name", "forms", "--cron", "0 3 1 1 *", "--timezone", "Europe/Berlin", "--pool", "forms")
    options += ("--notify", "http://127.0.0.1:9/told")

    for _ in range(2):  # the second time renews it
        result = spawn(runs, "deploy", *options, PREFECT_API_URL=prefect_server)
        assert result.returncode == 0, result.stderr
        assert "prefect worker start --pool forms --type process" in result.stdout

    (deployment,) = ask(prefect_server, "deployments", deployments={"name": {"any_": ["forms"]}})
    fields = fields_of(deployment["parameter_openapi_schema"])
    assert {name: field["description"] for name, field in fields.items()} == {
        name: field.description for name, field in Job.model_fields.items()
    }
    assert deployment["parameters"]["job"]["photos"] == str(runs.photos)
    assert Job(**deployment["parameters"]["job"]).voice == runs.settings["voice"]
    assert deployment["global_concurrency_limit"]["limit"] == 1
    assert deployment["concurrency_options"]["collision_strategy"] == "CANCEL_NEW"
    assert [(one["schedule"]["cron"], one["schedule"]["timezone"]) for one in deployment["schedules"]] == [
        ("0 3 1 1 *", "Europe/Berlin")
    ]
    (pool,) = ask(prefect_server, "work_pools", work_pools={"name": {"any_": ["forms"]}})
    assert pool["type"] == "process"
    automations = {one["name"]: one for one in ask(prefect_server, "automations")}
    silent = automations["narrate: a silent run of forms is a crashed one"]["trigger"]
    assert silent["within"] == 540.0
    assert silent["match_related"] == {"prefect.resource.id": f"prefect.deployment.{deployment['id']}"}
    (told,) = automations["narrate: tell of failed runs of forms"]["actions"]
    assert told["type"] == "send-notification"
    assert len(automations) == len(ask(prefect_server, "automations"))


@pytest.mark.parametrize(
    ("command", "options", "url", "says"),
    [
        ("serve", (), "", "PREFECT_API_URL: a schedule needs a Prefect server, and none is set up; start one with"),
        ("deploy", (), "http://127.0.0.1:9/api", "http://127.0.0.1:9/api: the Prefect server cannot be reached"),
        ("deploy", ("--cron", "at night"), None, "schedule at night:"),
        ("serve", ("--notify", "no-such/block"), None, "--notify no-such/block: there is no such notification block"),
    ],
)
def test_what_keeps_a_schedule_from_being_set_up_is_said_in_one_line(
    runs: Runs, prefect_server: str, command: str, options: tuple[str, ...], url: str | None, says: str
):
    environment = {"PREFECT_API_URL": prefect_server if url is None else url}

    result = spawn(runs, command, "--name", "refused", *options, **environment)

    assert result.returncode == 2
    assert result.stderr.startswith(f"narrate: {says}")
    assert result.stderr.count("\n") == 1


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """Start a real PostgreSQL on loopback as Debian packages it; yield the address that Prefect takes."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not programs:
        pytest.skip("no PostgreSQL is installed: apt-get install postgresql")
    user = "postgres" if os.getuid() == 0 else None  # it refuses to be root
    folder.mkdir()
    if user:
        shutil.chown(folder, user)
        for above in folder.parents[:-2]:  # below the system's own folder
            above.chmod(above.stat().st_mode | 0o011)
    data, programs_at = folder / "data", programs[-1].parent
    tool = partial(subprocess.run, cwd=folder, user=user, check=True, stdout=subprocess.DEVNULL, timeout=300)
    tool([programs_at / "initdb", "-D", data, "-U", "prefect", "-A", "trust", "--no-sync"])
    with _free_port() as port:
        options = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder}"
    tool([programs_at / "pg_ctl", "-D", data, "-l", folder / "log", "-w", "-o", options, "start"])
    try:
        tool([programs_at / "createdb", "-h", "127.0.0.1", "-p", port, "-U", "prefect", "prefect"])
        yield f"postgresql+asyncpg://prefect@127.0.0.1:{port}/prefect"
    finally:
        tool([programs_at / "pg_ctl", "-D", data, "-m", "immediate", "stop"])


@contextmanager
def _free_port() -> Iterator[str]:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield str(listener.getsockname()[1])


@contextmanager
def server_on(base: str, folder: Path) -> Iterator[str]:
    """Start a Prefect server on SQLite, or on a real PostgreSQL."""
    if base == "sqlite":
        with real_server(folder / "server") as (url, _):
            yield url
        return
    with postgresql(folder / "base") as address:
        settings = {"PREFECT_API_DATABASE_CONNECTION_URL": address}
        with real_server(folder / "server", **settings) as (url, _):
            assert not (folder / "server" / "prefect.db").exists()
            yield url


def completed(url: str, runs: Runs) -> list[str]:
    """Return the messages of the runs into `runs.out` that are completed, in order."""
    return [run["state"]["message"] for run in runs_into(url, runs.out) if run["state_type"] == "COMPLETED"]


@pytest.mark.slow
@pytest.mark.parametrize("base", ["sqlite", "postgresql"])
def test_a_scheduled_run_on_a_work_pool_picks_up_a_new_photo(runs: Runs, tmp_path: Path, base: str):
    make_photos(runs.photos, 2)
    with server_on(base, tmp_path) as url:
        assert spawn(runs, "deploy", "--cron", "* * * * *", PREFECT_API_URL=url).returncode == 0
        with working(worker_command("narrate"), tmp_path / "worker", PREFECT_API_URL=url):
            first = until(lambda: completed(url, runs), NIGHT_LIMIT_S, "a scheduled run")
            make_photo(runs.photos / "new.png", 99)
            until(lambda: any("1 described" in said for said in completed(url, runs)), NIGHT_LIMIT_S, "the new photo")

        assert first[0] == "2 photos: 2 described, 0 taken over from before, 0 refused, 0 failed"
        assert "3 photos: 1 described, 2 taken over from before, 0 refused, 0 failed" in completed(url, runs)
        assert sorted(runs.rows().index) == ["000.png", "001.png", "new.png"]
        assert all(run["name"].startswith("photos 20") for run in runs_into(url, runs.out) if run["start_time"])


@pytest.mark.slow
def test_serve_does_the_same_in_one_process_and_its_schedule_goes_on_when_it_is_started_again(
    runs: Runs, tmp_path: Path
):
    make_photos(runs.photos, 1)
    with server_on("sqlite", tmp_path) as url:
        command = scheduling(runs, "serve", "--cron", "* * * * *")
        with working(command, tmp_path / "serving", PREFECT_API_URL=url) as process:
            until(lambda: completed(url, runs), NIGHT_LIMIT_S, "a scheduled run")
            process.send_signal(signal.SIGINT)
            process.wait(60)
        (deployment,) = ask(url, "deployments")

    assert not deployment["paused"]
    assert sorted(runs.rows().index) == ["000.png"]


@contextmanager
def ear(folder: Path) -> Iterator[tuple[str, Path]]:
    """Start a web server that takes a POST; yield its address and the file with what it heard, a line each."""
    code = "import http.server, sys\nclass Ear(http.server.BaseHTTPRequestHandler):\n def do_POST(self):\n"
    code += "  heard = self.rfile.read(int(self.headers['content-length']))\n"
    code += "  open(sys.argv[2], 'ab').write(heard + b'\\n')\n"
    code += "  self.send_response(200); self.end_headers()\n"
    code += "http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Ear).serve_forever()\n"
    with _free_port() as port:
        command = [sys.executable, "-c", code, port, str(folder / "heard")]
    with working(command, folder / "ear"):
        yield f"http://127.0.0.1:{port}/", folder / "heard"


def told_of(heard: Path) -> dict[str, str]:
    """Wait for a notification; return it."""
    until(lambda: heard.exists() and heard.read_bytes().endswith(b"\n"), NIGHT_LIMIT_S, "the notification")
    (line,) = heard.read_bytes().splitlines()
    told: dict[str, str] = json.loads(line)
    return told


def begin_by_hand(url: str) -> None:
    """Begin a run of the deployment, as the UI's button does."""
    command = [sys.executable, "-m", "prefect", "deployment", "run", "narrate/nights"]
    subprocess.run(command, env=os.environ | {"PREFECT_API_URL": url}, capture_output=True, timeout=400, check=True)


SELDOM = ("--cron", "0 3 1 1 *")


@pytest.mark.slow
def test_a_failed_night_is_told_to_whoever_was_named(runs: Runs, tmp_path: Path):
    (tmp_path / "list.txt").write_text("photos/nowhere.png\n")
    runs.settings["photos"] = str(tmp_path / "list.txt")
    with ear(tmp_path) as (address, heard), server_on("sqlite", tmp_path) as url:
        assert spawn(runs, "deploy", *SELDOM, "--notify", address, PREFECT_API_URL=url).returncode == 0
        with working(worker_command("narrate"), tmp_path / "worker", PREFECT_API_URL=url):
            begin_by_hand(url)
            told = told_of(heard)

    assert told["subject"] == "narrate: Failed"
    assert "list.txt 20" in told["text"]
    counts = "1 photo: 0 described, 0 taken over from before, 0 refused, 1 failed"
    assert f"{counts}; more than 1% failed (1 vanished)\n{url.removesuffix('/api')}/runs/flow-run/" in told["text"]
    assert "Traceback" not in (tmp_path / "worker" / "log").read_text()


@pytest.mark.slow
def test_a_night_that_was_killed_is_told_to_whoever_was_named(runs: Runs, tmp_path: Path):
    make_photos(runs.photos, 40)
    runs.settings["shard_size"] = 2
    with ear(tmp_path) as (address, heard), server_on("sqlite", tmp_path) as url:
        options = (*SELDOM, "--heartbeat", "30", "--notify", address)
        assert spawn(runs, "deploy", *options, PREFECT_API_URL=url).returncode == 0
        with working(worker_command("narrate"), tmp_path / "worker", PREFECT_API_URL=url) as worker:
            begin_by_hand(url)
            parts = runs.out / "manifest"
            until(lambda: list(parts.glob("part-*.parquet")), NIGHT_LIMIT_S, "a run in mid-run", pause_s=0.05)
            kill_whole(worker)
        told = told_of(heard)

    assert told["subject"] == "narrate: Crashed"
    assert "No sign of life: the run was killed, or its machine is away." in told["text"]
