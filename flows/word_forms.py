"""The words of a text as search compares them, and the other forms of an English word: plural and singular.

The forms are a rule, not a lexicon: it makes some words that do not exist ("womens", "hors"), and these find nothing.
Words of other languages are found as they are written; those of scripts without spaces anywhere in a text.
"""

import pyarrow as pa
import pyarrow.compute as pc

NO_WORD = r"[^\pL\pN\pM]+"
"""What lies between words in any language, as RE2 says it: what is no letter, digit or mark upon a letter."""
WITHOUT_SPACES = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
"""Scripts that put no spaces between words, or join small words to their ends (Korean)."""
NO_WORD_IN_TEXT = rf"[\pP\pS\pZ\pC{WITHOUT_SPACES[1:-1]}]+"
"""In texts these scripts part the words of others too: "iPhone" stands right before its Japanese ending.

One class of characters and no choice of two: a search of 100,000 texts takes 0.42 s so, and 0.96 s otherwise.
"""
IRREGULAR = (
    ("man", "men"), ("child", "children"), ("person", "people"), ("foot", "feet"), ("tooth", "teeth"),
    ("goose", "geese"), ("mouse", "mice"), ("ox", "oxen"), ("leaf", "leaves"), ("loaf", "loaves"), ("wolf", "wolves"),
    ("knife", "knives"), ("wife", "wives"), ("life", "lives"), ("half", "halves"), ("calf", "calves"),
    ("shelf", "shelves"), ("scarf", "scarves"), ("thief", "thieves"),
)  # fmt: skip
"""Ends of words in singular and plural; `woman`, `grandchild` and `bookshelf` end like these."""
HISSING = ("s", "x", "z", "ch", "sh")
"""Ends of words that get es."""
SHORTEST = 3
"""Letters that a singular has at least: no `bu` of `bus`, no `to` of `toes`."""


def lowered(texts: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return texts as they are compared: small letters, each one code point where Unicode has one (NFC)."""
    return pc.utf8_lower(pc.utf8_normalize(texts, "NFC"))


def words_of(texts: pa.Array) -> pa.ListArray:
    """Return the words of each text; an empty one stands where a text begins or ends with no word.

    Those of scripts without spaces are not among them: they are looked for anywhere.
    """
    return pc.split_pattern_regex(texts, NO_WORD_IN_TEXT)


def words_asked(query: str) -> list[str]:
    """Return the words of a query, of all scripts."""
    words: list[str] = pc.split_pattern_regex(lowered(pa.chunked_array([[query]])), NO_WORD)[0].as_py()
    return [word for word in words if word]


def is_found_anywhere(word: str) -> bool:
    """Return whether a word is of a script without spaces."""
    found: bool = pc.match_substring_regex(word, WITHOUT_SPACES).as_py()
    return found


def forms_of(word: str) -> frozenset[str]:
    """Return a word in lower case with its singulars and plurals, as far as the rule goes."""
    if is_found_anywhere(word):
        return frozenset((word,))
    bare = {word, *_singulars(word)}
    return frozenset(bare | {many for one in bare for many in _plurals(one)})


def _singulars(word: str) -> set[str]:
    found = {word.removesuffix(many) + one for one, many in IRREGULAR if word.endswith(many)}
    if word.endswith("s") and not word.endswith("ss"):
        found.add(word[:-1])
    if word.endswith("ies"):
        found.add(word[:-3] + "y")
    elif word.endswith("es") and word[:-2].endswith((*HISSING, "o")):
        found.add(word[:-2])
    return {one for one in found if len(one) >= SHORTEST or one == "ox"}


def _plurals(word: str) -> set[str]:
    found = {word.removesuffix(one) + many for one, many in IRREGULAR if word.endswith(one)}
    if word.endswith("y"):
        found.add(word[:-1] + "ies")
    if word.endswith((*HISSING, "o")):
        found.add(word + "es")
    if not word.endswith("s"):
        found.add(word + "s")
    return found
