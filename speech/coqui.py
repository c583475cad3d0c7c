"""Sentences to waveforms through Coqui's models; loads once, batches, prints nothing.

Letters: B sentences, P characters, N samples.
"""

import hashlib
import logging
import threading
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numpy.typing import NDArray

from speech.errors import VoiceError
from speech.models import Model, Said
from speech.records import Voice

log = logging.getLogger(__name__)

BATCH_FRAMES = 2400
"""Frames (28 s of sound at 22,050 Hz) that go through the models together on a GPU: bounds the memory."""


class CoquiEngine:
    """A voice in memory. Its methods may be called from several threads; they take turns."""

    def __init__(
        self, model: Model, spell: Callable[[str], list[int]], device: torch.device, batch_frames: int | None = None
    ) -> None:
        """Keep a loaded model and what spells its sentences; `batch_frames` is the budget of a batch, 0 for one by one.

        Without it a GPU gets batches and a CPU gets one sentence at a time: one fills its cores already, and so not a
        bit of a clip depends on its neighbours (LOG.md has the figures).
        """
        self._model, self._spell = model, spell
        self._lock = threading.Lock()
        budget = (0 if device.type == "cpu" else BATCH_FRAMES) if batch_frames is None else batch_frames
        self._budget = budget if model.batches else 0
        self._side_by_side = model.side_by_side and device.type == "cpu"

    @classmethod
    def load(cls, voice: Voice, device: str = "cpu", batch_frames: int | None = None) -> "CoquiEngine":
        """Load a voice folder of ours or of Coqui's; raises `VoiceError` where its files do not fit together."""
        place = torch.device(device)
        if voice.engine == "narrator":
            from speech import built_in

            model, spell = built_in.load(voice, place)
        elif voice.engine == "coqui":
            from speech import coqui_loading

            model, spell = coqui_loading.load(voice, place)
        else:
            raise VoiceError(f"{voice.engine} is no engine of Coqui's", where=voice.name, mend="choose another voice")
        if not model.batches:
            log.info("%s: sentences go through this model one by one", voice.name)
        return cls(model, spell, place, batch_frames)

    def tokens(self, sentence: str) -> list[int]:
        """Return the character numbers (P,) of a sentence; raises `UnspeakableError` where the voice cannot say it."""
        with self._lock:
            return self._spell(sentence)

    def speak(self, texts: Sequence[Sequence[int]], attempt: int = 0, pace: float = 1.0) -> list[NDArray[np.float32]]:
        """Return the waveform (N,) of each sentence of character numbers, in order.

        A voice that draws noise draws each sentence's from its own characters, so neighbours do not change it; another
        `attempt` gives other noise. A `pace` below 1 is slower.
        """
        waves: list[NDArray[np.float32]] = [np.zeros(0, np.float32)] * len(texts)
        per_character = self._model.frames_a_character

        def say(batch: Sequence[int]) -> None:
            chosen = [texts[k] for k in batch]
            said = Said(chosen, [seed_of(text, attempt) for text in chosen], pace)
            for k, wave in zip(batch, self._model.speak(said), strict=True):
                waves[k] = wave.float().cpu().numpy()

        batches = plan_batches([len(text) * per_character for text in texts], self._budget)
        with self._lock:
            if self._side_by_side:
                on_every_core(say, batches[::-1])
            else:
                for batch in batches:
                    say(batch)
        return waves


def on_every_core(say: Callable[[Sequence[int]], None], batches: Sequence[Sequence[int]]) -> None:
    """Call `say` with each batch, on as many threads as the calling one may use cores, each of them on one core.

    Whole sentences side by side fill the cores better than one sentence cut into parts, and no bit of a sentence
    depends on how many cores there are. The batches that take longest come first.
    """
    cores = torch.get_num_threads()
    if cores == 1:
        for batch in batches:
            say(batch)
        return
    with ThreadPoolExecutor(min(cores, len(batches) or 1), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        deque(pool.map(say, batches), maxlen=0)  # raises what a batch raised


def plan_batches(frames: Sequence[int], budget_frames: int) -> list[list[int]]:
    """Return the indices of the texts in batches of like length, within the frame budget or of one text."""
    batches: list[list[int]] = []
    for k in sorted(range(len(frames)), key=lambda k: (frames[k], k)):
        if not batches or (len(batches[-1]) + 1) * frames[k] > budget_frames:
            batches.append([])
        batches[-1].append(k)
    return batches


def seed_of(text: Sequence[int], attempt: int) -> int:
    """Return where the noise of a text of character numbers comes from: the same text, the same sound."""
    digest = hashlib.sha256(array("l", [attempt, *text]).tobytes()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
