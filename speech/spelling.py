"""Signs to words: units, currencies, fractions, ranges, emoji, symbols, web addresses, other scripts.

What a sign is called comes from the Unicode CLDR (Babel, emoji), Unicode's own names and num2words. Whole numbers,
dates, times and the commonest currencies in English are left to gruut, which spells them beside the phonemes; in other
languages num2words spells the numbers here. Sounds in double brackets are left alone.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any

import emoji
import langcodes
from anyascii import anyascii
from babel import Locale, UnknownLocaleError, numbers
from num2words import num2words

from speech.errors import UnspeakableError
from speech.lexicon import INLINE
from speech.notation import RULES, without_dots

ABBREVIATIONS = {
    "approx.": "approximately", "e.g.": "for example", "i.e.": "that is", "etc.": "et cetera", "w/": "with",
    "vs.": "versus", "vs": "versus", "Mt.": "Mount", "Ft.": "Fort", "attrib.": "attributed", "Attrib.": "Attributed",
    "diam.": "diameter", "Diam.": "Diameter", "dims.": "dimensions", "Dims.": "Dimensions",
}  # fmt: skip
"""English ones that gruut does not know."""
SIGN_NAMES = {"@": "at", "#": "number", "_": " ", "/": "slash", "\\": "backslash", "*": "", "•": ",", "|": ",",
              "·": ",", "°": "degrees", "\u00d7": "times", "÷": "divided by", "±": "plus or minus",
              "™": "trademark", "…": "...", "%": "percent", "&": "and", "~": "about", "^": ""}  # fmt: skip
"""English names of signs where Unicode's own would not be said."""
SPOKEN_MARKS = frozenset(" .,!?;:'-\"\u2019\u2018\u201c\u201d\u2013\u2014$\u20ac\u00a3")
"""Marks that gruut reads or pauses at; of the brackets a comma is left."""
BRACKETS = str.maketrans(dict.fromkeys("()[]{}<>\u00ab\u00bb\u2039\u203a", ", "))
COMMON_CURRENCIES = "$\u20ac\u00a3"
UNIT_KINDS = ("length", "mass", "volume", "temperature", "speed", "area", "power", "frequency", "digital", "electric",
              "energy", "pressure", "duration", "concentr-perc", "concentr-permille")  # fmt: skip
NOT_UNITS = frozenset({
    "in", "at", "em", "st", "fur", "pt", "pc", "au", "ac", "dr", "gr", "bu", "pn", "mc", "day", "days", "night",
    "nights", "light", "bar", "dec", "c", "t", "q", "w", "d", "y", "#", "\u2032", "\u2033", "ly", "bit", "byte", "mb",
    "tn", "kn", "fth", "dunam", "cal", "Cal", "drdrops", "item", "items", "CD", "MP", "A", "B", "G", "K", "N", "R",
    "J", "pm", "am", "s",
})  # fmt: skip
"""Signs of units that are words, or mean something else, far more often."""
SPACELESS = frozenset("h")
"""Units of one letter that are only taken for one right after the number; `m`, `g`, `L` may stand apart."""
MOST = 0.75
"""From this share of letters in another script on, a text is not for the voice."""
NUMBER = r"(?<![\w.,])[-\u2212]?\d+(?:[.,]\d+)*"
MONEY_SIZES = {"k": "thousand", "m": "million", "mn": "million", "bn": "billion", "b": "billion", "tn": "trillion"}
MONEY_SIZE = re.compile(r"(?<=[$\u20ac\u00a3])(\d+(?:[.,]\d+)*) ?(k|mn?|bn?|tn)(?!\w)", re.IGNORECASE)
"""Sizes of sums that would be taken for units: "\u00a31m"."""
DATE = re.compile(r"(\b\d{1,4}/\d{1,2}/\d{1,4}\b)")
"""Dates with slashes: gruut reads them whole."""


