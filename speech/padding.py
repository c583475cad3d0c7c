"""Makes Coqui's convolution blocks give a padded batch what they give each text alone.

`Conv1dBN` convolves without padding, then puts zeros at both ends: at a text's own end its neighbours in a padded batch
would see other numbers there. `LengthAwarePad` takes the place of that padding and puts the same zeros at each text's
own end, so a batch is exact in training and in speech alike.
Letters: B texts, D channels, T positions.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from speech.quiet import quiet_imports

with quiet_imports():
    from TTS.tts.layers.generic.res_conv_bn import Conv1dBN
    from TTS.tts.models.forward_tts import ForwardTTS


class Lengths:
    """The lengths of the batch in hand, shared by all the paddings of one encoder or decoder."""

    def __init__(self) -> None:
        """Start without lengths: paddings then act as the library's own."""
        self.current: torch.Tensor | None = None


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
    for part in (model.encoder, model.decoder):
        lengths = Lengths()
        for block in part.modules():
            if isinstance(block, Conv1dBN):
                start, end, _, _ = block.pad.padding
                block.pad = LengthAwarePad(start, end, lengths)
        part.register_forward_pre_hook(_length_setter(lengths), with_kwargs=True)


def _length_setter(lengths: Lengths) -> Callable[[nn.Module, tuple[torch.Tensor, ...], dict[str, Any]], None]:
    """Return a hook that reads the lengths from the mask (B, 1, T), the second argument of encoders and decoders."""

    def set_lengths(_module: nn.Module, args: tuple[torch.Tensor, ...], _kwargs: dict[str, Any]) -> None:
        lengths.current = args[1].sum(dim=(1, 2)).long()

    return set_lengths
