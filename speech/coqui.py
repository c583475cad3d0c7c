"""Sentences to waveforms through Coqui's models; loads once, batches, prints nothing.

Letters: B sentences, P phoneme characters, M mel bands, T frames, N samples.
"""

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from speech import acoustic, vocoder
from speech.errors import UnspeakableError, VoiceError
from speech.phonemes import Phonemizer
from speech.voices import ACOUSTIC, VOCODER, read_config

BATCH_FRAMES = 2400
"""Mel frames (28 s of sound) that go through the models together on a GPU: bounds the memory."""
FRAMES_A_CHARACTER = 6
"""For planning batches before the durations are known."""


class Engine:
    """A voice in memory. Its methods may be called from several threads; they take turns."""

    def __init__(self, folder: Path, device: str = "cpu") -> None:
        """Load the models of a voice folder; raises `VoiceError` where its files do not fit together."""
        config = read_config(folder)
        self._lock = threading.Lock()
        self._device = torch.device(device)
        self._phonemizer = Phonemizer()
        try:
            self._acoustic, self._characters = acoustic.build(config["acoustic"])
            self._vocoder = vocoder.build(config["vocoder"])
            _fill(self._acoustic, folder / ACOUSTIC)
            _fill(self._vocoder, folder / VOCODER)
        except (KeyError, TypeError, RuntimeError, ValueError, SafetensorError, NotImplementedError) as error:
            raise VoiceError(
                f"its weights and settings do not fit: {_first_line(error)}",
                where=str(folder),
                mend="take the whole folder of the voice anew",
            ) from error
        self._acoustic.to(self._device).eval()
        self._vocoder = vocoder.settle(self._vocoder, self._device)
        self._reach = vocoder.reach_frames(config["vocoder"])
        self._exact = acoustic.batches_are_exact(config["acoustic"])

    def tokens(self, sentence: str) -> list[int]:
        """Return the character numbers (P,) of a sentence; raises `UnspeakableError` where the voice cannot say it."""
        with self._lock:
            phonemes = self._phonemizer(sentence)
        known = [c for c in phonemes if c in self._characters.vocab]
        if not any(c.isalpha() for c in known):
            raise UnspeakableError(
                "the voice knows none of its sounds", where=repr(sentence[:60]), mend="write it in English words"
            )
        unknown = sorted(set(phonemes) - set(known))
        if unknown:
            raise UnspeakableError(
                f"the voice does not know the sounds {' '.join(unknown)}",
                where=repr(sentence[:60]),
                mend="spell the word another way",
            )
        return acoustic.token_ids(phonemes, self._characters)

    def speak(self, texts: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
        """Return the waveform (N,) of each sentence of character numbers, in order.

        A GPU gets batches of like length. A CPU gets one sentence at a time: one fills its cores already, and so not a
        bit of a clip depends on its neighbours, though the vocoder runs in bfloat16 there (LOG.md has the figures).
        """
        alone = self._device.type == "cpu" or not self._exact
        waves: list[NDArray[np.float32]] = [np.zeros(0, np.float32)] * len(texts)
        with self._lock:
            for batch in plan_batches([len(text) for text in texts], 0 if alone else BATCH_FRAMES):
                mels = acoustic.predict_mels(self._acoustic, [texts[k] for k in batch])
                for k, wave in zip(batch, vocoder.synthesise(self._vocoder, mels, self._reach), strict=True):
                    waves[k] = wave.cpu().numpy()
        return waves


def plan_batches(lengths: Sequence[int], budget_frames: int) -> list[list[int]]:
    """Return the indices of the texts in batches of like length, within the frame budget or of one text."""
    batches: list[list[int]] = []
    for k in sorted(range(len(lengths)), key=lambda k: (lengths[k], k)):
        if not batches or (len(batches[-1]) + 1) * lengths[k] * FRAMES_A_CHARACTER > budget_frames:
            batches.append([])
        batches[-1].append(k)
    return batches


def _fill(model: torch.nn.Module, path: Path) -> None:
    """Load the weights of `path` (any float precision) into `model` in single precision."""
    weights: dict[str, Any] = load_file(path)
    model.load_state_dict({name: v.float() if v.is_floating_point() else v for name, v in weights.items()})


def _first_line(error: Exception) -> str:
    """Return the first line of an error's words."""
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
