"""Text to speakable sentences: pure rules, no model.

Numbers, units and abbreviations are spelled out later by gruut, beside the phonemes; here the text is only made
canonical (NFC, plain spaces, no control or private characters) and cut where a pause belongs.
"""

import re
import unicodedata

from speech.errors import UnspeakableError

MAX_SENTENCE_CHARACTERS = 240
"""Longer sentences are cut at a comma or a space: the voice learnt from clips of at most ten seconds."""

SENTENCE_END = re.compile(r"(?<=[.!?\u2026])[\"'\u2019\u201d)\]]*\s+(?=[\"'\u2018\u201c(\[]*[A-Z0-9])")
ABBREVIATION = re.compile(r"(?:^|[\s(])(?:Mr|Mrs|Ms|Dr|Prof|St|Mt|No|vs|etc|e\.g|i\.e|approx|[A-Z])\.$")
DROPPED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})


def normalise(text: str) -> str:
    """Return `text` in NFC, spaces folded to one, control, format, private and unassigned characters left out."""
    composed = unicodedata.normalize("NFC", text)
    kept = (
        " " if c.isspace() else c for c in composed if c.isspace() or unicodedata.category(c) not in DROPPED_CATEGORIES
    )
    return unicodedata.normalize("NFC", " ".join("".join(kept).split()))


def sentences(text: str) -> list[str]:
    """Return the sentences of `text`, each at most `MAX_SENTENCE_CHARACTERS` long and with something to say.

    Raises `UnspeakableError` where there is no letter and no digit at all.
    """
    clean = normalise(text)
    if not has_words(clean):
        raise UnspeakableError(
            "nothing to say", where=repr(text[:60]), mend="give a text with at least one letter or digit"
        )
    pieces = [piece for sentence in _split_sentences(clean) for piece in _split_long(sentence)]
    return [piece for piece in pieces if has_words(piece)]


def has_words(text: str) -> bool:
    """Return whether there is a letter or a digit in `text`."""
    return any(c.isalnum() for c in text)


def _split_sentences(clean: str) -> list[str]:
    """Return the parts between full stops, question and exclamation marks; a known abbreviation ends none."""
    parts, start = [], 0
    for gap in SENTENCE_END.finditer(clean):
        if not ABBREVIATION.search(clean[start : gap.start()]):
            parts.append(clean[start : gap.end()].strip())
            start = gap.end()
    return [part for part in [*parts, clean[start:].strip()] if part]


def _split_long(sentence: str) -> list[str]:
    """Return pieces of at most the longest length, cut after a mark in the second half, or else at a space."""
    pieces = []
    while len(sentence) > MAX_SENTENCE_CHARACTERS:
        window = sentence[:MAX_SENTENCE_CHARACTERS]
        half = MAX_SENTENCE_CHARACTERS // 2
        marks = [m.end() for m in re.finditer(r"[,;:]\s", window) if m.end() > half]
        cut = marks[-1] if marks else window.rfind(" ") + 1 or MAX_SENTENCE_CHARACTERS
        pieces.append(sentence[:cut].strip())
        sentence = sentence[cut:].strip()
    return [*pieces, sentence] if sentence else pieces
