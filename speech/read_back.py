"""Read-back: a recogniser listens to a clip, and what it heard is compared with what was to be said.

Needs the extra `asr`: Moonshine tiny (MIT), whose English model lies inside the wheel, so nothing is fetched. Words are
compared as they sound and not as they are written: "7" and "seven", "blue" and "blew", "T-shirt" and "tee shirt" are
the same to a listener.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np

from speech.errors import SpeechError
from speech.mastering import resample
from speech.recogniser import RATE_HZ, Recogniser
from speech.records import Waveform

LANGUAGE = "en"
"""The recogniser knows no other language."""
EDGE_S = 0.5
"""Silence around a clip: without it the recogniser loses first and last words."""
SHORT_WORDS = 4
"""Up to this many words a text is judged by its sounds: one misheard word of three says little."""
SHORT_LIMIT = 0.5
"""Share of a short text's sounds that may be heard otherwise."""
LONG_LIMIT = 0.3
"""Word error rate that a longer text may have."""
LONGEST_RUN = 2
"""Words in a row that may be heard otherwise: a whole phrase that is lost hides in the rate of a long text."""
UNHEARD_SOUNDS = 4
"""Sounds that the recogniser is known not to notice alone, such as a lone letter."""


Edit = tuple[Any, ...]
"""Kind, start and end in what was to be said, start and end in what was heard."""


@dataclass(frozen=True)
class ReadBack:
    """What a recogniser made of a clip."""

    heard: str
    """The words that it heard."""
    wrong: int
    """Words that it heard otherwise, missed or added."""
    words: int
    """Words that were to be said."""
    longest_run: int
    """Most words in a row that it heard otherwise."""
    differing_sounds: float
    """Share of the sounds that differ, 0 to 1."""
    judged: bool = True
    """False where the text is too short for the recogniser to notice at all."""

    @property
    def is_right(self) -> bool:
        """Whether a listener would understand the text."""
        if not self.judged:
            return True
        if self.words <= SHORT_WORDS:
            return self.differing_sounds <= SHORT_LIMIT
        return self.wrong / self.words <= LONG_LIMIT and self.longest_run <= LONGEST_RUN


def compare(said: str, heard: str, pronounce: Callable[[str], str]) -> ReadBack:
    """Return how `heard` differs from `said`; `pronounce` turns a text into phonemes, words apart by spaces."""
    from rapidfuzz.distance import Levenshtein

    expected, found = _sounds(said, pronounce), _sounds(heard, pronounce)
    runs = []
    for kind, start, end, other, other_end in _merged([tuple(edit) for edit in Levenshtein.opcodes(expected, found)]):
        if kind != "equal" and "".join(expected[start:end]) != "".join(found[other:other_end]):
            runs.append(max(end - start, other_end - other))
    sounds = "".join(expected)
    return ReadBack(
        heard=heard,
        wrong=sum(runs),
        words=len(expected),
        longest_run=max(runs, default=0),
        differing_sounds=Levenshtein.normalized_distance(sounds, "".join(found)),
        judged=bool(found) or len(sounds) > UNHEARD_SOUNDS,
    )


def _sounds(text: str, pronounce: Callable[[str], str]) -> list[str]:
    """Return the sounds of each word, without stress and marks."""
    words = ("".join(c for c in word if c.isalpha()) for word in pronounce(text).split())
    return [word for word in words if word]


def _merged(edits: list[Edit]) -> list[Edit]:
    """Return the edits, neighbours that both change something as one: "t shirt" and "teeshirt" belong together."""
    merged: list[Edit] = []
    for kind, start, end, other, other_end in edits:
        if merged and kind != "equal" and merged[-1][0] != "equal":
            _, first, _, first_other, _ = merged.pop()
            merged.append(("replace", first, end, first_other, other_end))
        else:
            merged.append((kind, start, end, other, other_end))
    return merged


def check_installed(language: str) -> None:
    """Raise `SpeechError` where the recogniser is missing or does not know the language."""
    if find_spec("moonshine_voice") is None or find_spec("rapidfuzz") is None:
        raise SpeechError(
            "listening to the clips needs the extra asr",
            where="--check-speech",
            mend="pip install 'image-narrator[asr]', or leave the option out",
        )
    if language.partition("-")[0].lower() != LANGUAGE:
        raise SpeechError(
            f"the recogniser knows English only, the voice speaks {language}",
            where="--check-speech",
            mend="leave the option out for this voice",
        )


class Listener:
    """What hears a clip's words; may be shared between threads, which take turns."""

    def __init__(self) -> None:
        """Start the recogniser; raises `SpeechError` where it is not installed."""
        check_installed(LANGUAGE)
        self._recogniser = Recogniser()

    def hear(self, waveform: Waveform) -> str:
        """Return the words that the recogniser hears; empty where it hears none.

        Raises `RuntimeError` where its process ends again and again.
        """
        samples = np.pad(resample(waveform, RATE_HZ).samples, round(EDGE_S * RATE_HZ))  # (N with silence around,)
        return self._recogniser.transcribe(samples)
