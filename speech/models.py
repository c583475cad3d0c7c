"""What the engine asks of a speech model, whatever its kind: a batch of texts in, a waveform for each out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch


@dataclass(frozen=True)
class Said:
    """A batch of texts that go through a model together."""

    texts: Sequence[Sequence[int]]
    """Character numbers of each text."""
    seeds: Sequence[int]
    """Where each text's noise comes from, so that neighbours do not change it."""
    pace: float = 1.0
    """Speed, 1 as trained, below it slower."""


class Model(Protocol):
    """A speech model with its vocoder and its speaker."""

    batches: bool
    """Whether a batch gives what each text gives alone; otherwise it is handed one text at a time."""
    side_by_side: bool
    """Whether several threads may call it at once."""
    frames_a_character: int
    """About how many frames a character takes, for planning batches."""

    def speak(self, said: Said) -> list[torch.Tensor]:
        """Return a waveform (N,) in -1..1 for each text."""


class Sound(Protocol):
    """What makes sound of mels: a vocoder."""

    side_by_side: bool
    """Whether several threads may call it at once."""

    def __call__(self, mels: Sequence[torch.Tensor], seeds: Sequence[int], /) -> list[torch.Tensor]:
        """Return a waveform (N,) in -1..1 for each mel (M, T)."""


GRAIN = 64
"""Positions that widths are rounded up to. The processor's library makes new code for every new width of a
convolution, which takes longer than the convolution itself, and keeps a thousand of them: with rounded widths a few
dozen are made, once, and neither time nor memory grows with the sentences (LOG.md)."""


def widened(values: torch.Tensor) -> torch.Tensor:
    """Return `values` with zeros after the last position, up to the next multiple of `GRAIN`."""
    return torch.nn.functional.pad(values, (0, -values.shape[-1] % GRAIN))


def noise(seed: int, *shape: int) -> torch.Tensor:
    """Return normal noise of `shape` that depends on the seed alone, on every device."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
