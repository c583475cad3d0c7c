"""Captioners of the Hugging Face Hub by name: fetched where that is asked for, used without a network ever after."""

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from make_public_captioners import public_captioner
from narrating import Runs, make_photos

from captioner.weights import describe

COMMIT = "c0ffee" + "0" * 34


class Hub(BaseHTTPRequestHandler):
    """As much of the Hub as fetching a repository takes; the repository is `tiny/git`, its files those of a folder."""

    def __init__(self, folder: Path, *given: object) -> None:
        self.folder = folder
        super().__init__(*given)  # type: ignore[arg-type]

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self.wfile.write(self._answer())

    def _answer(self) -> bytes:
        place = self.path.partition("?")[0]
        files = {path.name: path.read_bytes() for path in sorted(self.folder.iterdir())}
        tree = [
            {"type": "file", "path": name, "size": len(data), "oid": oid(name, data)} for name, data in files.items()
        ]
        known = {
            f"/tiny/git/resolve/{COMMIT}/{name}": (data, {"ETag": f'"{oid(name, data)}"', "X-Repo-Commit": COMMIT})
            for name, data in files.items()
        }
        known |= {f"/api/models/tiny/git/tree/{one}": (json.dumps(tree).encode(), {}) for one in ("main", COMMIT)}
        about = {"id": "tiny/git", "sha": COMMIT, "siblings": [{"rfilename": name} for name in files]}
        known["/api/models/tiny/git/revision/main"] = (json.dumps(about).encode(), {})
        body, headers = known.get(place, (b"", {"X-Error-Code": "RepoNotFound", "X-Error-Message": "no such one"}))
        self.send_response(200 if place in known else 404)
        for name, value in (headers | {"Content-Length": str(len(body)), "Content-Type": "application/json"}).items():
            self.send_header(name, value)
        self.end_headers()
        return body

    def log_message(self, *_: object) -> None:
        pass


def oid(name: str, data: bytes) -> str:
    """Return what the Hub calls a file: weights by their SHA-256, small files as git does."""
    kind = hashlib.sha256 if name.endswith(".safetensors") else hashlib.sha1
    return kind(data).hexdigest()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Give each test a cache of the Hub of its own."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub" / "hub"))


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[str]:
    """Serve a tiny captioner as the Hub would; gives the address."""
    folder = public_captioner("git", tmp_path / "git")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Hub, folder))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


def narrate(*words: str, hub: str) -> "subprocess.CompletedProcess[str]":
    """Run a command to which the Hub is at an address."""
    command = [sys.executable, "-m", "flows", *words]
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    environment["HF_ENDPOINT"] = hub
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240, check=False)


def test_a_captioner_is_fetched_by_name_listed_and_used_without_a_network(hub: str, runs: Runs, tmp_path: Path):
    fetched = narrate("captioners", "--fetch", "hf:tiny/git", hub=hub)
    assert fetched.returncode == 0, fetched.stderr
    listed = narrate("captioners", hub="http://127.0.0.1:9")
    make_photos(runs.photos, 2)
    runs.run(captioner="hf:tiny/git")

    assert "its licence: bsd-3-clause" in fetched.stdout
    assert "hf:tiny/git" in listed.stdout
    assert "bsd-3-clause" in listed.stdout
    assert set(runs.rows()["captioner"]) == {"hf:tiny/git"}
    assert set(runs.rows()["captioner_licence"]) == {"bsd-3-clause"}
    assert set(runs.rows()["captioner_digest"]) == {describe(tmp_path / "git").digest}


def test_what_is_not_here_is_told_with_the_command_that_fetches_it(runs: Runs):
    make_photos(runs.photos, 1)

    result = runs.spawn(captioner="hf:tiny/git", environment={"HF_ENDPOINT": "http://127.0.0.1:9"})

    assert result.returncode == 2
    assert "hf:tiny/git: this captioner is not on this machine" in result.stderr
    assert "narrate captioners --fetch hf:tiny/git" in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 3


@pytest.mark.parametrize("name", ["hf:tiny/other", "hf:tiny"])
def test_what_cannot_be_fetched_is_said_in_a_line(hub: str, name: str):
    result = narrate("captioners", "--fetch", name, hub=hub)

    assert result.returncode == 2
    assert name in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 3


def test_fetching_without_a_network_ends_with_a_line():
    result = narrate("captioners", "--fetch", "hf:tiny/git", hub="http://127.0.0.1:9")

    assert result.returncode == 2
    assert "hf:tiny/git: it cannot be fetched" in result.stderr
    assert len(result.stderr.strip().splitlines()) <= 3
