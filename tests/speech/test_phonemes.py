# ruff: noqa: RUF001 - the phonemes are letters of the IPA

import pytest

from speech.phonemes import ALPHABET, Phonemizer, english_sounds
from speech.voices import built_in_folder, read_config


@pytest.fixture(scope="module")
def phonemes() -> Phonemizer:
    return Phonemizer()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A dog runs.", "ɐ dˈɑːɡ ɹˈʌnz."),
        ("A", "ˈeɪ"),
        ("the", "ðˈʌ"),
        ("I", "ˈaɪ"),
        ("x", "ˈɛks"),
        ("café", "kˈæfeɪ"),
        ("", ""),
    ],
)
def test_words_are_read_as_in_the_lexicon(phonemes: Phonemizer, text: str, expected: str):
    assert phonemes(text) == expected


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("3 dogs", "three dogs"),
        ("50% of it", "fifty percent of it"),
        ("$3.50", "three dollars fifty cents"),
        ("cats & dogs", "cats and dogs"),
        ("a naïve girl", "a naive girl"),
        ("“Stop”", "Stop"),
    ],
)
def test_signs_and_numbers_are_read_as_their_words(phonemes: Phonemizer, written: str, spoken: str):
    assert phonemes(written) == phonemes(spoken)


def test_no_lone_word_is_without_a_stress(phonemes: Phonemizer):
    for word in ("a", "an", "the", "of", "it", "and", "is", "to"):
        assert "ˈ" in phonemes(word), word


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The [[ˈmoʊ.mə]].", "ðə ˈmoʊmə."),
        ("[[ˈgøːtə]]", "ˈɡeːtə"),
        ("[[ˈt͡ʃaɪ]], please", "ˈtʃaɪ, plˈiːz"),
    ],
)
def test_inline_sounds_are_said_as_written_or_by_the_nearest_sound(phonemes: Phonemizer, text: str, expected: str):
    assert phonemes(text) == expected


def test_each_sound_that_the_voice_lacks_is_named_with_what_takes_its_place():
    assert english_sounds("ˈɡøːtə ʁ˥") == (
        "ˈɡeːtə ɹ",
        ["the sound ø is said as e", "the sound ʁ is said as ɹ", "the mark '˥' is left out"],
    )


def test_the_alphabet_is_that_of_the_built_in_voice():
    characters = read_config(built_in_folder() / "narrator")["acoustic"]["characters"]
    assert set(characters["characters"] + characters["punctuations"]) <= ALPHABET
