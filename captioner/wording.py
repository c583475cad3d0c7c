"""The wording behind `captioner.alt_text`: patterns and small changes of text, each by itself; pure functions.

English is the only language that has openings, capitals and dangling words; for others those rules rest.
"""

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

_Value = TypeVar("_Value")


def _words(text: str) -> tuple[str, ...]:
    """Return the words of a list that is written as one line."""
    return tuple(text.split())


_STOPPED = re.compile(r"[.!?\u2026\u3002\uff01\uff1f\u061f\u0964][\"'\u2019\u201d)\]\u00bb]*$")
_SPEAKABLE_SYMBOLS = frozenset("\u00b0\u00a9\u00ae\u2122\u2116\u2103\u2109")  # degree, copyright, number, ...
_JOINERS = "\u200c\u200d"  # they shape letters of Persian and Indic scripts; elsewhere they only glue emoji


@dataclass(frozen=True)
class Openings:
    """How captions of one language begin that say what a screen reader has just said."""

    pattern: re.Pattern[str]
    """The opening; its group `kind` is what it says of the picture besides, such as `close up`."""
    kinds: Mapping[str, str]
    """What to keep of that: kind, with single spaces, to the words that begin the text."""
    part_of_the_scene: re.Pattern[str]
    """Found where the picture hangs in the photo: then the opening is meant."""

    def kept(self, kind: str | None) -> str:
        """Return the words that begin the text in place of the opening, or none."""
        return self.kinds.get(" ".join((kind or "").lower().replace("-", " ").split()), "")


_PICTURE = r"(?:image|picture|photo(?:graph)?|pic|snapshot)"
_PRAISE = r"(?:(?:beautiful|nice|lovely|great|good|stock|digital|colou?r|amateur|professional)\s+)*"
_KIND = r"(?:(?P<kind>close[\s-]?up|aerial|black[\s-]and[\s-]white)\s+)?"
OPENINGS = {
    "en": Openings(
        re.compile(
            rf"(?:(?:this|that|it|here|there)\s+(?:is|are)\s+)?(?:(?:an?|the|this|some)\s+)?{_PRAISE}{_KIND}{_PRAISE}"
            rf"{_PICTURE}s?\s+(?:of|(?:that\s+|which\s+)?(?:shows?|showing|depicts?|depicting|features?|featuring))\s+"
            rf"|in\s+(?:this|the)\s+{_PRAISE}{_PICTURE}\s*,?\s+(?=(?:an?|the|some|two|three|four|several|people)\b)",
            re.IGNORECASE,
        ),
        {
            "close up": "a close-up of ",
            "closeup": "a close-up of ",
            "aerial": "an aerial view of ",
            "black and white": "in black and white, ",
        },
        re.compile(
            r"\b(?:hangs?|hanging|hung|framed|taped|pinned)\b|\bis (?:painted|drawn|displayed|printed|shown)\b"
            r"|\bon (?:a|the) (?:wall|screen|fridge|mantel|desk|shelf|shirt)\b",
            re.IGNORECASE,
        ),
    )
}
"""Language to its openings."""

FOREIGN = {
    "has-url": (re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE), "a web address"),
    "has-file-name": (
        re.compile(r"(?<!\S)\S+\.(?:jpe?g|png|gif|webp|bmp|tiff?|heic|avif)\b", re.IGNORECASE),
        "a file name",
    ),
    "unknown-word": (
        re.compile(r"<(?:unk|unknown|pad|padding|start|end|s|/s)>", re.IGNORECASE),
        "a word that the model does not know",
    ),
    "has-label": (re.compile(r"^\s*(?:alt[\s-]*text|caption|description)\s*:", re.IGNORECASE), "a label"),
}
"""Rule to the pattern of what is no part of a description, and its name."""

_CAPITALS = {
    word.lower(): word
    for word in _words(
        "I I'm I'll I've I'd African American Argentinian Asian Australian Brazilian British Canadian Chinese "
        "Christmas Cuban Dutch Easter English European French German Greek Halloween Hispanic Indian Irish Italian "
        "Jamaican Japanese Korean Mexican Russian Santa Scottish Spanish Thai Monday Tuesday Wednesday Thursday Friday "
        "Saturday Sunday ATV BMX DJ NASA NBA NFL SUV TV UK USA"
    )
}
_TWICE_IN_ENGLISH = frozenset(_words("bye choo had hip that very"))
_COLOURS = "red|orange|yellow|green|blue|purple|pink|brown|black|white|gr[ae]y|tan|gold|silver"
_DANGLING = frozenset(
    _words(
        "a an and as at beside but by for from in into is near next of on or over that the their to under which while "
        "who with"
    )
)
_PHRASE = r"\b([^\W\d_][\w'-]*(?:\s+[\w'-]+){0,5})"
_AGAIN = r"\1(?![\w'-])"
_REPEATED = re.compile(rf"{_PHRASE}(?<!\band)(?<!\bor)\s+{_AGAIN}", re.IGNORECASE)
_REPEATED_PHRASE = re.compile(rf"\b([^\W\d_][\w'-]*(?:\s+[\w'-]+){{1,5}})\s*,\s+{_AGAIN}", re.IGNORECASE)
_LINKED = re.compile(rf"\b({_COLOURS})\s+and\s+{_AGAIN}", re.IGNORECASE)
_LINKED_THRICE = re.compile(rf"{_PHRASE}(\s+and\s+\1){{2,}}(?![\w'-])", re.IGNORECASE)