@dataclass(frozen=True)
class Spelt:
    """A text in words that a voice can say."""

    text: str
    """The words."""
    doubts: tuple[str, ...] = ()
    """What a listener may not understand, in words."""


def spell_out(text: str, language: str) -> Spelt:
    """Return the text with its signs as words of `language` (BCP 47), and what was put into other letters.

    Raises `UnspeakableError` where most of its letters are of a script that the voice does not speak.
    """
    doubts: list[str] = []
    parts = re.split(f"({INLINE.pattern.replace('(', '(?:', 1)})", text)
    for k in range(0, len(parts), 2):
        parts[k] = _spell_plain(parts[k], language, doubts)
    joined = re.sub(r"\s+([,.;:!?])", r"\1", " ".join("".join(parts).split()))
    return Spelt(re.sub(r"^[,\s]+|,\s*(?=[,.;:!?])|,$", "", re.sub(r",(?=[^\s,\d])", ", ", joined)), tuple(doubts))


def _spell_plain(text: str, language: str, doubts: list[str]) -> str:
    """Return a text without inline sounds in words; adds to `doubts`."""
    base = language.partition("-")[0].lower()
    text = _with_emoji_names(text, base)
    if base == "en":
        text = without_dots(text)
        text = MONEY_SIZE.sub(lambda match: f"{match[1]} {MONEY_SIZES[match[2].lower()]}", text)
    text = _with_units(text, base)
    text = _english(text) if base == "en" else _with_numbers(text, base)
    if _script(language) == "Latn":
        text = _in_latin_letters(text, doubts)
    return _with_sign_names(text) if base == "en" else text


@lru_cache(maxsize=32)
def _script(language: str) -> str | None:
    """Return the script that a language is written in; None for one that is not known."""
    try:
        return langcodes.get(language).maximize().script
    except ValueError:
        return None


def _with_emoji_names(text: str, base: str) -> str:
    """Return the text with CLDR's names for emoji, as screen readers say them."""
    known = base if base in emoji.LANGUAGES else "en"
    if known != "en":
        emoji.config.load_language(known)

    def name(_chars: str, data: dict[str, Any]) -> str:
        return f" {data.get(known, data['en']).strip(':').replace('_', ' ')} "

    return emoji.replace_emoji(text, name) if emoji.emoji_count(text) else text


@lru_cache(maxsize=32)
def _units(base: str) -> dict[str, dict[str, str]]:
    """Return CLDR's words for each unit's sign, by plural form: `km` to `{"one": "{0} kilometer", ...}`."""
    try:
        patterns: Any = Locale.parse(base)._data["unit_patterns"]  # noqa: SLF001 - Babel has no public way to the signs
    except (UnknownLocaleError, ValueError):
        return {}
    found: dict[str, dict[str, str]] = {}
    for style in ("short", "narrow"):
        for unit, by_style in patterns.items():
            if not unit.startswith(UNIT_KINDS) or style not in by_style or "long" not in by_style:
                continue
            words = {
                form: by_style["long"][form] for form in by_style["long"] if isinstance(by_style["long"][form], str)
            }
            for form in ("one", "other"):
                sign = str(by_style[style].get(form, "")).replace("{0}", "").strip(" \u00a0\u202f")
                if sign and sign not in NOT_UNITS and "{0}" in words.get("other", ""):
                    found.setdefault(sign, words)
    return found


@lru_cache(maxsize=32)
def _unit_pattern(base: str) -> re.Pattern[str] | None:
    signs = sorted(_units(base), key=len, reverse=True)
    return re.compile(rf"({NUMBER})([ \u00a0\u202f]?)({'|'.join(map(re.escape, signs))})(?!\w)") if signs else None


