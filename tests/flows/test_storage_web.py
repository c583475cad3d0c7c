"""Lists of web addresses, read from a real server on loopback, and addresses with secrets in them."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from narrating import make_photos

from flows import storage
from flows.addresses import public_address
from flows.errors import FlowError
from flows.inputs import list_photos
from flows.opening import open_uri
from flows.paths import clip_path


class Quiet(SimpleHTTPRequestHandler):
    """Serves a folder; `busy` counts the times that it still answers 503."""

    busy = 0
    asked: list[str] = []  # noqa: RUF012 - shared by the handlers of one test on purpose

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        if type(self).busy:
            type(self).busy -= 1
            self.send_error(503)
        elif "denied" in self.path:
            self.send_error(403)
        else:
            super().do_GET()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def web(tmp_path: Path) -> Iterator[str]:
    Quiet.busy, Quiet.asked = 0, []
    folder = tmp_path / "web"
    make_photos(folder, 2)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_list_of_web_addresses_is_read_and_no_signature_is_kept(web: str, tmp_path: Path):
    listed = tmp_path / "list.txt"
    listed.write_text(f"{web}/000.png?size=2&X-Amz-Signature=hunter2&token=hunter2\n{web}/001.png\n{web}/gone.png\n")

    first, second, gone = list_photos(str(listed)).sources(Path("nowhere"))

    assert [source.id for source in (first, second, gone)] == ["000.png", "001.png", "gone.png"]
    assert first.uri == f"{web}/000.png?size=2"
    assert "hunter2" in first.fetched_by
    assert first.size_bytes == (tmp_path / "web" / "000.png").stat().st_size
    assert int(first.mtime.timestamp()) == int((tmp_path / "web" / "000.png").stat().st_mtime)
    assert open_uri(first.fetched_by, 64).format == "png"
    assert isinstance(open_uri(gone.fetched_by, 64), FileNotFoundError)


def test_a_web_server_that_is_busy_is_asked_again_and_one_that_denies_is_not(web: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tenacity.nap.time.sleep", lambda _seconds: None)
    Quiet.busy = 3
    assert storage.read(f"{web}/000.png").startswith(b"\x89PNG")
    assert len(Quiet.asked) == 4

    with pytest.raises(PermissionError, match="denies access"):
        storage.read(f"{web}/denied.png?sig=hunter2")
    assert len(Quiet.asked) == 5


def test_a_web_folder_is_refused_and_a_web_output_too():
    with pytest.raises(FlowError, match="cannot be listed like a folder; give a list"):
        list_photos("https://example.org/photos/")
    with pytest.raises(FlowError, match="nothing can be written to a web address"):
        storage.folder_at("https://example.org/out")


def test_a_protocol_whose_package_is_not_there_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    import fsspec

    def missing(protocol: str, **_: Any) -> None:
        raise ImportError(f"Install {protocol}fs")

    monkeypatch.setattr(fsspec, "filesystem", missing)
    storage._file_system.cache_clear()
    with pytest.raises(FlowError, match=r"pip install 'image-narrator\[s3\]'"):
        storage.folder_at("s3://bucket/out")
    storage._file_system.cache_clear()


@given(
    secret=st.text("abcdefgh", min_size=6).map(lambda text: f"qq{text}"),
    name=st.sampled_from(["X-Amz-Credential", "sig", "AWSAccessKeyId", "Signature", "access_token", "Policy", "key"]),
)
def test_no_secret_of_a_signed_address_is_shown(secret: str, name: str):
    shown = public_address(f"https://user:{secret}@host.example/a.jpg?width=3&{name}={secret}#{secret}")

    assert shown == "https://host.example/a.jpg?width=3"


def test_a_folder_that_is_called_like_a_clip_is_in_nobodys_way():
    assert clip_path("a.jpg", "mp3") == "audio/a.jpg.mp3"
    assert not clip_path("a.jpg.mp3/b.jpg", "mp3").startswith("audio/a.jpg.mp3/")


@given(parts=st.lists(st.sampled_from(["..", ".", "", "a", "a.mp3", "b"]), min_size=1, max_size=5))
def test_whatever_an_object_is_called_its_clip_lies_below_audio(parts: list[str]):
    path = Path("/out") / clip_path("/".join(parts), "mp3")

    assert path.is_relative_to("/out/audio")
    assert ".." not in path.parts
