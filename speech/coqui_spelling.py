"""A sentence to a Coqui voice's character numbers, and nothing dropped silently."""

import unicodedata
from typing import Any

from speech.errors import UnspeakableError

SAID_OTHERWISE = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-", "\u2026": "..."}
)
"""Typographers' marks as the plain ones that the voices were trained on."""


class Speller:
    """The library's tokenizer of one voice, speaking one language."""

    def __init__(self, tokenizer: Any, language: str) -> None:
        """Keep the tokenizer and its name of the language."""
        self._tokenizer, self._language = tokenizer, language

    def __call__(self, sentence: str) -> list[int]:
        """Return the character numbers (P,) of a sentence.

        Marks that the voice does not know are left out, for they have no sound. Raises `UnspeakableError` for a letter,
        a digit or a sound that it does not know, and where nothing is left to say.
        """
        self._tokenizer.not_found_characters = []
        numbers = list(self._tokenizer.text_to_ids(sentence.translate(SAID_OTHERWISE), language=self._language))
        unknown = [c for c in self._tokenizer.not_found_characters if unicodedata.category(c)[0] not in "PZ"]
        if unknown:
            raise UnspeakableError(
                f"the voice does not know {' '.join(unknown)}",
                where=repr(sentence[:60]),
                mend="write it in other letters or words, or choose another voice",
            )
        silent = {self._tokenizer.blank_id, self._tokenizer.pad_id}
        if not any(c.isalnum() for c in sentence) or set(numbers) <= silent:
            raise UnspeakableError(
                "nothing to say", where=repr(sentence[:60]), mend="give at least one letter or digit"
            )
        return numbers

    def check(self, sentence: str) -> list[int]:
        """Return Unicode's numbers, for a model that spells by itself, after the same checks."""
        self(sentence)
        return [ord(c) for c in sentence.translate(SAID_OTHERWISE)]


def check_only(sentence: str) -> list[int]:
    """Return Unicode's numbers of a sentence for a model whose alphabet is not known here."""
    if not any(c.isalnum() for c in sentence):
        raise UnspeakableError("nothing to say", where=repr(sentence[:60]), mend="give at least one letter or digit")
    return [ord(c) for c in sentence]
