import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from speech import espeak
from speech.engines import load_engine
from speech.errors import UnspeakableError, VoiceError
from speech.speaking import Speaker
from speech.voices import resolve_voice


@pytest.fixture
def no_program(monkeypatch: pytest.MonkeyPatch):
    espeak.program.cache_clear()
    monkeypatch.setenv("PATH", "/nowhere")
    yield
    espeak.program.cache_clear()


def test_a_language_is_spoken_the_same_each_time_and_among_others():
    engine = load_engine(resolve_voice("espeak:cy"))
    texts = [engine.tokens(text) for text in ("Bore da.", "Ci mawr ar y traeth.", "Bore da.")]
    waves = engine.speak(texts)
    assert np.array_equal(waves[0], waves[2])
    assert np.array_equal(waves[1], engine.speak(texts[1:2])[0])
    assert 0.5 < len(waves[1]) / espeak.SAMPLE_RATE_HZ < 4


def test_a_lower_pace_is_slower():
    engine = load_engine(resolve_voice("espeak:en-us"))
    tokens = [engine.tokens("A brown dog runs over the green grass.")]
    assert len(engine.speak(tokens, pace=0.7)[0]) > 1.2 * len(engine.speak(tokens)[0])


def test_it_goes_the_speakers_way():
    speaker = Speaker.load("espeak:en-us")
    assert (speaker.voice.language, speaker.voice.name) == ("en-US", "espeak:en-us")
    assert not isinstance(speaker.speak(["Two girls sit on a bench."])[0], Exception)


def test_a_variant_is_another_voice():
    plain, other = resolve_voice("espeak:en-us"), resolve_voice("espeak:en-us", speaker="f3")
    assert plain.digest != other.digest
    sounds = [load_engine(voice).speak([[*map(ord, "A dog.")]])[0] for voice in (plain, other)]
    assert len(sounds[0]) != len(sounds[1]) or not np.array_equal(*sounds)


def test_a_text_that_looks_like_an_option_or_a_path_is_only_text():
    engine = load_engine(resolve_voice("espeak:en-us"))
    assert len(engine.speak([engine.tokens("--version")])[0]) > 0
    with pytest.raises(UnspeakableError):
        engine.tokens("--")


@pytest.mark.parametrize("name", ["espeak:", "espeak:xx", "espeak:en-xx", "espeak:../en"])
def test_a_language_that_it_does_not_speak_is_refused_with_what_to_choose(name: str):
    with pytest.raises(VoiceError, match="does not speak") as caught:
        resolve_voice(name)
    assert caught.value.mend


@pytest.mark.usefixtures("no_program")
def test_where_the_program_is_missing_the_mend_is_named():
    with pytest.raises(VoiceError, match="not installed") as caught:
        resolve_voice("espeak:en-us")
    assert "apt install espeak-ng" in caught.value.mend


def test_another_language_than_the_captions_is_refused_before_work(tmp_path: Path):
    (tmp_path / "photos").mkdir()
    command = [sys.executable, "-m", "flows", "run", str(tmp_path / "photos"), str(tmp_path / "out")]
    done = subprocess.run([*command, "--voice", "espeak:cy"], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2
    assert "speaks cy" in done.stderr
    assert "choose a voice of the captions' language" in done.stderr
    assert not (tmp_path / "out").exists()
