"""What is not batched here: models and vocoders that speak one sentence at a time, as the library runs them.

Letters: M mel bands, T frames, N samples.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from speech.models import Said, Sound


class LibraryVoice:
    """Any other model of the library; its character numbers are Unicode's, and it spells them itself."""

    batches = False
    side_by_side = False
    frames_a_character = 7

    def __init__(self, model: Any, sound: Sound | None, speaker: str, language: str) -> None:
        """Keep a loaded model; `sound` makes sound of its mels, None for a model that makes sound itself."""
        self._model, self._sound, self._speaker, self._language = model, sound, speaker, language

    @torch.inference_mode()
    def speak(self, said: Said) -> list[torch.Tensor]:
        """Return a waveform (N,) for each text."""
        return [self._say(text, seed) for text, seed in zip(said.texts, said.seeds, strict=True)]

    def _say(self, text: Sequence[int], seed: int) -> torch.Tensor:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            told = self._model.synthesize(
                "".join(map(chr, text)), speaker=self._speaker or None, language=self._language or None
            )
        made = told["wav"] if told.get("wav") is not None else told["outputs"]["model_outputs"]
        made = torch.as_tensor(made).squeeze()  # (N,) or (T, M)
        if made.ndim == 1:
            return made
        if self._sound is None:
            raise RuntimeError("the model gives mels and there is nothing to make sound of them")
        return self._sound([made.T], [seed])[0]


class Rescaled:
    """Mels from the scale of the model that made them to the scale of the vocoder."""

    def __init__(self, made: Any, wanted: Any, sound: Sound) -> None:
        """Keep the library's `AudioProcessor` of the model and of the vocoder, and the vocoder."""
        self._made, self._wanted, self._sound = made, wanted, sound
        self.side_by_side = sound.side_by_side

    def __call__(self, mels: Sequence[torch.Tensor], seeds: Sequence[int]) -> list[torch.Tensor]:
        """Return a waveform (N,) for each mel (M, T)."""
        return self._sound([self._rescaled(mel) for mel in mels], seeds)

    def _rescaled(self, mel: torch.Tensor) -> torch.Tensor:
        values = self._wanted.normalize(self._made.denormalize(mel.float().cpu().numpy()))  # (M, T)
        rescaled = torch.as_tensor(np.asarray(values, np.float32))
        rate = self._wanted.sample_rate / self._made.sample_rate
        if rate == 1:
            return rescaled
        stretched = torch.nn.functional.interpolate(
            rescaled[None, None],
            scale_factor=[1.0, rate],
            recompute_scale_factor=True,
            mode="bilinear",
            align_corners=False,
        )
        return stretched[0, 0]


class LibraryVocoder:
    """A vocoder of the library other than HiFi-GAN: one mel at a time."""

    side_by_side = False

    def __init__(self, vocoder: Any) -> None:
        """Keep a loaded vocoder."""
        self._vocoder = vocoder

    @torch.inference_mode()
    def __call__(self, mels: Sequence[torch.Tensor], seeds: Sequence[int]) -> list[torch.Tensor]:
        """Return a waveform (N,) for each mel (M, T)."""
        return [self._one(mel, seed) for mel, seed in zip(mels, seeds, strict=True)]

    def _one(self, mel: torch.Tensor, seed: int) -> torch.Tensor:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            made: torch.Tensor = self._vocoder.inference(mel[None].to(next(self._vocoder.parameters()).device))
        return made.reshape(-1)


class GriffinLim:
    """Sound of mels without a vocoder, by Griffin and Lim's rule: rough, for a voice that has none."""

    side_by_side = False

    def __init__(self, processor: Any) -> None:
        """Keep the library's `AudioProcessor` of the model."""
        self._processor = processor

    def __call__(self, mels: Sequence[torch.Tensor], seeds: Sequence[int]) -> list[torch.Tensor]:
        """Return a waveform (N,) for each mel (M, T)."""
        return [self._one(mel, seed) for mel, seed in zip(mels, seeds, strict=True)]

    def _one(self, mel: torch.Tensor, seed: int) -> torch.Tensor:
        before = np.random.get_state()  # noqa: NPY002 - the library draws its phases from numpy's one generator
        np.random.seed(seed % 2**32)  # noqa: NPY002
        try:
            return torch.as_tensor(self._processor.inv_melspectrogram(mel.float().cpu().numpy()))
        finally:
            np.random.set_state(before)  # noqa: NPY002
