"""People in words that do not name their gender."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioner.alt_text import make_alt_text, policy_digest
from captioner.hedging import Certainty
from captioner.people import without_gender

WORDS = st.sampled_from(
    ("a", "an", "the", "man", "woman", "men", "her", "his", "him", "he", "she", "is", "jumps", "has", "boy", "girls",
     "lady", "female", "male", "athlete", "with", "on", "dog", "and", ".", "himself")
)  # fmt: skip


@pytest.mark.parametrize(
    ("caption", "neutral"),
    [
        ("a man in his hat", "a person in their hat"),
        ("a man and a woman are sitting", "two people are sitting"),
        ("a woman holding her dog", "a person holding their dog"),
        ("two men watching her", "two people watching them"),
        ("a boy is looking up as he jumps", "a child is looking up as they jump"),
        ("he catches a ball", "they catch a ball"),
        ("She's waving", "They're waving"),
        ("a fisherman on a boat", "an angler on a boat"),
        ("a female athlete jumps", "an athlete jumps"),
        ("the lady's hat", "the person's hat"),
        ("a manhole in front of a mandolin", "a manhole in front of a mandolin"),
        ("a dog on the beach", "a dog on the beach"),
    ],
)
def test_gender_is_taken_out_and_the_sentence_still_holds(caption: str, neutral: str):
    assert without_gender(caption) == neutral


@given(st.lists(WORDS, max_size=14).map(" ".join))
def test_a_neutral_text_stays_as_it_is_and_names_no_gender(text: str):
    neutral = without_gender(text)

    assert without_gender(neutral) == neutral
    assert not {"man", "woman", "men", "boy", "girls", "lady", "her", "his", "him", "he", "she"} & set(neutral.split())


def test_the_change_is_flagged_and_only_made_where_it_is_asked_for():
    plain, neutral = make_alt_text("a man on a bench"), make_alt_text("a man on a bench", neutral=True)

    assert (plain.text, plain.flags) == ("A man on a bench.", ())
    assert neutral.text == "A person on a bench."
    assert [flag.rule for flag in neutral.flags] == ["person-attribute"]


def test_the_option_makes_texts_again_and_leaves_other_languages_alone():
    assert policy_digest("wcag") != policy_digest("wcag", neutral=True)
    assert make_alt_text("her man", "wcag", "de", neutral=True).text == "Her man."


@pytest.mark.parametrize(("confidence", "rules"), [(None, []), (0.5, []), (0.49, ["low-confidence"])])
def test_a_caption_that_is_more_likely_wrong_than_right_is_flagged(confidence: float | None, rules: list[str]):
    assert [flag.rule for flag in make_alt_text("a dog on a beach", certainty=Certainty(confidence)).flags] == rules
