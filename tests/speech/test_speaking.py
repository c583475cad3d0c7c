# ruff: noqa: RUF001 - the sounds are letters of the IPA

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from speech import acoustic
from speech.coqui import CoquiEngine, plan_batches
from speech.errors import SpeechError, UnspeakableError, VoiceError
from speech.lexicon import Entry, Lexicon
from speech.mastering import trim
from speech.records import Spoken, Waveform
from speech.speaking import Manner, Speaker
from speech.voices import resolve_voice

SHORT_AND_LONG = [
    "I",
    "A dog runs.",
    "A man in a red shirt stands on a rock beside the sea, looking at the birds that fly over the waves and the boats.",
    "a",
    "Two girls.",
    "A very long caption that goes on and on about a white horse, a brown horse and a grey horse in a green field.",
]


def waveform(result: object) -> Waveform:
    assert isinstance(result, Spoken), result
    return result.waveform


def test_neighbours_change_not_a_bit_of_a_clip(speaker: Speaker):
    together = [waveform(result) for result in speaker.speak(SHORT_AND_LONG)]
    for text, among_others in zip(SHORT_AND_LONG, together, strict=True):
        assert np.array_equal(waveform(speaker.speak([text])[0]).samples, among_others.samples)


@pytest.fixture(scope="module")
def engine(tiny_voice_folder: Path) -> CoquiEngine:
    return CoquiEngine.load(resolve_voice(str(tiny_voice_folder)))


@pytest.fixture(scope="module")
def acoustic_model(tiny_voice_folder: Path) -> acoustic.ForwardTTS:
    settings = json.loads((tiny_voice_folder / "config.json").read_text())["acoustic"]
    model, _ = acoustic.build(settings)
    model.load_state_dict(load_file(tiny_voice_folder / "model.safetensors"))
    return model.eval()


def test_padding_would_be_heard_without_the_lengths(engine: CoquiEngine, acoustic_model: acoustic.ForwardTTS):
    short, long = engine.tokens("A dog runs."), engine.tokens(SHORT_AND_LONG[2])
    alone = acoustic.predict_mels(acoustic_model, [short])[0]
    padded = acoustic_model.inference(torch.tensor([short + [0] * (len(long) - len(short))]))["model_outputs"][0].T
    assert (alone - padded[:, : alone.shape[1]]).abs().max() > 1e-3


def test_the_librarys_own_inference_agrees_for_one_text(engine: CoquiEngine, acoustic_model: acoustic.ForwardTTS):
    tokens = engine.tokens(SHORT_AND_LONG[2])
    ours = acoustic.predict_mels(acoustic_model, [tokens])[0]
    theirs = acoustic_model.inference(torch.tensor([tokens]))["model_outputs"][0].T
    assert ours.shape == theirs.shape
    assert (ours - theirs).abs().max() < 1e-4


def test_a_bad_text_is_an_error_value_and_stops_no_other(speaker: Speaker):
    results = speaker.speak(["A dog.", "...", "", "A cat.", "日本語"])
    assert [isinstance(result, Spoken) for result in results] == [True, False, False, True, False]
    for result in (results[1], results[2], results[4]):
        assert isinstance(result, UnspeakableError)
        assert result.mend


def test_no_texts_give_no_results(speaker: Speaker):
    assert speaker.speak([]) == []


@pytest.mark.parametrize("text", ["a", "I", "Z.", "Dog", "7", "Yes!"])
def test_a_single_letter_word_or_digit_is_spoken(speaker: Speaker, text: str):
    assert 0.05 < waveform(speaker.speak([text])[0]).duration_s < 3


def test_sentences_are_joined_with_a_pause(speaker: Speaker):
    both = waveform(speaker.speak(["A dog runs. A cat sits."])[0])
    quiet = np.abs(both.samples) < 1e-6
    longest = max(len(run) for run in "".join("q" if q else " " for q in quiet).split())
    assert longest / both.sample_rate_hz >= 0.3


def test_a_text_of_two_thousand_characters_is_spoken(speaker: Speaker):
    assert waveform(speaker.speak(["A brown dog sits on the wet grass, " * 58])[0]).duration_s > 60


def test_numbers_are_spoken_as_words(engine: CoquiEngine):
    assert engine.tokens("3 dogs") == engine.tokens("three dogs")
    assert engine.tokens("It costs $3.50.") == engine.tokens("It costs three dollars and fifty cents.") or (
        len(engine.tokens("It costs $3.50.")) > len(engine.tokens("It costs."))
    )


@pytest.mark.parametrize("lengths", [[], [5], [900, 3, 3, 40, 7], list(range(1, 200))])
def test_every_text_is_in_exactly_one_batch(lengths: list[int]):
    batches = plan_batches(lengths, 2400)
    assert sorted(k for batch in batches for k in batch) == list(range(len(lengths)))


