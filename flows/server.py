"""Prefect's own server for the length of one run: a home of its own, on loopback, gone when the run is.

Run as `python -m flows.server HOME` it serves until its standard input closes, so that it can never outlive the run
that started it, however that ends.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import tomllib
import urllib.request
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Self

START_LIMIT_S = 120.0
"""How long a run waits for the temporary server before it goes on without one."""


def configured_api_url() -> str | None:
    """Return the Prefect API that the user set up: by PREFECT_API_URL, `prefect.toml` here, or the active profile."""
    if url := os.environ.get("PREFECT_API_URL"):
        return url
    if url := _read_toml(Path("prefect.toml")).get("api", {}).get("url"):
        return str(url)
    home = Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()
    profiles = _read_toml(Path(os.environ.get("PREFECT_PROFILES_PATH", home / "profiles.toml")))
    active = os.environ.get("PREFECT_PROFILE", profiles.get("active", ""))
    url = profiles.get("profiles", {}).get(active, {}).get("PREFECT_API_URL")
    return str(url) if url else None


class TemporaryServer:
    """A Prefect server in a process of its own; started at once, waited for when it is needed."""

    def __init__(self) -> None:
        """Start the server; returns before it answers."""
        self.home = Path(tempfile.mkdtemp(prefix="narrate-prefect-"))
        self._began = monotonic()
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        environment |= {"PREFECT_HOME": str(self.home), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        environment |= {"PREFECT_UI_ENABLED": "0", "PREFECT__SERVER_EPHEMERAL": "1", "DO_NOT_TRACK": "1"}
        with (self.home / "server.log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own module, our own interpreter
                [sys.executable, "-P", "-m", "flows.server", str(self.home)],  # -P: no code from the user's folder
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
                start_new_session=True,  # Ctrl-C on the terminal is the run's business alone
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait(self, limit_s: float = START_LIMIT_S) -> str | None:
        """Return the API's address once the server answers; None where it does not within `limit_s` of its start."""
        port = self._read_port(limit_s)
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # loopback is no proxy's business
        while port and self._left(limit_s) > 0 and self._process.poll() is None:
            url = f"http://127.0.0.1:{port}/api"
            with suppress(OSError), direct.open(f"{url}/health", timeout=self._left(limit_s)):
                return url
            sleep(0.1)
        return None

    def last_words(self) -> str:
        """Return the last line that the server wrote to its log."""
        lines = (self.home / "server.log").read_text(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "it said nothing")

    def stop(self) -> None:
        """End the server and remove its home."""
        with suppress(OSError):
            if self._process.stdin is not None:
                self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def _read_port(self, limit_s: float) -> str:
        """Return the port that the server writes as its first line; empty where it does not."""
        answer: list[bytes] = []
        stdout = self._process.stdout
        if stdout is None:
            return ""
        reader = threading.Thread(target=lambda: answer.append(stdout.readline()), daemon=True)
        reader.start()
        reader.join(max(0.0, self._left(limit_s)))
        return answer[0].decode().strip() if answer else ""

    def _left(self, limit_s: float) -> float:
        return limit_s - (monotonic() - self._began)


def serve(home: Path) -> None:
    """Serve Prefect's API on a free loopback port, its number on standard output, until standard input closes."""
    listener = socket.create_server(("127.0.0.1", 0))
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    threading.Thread(target=_end_with_parent, args=(home,), daemon=True).start()
    import uvicorn
    from prefect.server.api.server import create_app

    config = uvicorn.Config(create_app, factory=True, log_level="error", lifespan="on")
    uvicorn.Server(config).run(sockets=[listener])


def _end_with_parent(home: Path) -> None:
    sys.stdin.buffer.read()
    shutil.rmtree(home, ignore_errors=True)
    os._exit(0)


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