def _with_units(text: str, base: str) -> str:
    """Return the text with the words of units after numbers: "5 km" to "5 kilometers"."""
    pattern = _unit_pattern(base)
    if pattern is None:
        return text

    def words(match: re.Match[str]) -> str:
        number, space, sign = match.groups()
        if space and sign in SPACELESS:
            return match.group()
        forms = _units(base)[sign]
        form = str(Locale.parse(base).plural_form(abs(_value(number, base))))
        return forms.get(form, forms["other"]).replace("{0}", number)

    return pattern.sub(words, re.sub(r"(\d+)'(\d+)(?:\"|'')", r"\1 ft \2 inches", text) if base == "en" else text)


def _value(number: str, base: str) -> Decimal:
    """Return the value of a number as it is written in the language; of one that it would not write, its digits'."""
    try:
        return numbers.parse_decimal(number.replace("\u2212", "-"), locale=base, strict=True)
    except (numbers.NumberFormatError, UnknownLocaleError, ValueError):
        return Decimal(re.sub(r"\D", "", number))


def _with_numbers(text: str, base: str) -> str:
    """Return the text with num2words' words for numbers, where it knows the language."""

    def words(match: re.Match[str]) -> str:
        try:
            return str(num2words(_value(match.group(), base), lang=base))
        except (NotImplementedError, OverflowError, ValueError, TypeError):
            return match.group()

    return re.sub(NUMBER, words, text)


def _english(text: str) -> str:
    """Return an English text without what gruut would read wrongly or leave out."""
    for pattern, replacement in _ENGLISH_RULES:
        text = pattern.sub(replacement, text)
    return text


def _fraction(match: re.Match[str]) -> str:
    top, bottom = int(match["top"]), int(match["bottom"])
    if top >= bottom:
        return f"{top} slash {bottom}"
    name = {2: "half", 4: "quarter"}.get(bottom) or str(num2words(bottom, to="ordinal"))
    plural = "" if top == 1 else "s" if name != "half" else ""
    return f"{match['whole'] + ' and ' if match['whole'] else ''}{num2words(top)} {name}{plural}"


def _vulgar(match: re.Match[str]) -> str:
    """Return "½" as "1/2", with a space after a whole number."""
    space = " " if match.start() and match.string[match.start() - 1].isdigit() else ""
    return space + unicodedata.normalize("NFKC", match.group()).replace("\u2044", "/")


def _decade(match: re.Match[str]) -> str:
    words = str(num2words(int(match[1]), to="year"))
    return words.removesuffix("y") + "ies" if words.endswith("y") else words + "s"


def _money(match: re.Match[str]) -> str:
    """Return "$5 million" as "5 million dollars" and "¥500" as "500 yen"; a plain "$5" is gruut's."""
    sign, number, size = match["sign"], match["number"], match["size"] or ""
    if sign in COMMON_CURRENCIES and not size:
        return match.group()
    code = next((code for code, known in Locale.parse("en").currency_symbols.items() if known == sign), None)
    if code is None:
        return match.group()
    count = 2 if size else _value(number, "en")
    return f"{number}{' ' if size else ''}{size} {numbers.get_currency_name(code, count, locale='en').split()[-1]}"


def _address(match: re.Match[str]) -> str:
    bare = re.sub(r"^[a-z]+://", "", match.group())
    named = {".": " dot ", "/": " slash ", "@": " at ", "-": " dash ", "_": " underscore "}
    return "".join(named.get(c, c) for c in bare.rstrip("./"))


