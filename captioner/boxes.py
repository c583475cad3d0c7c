"""Encoders whose regions are boxes: of a fixed grid over a CNN's map, or those that a detector finds.

A box's features end in where it is: left, top, right and bottom, 0..1 of the photo. A box of nothing but zeros is a
filling. RoIAlign is He et al. 2017 (arXiv 1703.06870), the detector Faster R-CNN (Ren et al. 2015, arXiv 1506.01497).

Shapes: B photos, S pixels on a side, C channels, L boxes, D features a box, the place included, G cells on a side of
the grid that attention is shown on.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign, nms, roi_align

from captioner.encoders import Encoder, EncoderConfig, PhotoEncoder

SHOWN_GRID = 7
"""G."""
WINDOWS = ((1.0, 1.0, 1), (0.5, 0.5, 3), (0.25, 0.25, 4), (1.0, 0.4, 3), (0.4, 1.0, 3))
"""Width, height and count of the boxes: one of the whole photo, and on a grid those that lie inside it evenly."""


def grid_boxes() -> Tensor:
    """Return the fixed boxes of all scales, (L, 4) as left, top, right, bottom in 0..1."""
    made = []
    for width, height, count in WINDOWS:
        across = torch.linspace(0, 1 - width, count if width < 1 else 1)
        down = torch.linspace(0, 1 - height, count if height < 1 else 1)
        made += [[float(x), float(y), float(x) + width, float(y) + height] for y in down for x in across]
    return torch.tensor(made)


def show(attention: Tensor, places: Tensor) -> Tensor:
    """Lay attention (T, L) over boxes (L, 4) out on a square grid: each box spreads its own evenly, (T, G * G)."""
    edges = torch.linspace(0, 1, SHOWN_GRID + 1, device=places.device)
    across = (torch.minimum(places[:, 2:3], edges[1:]) - torch.maximum(places[:, 0:1], edges[:-1])).clamp_min(0)
    down = (torch.minimum(places[:, 3:4], edges[1:]) - torch.maximum(places[:, 1:2], edges[:-1])).clamp_min(0)
    covered = (down[:, :, None] * across[:, None]).flatten(1)  # (L, G * G)
    shares = covered / covered.sum(1, keepdim=True).clamp_min(1e-9)
    return attention @ shares.to(attention.dtype)


class BoxEncoder(Encoder):
    """An EfficientNet's map, RoI-aligned under the fixed boxes: no detector, and the same boxes for each photo."""

    kind = "boxes"
    boxes: Tensor

    def __init__(self, config: EncoderConfig) -> None:
        """Build the network with random weights."""
        super().__init__(config)
        self.register_buffer("boxes", grid_boxes(), persistent=False)  # no weight: the cache is the plain encoder's
        self.width, self.region_count = self.width + 4, len(self.boxes)

    def upper(self, features: Tensor) -> Tensor:
        """Run the upper part and cut the boxes out: (B, C, h, w) to (B, L, D)."""
        last = self.upper_map(features).float()  # (B, D - 4, h, w)
        sides = last.new_tensor([last.shape[3], last.shape[2]] * 2)
        places = [self.boxes.float() * sides] * len(last)
        seen = roi_align(last, places, output_size=1, sampling_ratio=2, aligned=True)  # (B * L, D - 4, 1, 1)
        where = self.boxes.float().expand(len(last), -1, -1)  # (B, L, 4)
        return torch.cat([seen.reshape(len(last), len(self.boxes), -1), where], 2)  # (B, L, D)

    def look(self, attention: Tensor, regions: Tensor) -> Tensor:
        """Lay attention (T, L) out on a square grid, row by row: (T, G * G)."""
        return show(attention, regions[:, -4:])


@dataclass(frozen=True)
class DetectorConfig:
    """What a detector is, apart from its weights."""

    input_size_px: int = 64
    """The whole photo is squashed to a square of this side."""
    classes: int = 2
    """Kinds of things, the background included."""
    boxes: int = 4
    """L: the best boxes that are kept."""
    overlap: float = 0.5
    """Of boxes that share more than this of their union the best one is kept."""
    lower_blocks: int = 0
    """There are no blocks: training captions leaves the whole detector as it is."""
    pixel_mean: float = 0.5
    """Taken from each channel (0..1)."""
    pixel_std: float = 0.5
    """Each channel is divided by this."""


