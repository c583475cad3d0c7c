"""Words to ids and back; the vocabulary is counted from training captions alone."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from captioner.errors import ModelError

PADDING, START, END, UNKNOWN = 0, 1, 2, 3
"""The ids that are no words, the same in every vocabulary."""
SPECIAL = ("<padding>", "<start>", "<end>", "<unknown>")
_WORD = re.compile(r"'s\b|[a-z0-9]+(?:-[a-z0-9]+)*")


def split_words(text: str) -> list[str]:
    """Return a caption's words in lower case; stops are dropped, `man's` becomes `man` and `'s`, `t-shirt` stays."""
    return _WORD.findall(text.lower().replace("\u2019", "'"))


def join_words(words: Sequence[str]) -> str:
    """Return one line of text: words with spaces between, `'s` joined to the word before it."""
    return " ".join(words).replace(" 's", "'s")


class Tokenizer:
    """A closed vocabulary; ids 0 to 3 are `PADDING`, `START`, `END` and `UNKNOWN`, then words, the commonest first."""

    def __init__(self, words: Sequence[str]) -> None:
        """Give the words ids in the order given; raise ModelError where one is there twice."""
        self.words = (*SPECIAL, *words)
        self._ids = {word: number for number, word in enumerate(self.words)}
        if len(self._ids) != len(self.words):
            doubled = Counter(self.words).most_common(1)[0][0]
            raise ModelError(f"the word {doubled!r} is in the vocabulary twice", "tokenizer.json", "train again")

    def __len__(self) -> int:
        """Return the number of ids, the special ones included."""
        return len(self.words)

    @classmethod
    def count(cls, captions: Iterable[str], min_count: int = 4) -> "Tokenizer":
        """Build the vocabulary of the words that `captions` use at least `min_count` times."""
        counts = Counter(word for caption in captions for word in split_words(caption))
        kept = [(-number, word) for word, number in counts.items() if number >= min_count]
        return cls([word for _, word in sorted(kept)])

    @classmethod
    def load(cls, path: Path) -> "Tokenizer":
        """Read a file that `to_json` was written to; raise ModelError where it cannot be one."""
        try:
            words = [str(word) for word in json.loads(path.read_text(encoding="utf-8"))["words"]]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"not a vocabulary ({error})", str(path), "fetch the model again") from error
        return cls(words)

    def to_json(self) -> str:
        """Return what `load` reads: the words as JSON, without the special ones."""
        return json.dumps({"words": self.words[len(SPECIAL) :]}, indent=0) + "\n"

    def encode(self, text: str) -> list[int]:
        """Return the ids of a caption's words, `UNKNOWN` for words outside, without start and end."""
        return [self._ids.get(word, UNKNOWN) for word in split_words(text)]

    def decode(self, ids: Iterable[int]) -> str:
        """Return the text of ids up to the first `END`; special ids are left out."""
        words = []
        for number in ids:
            if number == END:
                break
            if number >= len(SPECIAL):
                words.append(self.words[number])
        return join_words(words)
