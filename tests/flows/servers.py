"""A real Prefect server on loopback, its worker, and what its API knows."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import psutil

Found = TypeVar("Found")


def until(found: Callable[[], Found], limit_s: float, what: str, pause_s: float = 1.0) -> Found:
    """Return what `found` gives as soon as that is something; fail where it is nothing for `limit_s` seconds.

    It is asked every `pause_s` seconds: a server on SQLite that is asked ten times a second has time for nothing else.
    """
    deadline = time.monotonic() + limit_s
    while not (answer := found()):
        assert time.monotonic() < deadline, f"not within {limit_s} s: {what}"
        time.sleep(pause_s)
    return answer


@contextmanager
def real_server(home: Path, **settings: str) -> Iterator[tuple[str, "subprocess.Popen[bytes]"]]:
    """Start a real `prefect server start` on loopback, its files under `home`."""
    home.mkdir(exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    quiet = {"PREFECT_HOME": str(home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (home / "log").open("w") as log:
        process = subprocess.Popen(command, env=os.environ | quiet | settings, stdout=log, stderr=log)
        try:
            url = f"http://127.0.0.1:{port}/api"
            until(lambda: _answers(url, process), 300, f"an answer of the server; {home / 'log'}")
            yield url, process
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(30)
            process.kill()
            process.wait()


def _answers(url: str, process: "subprocess.Popen[bytes]") -> bool:
    assert process.poll() is None, "the server ended"
    with suppress(OSError), urllib.request.urlopen(f"{url}/health", timeout=5):
        return True
    return False


def ask(url: str, kind: str, **filters: Any) -> list[dict[str, Any]]:
    """Return what Prefect's API finds of a kind."""
    body = json.dumps(filters or {}).encode()
    request = urllib.request.Request(f"{url}/{kind}/filter", body, {"Content-Type": "application/json"})
    for left in reversed(range(10)):
        try:
            with urllib.request.urlopen(request, timeout=300) as answer:
                found: list[dict[str, Any]] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            if error.code not in (500, 503) or left == 0:  # "database is locked", on a busy machine
                raise
        time.sleep(5)
    return []


def runs_into(url: str, out: Path) -> list[dict[str, Any]]:
    """Return the flow runs that narrate into `out`, in the order of their beginnings."""
    found = [run for run in ask(url, "flow_runs") if run["parameters"].get("job", {}).get("out") == str(out)]
    return sorted(found, key=lambda run: run["start_time"] or run["expected_start_time"])


@contextmanager
def working(command: list[str], home: Path, **settings: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a process that lasts, such as a worker, and end it and all of its children at the end."""
    home.mkdir(exist_ok=True)
    environment = os.environ | {"PREFECT_HOME": str(home), "DO_NOT_TRACK": "1"} | settings
    with (home / "log").open("a") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield process
        finally:
            kill_whole(process)


def kill_whole(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process with its children and theirs, as a power cut does."""
    with suppress(psutil.NoSuchProcess):
        family = [process.pid, *(child.pid for child in psutil.Process(process.pid).children(recursive=True))]
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    process.wait()


def worker_command(pool: str) -> list[str]:
    """Return the command of a process worker."""
    return [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process"]