class DetectorEncoder(PhotoEncoder):
    """A small Faster R-CNN: its region proposals, RoI pooling, and the features of its best boxes."""

    kind = "detector"
    channels = 64

    def __init__(self, config: DetectorConfig) -> None:
        """Build the detector with random weights; `learn` trains it."""
        super().__init__()
        self.config = config
        side, channels = config.input_size_px, self.channels
        anchors = AnchorGenerator(((side // 4, 3 * side // 8, side // 2, 3 * side // 4),), ((1.0,),))
        pool = MultiScaleRoIAlign(["0"], output_size=4, sampling_ratio=2)
        self.network: Any = FasterRCNN(
            _backbone(channels), min_size=side, max_size=side, image_mean=[config.pixel_mean] * 3,
            image_std=[config.pixel_std] * 3, rpn_anchor_generator=anchors, box_roi_pool=pool, box_head=_head(channels),
            box_predictor=_Predictor(channels, config.classes), box_batch_size_per_image=16,
            rpn_batch_size_per_image=32, rpn_post_nms_top_n_train=32, rpn_post_nms_top_n_test=16,
        ).eval()  # fmt: skip
        self.width, self.region_count = channels + 4, config.boxes

    def lower(self, prepared: Tensor) -> Tensor:
        """Find the best boxes: (B, 3, S, S) uint8 to (B, D, L, 1)."""
        images = self.normalise(prepared)
        sides = [(int(images.shape[2]), int(images.shape[3]))] * len(images)
        maps = {"0": self.network.backbone(images)}
        proposals, _ = self.network.rpn(ImageList(images, sides), maps)
        heads = self.network.roi_heads
        seen = heads.box_head(heads.box_roi_pool(maps, proposals, sides))  # (boxes of all photos, D - 4)
        scores, moves = heads.box_predictor(seen)
        placed = heads.box_coder.decode(moves, proposals)  # (boxes, classes, 4)
        counts = [len(one) for one in proposals]
        chances = scores.softmax(-1)  # (boxes, classes)
        parts = zip(seen.split(counts), placed.split(counts), chances.split(counts), strict=True)
        return torch.stack([self._best(*one) for one in parts]).transpose(1, 2)[..., None]

    def _best(self, seen: Tensor, placed: Tensor, chances: Tensor) -> Tensor:
        """Keep the best boxes of one photo, the best first, and fill up with zeros: (L, D)."""
        side, limit = self.config.input_size_px, self.config.boxes
        best, kinds = chances[:, 1:].max(1)  # the background is no thing
        places = placed[torch.arange(len(placed)), kinds + 1].clamp(0, side)  # (boxes, 4)
        kept = nms(places, best, self.config.overlap)[:limit]
        told = torch.cat([seen[kept], places[kept] / side], 1)  # (kept, D)
        return nn.functional.pad(told, (0, 0, 0, limit - len(told)))

    def upper(self, features: Tensor) -> Tensor:
        """Lay the boxes out: (B, D, L, 1) to (B, L, D)."""
        return features[..., 0].transpose(1, 2)

    def look(self, attention: Tensor, regions: Tensor) -> Tensor:
        """Lay attention (T, L) out on a square grid, row by row: (T, G * G)."""
        return show(attention, regions[:, -4:])

    def tuned(self) -> list[nn.Parameter]:
        """Return nothing: a detector learns from boxes, not from captions."""
        return []

    def upper_names(self) -> tuple[str, ...]:
        """Return a name that nothing has: all of it is lower."""
        return ("upper.",)

    def learn(self, prepared: Tensor, boxes: Sequence[Tensor], kinds: Sequence[Tensor]) -> Tensor:
        """Return the detector's loss for photos (B, 3, S, S), the boxes (n, 4) in pixels and kinds (n,) of each."""
        self.network.train()
        targets = [{"boxes": place, "labels": kind} for place, kind in zip(boxes, kinds, strict=True)]
        losses = self.network(list(prepared.float() / 255.0), targets)
        self.network.eval()
        return cast("Tensor", sum(losses.values()))


class _Predictor(nn.Module):
    """What each box is, and how it should move."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.scores, self.moves = nn.Linear(channels, classes), nn.Linear(channels, 4 * classes)

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        return self.scores(seen), self.moves(seen)


def _backbone(channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after, stride in ((3, 24, 2), (24, 48, 2), (48, channels, 2), (channels, channels, 1)):
        convolution = nn.Conv2d(before, after, 3, stride=stride, padding=1)
        nn.init.kaiming_normal_(convolution.weight)
        layers += [convolution, nn.ReLU()]
    backbone = nn.Sequential(*layers)
    backbone.out_channels = channels  # type: ignore[assignment]  # as torchvision asks for it
    return backbone


def _head(channels: int) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(1), nn.Linear(channels * 16, channels), nn.ReLU())
