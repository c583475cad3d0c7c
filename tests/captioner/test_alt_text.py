"""Alt text by rule: what becomes of a caption, and what holds for every text there is."""

import unicodedata

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from captioner.alt_text import POLICIES, make_alt_text, policy_digest
from captioner.errors import CaptionerError

CASES = {
    # Caption: the text by the default policy, and the rules that are flagged.
    "a dog runs through the grass .": ("A dog runs through the grass.", []),
    "two men in suits": ("Two men in suits.", []),
    "a picture of a dog": ("A dog.", ["starts-with-image-of"]),
    "an image of two dogs on a beach": ("Two dogs on a beach.", ["starts-with-image-of"]),
    "photograph of a man": ("A man.", ["starts-with-image-of"]),
    "this picture shows a boy in a pool": ("A boy in a pool.", ["starts-with-image-of"]),
    "there is a picture of a green house": ("A green house.", ["starts-with-image-of"]),
    "in this photo a man is jumping": ("A man is jumping.", ["starts-with-image-of"]),
    "a picture of a photo of a cat": ("A cat.", ["starts-with-image-of"]),
    "a close up photo of a dog 's face": ("A close-up of a dog's face.", ["starts-with-image-of"]),
    "black and white photo of a man": ("In black and white, a man.", ["starts-with-image-of"]),
    "an aerial picture of a city": ("An aerial view of a city.", ["starts-with-image-of"]),
    "a woman takes a picture of a dog": ("A woman takes a picture of a dog.", []),
    "a picture of a man hangs on the wall": ("A picture of a man hangs on the wall.", ["starts-with-image-of"]),
    "a painting of a ship": ("A painting of a ship.", []),
    "a football football player": ("A football player.", ["repeats"]),
    "a man in a red and red and red shirt": ("A man in a red shirt.", ["repeats"]),
    "a man in a red shirt in a red shirt runs": ("A man in a red shirt runs.", ["repeats"]),
    "the dog jumps over and over again": ("The dog jumps over and over again.", []),
    "a man and a man and a man and a man": ("A man and a man.", ["repeats"]),
    "a dog on grass , a dog on grass": ("A dog on grass.", ["repeats"]),
    "a man in the snow , snow flies behind": ("A man in the snow, snow flies behind.", []),
    "two dogs , one brown and one brown and white": ("Two dogs, one brown and one brown and white.", []),
    "a salad and salad dressing": ("A salad and salad dressing.", []),
    "a couple walks hand and hand": ("A couple walks hand and hand.", []),
    'the " 4 " and the " 5 " jersey': ('The "4" and the "5" jersey.', []),
    "a man and a man": ("A man and a man.", []),
    "runner 7 7 wins the race": ("Runner 7 7 wins the race.", []),
    "an american flag on a tv": ("An American flag on a TV.", []),
    "a girl in a Nike shirt": ("A girl in a Nike shirt.", []),
    'a girl in a shirt that says " radio "': ('A girl in a shirt that says "radio".', []),
    "a dog runs . a cat sits": ("A dog runs. A cat sits.", []),
    "is this a dog ?": ("Is this a dog?", []),
    "a dog \U0001f415 runs": ("A dog runs.", ["symbols"]),
    "a dog\nruns\t.": ("A dog runs.", []),
    "a dog , , runs .  .": ("A dog, runs.", []),
    "a <unk> dog runs": ("A dog runs.", ["unknown-word"]),
    "Alt text: a dog runs": ("A dog runs.", ["has-label"]),
    "a dog https://example.org/a?b=c runs": ("A dog runs.", ["has-url"]),
    "IMG_0042.JPG": ("IMG_0042.JPG.", ["has-file-name", "one-word"]),
    "cafe\u0301 table": ("Caf\u00e9 table.", []),
    "dog": ("Dog.", ["one-word"]),
    "": ("", ["empty"]),
    " . , !": ("", ["empty"]),
}

WORDS = (
    "a dog man and of the red picture photo image in black white close up , . ' 's \" ( ) shows is i \u00e9 e\u0301 "
    "\U0001f415 <unk> 7 x.jpg www.a.b that very on wall hangs ... ! \u2019s - _ A"
)
captions = st.one_of(
    st.text(max_size=300),
    st.lists(st.sampled_from(WORDS.split()), max_size=80).map(" ".join),
)
policies = st.sampled_from(sorted(POLICIES))


@pytest.mark.parametrize("caption", CASES)
def test_a_caption_becomes_the_alt_text_that_the_rules_ask_for(caption: str):
    text, rules = CASES[caption]
    alt_text = make_alt_text(caption)

    assert alt_text.text == text
    assert [flag.rule for flag in alt_text.flags] == rules
    assert all(flag.reason for flag in alt_text.flags)
    assert alt_text.language == "en"


