"""Runs Coqui's HiFi-GAN fast, and exactly in batches: for vocoders and for the decoder inside VITS.

On a processor every tensor is held with the channels last, as its convolutions compute (`vocoder.as_images`).
Several sentences are laid end to end in one row. Before each convolution everything outside a sentence is set to zero,
which is what the convolution would find there if the sentence were alone: no padding is computed for, and no sentence
hears its neighbour.
On a processor a long row goes through in tiles that overlap by what the generator sees: oneDNN makes and keeps code for
each width of each convolution, up to 150 MB a width, so there may be few widths, and none that is wide.
Letters: C channels in, T frames, N samples.
"""

import math
import threading
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import nn
from torch.nn.utils import parametrize

from speech.models import GRAIN
from speech.vocoder import HifiganGenerator, as_images, fastest_precision

LIBRARY_PADDING = 5
"""Frames that the library repeats at both ends before its vocoders; they are cut off again here."""
TILE = 384
"""Most frames of a tile on a processor: 4.5 s of sound, so that most captions are one tile."""


class _Row(threading.local):
    """The row that a thread has in the generator: its width in frames, and what of it is outside a sentence."""

    def __init__(self) -> None:
        self.gaps: list[tuple[int, int]] = []
        self.width = 1


class Hifigan:
    """A generator in memory, without weight norm."""

    side_by_side = True

    def __init__(
        self, generator: HifiganGenerator, device: torch.device, padding: int = 0, dtype: torch.dtype | None = None
    ) -> None:
        """Take over `generator` (it is changed); `padding` frames are repeated at both ends and cut off again."""
        remove_weight_norm(generator)
        self._padding = padding
        self._dtype = dtype or fastest_precision(device)
        self._channels_last = device.type == "cpu"
        self._device = device
        self._gap, self._reach = _widest_reach(generator), _whole_reach(generator)
        self.batches = all((up.kernel_size[0] - up.stride[0]) % 2 == 0 for up in generator.ups)
        if self._channels_last:
            as_images(generator)
        self._generator = generator.to(device, self._dtype).eval()
        self._row = _Row()
        for part in (generator.ups, generator.resblocks, generator.conv_post):
            for module in part.modules():
                if isinstance(module, nn.Conv1d | nn.Conv2d | nn.ConvTranspose1d | nn.ConvTranspose2d):
                    module.register_forward_pre_hook(self._silence_gaps)

    @torch.inference_mode()
    def __call__(
        self, frames: Sequence[torch.Tensor], _seeds: Sequence[int] = (), condition: torch.Tensor | None = None
    ) -> list[torch.Tensor]:
        """Return a waveform (N,) in -1..1 for each sentence's frames (C, T); `condition` is the speaker's (1, D, 1).

        It draws no noise, so it needs no seeds.
        """
        padded = [nn.functional.pad(one[None], (self._padding,) * 2, mode="replicate")[0] for one in frames]  # (C, T')
        if len(padded) > 1 and not self.batches:
            return [self._run([one], condition)[0] for one in padded]
        return self._run(padded, condition)

    def _run(self, frames: Sequence[torch.Tensor], condition: torch.Tensor | None) -> list[torch.Tensor]:
        """Return the waveforms (N,) of frames (C, T') that go through the generator in one row."""
        starts = _starts([one.shape[1] for one in frames], self._gap)
        width = starts[-1] + frames[-1].shape[1]
        row = torch.zeros(1, frames[0].shape[0], width, device=self._device)  # (1, C, W)
        for start, one in zip(starts, frames, strict=True):
            row[0, :, start : start + one.shape[1]] = one
        ends = [start + one.shape[1] for start, one in zip(starts, frames, strict=True)]
        gaps = list(zip(ends[:-1], starts[1:], strict=True))
        sound = torch.cat([self._run_tile(row, gaps, tile, condition) for tile in self._tiles(width)])  # (N of all)
        hop = sound.shape[0] // width
        spans = zip(starts, frames, strict=True)
        cut = [(start + self._padding, start + one.shape[1] - self._padding) for start, one in spans]
        return [sound[first * hop : last * hop] for first, last in cut]

    def _tiles(self, width: int) -> list[tuple[int, int]]:
        """Return the first and last frame of each part of a row that goes through the generator by itself."""
        if not (self._channels_last and self.batches) or width <= TILE:
            return [(0, width)]
        count = math.ceil(width / max(TILE - 2 * self._reach, self._reach))
        bounds = [width * k // count for k in range(count + 1)]
        return list(pairwise(bounds))

    def _run_tile(
        self, row: torch.Tensor, gaps: Sequence[tuple[int, int]], tile: tuple[int, int], condition: torch.Tensor | None
    ) -> torch.Tensor:
        """Return the sound (N of the tile,) of one part of a row (1, C, W), which sees what is around it."""
        first, last = max(tile[0] - self._reach, 0), min(tile[1] + self._reach, row.shape[2])
        seen = last - first
        width = self._row.width = seen + (-seen % GRAIN if self.batches else 0)
        inside = [(max(start - first, 0), min(end - first, seen)) for start, end in gaps]
        self._row.gaps = [*inside, (seen, width)]
        part = nn.functional.pad(row[:, :, first:last], (0, width - seen))
        sound: torch.Tensor = self._generator(
            self._shaped(part), None if condition is None else self._shaped(condition)
        )
        sound = sound.reshape(-1).float()
        hop = sound.shape[0] // width
        return sound[(tile[0] - first) * hop : (tile[1] - first) * hop]

    def _shaped(self, values: torch.Tensor) -> torch.Tensor:
        """Return (1, C, W) as the generator takes it: (1, C, 1, W) with the channels last on a processor."""
        values = values.to(self._device, self._dtype)
        return values.unsqueeze(2).contiguous(memory_format=torch.channels_last) if self._channels_last else values

    def _silence_gaps(self, _module: nn.Module, values: tuple[torch.Tensor, ...]) -> None:
        """Set what a convolution takes in to zero outside the sentences: in place, for nothing else holds it."""
        rate = values[0].shape[-1] // self._row.width
        for start, end in self._row.gaps:
            if end > start:
                values[0][..., start * rate : end * rate] = 0


def remove_weight_norm(model: nn.Module) -> None:
    """Fold every weight norm in `model` into its weights: the same numbers, computed once."""
    for module in model.modules():
        if parametrize.is_parametrized(module):
            parametrizations: Any = module.parametrizations
            for name in list(parametrizations):
                parametrize.remove_parametrizations(module, name)


def _starts(lengths: Sequence[int], gap: int) -> list[int]:
    """Return where in a row each sentence of so many frames begins, `gap` frames after the one before it."""
    starts = [0]
    for length in lengths[:-1]:
        starts.append(starts[-1] + length + gap)
    return starts


def _rates(generator: HifiganGenerator) -> list[int]:
    """Return how many positions a frame has before each stage and after the last."""
    rates = [1]
    for up in generator.ups:
        rates.append(rates[-1] * up.stride[0])
    return rates


def _widest_reach(generator: HifiganGenerator) -> int:
    """Return how many frames to each side the widest single convolution sees."""
    reach = [3.0]  # the first and the last convolution have seven taps
    for index, rate in enumerate(_rates(generator)[1:]):
        up = generator.ups[index]
        reach.append(up.kernel_size[0] / up.stride[0] * up.stride[0] / rate)
        blocks = generator.resblocks[index * generator.num_kernels : (index + 1) * generator.num_kernels]
        reach += [(c.kernel_size[0] - 1) / 2 * c.dilation[0] / rate for c in _convolutions(blocks)]
    return math.ceil(max(reach))


def _whole_reach(generator: HifiganGenerator) -> int:
    """Return how many frames to each side a sample of the sound depends on."""
    reach = 6.0  # the first and the last convolution
    for index, (before, rate) in enumerate(pairwise(_rates(generator))):
        up = generator.ups[index]
        reach += up.kernel_size[0] / up.stride[0] / before
        blocks = generator.resblocks[index * generator.num_kernels : (index + 1) * generator.num_kernels]
        reach += max(sum((c.kernel_size[0] - 1) / 2 * c.dilation[0] for c in _convolutions(b)) for b in blocks) / rate
    return math.ceil(reach)


def _convolutions(part: nn.Module) -> Iterator[nn.Conv1d]:
    return (module for module in part.modules() if isinstance(module, nn.Conv1d))
