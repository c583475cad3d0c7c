"""Layers that several networks share: attention with its projections, and layers over regions and over words.

Attention and feed-forward after Vaswani et al. 2017 (arXiv 1706.03762); norm first over words, Xiong et al. 2020
(arXiv 2002.04745).

Shapes: B photos, L regions, W width of the network, H heads, C captions (or beams) a photo, T tokens, S tokens so far.
"""

import math
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  the name that everyone reads


class Sizes(Protocol):
    """What a layer must know of its network's configuration."""

    @property
    def width(self) -> int:
        """W."""

    @property
    def heads(self) -> int:
        """H, a divisor of `width`."""

    @property
    def feed_forward(self) -> int:
        """Width of the inner layer of each feed-forward."""

    @property
    def dropout(self) -> float:
        """Share of values dropped while training."""


Seen = tuple[Tensor, Tensor]
"""Keys and values, each (B, H, L, W / H)."""
StepResult = tuple[Tensor, Seen]
"""What a layer makes of one token, and the keys and values of all tokens so far."""


class Dropout(nn.Module):
    """Dropout that draws eight values from each 64-bit random number: torch's own took a quarter of a CPU step."""

    def __init__(self, share: float) -> None:
        """Drop this share of values, rounded to 1/256, while training."""
        super().__init__()
        self.threshold = round(share * 256)

    def forward(self, inputs: Tensor) -> Tensor:
        """Drop values of a tensor of any shape and scale the others up."""
        if not self.training or self.threshold == 0:
            return inputs
        words = torch.empty((inputs.numel() + 7) // 8, dtype=torch.int64, device=inputs.device)
        octets = words.random_(-(2**63), None).view(torch.uint8)[: inputs.numel()].reshape(inputs.shape)
        return inputs * (octets >= self.threshold).to(inputs.dtype).mul_(256 / (256 - self.threshold))


class Attention(nn.Module):
    """Multi-head attention with its four projections.

    Written out for training, since torch's fused kernel trains three times slower on a CPU in bfloat16; fused where
    nothing is learned, which is a little faster.
    """

    def __init__(self, config: Sizes) -> None:
        """Build the projections for `config.width` and `config.heads`."""
        super().__init__()
        self.heads = config.heads
        self.query = nn.Linear(config.width, config.width)
        self.key_value = nn.Linear(config.width, 2 * config.width)
        self.out = nn.Linear(config.width, config.width)

    def keys_values(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Project (B, T, W) to keys and values, each (B, H, T, W / H)."""
        batch, length, _ = inputs.shape
        both = self.key_value(inputs).reshape(batch, length, 2, self.heads, -1)  # (B, T, 2, H, W / H)
        keys, values = both.permute(2, 0, 3, 1, 4)  # each (B, H, T, W / H)
        return keys, values

    def forward(self, inputs: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None = None) -> Tensor:
        """Let (B, T, W) look at keys and values (B, H, S, W / H) where `mask`, (..., T, S), is true: (B, T, W)."""
        batch, length, width = inputs.shape
        query = self.query(inputs).reshape(batch, length, self.heads, -1).transpose(1, 2)  # (B, H, T, W / H)
        if self.training or mask is not None:
            mixed = self._mix(query, keys, values, mask)  # (B, H, T, W / H)
        else:
            mixed = F.scaled_dot_product_attention(query, keys, values)  # (B, H, T, W / H)
        attended: Tensor = self.out(mixed.transpose(1, 2).reshape(batch, length, width))  # (B, T, W)
        return attended

    def looks(self, inputs: Tensor, keys: Tensor) -> Tensor:
        """Give how much of each key (B, H, S, W / H) the inputs (B, T, W) take, over all heads: (B, T, S), sums 1."""
        batch, length, _ = inputs.shape
        query = self.query(inputs).reshape(batch, length, self.heads, -1).transpose(1, 2)  # (B, H, T, W / H)
        scores: Tensor = query @ keys.transpose(2, 3) * query.shape[-1] ** -0.5  # (B, H, T, S)
        return scores.softmax(-1).mean(1)  # (B, T, S)

    def _mix(self, query: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        """Mix the values as each query (B, H, T, W / H) looks at the keys: (B, H, T, W / H)."""
        scores = query @ keys.transpose(2, 3) * query.shape[-1] ** -0.5  # (B, H, T, S)
        if mask is not None:
            scores = scores.masked_fill(~mask, -1e4)
        mixed: Tensor = scores.softmax(-1).to(values.dtype) @ values
        return mixed


def feed_forward(config: Sizes) -> nn.Sequential:
    """Build the two dense layers after each attention."""
    return nn.Sequential(
        nn.Linear(config.width, config.feed_forward),
        nn.ReLU(),
        Dropout(config.dropout),
        nn.Linear(config.feed_forward, config.width),
    )


class RegionLayer(nn.Module):
    """Self-attention over the regions, add and norm; feed-forward, add and norm."""

    def __init__(self, config: Sizes) -> None:
        """Build one layer."""
        super().__init__()
        self.attention = Attention(config)
        self.norm_attention = nn.LayerNorm(config.width)
        self.feed_forward = feed_forward(config)
        self.norm_feed_forward = nn.LayerNorm(config.width)
        self.dropout = Dropout(config.dropout)

    def forward(self, regions: Tensor) -> Tensor:
        """(B, L, W) to (B, L, W)."""
        mixed = self.attention(regions, *self.attention.keys_values(regions))
        regions = self.norm_attention(regions + self.dropout(mixed))
        normed: Tensor = self.norm_feed_forward(regions + self.dropout(self.feed_forward(regions)))
        return normed


class TextLayer(nn.Module):
    """Self-attention over the words alone, and feed-forward; each normed first and added."""

    def __init__(self, config: Sizes) -> None:
        """Build one layer."""
        super().__init__()
        self.attention = Attention(config)
        self.feed_forward = feed_forward(config)
        self.norm_attention, self.norm_feed_forward = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.dropout = Dropout(config.dropout)

    def forward(self, words: Tensor, mask: Tensor | None, seen: Seen | None = None) -> Tensor:
        """(N, T, W) to (N, T, W); keys and values of `seen`, (B, H, L, W / H), stand before the words' own."""
        normed = self.norm_attention(words)
        keys, values, mask = joined(self.attention.keys_values(normed), seen, mask)
        return self.finish(words + self.dropout(self.attention(normed, keys, values, mask)))

    def step(self, words: Tensor, past: Seen | None, seen: Seen | None) -> StepResult:
        """One more token for each caption: (N, 1, W), its keys and values added to those of the past."""
        normed = self.norm_attention(words)
        own = self.attention.keys_values(normed)  # each (N, H, 1, W / H)
        if past is not None:
            own = (torch.cat([past[0], own[0]], 2), torch.cat([past[1], own[1]], 2))  # each (N, H, S, W / H)
        keys, values, _ = joined(own, seen, None)
        return self.finish(words + self.attention(normed, keys, values)), own

    def finish(self, words: Tensor) -> Tensor:
        """Feed-forward."""
        fed: Tensor = self.dropout(self.feed_forward(self.norm_feed_forward(words)))
        return words + fed


def joined(own: Seen, seen: Seen | None, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """Put keys and values of each caption's photo, (B, H, L, ...), before its own, (B * C, H, T, ...), seen by all."""
    if seen is None:
        return *own, mask
    each = len(own[0]) // len(seen[0])
    keys, values = (torch.cat([one.repeat_interleave(each, 0), other], 2) for one, other in zip(seen, own, strict=True))
    if mask is not None:
        mask = nn.functional.pad(mask, (seen[0].shape[2], 0), value=True)  # (..., T, L + T)
    return keys, values, mask


class WordLayer(nn.Module):
    """Causal self-attention, cross-attention over the regions, feed-forward; each normed first and added."""

    def __init__(self, config: Sizes) -> None:
        """Build one layer."""
        super().__init__()
        self.attention, self.cross = Attention(config), Attention(config)
        self.feed_forward = feed_forward(config)
        self.norm_attention = nn.LayerNorm(config.width)
        self.norm_cross = nn.LayerNorm(config.width)
        self.norm_feed_forward = nn.LayerNorm(config.width)
        self.dropout = Dropout(config.dropout)

    def forward(self, words: Tensor, mask: Tensor, regions: tuple[Tensor, Tensor] | None) -> Tensor:
        """(B * C, T, W) to (B * C, T, W); `regions` holds keys and values (B, H, L, W / H), None: text alone."""
        normed = self.norm_attention(words)
        keys, values = self.attention.keys_values(normed)
        words = words + self.dropout(self.attention(normed, keys, values, mask))
        return self.finish(words, regions)

    def step(self, words: Tensor, past: tuple[Tensor, Tensor] | None, regions: tuple[Tensor, Tensor]) -> "StepResult":
        """One more token for each caption: (B * C, 1, W), its keys and values added to those of the past."""
        normed = self.norm_attention(words)
        keys, values = self.attention.keys_values(normed)  # (B * C, H, 1, W / H)
        if past is not None:
            keys, values = torch.cat([past[0], keys], 2), torch.cat([past[1], values], 2)  # (B * C, H, S, W / H)
        words = words + self.attention(normed, keys, values)
        return self.finish(words, regions), (keys, values)

    def watch(self, words: Tensor, mask: Tensor, regions: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor]:
        """Do as `forward`, without dropout, for one caption a photo; give too where it looked, (B, T, L), sums 1."""
        if regions is None:
            raise ValueError("there is nothing to look at")
        normed = self.norm_attention(words)
        words = words + self.attention(normed, *self.attention.keys_values(normed), mask)
        looked = self.cross.looks(self.norm_cross(words), regions[0])
        return self.finish(words, regions), looked

    def finish(self, words: Tensor, regions: tuple[Tensor, Tensor] | None) -> Tensor:
        """Cross-attention and feed-forward; the captions of one photo share its keys and values."""
        if regions is not None:
            photos = regions[0].shape[0]
            asked = self.norm_cross(words).reshape(photos, -1, words.shape[-1])  # (B, C * T, W)
            words = words + self.dropout(self.cross(asked, *regions)).reshape(words.shape)  # (B * C, T, W)
        fed: Tensor = self.dropout(self.feed_forward(self.norm_feed_forward(words)))
        return words + fed


@dataclass
class DecoderCache:
    """What one decoding keeps between tokens: a row for each caption of each photo, photo by photo."""

    regions: list[tuple[Tensor, Tensor]]
    """For each layer the regions' keys and values, (B, H, L, W / H): computed once, shared by a photo's captions."""
    past: list[tuple[Tensor, Tensor] | None] = field(default_factory=list)
    """For each layer the keys and values of the tokens so far, (B * C, H, S, W / H)."""
    length: int = 0
    """S."""

    def reorder(self, rows: Tensor) -> None:
        """Keep the rows (B * C,) of the past, in that order: which caption each one goes on from."""
        self.past = [None if one is None else (one[0][rows], one[1][rows]) for one in self.past]

    def keep_photos(self, photos: Tensor) -> None:
        """Keep the photos at these indexes of the regions; the caller reorders the rows to match."""
        self.regions = [(keys[photos], values[photos]) for keys, values in self.regions]


def sinusoids(length: int, width: int) -> Tensor:
    """Return the fixed positions of Vaswani et al. 2017, section 3.5: (length, width), sines and cosines by turns."""
    places = torch.arange(length)[:, None]  # (T, 1)
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))  # (W / 2,)
    angles = places * rates  # (T, W / 2)
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1)[:, :width]  # (T, W)


def causal(length: int, device: torch.device) -> Tensor:
    """Return which tokens each token may look at, itself and those before it: (T, T)."""
    return torch.ones(length, length, dtype=torch.bool, device=device).tril()
