"""CNNs of torchvision without their classifiers, to choose from by name; random weights unless they are asked for.

ResNet (He et al. 2016, arXiv 1512.03385), Inception-v3 (Szegedy et al. 2016, arXiv 1512.00567; 299 px, pixels to -1..1,
its auxiliary head left out), MobileNet-v3 (Howard et al. 2019, arXiv 1905.02244). Their ImageNet weights are fetched
by torchvision, and only where `pretrained` is asked for in training.

Shapes: B photos, S pixels on a side, C channels of an inner map, G cells on a side of the final grid, L = G * G
regions, D features a region.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from urllib.error import URLError

import torch
import torchvision
from torch import Tensor, nn

from captioner.encoders import PhotoEncoder
from captioner.errors import ModelError

_IMAGENET = {"pixel_mean": (0.485, 0.456, 0.406), "pixel_std": (0.229, 0.224, 0.225)}
TRUNKS: dict[str, dict[str, Any]] = {
    **{name: {"input_size_px": 224, "lower_blocks": 7, **_IMAGENET} for name in ("resnet18", "resnet50", "resnet101")},
    **{name: {"input_size_px": 224, "lower_blocks": 12, **_IMAGENET}
       for name in ("mobilenet_v3_small", "mobilenet_v3_large")},
    "small": {"input_size_px": 32, "lower_blocks": 0, "pixel_mean": (0.5,) * 3, "pixel_std": (0.5,) * 3},
    "inception_v3": {"input_size_px": 299, "lower_blocks": 15, "pixel_mean": (0.5,) * 3, "pixel_std": (0.5,) * 3},
}  # fmt: skip
"""Name to the settings that its ImageNet weights want; `small` is ours, for drawn shapes, and has none."""


SETTLING = 4
"""Pictures of noise that random weights are settled on."""


@dataclass(frozen=True)
class TrunkConfig:
    """What a trunk is, apart from its weights."""

    network: str = "resnet50"
    """Name of one of `TRUNKS`."""
    input_size_px: int = 224
    """The whole photo is squashed to a square of this side."""
    grid: int = 7
    """The last map is averaged to grid x grid regions where it is larger."""
    lower_blocks: int = 7
    """How many of the network's stages, from the pixels up, training leaves as they are (and caches)."""
    pixel_mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    """Taken from each channel (0..1) before the network."""
    pixel_std: tuple[float, ...] = (0.229, 0.224, 0.225)
    """Each channel is divided by this before the network."""

    def __post_init__(self) -> None:
        """Take lists for tuples: JSON has no other."""
        object.__setattr__(self, "pixel_mean", tuple(self.pixel_mean))
        object.__setattr__(self, "pixel_std", tuple(self.pixel_std))


class TrunkEncoder(PhotoEncoder):
    """A CNN of torchvision: (B, 3, H, W) to (B, L, D); batch norms keep the statistics that they came with."""

    kind = "trunk"

    def __init__(self, config: TrunkConfig, *, pretrained: bool = False) -> None:
        """Build the network; raise ModelError for another name, or where its ImageNet weights cannot be fetched."""
        super().__init__()
        if config.network not in TRUNKS:
            raise ModelError(f"no CNN {config.network!r}", "config.json, encoder", f"there are {', '.join(TRUNKS)}")
        self.config = config
        self.network = nn.Sequential(*stages(build(config.network, pretrained=pretrained))).eval()
        with torch.inference_mode():
            side = config.input_size_px
            map_of_one = self.network(torch.zeros(1, 3, side, side))  # (1, D, h, w)
        self.width, self.region_count = map_of_one.shape[1], min(config.grid, map_of_one.shape[2]) ** 2

    def train(self, mode: bool = True) -> "TrunkEncoder":
        """Stay as in use: batch norms of a few photos would forget what they came with."""
        del mode
        return super().train(mode=False)

    def normalise(self, prepared: Tensor) -> Tensor:
        """Turn (B, 3, S, S) uint8 into what the network was trained on."""
        mean, std = (torch.tensor(one, device=prepared.device).reshape(1, 3, 1, 1)
                     for one in (self.config.pixel_mean, self.config.pixel_std))  # fmt: skip
        return ((prepared.float() / 255.0 - mean) / std).contiguous(memory_format=torch.channels_last)

    def lower(self, prepared: Tensor) -> Tensor:
        """Run the stages that training leaves as they are: (B, 3, S, S) uint8 to (B, C, h, w)."""
        features: Tensor = self.network[: self.config.lower_blocks](self.normalise(prepared))
        return features

    def upper(self, features: Tensor) -> Tensor:
        """Run the others and lay the last map out row by row: (B, C, h, w) to (B, L, D)."""
        features = self.network[self.config.lower_blocks :](features)  # (B, D, h, w)
        if max(features.shape[-2:]) > self.config.grid:
            features = nn.functional.adaptive_avg_pool2d(features, self.config.grid)  # (B, D, G, G)
        return features.flatten(2).transpose(1, 2)  # (B, L, D)

    def tuned(self) -> list[nn.Parameter]:
        """Return the upper stages' convolutions; batch norms stay as they came."""
        upper = self.network[self.config.lower_blocks :].modules()
        return [parameter for one in upper if isinstance(one, nn.Conv2d) for parameter in one.parameters()]

    def upper_names(self) -> tuple[str, ...]:
        """Return how the names of the upper stages' weights begin."""
        return tuple(f"network.{number}." for number in range(self.config.lower_blocks, len(self.network)))


