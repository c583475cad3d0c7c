"""The default network: a Transformer over image regions and the words said so far.

A CNN's regions go through layer norm, a ReLU dense layer and self-attention layers; the words through causal
self-attention, cross-attention over the regions and a feed-forward (Vaswani et al. 2017, arXiv 1706.03762; norm
first in the decoder, Xiong et al. 2020, arXiv 2002.04745; word vectors shared with the output projection, Press and
Wolf 2017, arXiv 1608.05859). Any encoder of captioner.encoders gives the regions.

Shapes: B photos, L regions, D features a region as the encoder gives them, W width of this network.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from captioner.models.layers import RegionLayer, sinusoids
from captioner.models.network import NetworkConfig
from captioner.models.words import WordNetwork


@dataclass(frozen=True)
class TransformerConfig(NetworkConfig):
    """The network's sizes."""

    width: int = 256
    """W."""
    heads: int = 8
    """H, a divisor of `width`."""
    feed_forward: int = 1024
    """Width of the inner layer of each feed-forward."""
    encoder_layers: int = 1
    """Self-attention layers over the regions."""
    decoder_layers: int = 3
    """Layers over the words."""
    longest: int = 32
    """The most tokens of a caption, the end token included."""
    dropout: float = 0.2
    """Share of values dropped while training."""
    places: Literal["learned", "sinusoidal"] = "learned"
    """Positions of regions and of words: `learned`, or `sinusoidal` (Vaswani et al. 2017, section 3.5)."""


class TransformerCaptioner(WordNetwork):
    """Regions and the words so far to the next word."""

    kind = "cnn_transformer"

    def __init__(self, config: TransformerConfig) -> None:
        """Build the network with random weights."""
        super().__init__(config)
        self.norm_regions = nn.LayerNorm(config.region_width)
        self.dense = nn.Linear(config.region_width, config.width)
        self.places = nn.Parameter(torch.zeros(config.regions, config.width))
        self.region_layers = nn.ModuleList(RegionLayer(config) for _ in range(config.encoder_layers))
        self.add_words()
        self.initialise()
        nn.init.normal_(self.places, std=0.02)
        nn.init.normal_(self.positions, std=0.02)
        if config.places == "sinusoidal":
            del self.places, self.positions
            self.register_buffer("places", sinusoids(config.regions, config.width))
            self.register_buffer("positions", sinusoids(config.longest, config.width))

    def encode(self, regions: Tensor) -> Tensor:
        """Relate the regions (B, L, D) to each other: (B, L, W)."""
        dense = torch.relu(self.dense(self.dropout(self.norm_regions(regions))))  # (B, L, W)
        mixed: Tensor = dense + self.places
        for layer in self.region_layers:
            mixed = layer(mixed)
        return mixed

    def watch(self, regions: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Give what the layers make of one caption a photo, (B, T, W), and where they look, (B, T, L), in one go."""
        return self.looked_at(self.encode(regions), tokens)
