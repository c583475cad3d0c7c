from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from speech.errors import SpeechError
from speech.phonemes import Phonemizer
from speech.read_back import Listener, check_installed, compare
from speech.records import Spoken, Waveform
from speech.speaking import Manner, Speaker

pytest.importorskip("rapidfuzz")
CAPTION = "A brown dog runs over the green grass."


@pytest.fixture(scope="module")
def phonemes() -> Phonemizer:
    return Phonemizer()


@pytest.fixture(scope="module")
def listener() -> Listener:
    pytest.importorskip("moonshine_voice")
    return Listener()


def letters(text: str) -> str:
    return text.lower()


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("Two girls in blue.", "2 girls in blew"),
        ("A man in a T-shirt.", "a man in a t shirt"),
        ("It costs $3.50.", "It costs three dollars fifty cents"),
    ],
)
def test_what_sounds_the_same_is_right(phonemes: Phonemizer, said: str, heard: str):
    found = compare(said, heard, phonemes)
    assert (found.wrong, found.longest_run, found.is_right) == (0, 0, True)


@pytest.mark.parametrize(
    ("said", "heard", "wrong", "run", "right"),
    [
        ("one two three four five six", "one two three four five six", 0, 0, True),
        ("one two three four five six", "one two tree four five six", 1, 1, True),
        ("one two three four five six", "one two six", 3, 3, False),
        ("a b c d e f g h i j k l m n o p", "a b c x x x g h i j k l m n o p", 3, 3, False),
        ("one two three four five six", "", 6, 6, False),
        ("one two", "one too", 1, 1, True),
        ("one two", "banana", 2, 2, False),
        ("one two three four five six", "one two three four five six and and and", 3, 3, False),
    ],
)
def test_long_texts_are_judged_by_words_and_short_ones_by_sounds(
    said: str, heard: str, wrong: int, run: int, right: bool
):
    found = compare(said, heard, letters)
    assert (found.wrong, found.longest_run, found.is_right) == (wrong, run, right)


def test_a_lone_letter_that_the_recogniser_does_not_notice_is_not_judged(phonemes: Phonemizer):
    assert compare("A", "", phonemes).is_right
    assert not compare("A", "", phonemes).judged
    assert not compare("Elephants", "", phonemes).is_right


@given(st.lists(st.sampled_from("abcdef"), min_size=1), st.lists(st.sampled_from("abcdef")))
def test_the_count_of_wrong_words_is_within_its_bounds(said: list[str], heard: list[str]):
    found = compare(" ".join(said), " ".join(heard), letters)
    assert 0 <= found.longest_run <= found.wrong <= len(said) + len(heard)
    assert found.words == len(said)


def test_a_voice_in_another_language_is_refused_with_the_mend():
    with pytest.raises(SpeechError, match="English only"):
        check_installed("de-DE")


def test_without_the_extra_the_message_names_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("speech.read_back.find_spec", lambda _name: None)
    with pytest.raises(SpeechError, match=r"image-narrator\[asr\]"):
        Manner(read_back=True).check("en-US")


def test_silence_has_no_words(listener: Listener):
    assert listener.hear(Waveform(np.zeros(16000, np.float32), 16000)) == ""


def test_the_built_in_voice_is_understood_and_noise_is_not(listener: Listener):
    speaker = Speaker.load("narrator", manner=Manner(read_back=True))
    spoken = speaker.speak([CAPTION])[0]
    assert isinstance(spoken, Spoken)
    assert (spoken.asr_wer, spoken.attempts, spoken.flags) == (0.0, 1, ())
    assert listener.hear(spoken.waveform).lower().startswith("a brown dog")


def test_a_voice_that_is_not_understood_is_flagged_or_failed_by_choice(tiny_voice_folder: Path, listener: Listener):
    assert listener is not None
    flagged = Speaker.load(str(tiny_voice_folder), manner=Manner(read_back=True)).speak([CAPTION])[0]
    failed = Speaker.load(str(tiny_voice_folder), manner=Manner(read_back=True, bad_clips="fail")).speak([CAPTION])[0]
    assert isinstance(flagged, Spoken)
    assert [flag.rule for flag in flagged.flags] == ["misread"]
    assert flagged.flags[0].doubtful
    assert flagged.attempts > 1
    assert flagged.asr_wer is not None
    assert flagged.asr_wer > 0.5
    assert "spoken" in str(failed)
    assert "recogniser hears" in str(failed)
