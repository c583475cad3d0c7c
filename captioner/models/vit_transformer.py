"""A Vision Transformer with the Transformer's decoder: no CNN, image patches straight into self-attention.

Patches are projected, given positions, and related to each other by layers that norm first and use GELU (Dosovitskiy et
al. 2021, arXiv 2010.11929); the words look at all of them (`captioner.models.words`). Nothing in it knows that
neighbouring pixels belong together: it must learn from the photos what a CNN has built in.

Shapes: B photos, L patches, D = 3 * P * P values a patch, W width of this network.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from captioner.models.layers import Attention, Dropout
from captioner.models.network import NetworkConfig
from captioner.models.words import WordNetwork


@dataclass(frozen=True)
class VitConfig(NetworkConfig):
    """The network's sizes."""

    width: int = 256
    """W."""
    heads: int = 8
    """H, a divisor of `width`."""
    feed_forward: int = 1024
    """Width of the inner layer of each feed-forward."""
    encoder_layers: int = 4
    """Self-attention layers over the patches."""
    decoder_layers: int = 3
    """Layers over the words."""
    longest: int = 32
    """The most tokens of a caption, the end token included."""
    dropout: float = 0.1
    """Share of values dropped while training."""


class PatchLayer(nn.Module):
    """Self-attention over the patches, and feed-forward with GELU; each normed first and added."""

    def __init__(self, config: VitConfig) -> None:
        """Build one layer."""
        super().__init__()
        self.attention = Attention(config)
        self.norm_attention, self.norm_feed_forward = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        inner = nn.Linear(config.width, config.feed_forward), nn.GELU(), nn.Linear(config.feed_forward, config.width)
        self.feed_forward = nn.Sequential(*inner)
        self.dropout = Dropout(config.dropout)

    def forward(self, patches: Tensor) -> Tensor:
        """(B, L, W) to (B, L, W)."""
        normed = self.norm_attention(patches)
        patches = patches + self.dropout(self.attention(normed, *self.attention.keys_values(normed)))
        fed: Tensor = self.dropout(self.feed_forward(self.norm_feed_forward(patches)))
        return patches + fed


class VitTransformer(WordNetwork):
    """Patches and the words so far to the next word."""

    kind = "vit_transformer"
    usual_encoder = "patches"

    def __init__(self, config: VitConfig) -> None:
        """Build the network with random weights."""
        super().__init__(config)
        self.project = nn.Linear(config.region_width, config.width)
        self.places = nn.Parameter(torch.zeros(config.regions, config.width))
        self.patch_layers = nn.ModuleList(PatchLayer(config) for _ in range(config.encoder_layers))
        self.norm_patches = nn.LayerNorm(config.width)
        self.add_words()
        self.initialise()
        nn.init.normal_(self.places, std=0.02)
        nn.init.normal_(self.positions, std=0.02)

    def encode(self, regions: Tensor) -> Tensor:
        """Relate the patches (B, L, D) to each other: (B, L, W)."""
        patches: Tensor = self.dropout(self.project(regions) + self.places)  # (B, L, W)
        for layer in self.patch_layers:
            patches = layer(patches)
        normed: Tensor = self.norm_patches(patches)
        return normed
