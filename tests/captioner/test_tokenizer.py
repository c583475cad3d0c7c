"""Words to ids and back."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioner.errors import ModelError
from captioner.tokenizer import END, SPECIAL, UNKNOWN, Tokenizer, join_words, split_words

VOCABULARY = ["a", "dog", "'s", "t-shirt", "red", "two"]


@given(st.lists(st.integers(len(SPECIAL), len(SPECIAL) + len(VOCABULARY) - 1).filter(lambda number: number != 6)))
def test_ids_survive_being_text(ids: list[int]):
    tokenizer = Tokenizer(VOCABULARY)

    assert tokenizer.encode(tokenizer.decode(ids)) == ids


@given(st.text())
def test_any_text_splits_into_words_that_join_and_split_to_the_same(text: str):
    words = split_words(text)

    assert split_words(join_words(words)) == words


def test_a_possessive_is_two_words_and_one_text():
    assert split_words("A Man\u2019s T-shirt.") == ["a", "man", "'s", "t-shirt"]
    assert join_words(["a", "man", "'s", "t-shirt"]) == "a man's t-shirt"


def test_words_outside_the_vocabulary_are_unknown_and_never_said():
    tokenizer = Tokenizer(VOCABULARY)

    assert tokenizer.encode("a zebra") == [4, UNKNOWN]
    assert tokenizer.decode([4, UNKNOWN, 5, END, 5]) == "a dog"


def test_only_words_that_are_common_enough_are_kept_the_commonest_first():
    tokenizer = Tokenizer.count(["a dog", "a cat", "a dog runs", "a dog"], min_count=2)

    assert tokenizer.words == (*SPECIAL, "a", "dog")


def test_a_saved_vocabulary_is_the_same_when_loaded(tmp_path: Path):
    (tmp_path / "tokenizer.json").write_text(Tokenizer(VOCABULARY).to_json(), encoding="utf-8")

    assert Tokenizer.load(tmp_path / "tokenizer.json").words == (*SPECIAL, *VOCABULARY)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"words": 3}'])
def test_a_file_that_is_no_vocabulary_is_refused_by_name(tmp_path: Path, content: str):
    path = tmp_path / "tokenizer.json"
    path.write_text(content, encoding="utf-8")

    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        Tokenizer.load(path)


def test_a_word_twice_is_refused(tmp_path: Path):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({"words": ["dog", "dog"]}), encoding="utf-8")

    with pytest.raises(ModelError, match="'dog' is in the vocabulary twice"):
        Tokenizer.load(path)
