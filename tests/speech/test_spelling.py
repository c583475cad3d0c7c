# ruff: noqa: RUF001 - the sounds are letters of the IPA, and the signs are meant

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speech.errors import UnspeakableError
from speech.phonemes import Phonemizer
from speech.spelling import SPOKEN_MARKS, spell_out


@pytest.fixture(scope="module")
def phonemes() -> Phonemizer:
    return Phonemizer()


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("5 km, 1 kg", "5 kilometers, 1 kilogram"),
        ("It is -5°C or \u22125 °F", "It is -5 degrees Celsius or -5 degrees Fahrenheit"),
        ("120 km/h and 3 m²", "120 kilometers per hour and 3 square meters"),
        ("2 in the park at 5pm", "2 in the park at 5pm"),
        ("5'10\" tall", "5 feet 10 inches tall"),
        ("½ cup, 2½ cups, 3/4", "one half cup, 2 and one half cups, three quarters"),
        ("the 1990s", "the nineteen nineties"),
        ("10-20 people", "10 to 20 people"),
        ("10x10", "10 by 10"),
        ("¥500, $5 million", "500 yen, 5 million dollars"),
        ("£1m, €20k, $3bn", "1 million pounds, 20 thousand euros, 3 billion dollars"),
        ("on 9/11, 24/7, 3/11", "on 9 11, 24 7, three elevenths"),
        ("cats vs. dogs vs birds", "cats versus dogs versus birds"),
        ("HAPPY 50TH", "HAPPY 50th"),
        ("A @ #1 + 2 = 3", "A at number 1 plus 2 equals 3"),
        ("approx. five, e.g. No. 5", "approximately five, for example number 5"),
        ("St. Paul", "Saint Paul"),
        ("29 1/4 x 36 1/4 in. (74 x 92 cm)", "29 and one quarter by 36 and one quarter inches, 74 by 92 centimeters"),
        ("8\u00bd x 11 in, 9 in. x 13 in.", "8 and one half by 11 inches, 9 inches by 13 inches."),
        ("Inv. no. 12/34; 2nd ed., cat. 7", "inventory number 12 slash 34; 2nd edition, catalogue 7"),
        ("She holds a cat. 2 dogs sit.", "She holds a cat. 2 dogs sit."),
        ("Gate B. 12 people. Vitamin D. 2 pills.", "Gate B. 12 people. Vitamin D. 2 pills."),
        ("A ripe fig. 2 pears. The answer is no. 3 dogs.", "A ripe fig. 2 pears. The answer is no. 3 dogs."),
        ("It weighs 80 kg. 2 dogs sit.", "It weighs 80 kilograms. 2 dogs sit."),
        ("A TV of 55 in. 2 dogs watch number 10 in, and 3.", "A TV of 55 inches. 2 dogs watch number 10 in, and 3."),
        ("Vase, acc. no. 1901.23", "Vase, accession number 1901.23"),
        ("Inv. nos. 77-79, cat. 4", "inventory numbers 77 to 79, catalogue 4"),
        ("(b. 1901, d. 1975).", "born 1901, died 1975."),
        ("A.D. 50, Fl. 1750, c.1880", "A.D. 50, flourished 1750, circa 1880"),
        ("Vol. 3, pp. 4-9, pl. 7", "volume 3, pages 4 to 9, plate 7"),
        ("24 x 36 in. (61 x 91 cm)", "24 by 36 inches, 61 by 91 centimeters"),
        ("Height 12 in. Width 1 in.", "Height 12 inches. Width 1 inch."),
        ("24 x 36 in, framed", "24 by 36 inches, framed"),
        ("3 in the row, born in 1901 in Paris", "3 in the row, born in 1901 in Paris"),
        ("5 ft. 3 in. tall, 12 lb. 4 oz.", "5 feet 3 inches tall, 12 pounds 4 ounces."),
        ("see http://example.com/x", "see example dot com slash x"),
        ("C3PO", "C 3 PO"),
        ("12/05/2020", "12/05/2020"),
        ("a \u2605 \u2192 b", "a black star rightwards arrow b"),
        ("(hello) [x]", "hello, x"),
        ("stra\u00dfe, \u0141\u00f3d\u017a, \uff15", "strasse, L\u00f3d\u017a, 5"),
        ("A \u2764 and \U0001f600", "A red heart and grinning face"),
        ("\U0001f469\U0001f3fd\u200d\U0001f680", "woman astronaut medium skin tone"),
        ("[[5 km]] and 5 km", "[[5 km]] and 5 kilometers"),
    ],
)
def test_english_signs_are_words(written: str, words: str):
    assert spell_out(written, "en-US").text == words


@pytest.mark.parametrize(
    ("language", "written", "words"),
    [
        ("de-DE", "2,5 km mit 20 %", "zwei Komma fünf Kilometer mit zwanzig Prozent"),
        ("fr", "3 chiens, 5 kg", "trois chiens, cinq kilogrammes"),
        ("de", "ein \U0001f600", "ein grinsendes gesicht"),
    ],
)
def test_other_languages_have_their_own_words(language: str, written: str, words: str):
    assert spell_out(written, language).text == words


def test_words_of_another_script_are_romanised_and_doubted():
    spelt = spell_out("A sign says 日本語 here.", "en-US")
    assert spelt.text == "A sign says Ri Ben Yu here."
    assert spelt.doubts == ('"日本語" is said as "Ri Ben Yu"',)


def test_a_lone_greek_letter_has_its_name():
    assert spell_out("π is 3", "en").text == "pi is 3"


@pytest.mark.parametrize("text", ["日本語", "Это красная собака.", "كلب"])
def test_a_text_in_another_script_is_refused_with_the_mend(text: str):
    with pytest.raises(UnspeakableError, match="voice of its language"):
        spell_out(text, "en-US")


def test_a_voice_of_another_script_keeps_it():
    assert spell_out("Это красная собака.", "ru").text == "Это красная собака."


@given(st.text(st.characters(exclude_categories=["Cs", "Cn", "Co"]), max_size=40))
def test_nothing_is_left_that_the_phonemizer_drops_silently(text: str):
    try:
        spelt = spell_out(text, "en-US").text
    except UnspeakableError:
        return
    marks = SPOKEN_MARKS | set("/[]")  # dates, and what stands in double brackets
    left = {c for c in spelt if not (c.isascii() and c.isalnum()) and c not in marks}
    assert all(spell_out(c, "en-US").text == c for c in left)  # plain letters with an accent


@given(st.sampled_from("←↑→★☂☎♫✓©®™°§¶†‡•€£¥₹₿½¾²³µΩ∞≈≠≤≥÷×±√∑√♀♂⚠♥"))
def test_every_sign_between_words_is_heard(phonemes: Phonemizer, sign: str):
    without = phonemes("dog cat").split()
    with_sign = phonemes(spell_out(f"dog {sign} cat", "en-US").text).split()
    assert len(with_sign) > len(without) or sign in "•†‡§¶"
