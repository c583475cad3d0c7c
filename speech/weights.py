"""A model's tensors on the disk: safetensors, in half precision, the largest ones in eight bits with a scale a row.

Eight bits are for tensors of a million numbers and more: such a layer adds up so many that the rounding (0.4 % of a
row's largest weight at most) is lost among them, and the voice stays small enough to be shipped.
"""

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

LARGE = 1_000_000
"""Numbers from which a tensor is stored in eight bits, where that is asked for."""
SCALE = ".scale"
"""Added to the name of a tensor in eight bits: its scales."""
STEPS = 127


def save(weights: dict[str, torch.Tensor], path: Path, *, eight_bits: bool = False) -> None:
    """Write tensors in half precision (counters as they are), and with `eight_bits` the large ones in eight bits."""
    stored: dict[str, torch.Tensor] = {}
    for name, value in weights.items():
        if eight_bits and value.is_floating_point() and value.numel() >= LARGE:
            stored |= _in_eight_bits(name, value.float())
        else:
            stored[name] = value.half() if value.is_floating_point() else value
    save_file({name: value.contiguous() for name, value in stored.items()}, path)


def load(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of a file that `save` wrote, or any safetensors file, in single precision.

    Raises `safetensors.SafetensorError` where the file is damaged.
    """
    stored: dict[str, torch.Tensor] = load_file(path)
    scales = {name: stored.pop(name + SCALE) for name in list(stored) if name + SCALE in stored}
    return {name: value * scales[name] if name in scales else _single(value) for name, value in stored.items()}


def _in_eight_bits(name: str, value: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return a tensor as whole numbers in -127..127 and the scale of each index of its first axis."""
    axes = tuple(range(1, value.ndim))
    scale = (value.abs().amax(dim=axes, keepdim=True) / STEPS).clamp(min=torch.finfo(torch.float32).tiny)
    whole = (value / scale).round().clamp(-STEPS, STEPS).to(torch.int8)
    return {name: whole, name + SCALE: scale}


def _single(value: torch.Tensor) -> torch.Tensor:
    """Return numbers with a point in single precision, others as they are."""
    return value.float() if value.is_floating_point() else value
