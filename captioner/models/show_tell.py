"""Show and Tell: one vector of the photo, then an LSTM; no attention (Vinyals et al. 2015, arXiv 1411.4555).

The mean region is the LSTM's first input, the words follow: all that is said of the photo goes through one state, the
bottleneck that attention was invented for. The baseline of the other families.

Shapes: B photos, L regions, D features a region, W width of words and state, C captions a photo, T tokens, V words.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from captioner.models.layers import Dropout
from captioner.models.network import CaptionNetwork, NetworkConfig, RecurrentCache


@dataclass(frozen=True)
class ShowTellConfig(NetworkConfig):
    """The network's sizes."""

    width: int = 512
    """W, of the word vectors and of the LSTM's state: 512 in the paper."""
    longest: int = 32
    """The most tokens of a caption, the end token included."""
    dropout: float = 0.3
    """Share of values dropped while training."""


class ShowTell(CaptionNetwork):
    """The mean region and the words so far to the next word."""

    kind = "show_tell"

    def __init__(self, config: ShowTellConfig) -> None:
        """Build the network with random weights."""
        super().__init__(config)
        self.norm = nn.LayerNorm(config.region_width)
        self.photo = nn.Linear(config.region_width, config.width)
        self.words = nn.Embedding(config.vocabulary, config.width)
        self.lstm = nn.LSTM(config.width, config.width, batch_first=True)
        self.out = nn.Linear(config.width, config.vocabulary)
        self.dropout = Dropout(config.dropout)
        nn.init.uniform_(self.words.weight, -0.1, 0.1)

    def encode(self, regions: Tensor) -> Tensor:
        """Make one vector of the regions (B, L, D): (B, W)."""
        vector: Tensor = self.photo(self.norm(regions.mean(1)))
        return vector

    def hidden(self, memory: Tensor, tokens: Tensor) -> Tensor:
        """Give the states after each token of captions (B, C, T): (B, C, T, W); `memory` is (B, W)."""
        photos, captions, length = tokens.shape
        first = memory.repeat_interleave(captions, 0)[:, None]  # (B * C, 1, W)
        words = self.words(tokens.reshape(photos * captions, length))  # (B * C, T, W)
        states, _ = self.lstm(self.dropout(torch.cat([first, words.to(first.dtype)], 1)))  # (B * C, 1 + T, W)
        after: Tensor = states[:, 1:].reshape(photos, captions, length, -1)  # (B, C, T, W)
        return after

    def score(self, words: Tensor) -> Tensor:
        """Turn states (..., W) into scores of each next word, (..., V)."""
        scores: Tensor = self.out(self.dropout(words))
        return scores

    def start(self, regions: Tensor) -> RecurrentCache:
        """Show the photos (B, L, D) to the LSTM: from here on it has its state alone."""
        _, (state, cell) = self.lstm(self.encode(regions)[:, None])  # each (1, B, W)
        return RecurrentCache((), (state[0], cell[0]))

    def step(self, tokens: Tensor, cache: RecurrentCache) -> Tensor:
        """Say one more token of each caption, (B * C,), and get the log-probabilities of the next, (B * C, V)."""
        cache.spread(len(tokens))
        state, cell = cache.rows  # each (B * C, W)
        _, (state, cell) = self.lstm(self.words(tokens)[:, None], (state[None], cell[None]))
        cache.rows = (state[0], cell[0])
        return torch.log_softmax(self.score(state[0]).float(), -1)  # (B * C, V)
