"""Voices in Coqui's own format, through our door: what they give in batches, and what is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from speech.coqui import CoquiEngine
from speech.errors import UnspeakableError, VoiceError
from speech.voices import resolve_voice

TEXTS = [
    "a dog runs.",
    "a man in a red shirt stands on a rock beside the sea, looking at the birds that fly over the waves.",
    "i",
    "two girls.",
    "a",
    "a white horse, a brown horse and a grey horse in a green field.",
]
SINGLE = torch.float32


@pytest.fixture
def make(make_coqui: ModuleType) -> ModuleType:
    return make_coqui


@pytest.fixture(autouse=True)
def in_single_precision(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("speech.hifigan.fastest_precision", lambda _device: SINGLE)


def load(folder: Path, batch_frames: int = 4000, **choice: str) -> CoquiEngine:
    return CoquiEngine.load(resolve_voice(str(folder), **choice), batch_frames=batch_frames)


def spoken(engine: CoquiEngine, texts: list[str]) -> list[NDArray[np.float32]]:
    return engine.speak([engine.tokens(text) for text in texts])


CASES: dict[str, Callable[[ModuleType], tuple[object, object]]] = {
    "VITS": lambda make: (make.vits(), None),
    "VITS, plain durations": lambda make: (make.vits(use_sdp=False), None),
    "FastPitch": lambda make: (make.forward("fast_pitch"), make.hifigan()),
    "SpeedySpeech": lambda make: (make.forward("speedy_speech"), make.hifigan()),
    "FastSpeech 2": lambda make: (make.forward("fastspeech2"), make.hifigan()),
    "relative position transformers": lambda make: (
        make.forward("fast_pitch", "relative_position_transformer", "relative_position_transformer"),
        make.hifigan(),
    ),
    "WaveNet decoder": lambda make: (make.forward("fast_pitch", "residual_conv_bn", "wavenet"), make.hifigan()),
    "GlowTTS": lambda make: (make.glow(), make.hifigan()),
    "GlowTTS, gated convolutions": lambda make: (make.glow("gated_conv"), make.hifigan()),
    "GlowTTS, separable convolutions": lambda make: (make.glow("time_depth_separable"), make.hifigan()),
    "FastPitch with MelGAN": lambda make: (make.forward("fast_pitch"), make.melgan()),
}


@pytest.mark.parametrize("case", CASES)
def test_a_batch_gives_what_each_sentence_gives_alone(make: ModuleType, tmp_path: Path, case: str):
    folder = make.write(tmp_path / "voice", *CASES[case](make))
    together, alone = load(folder), load(folder, batch_frames=0)
    for text, one, other in zip(TEXTS, spoken(together, TEXTS), spoken(alone, TEXTS), strict=True):
        assert len(one) == len(other) > 0, text
        assert np.abs(one - other).max() < 1e-5, text
        assert np.abs(one).max() > 0.005, "a silent voice proves nothing"


@pytest.mark.parametrize("case", ["VITS, plain durations", "FastPitch", "GlowTTS"])
def test_one_sentence_is_what_the_librarys_own_inference_gives(make: ModuleType, tmp_path: Path, case: str):
    config, vocoder = CASES[case](make)
    if case == "GlowTTS":
        config.inference_noise_scale = 0.0
    if case.startswith("VITS"):
        config.model_args.inference_noise_scale = 0.0
    folder = make.write(tmp_path / "voice", config, vocoder)
    texts = [text for text in TEXTS if len(text) > 1]  # the library's FastPitch fails at a single letter
    ours = spoken(load(folder), texts)
    with make.quiet_imports():
        from TTS.utils.synthesizer import Synthesizer

        files = {"vocoder_checkpoint": str(folder / "vocoder" / "model_file.pth")} if vocoder else {}
        files |= {"vocoder_config": str(folder / "vocoder" / "config.json")} if vocoder else {}
        library = Synthesizer(tts_checkpoint=folder / "model_file.pth", tts_config_path=folder / "config.json", **files)
        theirs = [np.array(library.tts(text, split_sentences=False), np.float32)[:-10000] for text in texts]
    edge = 5 * 256 if vocoder else 0
    for text, one, other in zip(texts, ours, theirs, strict=True):
        assert len(one) + 2 * edge == len(other), text
        assert np.abs(one - other[edge : len(other) - edge]).max() < 1e-4, text


def test_another_attempt_gives_other_noise_and_a_lower_pace_more_time(make: ModuleType, tmp_path: Path):
    engine = load(make.write(tmp_path / "voice", make.vits(use_sdp=False)))
    tokens = [engine.tokens(TEXTS[0])]
    first, again, other = engine.speak(tokens)[0], engine.speak(tokens)[0], engine.speak(tokens, attempt=1)[0]
    assert np.array_equal(first, again)
    assert len(first) == len(other)
    assert not np.array_equal(first, other)
    assert len(engine.speak(tokens, pace=0.8)[0]) > 1.1 * len(first)


@pytest.mark.parametrize("as_pickle", [True, False])
def test_checkpoints_and_safetensors_sound_alike(make: ModuleType, tmp_path: Path, as_pickle: bool):
    folder = make.write(tmp_path / "voice", make.forward(), make.hifigan(), as_pickle=as_pickle)
    wave = spoken(load(folder), TEXTS[:1])[0]
    other = make.write(tmp_path / "other", make.forward(), make.hifigan(), as_pickle=not as_pickle)
    assert np.array_equal(wave, spoken(load(other), TEXTS[:1])[0])


def test_a_model_that_is_not_batched_speaks_one_by_one_and_the_log_says_so_once(
    make: ModuleType, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    folder = make.write(tmp_path / "voice", make.tacotron(), make.hifigan())
    with caplog.at_level("INFO", logger="speech.coqui"):
        engine = load(folder)
        waves = spoken(engine, TEXTS[:3])
    assert [len(wave) > 0 for wave in waves] == [True] * 3
    assert [record.getMessage() for record in caplog.records].count(
        "voice: sentences go through this model one by one"
    ) == 1
    assert np.array_equal(waves[0], spoken(engine, TEXTS[:1])[0])


def test_a_voice_without_a_vocoder_is_made_sound_of_by_rule_the_same_each_time(make: ModuleType, tmp_path: Path):
    engine = load(make.write(tmp_path / "voice", make.forward()), batch_frames=0)
    assert np.array_equal(spoken(engine, TEXTS[:2])[1], spoken(engine, TEXTS[1:2])[0])


def multi_speaker(make: ModuleType, folder: Path) -> Path:
    config = make.vits(use_speaker_embedding=True, use_sdp=False)
    config.speakers = ["anna", "ben"]
    config.model_args.num_speakers = 2
    return make.write(folder, config)


def test_each_speaker_sounds_different_and_is_named_in_the_voice(make: ModuleType, tmp_path: Path):
    folder = multi_speaker(make, tmp_path / "voice")
    anna, ben = (resolve_voice(str(folder), speaker=name) for name in ("anna", "ben"))
    assert (anna.name, anna.digest == ben.digest) == ("voice (anna)", False)
    waves = [spoken(load(folder, speaker=name), TEXTS[:1])[0] for name in ("anna", "ben")]
    assert len(waves[0]) != len(waves[1]) or not np.array_equal(*waves)


def test_a_speaker_must_be_chosen_among_those_there_are(make: ModuleType, tmp_path: Path):
    folder = multi_speaker(make, tmp_path / "voice")
    with pytest.raises(VoiceError, match="several speakers") as caught:
        load(folder)
    assert "--speaker: anna, ben" in caught.value.mend
    with pytest.raises(VoiceError, match="no such speaker"):
        load(folder, speaker="carl")


def multilingual(make: ModuleType, folder: Path) -> Path:
    config = make.vits(use_language_embedding=True, embedded_language_dim=4, use_sdp=False)
    config.languages = ["en", "fr-fr"]
    config.model_args.num_languages = 2
    config.text_cleaner = "multilingual_cleaners"
    return make.write(folder, config)


def test_a_language_must_be_chosen_of_a_voice_with_several(make: ModuleType, tmp_path: Path):
    folder = multilingual(make, tmp_path / "voice")
    with pytest.raises(VoiceError, match="several languages") as caught:
        resolve_voice(str(folder))
    assert "--language: en, fr-fr" in caught.value.mend
    assert resolve_voice(str(folder), language="fr-fr").language == "fr-FR"
    waves = [spoken(load(folder, language=name), TEXTS[:1])[0] for name in ("en", "fr-fr")]
    assert len(waves[0]) != len(waves[1]) or not np.array_equal(*waves)


def test_a_batch_of_a_voice_with_speakers_and_languages_gives_what_each_gives_alone(make: ModuleType, tmp_path: Path):
    config = make.vits(use_speaker_embedding=True, use_language_embedding=True, embedded_language_dim=4)
    config.speakers, config.languages = ["anna", "ben"], ["en", "fr-fr"]
    config.model_args.num_speakers = config.model_args.num_languages = 2
    folder = make.write(tmp_path / "voice", config)
    choice = {"speaker": "ben", "language": "en"}
    together = spoken(load(folder, **choice), TEXTS)
    for one, other in zip(together, spoken(load(folder, 0, **choice), TEXTS), strict=True):
        assert len(one) == len(other)
        assert np.abs(one - other).max() < 1e-5


def test_a_letter_that_the_voice_does_not_know_is_refused_and_a_mark_is_left_out(make: ModuleType, tmp_path: Path):
    engine = load(make.write(tmp_path / "voice", make.vits()))
    with pytest.raises(UnspeakableError, match="does not know ж"):
        engine.tokens("a ж dog")
    assert engine.tokens("a dog\u2019s \u201cball\u201d") == engine.tokens("a dog's ball")
    with pytest.raises(UnspeakableError):
        engine.tokens("...")


def test_weights_that_hold_code_are_refused_and_do_not_run(make: ModuleType, tmp_path: Path):
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    folder = make.write(tmp_path / "voice", make.vits())
    torch.save({"model": {}, "trap": Trap()}, folder / "model_file.pth")
    with pytest.raises(VoiceError, match="code"):
        load(folder)
    assert not (tmp_path / "sprung").exists()


def statistics_voice(make: ModuleType, folder: Path, held: object) -> Path:
    config = make.forward()
    config.audio.signal_norm = True
    made = make.write(folder, config, make.hifigan())
    settings = json.loads((made / "config.json").read_text())
    settings["audio"]["stats_path"] = "/home/trainer/elsewhere/scale_stats.npy"
    (made / "config.json").write_text(json.dumps(settings))
    np.save(made / "scale_stats.npy", np.array(held, dtype=object), allow_pickle=True)
    return made


def test_statistics_of_the_mels_are_read_as_data(make: ModuleType, tmp_path: Path):
    held = {name: np.linspace(1, 2, 80) for name in ("mel_mean", "mel_std")}
    held |= {name: np.linspace(1, 2, 513) for name in ("linear_mean", "linear_std")}
    folder = statistics_voice(make, tmp_path / "voice", held | {"audio_config": {}})
    assert len(spoken(load(folder), TEXTS[:1])[0]) > 0


def test_statistics_that_hold_code_are_refused_and_do_not_run(make: ModuleType, tmp_path: Path):
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path.touch, (tmp_path / "sprung",))

    folder = statistics_voice(make, tmp_path / "voice", {"mel_mean": Trap()})
    (tmp_path / "sprung").unlink(missing_ok=True)
    with pytest.raises(VoiceError, match="as data"):
        load(folder)
    assert not (tmp_path / "sprung").exists()


def test_a_weight_that_does_not_fit_is_refused_with_the_folder(make: ModuleType, tmp_path: Path):
    folder = make.write(tmp_path / "voice", make.vits())
    settings = json.loads((folder / "config.json").read_text())
    settings["model_args"]["hidden_channels"] = 32
    (folder / "config.json").write_text(json.dumps(settings))
    with pytest.raises(VoiceError, match="do not fit") as caught:
        load(folder)
    assert caught.value.where == str(folder)


def test_no_path_in_the_settings_reaches_beyond_the_folder(make: ModuleType, tmp_path: Path):
    folder = multi_speaker(make, tmp_path / "voice")
    settings = json.loads((folder / "config.json").read_text())
    settings["speakers"] = []
    settings["model_args"]["speakers_file"] = "http://127.0.0.1:9/speakers.json"
    (folder / "speakers.json").write_text(json.dumps({"anna": 0, "ben": 1}))
    (folder / "config.json").write_text(json.dumps(settings))
    assert len(spoken(load(folder, speaker="ben"), TEXTS[:1])[0]) > 0
