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


@pytest.mark.parametrize(
    ("written", "spoken"),
    [
        ("WARNING: DO NOT TOUCH THE ARTWORK", "warning: do not touch the artwork"),
        ("EXIT", "exit"),
        ("STOP.", "stop."),
        ("CAFÉ", "café"),
        ("do NOT touch", "do not touch"),
        ("playing WII", "playing wii"),
        ("A sign that says DO NOT ENTER.", "A sign that says do not enter."),
        ("It reads 'NO PARKING'.", "It reads no parking."),
        ("PLEASE DON'T FEED THE DUCKS", "please don't feed the ducks"),
        ("WELCOME TO FRISKMANN PARK", "welcome to friskmann park"),
        ("IT IS RAINING", "it is raining"),
        ("JOIN US!", "join us!"),
        ("THE US NAVY AND THE FBI", "the US navy and the FBI"),
        ("BBC NEWS LIVE IN NEW YORK, NY", "BBC news live in new york, NY"),
        ("OPEN 9 AM TO 5 PM", "open 9 AM to 5 PM"),
        ("An astronaut of NASA", "An astronaut of Nasa"),
    ],
)
def test_words_in_capitals_are_said_as_words(phonemes: Phonemizer, written: str, spoken: str):
    assert phonemes(written) == phonemes(spoken)


@pytest.mark.parametrize(
    ("written", "letters"),
    [
        ("in the US and the UK", "in the U.S. and the U.K."),
        ("a BBC van", "a B.B.C. van"),
        ("a DVD on a TV", "a D.V.D. on a T V"),
        ("the FBI", "the F.B.I."),
        ("an IT room in the USA", "an I.T. room in the U.S.A."),
        ("New York, NY", "New York, N.Y."),
        ("an LED lamp", "an L.E.D. lamp"),
    ],
)
def test_initialisms_are_said_letter_by_letter(phonemes: Phonemizer, written: str, letters: str):
    assert phonemes(written) == phonemes(letters).rstrip(".")


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