def test_the_plain_policy_keeps_the_captions_own_words_and_case():
    alt_text = make_alt_text("a picture of a red and red  dog .", "plain")

    assert (alt_text.text, alt_text.flags) == ("a picture of a red and red dog.", ())


def test_a_long_text_is_cut_at_a_word_and_says_so():
    caption = "a man with " + " and ".join(f"{color} balloons" for color in ("red", "green", "blue", "white") * 5)
    alt_text = make_alt_text(caption, "short-125")
    cut = next(flag for flag in alt_text.flags if flag.rule == "too-long")

    assert caption.startswith("a" + alt_text.text[1:-1] + " ")
    assert 100 < len(alt_text.text) <= 125
    assert str(len(caption)) in cut.reason


def test_a_cut_prefers_the_end_of_a_sentence_and_leaves_no_word_dangling():
    sentences = make_alt_text("a dog runs on a wide beach by the sea at dawn . " * 4, "short-125").text
    words = make_alt_text("b" * 100 + " runs with the " + "c" * 50, "short-125").text

    assert sentences == "A dog runs on a wide beach by the sea at dawn. A dog runs on a wide beach by the sea at dawn."
    assert words == "B" + "b" * 99 + " runs."


def test_a_text_over_the_aim_is_kept_whole_and_flagged():
    caption = "a man stands beside " + ", ".join(f"horse number {number}" for number in range(10))
    alt_text = make_alt_text(caption)

    assert 125 < len(alt_text.text) <= 250
    assert [flag.rule for flag in alt_text.flags] == ["long"]


def test_another_language_keeps_its_own_words():
    alt_text = make_alt_text("i picture of bild", language="de-AT")

    assert (alt_text.text, alt_text.language, alt_text.flags) == ("I picture of bild.", "de-AT", ())


def test_an_unknown_policy_is_an_error_that_names_the_known_ones():
    for use in (policy_digest, lambda policy: make_alt_text("a dog", policy)):
        with pytest.raises(CaptionerError, match="wcag, short-125, plain"):
            use("loud")


def test_the_digest_of_each_policy_is_its_own_and_stands_for_these_rules():
    """Where a case above changes, raise `_RULES_VERSION` and these digests with it."""
    digests = {policy: policy_digest(policy) for policy in POLICIES}

    assert digests == {"wcag": "9a775e8da8238a10", "short-125": "d56171bfc9d81dac", "plain": "4c5ec502843f2b90"}


@given(caption=captions, policy=policies)
@example(caption="a " + "\u0301" * 400, policy="wcag")
@example(caption="x" * 400 + "\u0301", policy="short-125")
@settings(max_examples=400, deadline=None)
def test_every_text_is_bounded_tidy_and_comes_out_the_same_when_made_again(caption: str, policy: str):
    text = make_alt_text(caption, policy).text

    assert len(text) <= POLICIES[policy].cap_characters
    assert make_alt_text(text, policy).text == text
    assert unicodedata.is_normalized("NFC", text)
    assert text == " ".join(text.split())
    assert not {unicodedata.category(character) for character in text} & {"Cc", "Cs", "Co", "Cn"}
    if any(character.isalpha() for character in caption):
        assert any(character.isalnum() for character in text)


@given(caption=captions, policy=st.sampled_from(["wcag", "short-125"]))
@settings(max_examples=200, deadline=None)
def test_a_text_by_the_rules_ends_in_a_stop_and_begins_with_a_capital(caption: str, policy: str):
    text = make_alt_text(caption, policy).text

    assert not text or any(mark in text[-6:] for mark in ".!?\u2026\u3002\uff01\uff1f\u061f\u0964")
    first = next((character for character in text if character.isalnum()), "")
    assert not ("a" <= first <= "z")
    assert not text.lower().startswith(("a picture of a dog", "an image of a", "photo of a"))


@given(caption=captions, policy=policies)
@settings(max_examples=200, deadline=None)
def test_no_word_is_lost_without_a_flag(caption: str, policy: str):
    alt_text = make_alt_text(caption, policy)
    if {flag.rule for flag in alt_text.flags} <= {"long", "one-word", "starts-with-image-of"}:
        kept = sum(character.isalnum() for character in alt_text.text)
        given_ = sum(character.isalnum() for character in unicodedata.normalize("NFC", caption))

        assert kept == given_ or any(flag.rule == "starts-with-image-of" for flag in alt_text.flags)


@pytest.mark.parametrize(
    ("caption", "text"),
    [
        ("a photo of a bride sits on a mantel", "A photo of a bride sits on a mantel."),
        ("a picture of jesus is painted above a door", "A picture of jesus is painted above a door."),
        ("a screenshot of a phone", "A screenshot of a phone."),
    ],
)
def test_a_picture_that_is_itself_in_the_photo_stays_a_picture(caption: str, text: str):
    assert make_alt_text(caption).text == text
