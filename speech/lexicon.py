"""A pronunciation lexicon of the user's own: names and terms, each with its sounds or with other words to say for it.

Read from W3C PLS 1.0 (https://www.w3.org/TR/pronunciation-lexicon/) or from CSV with the columns `grapheme`, `phoneme`
(IPA) and `alias`. In a text, sounds stand between double square brackets, `[[moʊmə]]`: users may write that too.
"""

import csv
import hashlib
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from defusedxml import ElementTree

from speech.errors import SpeechError

PLS = "{http://www.w3.org/2005/01/pronunciation-lexicon}"
XML_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
COLUMNS = ("grapheme", "phoneme", "alias")
INLINE = re.compile(r"\[\[([^\[\]]+)\]\]")
"""Sounds in a text: IPA between double square brackets."""
MEND = "see the README for the two formats"


@dataclass(frozen=True)
class Entry:
    """How one word is said: exactly one of the two is given."""

    phoneme: str = ""
    """Its sounds in IPA."""
    alias: str = ""
    """Other words that are said for it."""

    def written(self, *, with_phonemes: bool) -> str | None:
        """Return what takes the word's place in a text; None where the voice cannot be told."""
        if self.alias:
            return self.alias
        return f"[[{self.phoneme}]]" if with_phonemes else None


class Lexicon:
    """Words and how they are said. A word in capitals ("US") is found as it is written, any other in any case."""

    def __init__(self, entries: dict[str, Entry], language: str = "", digest: str = "") -> None:
        """Keep the words; `digest` tells one file from another."""
        self.language, self.digest = language, digest
        self._exact = {_composed(word): entry for word, entry in entries.items()}
        self._folded = {word.casefold(): entry for word, entry in self._exact.items() if not word.isupper()}
        words = sorted(self._exact, key=lambda word: (-len(word), word))
        self._pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, words))})(?!\w)", re.IGNORECASE)

    def __len__(self) -> int:
        """Return how many words there are."""
        return len(self._exact)

    def apply(self, text: str, *, with_phonemes: bool = True) -> tuple[str, list[str]]:
        """Return the text with its words as they are said, and the words that a voice without phonemes cannot be told.

        What stands in double brackets already is left alone.
        """
        if not self._exact:
            return text, []
        untold: list[str] = []

        def replaced(match: re.Match[str]) -> str:
            word = match.group()
            entry = self._exact.get(word) or self._folded.get(word.casefold())
            said = entry.written(with_phonemes=with_phonemes) if entry else word
            if said is None:
                untold.append(word)
            return word if said is None else said

        parts = re.split(rf"({INLINE.pattern.replace('(', '(?:', 1)})", _composed(text))
        said = "".join(part if k % 2 else self._pattern.sub(replaced, part) for k, part in enumerate(parts))
        return said, untold


def load_lexicon(path: Path) -> Lexicon:
    """Return the lexicon in a file; raises `SpeechError` that names the line or word at fault."""
    try:
        data = path.expanduser().read_bytes()
    except OSError as error:
        raise SpeechError(f"the lexicon cannot be read ({error.strerror})", where=str(path), mend=MEND) from error
    digest = hashlib.sha256(data).hexdigest()[:16]
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SpeechError("the lexicon is not UTF-8", where=str(path), mend="save it as UTF-8") from error
    if path.suffix.lower() == ".csv":
        return Lexicon(_csv_entries(text, path), digest=digest)
    entries, language = _pls_entries(data, path)
    return Lexicon(entries, language, digest)


def _csv_entries(text: str, path: Path) -> dict[str, Entry]:
    table = csv.DictReader(text.splitlines())
    if "grapheme" not in (table.fieldnames or ()):
        raise SpeechError(f"the lexicon has no columns {', '.join(COLUMNS)}", where=str(path), mend=MEND)
    entries: dict[str, Entry] = {}
    for row in table:
        cells = {name: (row.get(name) or "").strip() for name in COLUMNS}
        _add(entries, cells["grapheme"], cells["phoneme"], cells["alias"], f"{path}, line {table.line_num}")
    return entries


def _pls_entries(data: bytes, path: Path) -> tuple[dict[str, Entry], str]:
    """Return the words of a PLS document and its language; entities, external ones above all, are refused."""
    try:
        root: Any = ElementTree.fromstring(data, forbid_dtd=True)
    except (ElementTree.ParseError, ValueError) as error:  # defusedxml's refusals are ValueErrors
        raise SpeechError(f"the lexicon is no safe XML ({error})", where=str(path), mend=MEND) from error
    if root.tag != f"{PLS}lexicon":
        raise SpeechError("the lexicon is no PLS document", where=str(path), mend=f"its root is <lexicon> in {PLS}")
    entries: dict[str, Entry] = {}
    for lexeme in root.iter(f"{PLS}lexeme"):
        words = [_text(grapheme) for grapheme in lexeme.findall(f"{PLS}grapheme")]
        said = lexeme.findall(f"{PLS}phoneme") + lexeme.findall(f"{PLS}alias")
        chosen = next((one for one in said if one.get("prefer") == "true"), said[0] if said else None)
        place = f"{path}, lexeme {words[0] if words else '(no grapheme)'}"
        is_alias = chosen is not None and chosen.tag == f"{PLS}alias"
        alphabet = (
            root.get("alphabet", "ipa") if chosen is None else chosen.get("alphabet", root.get("alphabet", "ipa"))
        )
        if not is_alias and alphabet.lower() != "ipa":
            raise SpeechError(f"the alphabet {alphabet} is not known", where=place, mend="write the sounds in IPA")
        spoken = "" if chosen is None else _text(chosen)
        for word in words or [""]:
            _add(entries, word, "" if is_alias else spoken, spoken if is_alias else "", place)
    return entries, root.get(XML_LANGUAGE, "")


def _add(entries: dict[str, Entry], word: str, phoneme: str, alias: str, place: str) -> None:
    """Add a word; the first of several with the same spelling counts, as PLS has it."""
    if not word or bool(phoneme) == bool(alias):
        what = "a word needs its spelling and either its sounds or an alias"
        raise SpeechError(what, where=place, mend="fill in grapheme, and phoneme or alias")
    if set("[]") & set(phoneme + alias):
        raise SpeechError("square brackets cannot be said", where=place, mend="leave them out")
    entries.setdefault(word, Entry(phoneme.strip("/ "), alias))


def _text(element: Any) -> str:
    return " ".join((element.text or "").split())


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)
