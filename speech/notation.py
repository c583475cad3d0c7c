"""The notation of labels, catalogues and dates in English words: "acc. no. 12", "b. 1901", "24 x 36 in.".

Each rule asks for what stands around it, since most of these are words or letters too: "She holds a cat. 2 dogs sit."
"""

import re
from collections.abc import Callable

BETWEEN = r"(?:(?<=[,;(])|(?<=[,;(]\s))"
"""After a comma, a semicolon or a bracket: where labels list."""
BEGIN = rf"(?:^|{BETWEEN})"
YEAR = r"\s?(?:ca?\.\s?)?[12]\d{3}(?!\d)"
SIZE = r"(?:(?<![\w.,/])\d+(?:[.,]\d+)*(?: \d{1,2}/\d{1,3})?|(?<![\w.,/])\d{1,2}/\d{1,3})(?![\d/])"
"""A whole, a decimal or a mixed number, or a fraction."""
CATALOGUES = {"acc.": "accession", "inv.": "inventory", "cat.": "catalogue", "ref.": "reference"}
LIVES = {"b.": "born", "d.": "died", "fl.": "flourished", "est.": "established"}
PAGES = {"p.": "page", "pp.": "pages", "vol.": "volume", "vols.": "volumes", "figs.": "figures", "nos.": "numbers"}
PARTS = {"fig.": "figure", "pl.": "plate", "ch.": "chapter", "no.": "number", "nr.": "number"}
"""Words, or nearly, in small letters: so only in a list, or as the whole of what follows."""

Rule = tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]]


def inches(match: re.Match[str]) -> str:
    """Return "36 in." as "36 inches"; its dot stands where a sentence ends."""
    number, follows = match["number"], match["follows"]
    ends = follows is not None and (not follows or follows.isupper() or follows.isdigit())
    one = number == "1" or ("/" in number and " " not in number)
    return f"{number} inch{'' if one else 'es'}{'.' if ends else ''}"


def _any(words: dict[str, str]) -> str:
    """Return a pattern of words, longest first, each in small letters or with a capital."""
    longest = sorted(words, key=len, reverse=True)
    return "(?:" + "|".join(f"[{word[0]}{word[0].upper()}]{re.escape(word[1:])}" for word in longest) + ")"


def _small(words: dict[str, str]) -> str:
    return "(?:" + "|".join(map(re.escape, sorted(words, key=len, reverse=True))) + ")"


def _said(words: dict[str, str]) -> Callable[[re.Match[str]], str]:
    return lambda match: words[match.group().lower()] + " "


_ALONE = r"(?<![\w.])"
RULES: tuple[Rule, ...] = (
    (re.compile(rf"{_ALONE}{_any(CATALOGUES)}(?=\s?nos?\.\s?\d)"), _said(CATALOGUES)),
    (re.compile(rf"{_ALONE}(?:[Aa]cc|[Ii]nv)\.(?=\s?(?:Nos?\.\s?)?\d)|{BETWEEN}(?:cat|ref)\.(?=\s?\d)"),
     _said(CATALOGUES)),
    (re.compile(r"(?<=\b[Nn]o\. )(\d+)/(?=\d)"), r"\1 slash "),
    (re.compile(r"((?:accession|inventory|catalogue|reference) )\s?no(s?)\.\s?(?=\d)"), r"\1number\2 "),
    (re.compile(rf"{_ALONE}{_small(LIVES)}(?={YEAR})|{BEGIN}{_any(LIVES)}(?={YEAR})"), _said(LIVES)),
    (re.compile(rf"{_ALONE}[cC]a\.(?=\s?\d)|{_ALONE}c\.(?=\s?\d)"), "circa "),
    (re.compile(rf"{_ALONE}{_any(PAGES)}(?=\s?\d)"), _said(PAGES)),
    (re.compile(rf"{_ALONE}(?:Fig|No|Nr)\.(?=\s?\d)|{BEGIN}{_any(PARTS)}(?=\s?\d)|(?<=see )fig\.(?=\s?\d)"
                rf"|{_ALONE}no\.(?=\s?\d[\d./-]*(?:[,;:)]|\.?$))"), _said(PARTS)),
    (re.compile(r"(?<=\d(?:st|nd|rd|th) )ed\."), "edition"),
    (re.compile(r"(?<=\d)\s?[x\u00d7]\s?(?=\d)|(?<=[\w.]) [x\u00d7] (?=\d)"), " by "),
    (re.compile(rf"(?P<number>{SIZE}) ?in(?:\.(?=\s*(?P<follows>\S?)))"), inches),
    (re.compile(rf"(?<=by )(?P<number>{SIZE}) in(?=[,;:)\]]|$)(?P<follows>(?!))?"), inches),
)  # fmt: skip
"""Patterns and what they become, in this order; before fractions are said."""
DOTTED_UNITS = re.compile(
    r"(?<=\d)( ?(?:ft|lb|oz|yd|mi|mm|cm|kg))\.(?=,|\s+[a-z(])|(?<=\d)( ?(?:ft|lb))\.(?=\s+\d[\d/ ]*? ?(?:in|oz)\b)"
)
"""Units whose dot ends no sentence."""


def without_dots(text: str) -> str:
    """Return a text without the dots of units that end no sentence: "5 ft. 3 in. tall" to "5 ft 3 in. tall"."""
    return DOTTED_UNITS.sub(lambda match: match[1] or match[2], text)
