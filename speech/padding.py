"""Makes Coqui's text encoders and mel decoders give a padded batch what they give each text alone.

Alone, a convolution finds zeros past both ends of a text. In a padded batch it would find there what the layers before
it made of the padding. Three things put that right, in training and in speech alike:
- `Conv1dBN` convolves without padding and then puts zeros at both ends: `LengthAwarePad` puts the same zeros at each
  text's own end.
- every other convolution that pads its input gets an input that is zero past each text's end.
- `FFTransformerDecoder` hands its attention no mask: it gets the one of its batch.
Letters: B texts, D channels, T positions.
"""

import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from speech.quiet import quiet_imports

with quiet_imports():
    from TTS.tts.layers.generic.res_conv_bn import Conv1dBN
    from TTS.tts.layers.generic.transformer import FFTransformerBlock
    from TTS.tts.models.forward_tts import ForwardTTS


class Lengths(threading.local):
    """The lengths of the batch that a thread has in hand, shared by all the paddings of one encoder or decoder."""

    def __init__(self) -> None:
        """Start without lengths: paddings then act as the library's own."""
        self.current: torch.Tensor | None = None
        self.mask: torch.Tensor | None = None

    def __reduce__(self) -> tuple[type["Lengths"], tuple[()]]:
        """Let a copy of a model start without lengths."""
        return Lengths, ()


class LengthAwarePad(nn.Module):
    """Zeros at both ends of a valid convolution's result, each text's own end included."""

    def __init__(self, start: int, end: int, lengths: Lengths) -> None:
        """Keep how many zeros stand before and after, and where the batch's lengths are found."""
        super().__init__()
        self.start, self.end, self.lengths = start, end, lengths

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (B, D, T) from the (B, D, T - start - end) of a valid convolution."""
        padded = nn.functional.pad(x, (self.start, self.end))  # (B, D, T)
        if self.lengths.current is None:
            return padded
        positions = torch.arange(padded.shape[2], device=x.device)
        inside = positions[None] < (self.lengths.current - self.end)[:, None]  # (B, T)
        return padded * inside[:, None].to(padded.dtype)


def make_batch_safe(model: ForwardTTS) -> None:
    """Replace the paddings of the encoder and the decoder in place, and have each call of theirs set the lengths."""
    make_part_safe(model.encoder)
    make_part_safe(model.decoder)


def make_part_safe(part: nn.Module) -> None:
    """Make an encoder or decoder exact in batches; its second argument is the mask (B, 1, T) of its first (B, D, T)."""
    lengths = Lengths()
    for block in part.modules():
        if isinstance(block, Conv1dBN):
            start, end, _, _ = block.pad.padding
            block.pad = LengthAwarePad(start, end, lengths)
        elif isinstance(block, nn.Conv1d) and block.padding != (0,):
            block.register_forward_pre_hook(_end_silencer(lengths))
        elif isinstance(block, FFTransformerBlock):
            block.register_forward_pre_hook(_mask_giver(lengths), with_kwargs=True)
    part.register_forward_pre_hook(_length_setter(lengths), with_kwargs=True)


def _length_setter(lengths: Lengths) -> Callable[[nn.Module, tuple[torch.Tensor, ...], dict[str, Any]], None]:
    """Return a hook that reads the lengths from the mask (B, 1, T), the second argument of encoders and decoders."""

    def set_lengths(_module: nn.Module, args: tuple[torch.Tensor, ...], _kwargs: dict[str, Any]) -> None:
        lengths.mask = args[1]
        lengths.current = args[1].sum(dim=(1, 2)).long()

    return set_lengths


def _end_silencer(lengths: Lengths) -> Callable[[nn.Module, tuple[torch.Tensor, ...]], tuple[torch.Tensor, ...] | None]:
    """Return a hook that sets a convolution's input (B, D, T) to zero past each text's end."""

    def silence(_module: nn.Module, args: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
        return None if lengths.mask is None else (args[0] * lengths.mask,)

    return silence


def _mask_giver(
    lengths: Lengths,
) -> Callable[[nn.Module, tuple[torch.Tensor, ...], dict[str, Any]], tuple[tuple[torch.Tensor, ...], dict[str, Any]]]:
    """Return a hook that gives a transformer the batch's mask where its caller gives none."""

    def give(
        _module: nn.Module, args: tuple[torch.Tensor, ...], kwargs: dict[str, Any]
    ) -> tuple[tuple[torch.Tensor, ...], dict[str, Any]]:
        return args[:1], kwargs | {"mask": lengths.mask}

    return give