def build(name: str, *, pretrained: bool) -> Any:
    """Build torchvision's network, with ImageNet weights where asked for.

    Raises ModelError where these cannot be had.
    """
    if name == "small":
        return _small()
    more: dict[str, Any] = {"init_weights": True} if name == "inception_v3" and not pretrained else {}
    try:
        return torchvision.models.get_model(name, weights="DEFAULT" if pretrained else None, **more)
    except (URLError, OSError, RuntimeError) as error:
        mend = "connect to the network, or train without --pretrained"
        raise ModelError(f"the ImageNet weights cannot be fetched ({error})", name, mend) from error


def _small() -> nn.Sequential:
    """Return four convolutions that halve 32 px to 4 x 4 regions and learn the drawn shapes in moments."""
    halving = [nn.Conv2d(before, after, 3, stride=2, padding=1) for before, after in pairwise((3, 24, 48, 96))]
    layers: list[nn.Module] = []
    for one in [*halving, nn.Conv2d(96, 96, 3, padding=1)]:
        nn.init.kaiming_normal_(one.weight)
        layers += [one, nn.ReLU()]
    return nn.Sequential(*layers)


def new_trunk(name: str, *, pretrained: bool = False) -> TrunkEncoder:
    """Build a trunk to train with: ImageNet weights, or random ones that give numbers of an ordinary size.

    Raises ModelError where the weights cannot be had.
    """
    encoder = TrunkEncoder(trunk_config(name), pretrained=pretrained)
    if not pretrained:
        settle(encoder.network, encoder.config.input_size_px)
    return encoder


@torch.no_grad()
def settle(network: nn.Module, side_px: int) -> None:
    """Give batch norms the statistics of noise, of all sizes of spots: with none, a hundred layers overflow."""
    random = torch.Generator().manual_seed(0)
    spots = [torch.randn(SETTLING, 3, size, size, generator=random) for size in (2, 8, 32, side_px)]
    noise = torch.stack([nn.functional.interpolate(one, side_px, mode="bilinear") for one in spots]).sum(0)
    norms = [one for one in network.modules() if isinstance(one, nn.BatchNorm2d)]
    usual = [one.momentum for one in norms]
    for one in norms:
        one.reset_running_stats()
        one.momentum = None  # the mean of all batches, here of one
    network.train()
    network(noise / 2)
    network.eval()
    for one, momentum in zip(norms, usual, strict=True):
        one.momentum = momentum


def stages(network: Any) -> list[nn.Module]:
    """Return the layers of a network in order, up to its last map: no pooling, no classifier, no auxiliary head."""
    if isinstance(network, nn.Sequential):
        return list(network)
    if hasattr(network, "features"):
        return list(network.features)
    dropped = ("AuxLogits", "avgpool", "dropout", "fc")
    return [one for name, one in network.named_children() if name not in dropped]


def trunk_config(network: str) -> TrunkConfig:
    """Return the settings that go with a network's ImageNet weights."""
    return TrunkConfig(network, grid=8 if network == "inception_v3" else 7, **TRUNKS[network])