_ENGLISH_RULES: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"(?:[a-z]+://\S+|www\.\S+|[\w.+-]+@[\w-]+\.[\w.]+\w)(?<![.,;:!?)])"), _address),
    (re.compile("[\u00bc-\u00be\u2150-\u215e]"), _vulgar),
    *RULES,
    (re.compile(r"(?<![\w/])(9|24)/(?=(?:(?<=9/)11|(?<=24/)7)(?![\w/]))"), r"\1 "),  # a day and a habit, no fractions
    (re.compile(r"(?<=\d)(?:ST|ND|RD|TH)\b"), lambda match: match.group().lower()),
    (re.compile(r"(?<![\w/])(?:(?P<whole>\d+) )?(?P<top>\d{1,2})[/\u2044](?P<bottom>\d{1,3})(?![\w/])"), _fraction),
    (re.compile(r"(?<!\w)'?((?:1[0-9]|20)\d0)'?s(?!\w)"), _decade),
    (re.compile(rf"(?P<sign>[^\w\s.,;:!?'\"-])(?P<number>{NUMBER.replace('(?<![', '(?<![' )})"
                r"(?: ?(?P<size>thousand|million|billion|trillion))?(?!\w)"), _money),
    (re.compile(r"(?<![\w/.-])(\d+)\s?[-\u2013]\s?(?=\d+(?![\w/-]))"), r"\1 to "),
    (re.compile(r"[$\u20ac\u00a3](?!\d)"), lambda match: _sign_name(match.group())),
    (re.compile(r"\u2212(?=\d)"), "-"),
    (re.compile(r"#(?=\d)|\u2116\s?"), "number "),
    (re.compile(r"\bSt\.(?=\s[A-Z])"), "Saint"),
    (re.compile("|".join(rf"(?<!\w){re.escape(short)}(?=\s|$|,)" for short in sorted(ABBREVIATIONS))),
     lambda match: ABBREVIATIONS[match.group()]),
    (re.compile(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])(?!(?:st|nd|rd|th|s|am|pm)\b)"), " "),
)  # fmt: skip
"""Patterns and what they become, in this order."""


def _in_latin_letters(text: str, doubts: list[str]) -> str:
    """Return the text with words of other scripts romanised, each said in `doubts`; a lone Greek letter by its name."""
    letters = [c for c in text if c.isalpha()]
    foreign = [c for c in letters if not _is_latin(c)]
    if not foreign:
        return text
    if len(foreign) > MOST * len(letters) and len(foreign) > 1:
        raise UnspeakableError(
            "most of its letters are of a script that the voice does not speak",
            where=repr(text[:60]),
            mend="choose a voice of its language",
        )
    return re.sub(r"[^\W\d_]+", lambda match: _romanised(match.group(), doubts), text)


def _romanised(word: str, doubts: list[str]) -> str:
    if all(_is_latin(c) for c in word):
        return word
    name = unicodedata.name(word, "") if len(word) == 1 else ""
    if name.startswith("GREEK"):
        return name.rsplit(" ", 1)[-1].lower()
    said = re.sub("(?<=[a-z])(?=[A-Z])", " ", anyascii(word))
    doubts.append(f'"{word}" is said as "{said}"')
    return said


def _is_latin(character: str) -> bool:
    return character.isascii() or unicodedata.name(character, "").startswith(("LATIN", "FULLWIDTH LATIN", "MODIFIER"))


def _with_sign_names(text: str) -> str:
    """Return an English text in which every sign that gruut would leave out silently is said by its name."""
    parts = DATE.split(text.translate(BRACKETS))
    for k in range(0, len(parts), 2):
        plain = (c if (c.isalnum() and c.isascii()) or c in SPOKEN_MARKS else _sign_name(c) for c in parts[k])
        parts[k] = "".join(plain)
    return "".join(parts)


def _sign_name(sign: str) -> str:
    """Return how a sign or a letter beyond ASCII is said: its own plain form, or its name."""
    if sign in SIGN_NAMES:
        return f" {SIGN_NAMES[sign]} "
    category = unicodedata.category(sign)
    if category[0] in "LMN":
        return sign if category[0] == "M" or _has_base(sign) else anyascii(sign)
    if category[0] in "PZC":
        return ", " if category[0] == "P" else " "
    name = unicodedata.name(sign, "").lower()
    return f" {re.sub(r' (sign|symbol)$', '', name)} "


def _has_base(letter: str) -> bool:
    """Return whether the letter is a plain one with an accent, which the phonemizer takes off itself."""
    return unicodedata.normalize("NFD", letter)[0].isascii()
