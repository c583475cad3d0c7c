"""Words in capitals as words: "DO NOT TOUCH" on a sign is no initialism, which is what gruut takes capitals for."""

import re
import sqlite3
from contextlib import closing
from functools import lru_cache

from gruut.utils import find_lang_dir

INITIALISMS = frozenset({
    "US", "UN", "TV", "ID", "EU", "UPS", "LED", "MIT", "RAF", "LAX", "IRA", "ER", "SAS", "NAACP", "RSPCA", "UNHCR",
    "II", "III", "IV", "VI", "VII", "VIII", "IX", "XI", "XII", "AL", "CA", "CO", "CT", "DE", "GA", "IA", "IL",
    "LA", "MA", "MD", "MI", "MN", "MO", "MT", "NC", "ND", "NE", "NM", "NV", "PA", "SC", "SD", "UT", "VA", "WA",
})  # fmt: skip
"""Said letter by letter though the lexicon has the word, or it looks like one; the last ones are American states."""
BEFORE_THE_WORD_US = frozenset({
    "ABOUT", "ASK", "BEHIND", "BETWEEN", "CALL", "CONTACT", "EMAIL", "FIND", "FOLLOW", "FOR", "GIVE", "HELP",
    "JOIN", "LET", "LIKE", "OF", "SAVE", "TELL", "TO", "VISIT", "WATCH", "WITH",
})  # fmt: skip
"""Words after which `US` is the word and not the country."""
SHORT_WORDS = frozenset({
    "ALL", "AND", "ANY", "ARE", "ART", "BAR", "BUS", "BUT", "CAR", "DAY", "DO", "DOG", "EAT", "FOR", "FUN", "GO",
    "HER", "HIS", "HOT", "HOW", "KEY", "MEN", "NEW", "NO", "NOT", "NOW", "OF", "OFF", "OLD", "ONE", "OUR", "OUT",
    "PUB", "RED", "RUN", "SEA", "SUN", "TEA", "THE", "TO", "TWO", "WAR", "WAS", "WAY", "WE", "WII",
    "YES", "YOU", "ZOO",
})  # fmt: skip
"""Words of two and three letters that are no initialism even alone in a text of small letters."""
LONG = 4
"""From so many letters on, a word in capitals that the lexicon has is a word wherever it stands."""
GUESSED = 5
"""From so many letters on, an unknown word among capitals is said as it is written, as the phonemizer guesses."""

WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)*")
SHOUTED = r"[A-Z]+(?:['\u2019][A-Z]+)?"
BEFORE, AFTER = r"(?<![\w.&])(?<!\w['\u2019])", r"(?![\w&]|['\u2019]\w)"
CAPITALS = re.compile(rf"{BEFORE}[A-Z]{{2,}}{AFTER}")
RUN = re.compile(rf"{BEFORE}{SHOUTED}{AFTER}(?:[\s,:;!?.\"-]+(?:{SHOUTED}|\d+){AFTER})+")
"""Words in capitals one after the other, as signs are quoted."""


def as_words(text: str) -> str:
    """Return `text` with the words among its capitals in small letters; initialisms stay as they are.

    In a text or a run of words that is mostly capitals, every known word is one. Elsewhere a word has four letters or
    more, or is one of `SHORT_WORDS`.
    """
    if not CAPITALS.search(text):
        return text
    if _mostly_capitals(text):
        return _lowered(text)
    runs = RUN.sub(lambda match: _lowered(match.group()) if _is_a_run_of_words(match.group()) else match.group(), text)
    return CAPITALS.sub(lambda match: match.group().lower() if _is_word(match.group()) else match.group(), runs)


def _mostly_capitals(text: str) -> bool:
    """Return whether more than half of the words of two letters or more are capitals, and at least two of them.

    One of them must be a word: "a DVD by BMG" is no sign.
    """
    words = [word for word in WORD.findall(text) if len(word) > 1]
    capitals = [word for word in words if word.isupper()]
    if len(capitals) <= max(1, len(words) / 2):
        return False
    return any(_is_word(word, least=3) for word in capitals)


def _is_a_run_of_words(run: str) -> bool:
    """Return whether one of at least two words in capitals is certainly a word."""
    found = CAPITALS.findall(run)
    return len(found) > 1 and any(_is_word(word) for word in found)


def _is_word(word: str, least: int = LONG) -> bool:
    """Return whether capitals are a word wherever they stand; from `least` letters on the lexicon decides."""
    if word in INITIALISMS:
        return False
    return word in SHORT_WORDS or (len(word) >= least and word.lower() in _lexicon())


def _lowered(text: str) -> str:
    """Return a text of capitals with its words in small letters."""

    def said(match: re.Match[str]) -> str:
        word, before = match.group(), text[: match.start()].split()
        if word == "US" and before and before[-1] in BEFORE_THE_WORD_US:
            return "us"
        if word in INITIALISMS or (word == "AM" and before and before[-1][-1].isdigit()):
            return word
        guessed = len(word) >= GUESSED and re.search("[AEIOUY]", word)
        return word.lower() if guessed or word.lower() in _lexicon() else word

    return CAPITALS.sub(said, text)


@lru_cache(maxsize=1)
def _lexicon() -> frozenset[str]:
    """Return the words of gruut's lexicon in espeak's alphabet, in small letters."""
    folder = find_lang_dir("en-us")
    if folder is None:
        return frozenset()
    with closing(sqlite3.connect(f"{(folder / 'espeak' / 'lexicon.db').as_uri()}?mode=ro", uri=True)) as lexicon:
        return frozenset(word for (word,) in lexicon.execute("SELECT DISTINCT word FROM word_phonemes"))
