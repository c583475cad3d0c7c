import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speech.errors import UnspeakableError
from speech.text import MAX_SENTENCE_CHARACTERS, has_words, normalise, sentences


@given(st.text())
def test_normalising_twice_changes_nothing_more(text: str):
    assert normalise(normalise(text)) == normalise(text)


@given(st.text())
def test_normal_text_is_composed_and_has_single_spaces(text: str):
    normal = normalise(text)
    assert unicodedata.is_normalized("NFC", normal)
    assert normal == " ".join(normal.split())


@given(st.text())
def test_every_text_is_split_or_refused_and_no_word_is_lost(text: str):
    try:
        parts = sentences(text)
    except UnspeakableError:
        assert not has_words(normalise(text))
        return
    assert all(0 < len(part) <= MAX_SENTENCE_CHARACTERS and has_words(part) for part in parts)
    letters = [c for c in normalise(text) if c.isalnum()]
    assert [c for part in parts for c in part if c.isalnum()] == letters


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A dog runs. A cat sits.", ["A dog runs.", "A cat sits."]),
        ("Is it a dog? Yes! It is.", ["Is it a dog?", "Yes!", "It is."]),
        ("Dr. Smith meets Mr. Jones at St. Paul's.", ["Dr. Smith meets Mr. Jones at St. Paul's."]),
        ("It costs $3.50 at 5 p.m. or so.", ["It costs $3.50 at 5 p.m. or so."]),
        ('He says "Stop." Then he goes.', ['He says "Stop."', "Then he goes."]),
        ("  one \n two\t", ["one two"]),
    ],
)
def test_sentences_end_where_a_reader_pauses(text: str, expected: list[str]):
    assert sentences(text) == expected


@pytest.mark.parametrize("text", ["", "   ", "...", "\U0001f600", "\u200b", "- !"])
def test_a_text_without_a_word_is_unspeakable(text: str):
    with pytest.raises(UnspeakableError):
        sentences(text)


def test_a_long_sentence_is_cut_after_a_comma():
    text = "a brown dog on green grass, " * 20
    parts = sentences(text)
    assert len(parts) > 1
    assert all(part.endswith(",") for part in parts)
