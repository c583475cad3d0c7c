"""What is said of a caption that may be wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioner.alt_text import POLICIES, make_alt_text, policy_digest
from captioner.hedging import Certainty, doubts_in

LOW = Certainty(0.4, least=0.6)


@pytest.mark.parametrize(
    ("caption", "text"),
    [
        ("a dog runs .", "Possibly a dog runs."),
        ("A dog runs.", "Possibly a dog runs."),
        ("Paris at night", "Possibly Paris at night."),
        ("a picture of a dog", "Possibly a dog."),
        ("possibly a dog", "Possibly a dog."),
        ("a black and white photo of a house", "In black and white, possibly a house."),
        ("In black and white, a house.", "In black and white, possibly a house."),
    ],
)
def test_a_caption_that_is_less_sure_than_asked_for_is_hedged_once(caption: str, text: str):
    made = make_alt_text(caption, certainty=LOW)

    assert made.text == text
    assert [flag.rule for flag in made.flags if flag.rule != "starts-with-image-of"] == ["unsure"]


def test_it_gives_way_where_that_is_wanted():
    made = make_alt_text("a dog runs", certainty=Certainty(0.4, least=0.6, unsure="abstain"))

    assert made.text == "No reliable description."
    assert [flag.rule for flag in made.flags] == ["unsure", "no-reliable-description"]


def test_a_picture_with_nothing_to_describe_is_never_described():
    made = make_alt_text("a cat on a surf board", certainty=Certainty(0.9, ("no-reliable-description",)))

    assert (made.text, [flag.rule for flag in made.flags]) == ("No reliable description.", ["no-reliable-description"])


def test_in_a_language_that_cannot_say_it_the_caption_stands_and_is_flagged():
    made = make_alt_text("kissa", language="fi", certainty=Certainty(0.1, ("no-reliable-description",)))

    assert made.text == "Kissa."
    assert "no-reliable-description" in [flag.rule for flag in made.flags]


@pytest.mark.parametrize(
    "certainty", [Certainty(0.9, least=0.6), Certainty(None, least=0.6), Certainty(0.6, least=0.6)]
)
def test_what_is_sure_enough_or_of_unknown_certainty_stays_as_it_is(certainty: Certainty):
    assert make_alt_text("a dog runs", certainty=certainty).text == "A dog runs."


@given(st.text(max_size=300), st.sampled_from([*POLICIES]), st.floats(0, 1))
def test_a_hedged_text_keeps_the_rules_of_its_policy_without_being_changed(
    caption: str, policy: str, confidence: float
):
    made = make_alt_text(caption, policy, certainty=Certainty(confidence, least=0.6))

    assert len(made.text) <= POLICIES[policy].cap_characters
    assert make_alt_text(made.text, policy).text == made.text


def test_the_doubts_about_a_picture_are_found_again_in_its_flags():
    assert doubts_in(["too-long", "contains-text"]) == ("contains-text",)
    assert doubts_in(["no-reliable-description"]) == ("no-reliable-description",)
    assert doubts_in(["unsure", "no-reliable-description"]) == ()


def test_each_share_and_manner_has_a_digest_of_its_own():
    digests = {
        policy_digest("wcag", most_wrong=share, unsure=unsure) for share in (10, 20) for unsure in ("hedge", "abstain")
    }

    assert len(digests | {policy_digest("wcag"), policy_digest("wcag", unsure="abstain")}) == 5
