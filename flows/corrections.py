"""What a person changed in a text: words put in another's place, and sounds in double brackets."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import SequenceMatcher

from speech.lexicon import INLINE

_TIED = "\N{NO-BREAK SPACE}"


def replaced(old: str, new: str) -> Iterator[tuple[list[str], list[str]]]:
    """Yield each run of words of `old` with the words that stand in its place in `new`."""
    before, after = _words(old), _words(new)
    plain = [[_bare(word) for word in words] for words in (before, after)]
    for kind, begin, end, begin_new, end_new in SequenceMatcher(None, plain[0], plain[1], autojunk=False).get_opcodes():
        if kind == "replace":
            yield before[begin:end], after[begin_new:end_new]


def sounds(old: str, new: str) -> dict[str, str]:
    """Return the words of `old` for which `new` writes sounds in double brackets: word to IPA."""
    found = {}
    for before, after in replaced(old, new):
        heard = [match[1].replace(_TIED, " ").strip() for word in after if (match := INLINE.search(word))]
        if len(heard) == 1 and len(after) == 1:
            found[" ".join(_trimmed(word) for word in before)] = heard[0]
    return found


def words_of_sounds(changes: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the word for which each sound stands: IPA to word, from texts and what they became, the oldest first."""
    words: dict[str, str] = {}
    for old, new in changes:
        for word, heard in sounds(old, new).items():
            if word and not unknown_sounds(word, words):
                words[heard] = without_sounds(word, words)
    return words


def sounds_in(text: str) -> list[str]:
    """Return the sounds in double brackets that a text holds."""
    return [heard.strip() for heard in INLINE.findall(text)]


def unknown_sounds(text: str, words: Mapping[str, str]) -> list[str]:
    """Return the sounds of a text for which no word is known."""
    return [heard for heard in sounds_in(text) if heard not in words]


def without_sounds(text: str, words: Mapping[str, str]) -> str:
    """Return a text as it is read: its sounds as the words they stand for; those of no known word are left out."""
    if not INLINE.search(text):
        return text
    return " ".join(INLINE.sub(lambda match: words.get(match[1].strip(), ""), text).split())


def _words(text: str) -> list[str]:
    """Return the words of a text, sounds with spaces in them kept together."""
    return INLINE.sub(lambda match: match[0].replace(" ", _TIED), text).split(" ")


def _bare(word: str) -> str:
    return _trimmed(word).casefold()


def _trimmed(word: str) -> str:
    return word.strip(".,;:!?\"'()")
