# ruff: noqa: RUF001 - the sounds are letters of the IPA, and the signs are meant

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speech.errors import UnspeakableError
from speech.lexicon import Entry, Lexicon
from speech.text import MAX_SENTENCE_CHARACTERS, has_words, normalise, script, split_sentences


def spoken(text: str, language: str = "en-US") -> list[str]:
    return [sentence.text for sentence in script(text, language).sentences]


@given(st.text())
def test_normalising_twice_changes_nothing_more(text: str):
    assert normalise(normalise(text)) == normalise(text)


@given(st.text())
def test_normal_text_is_composed_and_has_single_spaces(text: str):
    normal = normalise(text)
    assert unicodedata.is_normalized("NFC", normal)
    assert normal == " ".join(normal.split())


@pytest.mark.parametrize("language", ["en", "de", "cy"])  # Welsh is not among pysbd's languages
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=80))
def test_splitting_loses_no_character(language: str, text: str):
    clean = normalise(text)
    assert "".join("".join(split_sentences(clean, language)).split()) == "".join(clean.split())


@given(st.text(max_size=300))
def test_every_text_is_split_or_refused(text: str):
    try:
        parts = spoken(text)
    except UnspeakableError:
        return
    assert parts
    assert all(0 < len(part) <= MAX_SENTENCE_CHARACTERS and has_words(part) for part in parts)


@given(st.lists(st.text("abcdefghijklmnopqrstuvwxyzABC", min_size=1, max_size=9), min_size=1, max_size=60))
def test_no_plain_word_is_lost(words: list[str]):
    assert " ".join(spoken(" ".join(words))).split() == words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A dog runs. A cat sits.", ["A dog runs.", "A cat sits."]),
        ("Is it a dog? Yes! It is.", ["Is it a dog?", "Yes!", "It is."]),
        ("Dr. Smith meets Mr. Jones at St. Paul's.", ["Dr. Smith meets Mr. Jones at Saint Paul's."]),
        ("It costs $3.50 at 5 p.m. or so.", ["It costs $3.50 at 5 p.m. or so."]),
        ('He says "Stop." Then he goes.', ['He says "Stop."', "Then he goes."]),
        ("About approx. 10 dogs.", ["About approximately 10 dogs."]),
        ("  one \n two\t", ["one two"]),
    ],
)
def test_sentences_end_where_a_reader_pauses(text: str, expected: list[str]):
    assert spoken(text) == expected


def test_sentences_are_split_by_the_rules_of_their_language():
    assert len(split_sentences("Sie kam am 3. Mai an. Er ging.", "de-DE")) == 2
    assert len(split_sentences("यह एक कुत्ता है। वह दौड़ता है।", "hi")) == 2


@pytest.mark.parametrize("text", ["", "   ", "...", "\u200b", "- !", "?!", "[[]]", "\ue000"])
def test_a_text_without_a_word_is_unspeakable(text: str):
    with pytest.raises(UnspeakableError, match="nothing to say"):
        script(text, "en-US")


def test_a_long_sentence_is_cut_after_a_comma_and_the_pause_there_is_a_clauses():
    pieces = script("a brown dog on green grass, " * 20, "en").sentences
    assert len(pieces) > 1
    assert all(piece.text.endswith(",") and piece.end == "clause" for piece in pieces[:-1])
    assert pieces[-1].end == "paragraph"


def test_two_thousand_characters_without_a_space_are_cut_too():
    assert "".join(spoken("a" * 2000)) == "a" * 2000


def test_paragraphs_sentences_and_clauses_end_differently():
    ends = [sentence.end for sentence in script("One dog. Two dogs.\n\nThree dogs.", "en").sentences]
    assert ends == ["sentence", "paragraph", "paragraph"]


def test_words_of_the_lexicon_are_said_as_it_tells():
    lexicon = Lexicon({"MoMA": Entry("ˈmoʊmə"), "km": Entry(alias="klicks")})
    said = script("At MoMA, 5 km away.", "en", lexicon)
    assert [sentence.text for sentence in said.sentences] == ["At [[ˈmoʊmə]], 5 klicks away."]


def test_a_voice_that_cannot_be_told_sounds_refuses_them_and_says_which_words_of_the_lexicon_it_ignores():
    with pytest.raises(UnspeakableError, match="cannot be told sounds"):
        script("At [[ˈmoʊmə]].", "en", with_phonemes=False)
    said = script("At MoMA.", "en", Lexicon({"MoMA": Entry("ˈmoʊmə")}), with_phonemes=False)
    assert [sentence.text for sentence in said.sentences] == ["At MoMA."]
    assert [flag.rule for flag in said.flags] == ["lexicon-unused"]


def test_inline_sounds_are_never_cut():
    text = "word " * 45 + "[[ə lɔŋ neɪm wɪθ speɪsɪz]] " + "word " * 20
    parts = spoken(text)
    assert len(parts) > 1
    assert sum("[[ə lɔŋ neɪm wɪθ speɪsɪz]]" in part for part in parts) == 1