def test_a_voice_whose_weights_do_not_fit_is_refused_with_its_folder(tiny_voice_folder: Path, tmp_path: Path):
    broken = shutil.copytree(tiny_voice_folder, tmp_path / "broken")
    config = json.loads((broken / "config.json").read_text())
    config["acoustic"]["model_args"]["hidden_channels"] = 16
    (broken / "config.json").write_text(json.dumps(config))
    with pytest.raises(VoiceError, match="do not fit") as caught:
        Speaker.load(str(broken))
    assert caught.value.where == str(broken)


def test_a_truncated_weight_file_is_refused(tiny_voice_folder: Path, tmp_path: Path):
    broken = shutil.copytree(tiny_voice_folder, tmp_path / "broken")
    whole = (broken / "vocoder.safetensors").read_bytes()
    (broken / "vocoder.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(VoiceError):
        Speaker.load(str(broken))


def test_importing_loading_and_speaking_print_nothing(tiny_voice_folder: Path):
    program = (
        "import sys; from speech.speaking import Speaker; "
        f"Speaker.load({str(tiny_voice_folder)!r}).speak(['A dog.', 'xyzzy', 'A'])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


@pytest.mark.parametrize(("pause", "seconds"), [("short", 0.2), ("natural", 0.35), ("long", 0.7)])
def test_the_pause_between_sentences_follows_the_policy(tiny_voice_folder: Path, pause: str, seconds: float):
    one, other = "A dog runs over the grass.", "A cat sits on the wall."
    speaker = Speaker.load(str(tiny_voice_folder), manner=Manner(pauses=pause))
    alone = [trim(waveform(result), 0, 0).duration_s for result in speaker.speak([one, other])]
    both = trim(waveform(speaker.speak([f"{one} {other}"])[0]), 0, 0)
    assert both.duration_s - sum(alone) == pytest.approx(seconds, abs=0.03)


def test_a_policy_that_there_is_not_is_refused_with_those_that_there_are(tiny_voice_folder: Path):
    with pytest.raises(SpeechError, match="natural"):
        Speaker.load(str(tiny_voice_folder), manner=Manner(pauses="endless"))


@pytest.mark.parametrize("text", ["\U0001f600\U0001f436", "\u2605", "A \u2764 of \u2192 \U0001f436.", "5 km at 20°C"])
def test_emoji_and_signs_are_spoken_by_their_names(speaker: Speaker, text: str):
    assert waveform(speaker.speak([text])[0]).duration_s > 0.3


def test_words_of_another_script_are_spoken_and_flagged(speaker: Speaker):
    spoken = speaker.speak(["A sign says 日本語."])[0]
    assert isinstance(spoken, Spoken)
    assert [(flag.rule, flag.doubtful) for flag in spoken.flags] == [("foreign-script", True)]


def test_sounds_that_the_voice_lacks_are_said_by_the_nearest_and_flagged(speaker: Speaker):
    spoken = speaker.speak(["A book by [[ˈɡøːtə]]."])[0]
    assert isinstance(spoken, Spoken)
    assert [(flag.rule, flag.reason) for flag in spoken.flags] == [("unknown-sound", "the sound ø is said as e")]


def test_the_lexicon_changes_what_is_said(tiny_voice_folder: Path, speaker: Speaker):
    own = Speaker.load(str(tiny_voice_folder), manner=Manner(lexicon=Lexicon({"MoMA": Entry(alias="a big museum")})))
    text, plain = "A dog at MoMA.", "A dog at a big museum."
    assert np.array_equal(waveform(own.speak([text])[0]).samples, waveform(speaker.speak([plain])[0]).samples)


def test_a_lexicon_in_another_language_is_refused(tiny_voice_folder: Path):
    with pytest.raises(SpeechError, match="is for de"):
        Speaker.load(str(tiny_voice_folder), manner=Manner(lexicon=Lexicon({"a": Entry(alias="b")}, "de")))


def test_a_slower_pace_takes_longer(tiny_voice_folder: Path):
    engine = Speaker.load(str(tiny_voice_folder)).engine
    tokens = engine.tokens(SHORT_AND_LONG[2])
    usual, slower = (len(engine.speak([tokens], pace=pace)[0]) for pace in (1.0, 0.8))
    assert usual * 1.1 < slower < usual * 1.4


def test_the_number_of_cores_changes_not_a_bit_of_a_clip(engine: CoquiEngine):
    tokens = [engine.tokens(text) for text in SHORT_AND_LONG]
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = engine.speak(tokens)
        torch.set_num_threads(3)
        side_by_side = engine.speak(tokens)
    finally:
        torch.set_num_threads(before)

    assert all(np.array_equal(one, other) for one, other in zip(alone, side_by_side, strict=True))
