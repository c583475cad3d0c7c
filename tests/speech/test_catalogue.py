import http.server
import io
import json
import socket
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest

from speech import catalogue
from speech.coqui import CoquiEngine
from speech.errors import VoiceError
from speech.voices import resolve_voice

XTTS = "tts_models/multilingual/multi-dataset/xtts_v2"


@pytest.fixture(autouse=True)
def empty_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("TTS_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "home" / "tts"


def test_every_voice_of_the_catalogue_names_its_language_and_licence():
    entries = catalogue.entries()
    assert len(entries) > 60
    assert all(entry.language and entry.licence for entry in entries)
    assert {"tts_models/en/ljspeech/vits", XTTS} <= {entry.name for entry in entries}


@pytest.mark.parametrize(
    ("name", "licence", "restricted"),
    [
        (XTTS, "CPML", True),
        ("tts_models/multilingual/multi-dataset/your_tts", "CC-BY-NC-ND-4.0", True),
        ("tts_models/en/vctk/fast_pitch", "CC-BY-NC-ND-4.0", True),
        ("tts_models/eng/fairseq/vits", "CC-BY-NC-4.0", True),
        ("tts_models/en/jenny/jenny", "custom", True),
        ("tts_models/en/ljspeech/vits", "Apache-2.0", False),
        ("tts_models/es/css10/vits", "BSD-3-Clause", False),
        ("tts_models/en/ljspeech/glow-tts", "MPL", False),
        ("tts_models/be/common-voice/glow-tts", "CC-BY-SA-4.0", False),
    ],
)
def test_a_licence_that_restricts_use_must_be_accepted_by_name(name: str, licence: str, restricted: bool):
    assert catalogue.find(name).licence == licence
    if restricted:
        with pytest.raises(VoiceError, match="restricts") as caught:
            resolve_voice(name, accepted="some-other")
        assert f"--accept-licence {licence}" in caught.value.mend
    with pytest.raises(VoiceError, match="not on this machine"):
        resolve_voice(name, accepted=f"some-other, {licence.lower()}")


def test_a_voice_that_was_not_fetched_is_refused_with_the_command_that_fetches_it():
    with pytest.raises(VoiceError) as caught:
        resolve_voice(XTTS, language="en", accepted="CPML")
    assert caught.value.mend == f"run: narrate voices --fetch {XTTS} --accept-licence CPML"


@pytest.mark.parametrize("name", ["tts_models/en/ljspeech/nothing", "tts_models/xx/y/z", "tts_models///"])
def test_a_name_that_the_catalogue_does_not_have_is_refused(name: str):
    with pytest.raises(VoiceError, match="no such voice"):
        resolve_voice(name)


def test_the_librarys_question_is_never_reached(tmp_path: Path):
    (tmp_path / "photos").mkdir()
    command = [sys.executable, "-m", "flows", "run", str(tmp_path / "photos"), str(tmp_path / "out"), "--voice", XTTS]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "--accept-licence CPML" in done.stderr


def test_the_list_shows_each_voice_with_its_licence():
    done = subprocess.run(
        [sys.executable, "-m", "flows", "voices", "--all"], capture_output=True, text=True, check=True, timeout=60
    )
    lines = {line.split()[0]: line for line in done.stdout.splitlines()}
    assert "Apache-2.0 AND MIT" in lines["narrator"]
    assert "CPML (needs --accept-licence CPML)" in lines[XTTS]
    assert "Apache-2.0" in lines["tts_models/en/ljspeech/vits"]
    assert "espeak:LANGUAGE" in lines
    assert done.stderr == ""


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    folder = tmp_path / "site"
    folder.mkdir()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def offer(tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch, licence: str = "apache 2.0") -> str:
    item = {"github_rls_url": f"{address}/tts_models--en--tiny--vits.zip", "license": licence, "default_vocoder": None}
    models = tmp_path / f"models-{licence.replace(' ', '')}.json"
    models.write_text(json.dumps({"tts_models": {"en": {"tiny": {"vits": item}}}}))
    monkeypatch.setattr(catalogue, "_models_file", lambda: models)
    return "tts_models/en/tiny/vits"


def test_a_fetched_voice_speaks_and_its_row_gets_the_catalogues_licence(
    make_coqui: ModuleType, site: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_cache: Path
):
    made = make_coqui.write(tmp_path / "made", make_coqui.vits())
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in made.iterdir():
            archive.write(path, f"tts_models--en--tiny--vits/{path.name}")
    (site[0] / "tts_models--en--tiny--vits.zip").write_bytes(packed.getvalue())
    name = offer(tmp_path, site[1], monkeypatch)
    assert catalogue.fetch(name) == empty_cache / "tts_models--en--tiny--vits"
    voice = resolve_voice(name)
    assert (voice.name, voice.language, voice.licence) == (name, "en", "Apache-2.0")
    engine = CoquiEngine.load(voice)
    assert len(engine.speak([engine.tokens("a dog")])[0]) > 0
    assert [path.name for path in empty_cache.iterdir()] == ["tts_models--en--tiny--vits"]


def test_a_failed_fetch_says_so_and_leaves_nothing(
    site: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_cache: Path
):
    name = offer(tmp_path, site[1], monkeypatch)
    with pytest.raises(VoiceError, match="could not be fetched: 404"):
        catalogue.fetch(name)
    assert list(empty_cache.iterdir()) == []


def test_a_far_end_that_does_not_answer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(catalogue, "TIMEOUT_S", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        name = offer(tmp_path, f"http://127.0.0.1:{mute.getsockname()[1]}", monkeypatch)
        with pytest.raises(VoiceError, match="could not be fetched"):
            catalogue.fetch(name)


def test_a_restricted_voice_is_not_even_fetched_before_its_licence_is_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_cache: Path
):
    name = offer(tmp_path, "http://127.0.0.1:9", monkeypatch, licence="CC BY-NC 4.0")
    with pytest.raises(VoiceError, match="restricts"):
        catalogue.fetch(name)
    assert not empty_cache.exists()
