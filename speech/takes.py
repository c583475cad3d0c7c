"""Takes: each sentence is spoken, checked, and where it fails spoken again another way, until one take passes.

The ways, in this order: with other noise (a voice that draws any), slower, and behind a carrier sentence that is cut
off again. A take that sounds the same as an earlier one is not judged again.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from speech.checks import check_speech, check_usable
from speech.errors import BadAudioError, SpeechError
from speech.mastering import FRAME_S, speech_frames
from speech.read_back import Listener, ReadBack, compare
from speech.records import Waveform

BadClips = Literal["flag", "fail"]
SLOWER = 0.85
CARRIER = "Listen to this."
"""Spoken before a sentence that fails alone; the pause after its stop is where it is cut off."""
CARRIER_WORDS = 6
"""Longer sentences gain nothing from company."""
SHORTEST_PAUSE_S = 0.08
CARRIER_S = (0.4, 2.0)
"""Where the carrier's end is looked for, in seconds from the start of its speech."""


class Voiced(Protocol):
    """What speaks: an engine."""

    def tokens(self, sentence: str) -> list[int]:
        """Return the character numbers of a sentence."""

    def speak(self, texts: Sequence[Sequence[int]], attempt: int = 0, pace: float = 1.0) -> list[NDArray[np.float32]]:
        """Return the waveform (N,) of each sentence."""


@dataclass(frozen=True)
class Take:
    """A sentence as it was spoken, and what the checks say of it."""

    waveform: Waveform
    """Its sound."""
    problem: BadAudioError | None
    """Why it should not be used; None where it passed."""
    read_back: ReadBack | None = None
    """What the recogniser heard; None where none listened."""
    attempts: int = 1
    """Times that the sentence was spoken for it."""

    @property
    def badness(self) -> tuple[bool, float]:
        """For choosing the least bad take: whether the sound itself is at fault, then the share heard otherwise."""
        if self.problem is None:
            return False, -1.0
        return self.read_back is None, self.read_back.differing_sounds if self.read_back else 1.0


class Director:
    """Judges takes and asks for more."""

    def __init__(
        self,
        engine: Voiced,
        sample_rate_hz: int,
        listener: Listener | None = None,
        pronounce: Callable[[str], str] | None = None,
    ) -> None:
        """Keep who speaks and who listens; `pronounce` turns words into phonemes, for the comparison."""
        self._engine, self._rate = engine, sample_rate_hz
        self._listener, self._pronounce = listener, pronounce

    def best_take(self, sentence: str, tokens: Sequence[int], first: NDArray[np.float32]) -> Take:
        """Return the first take that passes, or the least bad of all; raises `BadAudioError` where none has sound."""
        takes = [self.judge(sentence, tokens, Waveform(first, self._rate))]
        if takes[0].problem is not None:
            for waveform in self._other_ways(sentence, tokens):
                if any(np.array_equal(waveform.samples, take.waveform.samples) for take in takes):
                    continue
                takes.append(self.judge(sentence, tokens, waveform))
                if takes[-1].problem is None:
                    break
        best = min(takes, key=lambda take: take.badness)
        check_usable(best.waveform.samples, self._rate)
        return Take(best.waveform, best.problem, best.read_back, len(takes))

    def judge(self, sentence: str, tokens: Sequence[int], waveform: Waveform) -> Take:
        """Return the sound with what the checks and the recogniser say of it."""
        try:
            check_speech(waveform.samples, waveform.sample_rate_hz, spoken_characters(tokens))
        except BadAudioError as error:
            return Take(waveform, error)
        if self._listener is None or self._pronounce is None:
            return Take(waveform, None)
        found = compare(sentence, self._listener.hear(waveform), self._pronounce)
        problem = None if found.is_right else BadAudioError(f'a recogniser hears "{found.heard}"', where=sentence)
        return Take(waveform, problem, found)

    def _other_ways(self, sentence: str, tokens: Sequence[int]) -> Iterator[Waveform]:
        """Yield the sentence spoken in other ways."""
        yield Waveform(self._engine.speak([tokens], attempt=1)[0], self._rate)
        yield Waveform(self._engine.speak([tokens], attempt=2, pace=SLOWER)[0], self._rate)
        if self._listener is not None and len(sentence.split()) <= CARRIER_WORDS:
            spoken = self._behind_carrier(sentence)
            if spoken is not None:
                yield spoken

    def _behind_carrier(self, sentence: str) -> Waveform | None:
        """Return the sentence as it is said after another one; None where no pause shows where to cut."""
        try:
            both = self._engine.speak([self._engine.tokens(f"{CARRIER} {sentence}")])[0]
            cut = carrier_end(Waveform(both, self._rate))
        except SpeechError:
            return None
        return None if cut is None else Waveform(both[cut:], self._rate)


def spoken_characters(tokens: Sequence[int]) -> int:
    """Return how many of the character numbers stand for sound: VITS has a blank before, between and after them."""
    blanks = tokens[::2]
    has_blanks = len(tokens) > 1 and len(tokens) % 2 == 1 and len(set(blanks)) == 1 and blanks[0] not in tokens[1::2]
    return len(tokens) // 2 if has_blanks else len(tokens)


def carrier_end(waveform: Waveform) -> int | None:
    """Return the sample in the middle of the longest pause where a carrier can end; None where there is no pause."""
    loud = np.flatnonzero(speech_frames(waveform))
    if not len(loud):
        return None
    gaps = np.diff(loud)
    since_start_s = (loud[:-1] - loud[0]) * FRAME_S
    inside = (since_start_s >= CARRIER_S[0]) & (since_start_s <= CARRIER_S[1]) & (gaps * FRAME_S > SHORTEST_PAUSE_S)
    if not inside.any():
        return None
    longest = int(np.argmax(np.where(inside, gaps, 0)))
    middle = (int(loud[longest]) + int(loud[longest + 1])) / 2
    return round(middle * FRAME_S * waveform.sample_rate_hz)
