"""Text to speakable sentences: pure rules, no model.

A text is made canonical (NFC, plain spaces, no control or private characters), its words are looked up in the user's
lexicon, its signs spelled out, and it is cut where a pause belongs.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Literal

import pysbd
from pysbd.languages import LANGUAGE_CODES

from speech.errors import UnspeakableError
from speech.lexicon import INLINE, Lexicon
from speech.records import ClipFlag
from speech.spelling import spell_out

MAX_TEXT_CHARACTERS = 5000
"""About five minutes of speech: a longer text is no description of a photo, and would hold a run up."""

MAX_SENTENCE_CHARACTERS = 240
"""Longer sentences are cut at a comma or a space: the voice learnt from clips of at most ten seconds."""

SENTENCE_END = re.compile(r"(?<=[.!?\u2026\u3002])[\"'\u2019\u201d)\]]*\s+")
"""For languages that pysbd does not know."""
PARAGRAPH = re.compile(r"\n\s*\n")
DROPPED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
JOINERS = frozenset("\u200c\u200d")
"""Format characters that change what emoji and some scripts mean."""

End = Literal["clause", "sentence", "paragraph"]


@dataclass(frozen=True)
class Sentence:
    """A piece of a text that is spoken in one go."""

    text: str
    """What is said, signs as words; sounds of the lexicon in double brackets."""
    end: End
    """What ends with it: how long the pause after it should be."""


@dataclass(frozen=True)
class Pauses:
    """Silence between the pieces of one text, in seconds."""

    clause_s: float
    """Where a long sentence was cut."""
    sentence_s: float
    """Between sentences."""
    paragraph_s: float
    """Between paragraphs."""

    def after(self, end: End) -> float:
        """Return the pause after a piece that ends so."""
        return {"clause": self.clause_s, "sentence": self.sentence_s, "paragraph": self.paragraph_s}[end]


PAUSES: dict[str, Pauses] = {
    "short": Pauses(0.1, 0.2, 0.4),
    "natural": Pauses(0.15, 0.35, 0.7),
    "long": Pauses(0.3, 0.7, 1.2),
}


def normalise(text: str) -> str:
    """Return `text` in NFC, spaces folded to one, control, format, private and unassigned characters left out."""
    composed = unicodedata.normalize("NFC", text)
    kept = (
        " " if c.isspace() else c
        for c in composed
        if c.isspace() or c in JOINERS or unicodedata.category(c) not in DROPPED_CATEGORIES
    )
    return unicodedata.normalize("NFC", " ".join("".join(kept).split()))


@dataclass(frozen=True)
class Script:
    """A text as it will be spoken."""

    sentences: list[Sentence]
    """Its pieces, in order; at least one."""
    flags: tuple[ClipFlag, ...] = ()
    """What a listener may not understand."""


def script(text: str, language: str = "en", lexicon: Lexicon | None = None, *, with_phonemes: bool = True) -> Script:
    """Return `text` as it is spoken in `language` (BCP 47).

    `with_phonemes` says whether the voice can be told sounds. Raises `UnspeakableError` where there is nothing to say,
    most of it is in another script, or it is longer than `MAX_TEXT_CHARACTERS`.
    """
    if len(text) > MAX_TEXT_CHARACTERS:
        what = f"the text has {len(text):,} characters, more than {MAX_TEXT_CHARACTERS:,}"
        raise UnspeakableError(what, where=repr(text[:60]), mend="shorten it")
    spoken: list[Sentence] = []
    flags: list[ClipFlag] = []
    for paragraph in PARAGRAPH.split(text):
        clean = normalise(paragraph)
        if not with_phonemes and INLINE.search(clean):
            mend = "take the double brackets out, or choose a voice of ours"
            raise UnspeakableError("this voice cannot be told sounds", where=repr(clean[:60]), mend=mend)
        said, untold = lexicon.apply(clean, with_phonemes=with_phonemes) if lexicon else (clean, [])
        flags += [ClipFlag("lexicon-unused", f'this voice cannot be told the sounds of "{word}"') for word in untold]
        spelt = spell_out(said, language)
        flags += [ClipFlag("foreign-script", doubt) for doubt in spelt.doubts]
        pieces = [piece for sentence in split_sentences(spelt.text, language) for piece in _pieces(sentence)]
        pieces = [piece for piece in pieces if has_words(piece.text)]
        if pieces:
            spoken += [*pieces[:-1], Sentence(pieces[-1].text, "paragraph")]
    if not spoken:
        mend = "give a text with at least one letter, digit or sign that has a name"
        raise UnspeakableError("nothing to say", where=repr(text[:60]), mend=mend)
    return Script(spoken, tuple(flags))


def has_words(text: str) -> bool:
    """Return whether there is a letter or a digit in `text`."""
    return any(c.isalnum() for c in text)


@lru_cache(maxsize=32)
def _segmenter(base: str) -> pysbd.Segmenter | None:
    return pysbd.Segmenter(language=base, clean=False) if base in LANGUAGE_CODES else None


def split_sentences(clean: str, language: str) -> list[str]:
    """Return the sentences of a text by the rules of its language (pysbd), or at its marks where there are none.

    pysbd loses or changes a character of some texts: those are cut at their marks too.
    """
    segmenter = _segmenter(language.partition("-")[0].lower())
    parts = [str(part) for part in segmenter.segment(clean)] if segmenter else []
    if "".join("".join(parts).split()) != "".join(clean.split()):
        ends = [0, *(gap.end() for gap in SENTENCE_END.finditer(clean)), len(clean)]
        parts = [clean[start:end] for start, end in pairwise(ends)]
    return [part.strip() for part in parts if part.strip()]


def _pieces(sentence: str) -> list[Sentence]:
    """Return pieces of at most the longest length, cut after a mark in the second half, or else at a space."""
    pieces = []
    while len(sentence) > MAX_SENTENCE_CHARACTERS:
        inside = [match.span() for match in INLINE.finditer(sentence)]
        gaps = [match.end() for match in re.finditer(r"\s", sentence[:MAX_SENTENCE_CHARACTERS])]
        gaps = [gap for gap in gaps if not any(start < gap < end for start, end in inside)]
        marks = [gap for gap in gaps if gap > MAX_SENTENCE_CHARACTERS // 2 and sentence[gap - 2] in ",;:"]
        cut = (marks or gaps or [MAX_SENTENCE_CHARACTERS])[-1]
        pieces.append(Sentence(sentence[:cut].strip(), "clause"))
        sentence = sentence[cut:].strip()
    return [*pieces, Sentence(sentence, "sentence")] if sentence else pieces
