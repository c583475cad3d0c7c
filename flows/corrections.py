"""What a person changed in a text: words put in another's place, and sounds in double brackets."""

from collections.abc import Iterator
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


def without_sounds(text: str, old: str) -> str:
    """Return a text as it is read: for its sounds the words of `old`, where they are known, else no brackets."""
    if "[[" not in text:
        return text
    words = {heard: word for word, heard in sounds(old, text).items()}
    return INLINE.sub(lambda match: words.get(match[1].strip(), match[1].strip()), text)


def _words(text: str) -> list[str]:
    """Return the words of a text, sounds with spaces in them kept together."""
    return INLINE.sub(lambda match: match[0].replace(" ", _TIED), text).split(" ")


def _bare(word: str) -> str:
    return _trimmed(word).casefold()


def _trimmed(word: str) -> str:
    return word if "[[" in word else word.strip(".,;:!?\"'()")
