"""The words' half of a Transformer captioner: causal layers that look at what `encode` made of the photo.

Shared by the families whose decoder is a Transformer; the word vectors are the output projection too (Press and Wolf
2017, arXiv 1608.05859).

Shapes: B photos, L regions, D features a region, W width of the network, H heads, C captions (or beams) a photo,
T tokens, V words in the vocabulary.
"""

from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  the name that everyone reads

from captioner.decoding import PADDING
from captioner.models.layers import DecoderCache, Dropout, WordLayer, causal
from captioner.models.network import CaptionNetwork


class WordNetwork(CaptionNetwork):
    """A network that says words by Transformer layers; a family adds `encode`."""

    speaks_alone = True

    def add_words(self) -> None:
        """Build the words' layers of the configuration's sizes."""
        config = self.config
        self.words = nn.Embedding(config.vocabulary, config.width)
        self.positions = nn.Parameter(torch.zeros(config.longest, config.width))
        self.word_layers = nn.ModuleList(WordLayer(config) for _ in range(config.decoder_layers))
        self.norm_out = nn.LayerNorm(config.width)
        self.bias_out = nn.Parameter(torch.zeros(config.vocabulary))
        self.dropout = Dropout(config.dropout)

    def initialise(self) -> None:
        """Draw the weights of all linear layers and of the word vectors."""
        initialise_linear(self)
        nn.init.normal_(self.words.weight, std=self.config.width**-0.5)

    @property
    def _layers(self) -> list[WordLayer]:
        return cast("list[WordLayer]", list(self.word_layers))

    def hidden(self, memory: Any, tokens: Tensor) -> Tensor:
        """Give what the layers make of captions (B, C, T) that begin with the start token: (B, C, T, W).

        `memory` is `encode`'s (B, L, W); None trains the words alone. Padding is never looked at.
        """
        photos, captions, length = tokens.shape
        tokens = tokens.reshape(photos * captions, length)  # (B * C, T)
        words: Tensor = self.dropout(self._embed(tokens) + self.positions[:length])  # (B * C, T, W)
        mask = causal(length, tokens.device) & (tokens != PADDING)[:, None, None, :]  # (B * C, 1, T, T)
        for layer in self._layers:
            regions = None if memory is None else layer.cross.keys_values(memory)
            words = layer(words, mask, regions)
        return words.reshape(photos, captions, length, -1)  # (B, C, T, W)

    def attend(self, regions: Tensor, tokens: Tensor) -> Tensor:
        """Give where the layers look, on average, as they find the word after each token: (B, T, L), sums 1.

        `regions` are the encoder's (B, L, D), `tokens` one caption a photo, (B, T), with its start token, no padding.
        """
        memory = self.encode(regions)
        words = self._embed(tokens) + self.positions[: tokens.shape[1]]  # (B, T, W)
        mask = causal(tokens.shape[1], tokens.device)  # (T, T)
        seen = []
        for layer in self._layers:
            normed = layer.norm_attention(words)
            words = words + layer.attention(normed, *layer.attention.keys_values(normed), mask)
            keys, values = layer.cross.keys_values(memory)
            seen.append(layer.cross.looks(layer.norm_cross(words), keys))
            words = layer.finish(words, (keys, values))
        return torch.stack(seen).mean(0)

    def start(self, regions: Tensor) -> DecoderCache:
        """Begin to decode photos (B, L, D): encode them once for all captions and all tokens."""
        memory = self.encode(regions)
        shared = [layer.cross.keys_values(memory) for layer in self._layers]
        # Laid out for the products once, or each of them would copy all regions at every step.
        laid_out = [(keys.contiguous(), values.contiguous()) for keys, values in shared]
        return DecoderCache(laid_out, [None] * len(self._layers))

    def step(self, tokens: Tensor, cache: DecoderCache) -> Tensor:
        """Say one more token of each caption, (B * C,), and get the log-probabilities of the next, (B * C, V)."""
        words = (self._embed(tokens) + self.positions[cache.length])[:, None]  # (B * C, 1, W)
        for number, layer in enumerate(self._layers):
            words, cache.past[number] = layer.step(words, cache.past[number], cache.regions[number])
        cache.length += 1
        return torch.log_softmax(self.score(words[:, 0]).float(), -1)  # (B * C, V)

    def _embed(self, tokens: Tensor) -> Tensor:
        vectors: Tensor = self.words(tokens) * self.config.width**0.5
        return vectors

    def score(self, words: Tensor) -> Tensor:
        """Turn hidden states (..., W) into scores of each next word, (..., V)."""
        return F.linear(self.norm_out(words), self.words.weight, self.bias_out)


def initialise_linear(module: nn.Module) -> None:
    """Draw the weights of all linear layers (Glorot and Bengio 2010) and set their biases to 0."""
    for one in module.modules():
        if isinstance(one, nn.Linear):
            nn.init.xavier_uniform_(one.weight)
            if one.bias is not None:
                nn.init.zeros_(one.bias)
