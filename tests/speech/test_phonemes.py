# ruff: noqa: RUF001 - the phonemes are letters of the IPA

import pytest

from speech.phonemes import Phonemizer


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