def main_language(tag: str) -> str:
    """Return the language of a BCP 47 tag: `en` of `en-US`."""
    return tag.partition("-")[0].lower()


def in_language(table: Mapping[str, _Value], language: str) -> _Value | None:
    """Return the entry of a BCP 47 tag's main language, or None."""
    return table.get(main_language(language))


def has_words(text: str) -> bool:
    """Tell whether there is a letter or a digit."""
    return any(character.isalnum() for character in text)


def speakable(text: str) -> tuple[str, bool]:
    """Return `text` without emoji, symbols and control characters, and whether there were any."""
    spaced = re.sub(r"\s", " ", text)
    kept = "".join(
        character for index, character in enumerate(spaced) if _is_speakable(character, spaced[index + 1 : index + 2])
    )
    return kept, kept != spaced


def _is_speakable(character: str, following: str) -> bool:
    """Tell whether a character belongs into a text that is read aloud."""
    if character in _JOINERS:
        return following.isalpha()
    if unicodedata.category(character) in ("So", "Cc", "Cf", "Cs", "Co", "Cn"):
        return character in _SPEAKABLE_SYMBOLS
    return not ("\ufe00" <= character <= "\ufe0f" or "\U0001f3fb" <= character <= "\U0001f3ff")


def tidy(text: str) -> str:
    """Put spaces and punctuation in order: a model gives its tokens apart, such as `a man 's hat .`."""
    text = re.sub(r"\s+", " ", text).strip()
    text = re.sub(r"``|\u2018\u2018|''", '"', text)
    text = re.sub(r" (['\u2019](?:s|re|m|ll|ve|d)|n['\u2019]t)\b", r"\1", text)
    text = re.sub(r"\.(?: +\.)+", ".", text)
    text = re.sub(r" +([.,;:!?)\]}])", r"\1", text)
    text = re.sub(r"([(\[{]) +", r"\1", text)
    text = _quotes_closed_up(text)
    text = re.sub(r"([,;:!?])(?:\s*[,;:])+", r"\1", text)
    return re.sub(r"^[\s,;:.!?-]+(?=\w)", "", text)


def _quotes_closed_up(text: str) -> str:
    """Return `text` without spaces on the inner side of quotation marks, where these come in pairs."""
    parts = text.split('"')
    if len(parts) % 2:
        parts[1::2] = [part.strip() for part in parts[1::2]]
    return '"'.join(parts)


def without_repeats(text: str) -> str:
    """Return `text` with words and phrases of up to six words that come twice in a row once, and `red and red` too.

    Careful where people repeat a word and mean it: "the snow, snow flies", "a salad and salad dressing", "one brown
    and one brown and white" stay as they are (tried on 75,000 human captions).
    """
    text = _REPEATED.sub(_once, text)
    text = _REPEATED_PHRASE.sub(r"\1", text)
    text = _LINKED_THRICE.sub(r"\1 and \1", text)
    return _LINKED.sub(r"\1", text)


def _once(match: re.Match[str]) -> str:
    """Return a repeated phrase once, unless English says it twice."""
    return match[0] if match[1].lower() in _TWICE_IN_ENGLISH else match[1]


def cut(text: str, maximum_characters: int) -> str:
    """Return the beginning of `text`: whole sentences where half of the room is filled so, else whole words."""
    head = text[:maximum_characters]
    sentence = max(head.rfind(mark) for mark in (". ", "! ", "? "))
    if sentence >= maximum_characters // 2:
        return head[: sentence + 1]
    if not text[maximum_characters].isspace():
        head = head[: head.rfind(" ")] if " " in head else _whole_characters(head, text[maximum_characters])
    return _without_dangling_words(head)


def _whole_characters(head: str, following: str) -> str:
    """Return `head` without a last letter whose accent was cut off."""
    while head and unicodedata.combining(following):
        head, following = head[:-1], head[-1]
    return head


def _without_dangling_words(text: str) -> str:
    """Return `text` without the articles and prepositions that a cut left at its end."""
    words = text.split(" ")
    while len(words) > 1 and words[-1].strip(",;:-").lower() in _DANGLING | {""}:
        words.pop()
    return " ".join(words).rstrip(" ,;:-")


def as_sentence(text: str, language: str) -> str:
    """Return `text` with a capital at the start of each sentence and a stop at its end; capitals in it are kept."""
    if not has_words(text):
        return ""
    if main_language(language) == "en":
        text = re.sub(r"[A-Za-z]+(?:'[a-z]+)?", lambda match: _CAPITALS.get(match[0], match[0]), text)
    text = re.sub(r"(?:^|(?<=[.!?] ))[\W_]*[^\W_]", _capital, text)
    text = text.rstrip(" ,;:-")
    return text if _STOPPED.search(text) else text + "."


def _capital(match: re.Match[str]) -> str:
    """Return the match with its letter as a capital, where that is one character."""
    capital = match[0][-1].upper()
    return match[0][:-1] + capital if len(capital) == 1 else match[0]
