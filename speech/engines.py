"""What every engine does, and which one speaks a voice."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from speech.records import Voice


class Engine(Protocol):
    """A voice that is ready to speak. May be shared between threads."""

    def tokens(self, sentence: str) -> list[int]:
        """Return the character numbers of a sentence; raises `UnspeakableError` where the voice cannot say it."""

    def speak(self, texts: Sequence[Sequence[int]], attempt: int = 0, pace: float = 1.0) -> list[NDArray[np.float32]]:
        """Return the waveform (N,) of each sentence of character numbers, in order.

        Another `attempt` gives other noise, where the voice has any; a `pace` below 1 is slower.
        """


def load_engine(voice: Voice, device: str = "cpu") -> Engine:
    """Return the engine of a voice, loaded; raises `VoiceError` where its files do not fit together."""
    if voice.engine == "espeak":
        from speech.espeak import EspeakEngine

        return EspeakEngine(voice)
    from speech.coqui import CoquiEngine

    return CoquiEngine.load(voice, device)
