"""An encoder without a network: the photo's own pixels in patches, for a Transformer that takes them straight.

Shapes: B photos, S pixels on a side, P pixels on a patch's side, G = S / P patches on a side, L = G * G.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from captioner.encoders import PhotoEncoder
from captioner.errors import ModelError


@dataclass(frozen=True)
class PatchConfig:
    """How a photo is cut."""

    input_size_px: int = 96
    """The whole photo is squashed to a square of this side."""
    patch_px: int = 12
    """Side of a patch; divides the photo's."""
    lower_blocks: int = 0
    """There are no blocks."""
    pixel_mean: float = 0.5
    """Taken from each channel (0..1)."""
    pixel_std: float = 0.5
    """Each channel is divided by this."""


class PatchEncoder(PhotoEncoder):
    """Pixels to patches, row by row from the top left; nothing in it is learned."""

    kind = "patches"

    def __init__(self, config: PatchConfig) -> None:
        """Raise ModelError where the patches do not fill the photo."""
        super().__init__()
        if config.input_size_px % config.patch_px:
            where = f"{config.input_size_px} px in patches of {config.patch_px}"
            raise ModelError("the patches do not fill the photo", where, "choose a divisor")
        self.config, self.network = config, nn.Identity()
        self.nothing = nn.Parameter(torch.zeros(0), requires_grad=False)  # an encoder is where its parameters are
        self.width, self.region_count = 3 * config.patch_px**2, (config.input_size_px // config.patch_px) ** 2

    def lower(self, prepared: Tensor) -> Tensor:
        """Scale (B, 3, S, S) uint8 to about -1..1."""
        scaled: Tensor = (prepared.float() / 255.0 - self.config.pixel_mean) / self.config.pixel_std
        return scaled

    def upper(self, features: Tensor) -> Tensor:
        """Cut (B, 3, S, S) into patches: (B, L, 3 * P * P)."""
        return nn.functional.unfold(features, self.config.patch_px, stride=self.config.patch_px).transpose(1, 2)

    def tuned(self) -> list[nn.Parameter]:
        """Return nothing: there are no weights."""
        return []

    def upper_names(self) -> tuple[str, ...]:
        """Return nothing: there are no weights."""
        return ("network.",)
