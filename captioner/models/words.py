"""The words' half of a Transformer captioner: causal layers that look at what `encode` made of the photo.

Shared by the families whose decoder is a Transformer; the word vectors are the output projection too (Press and Wolf
2017, arXiv 1608.05859).

Shapes: B photos, L regions, D features a region, W width of the network, H heads, C captions (or beams) a photo,
T tokens, V words in the vocabulary.
"""

from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  the name that everyone reads

from captioner.decoding import PADDING
from captioner.models.layers import DecoderCache, Dropout, Seen, WordLayer, causal
from captioner.models.network import CaptionNetwork


class WordNetwork(CaptionNetwork):
    """A network that says words by Transformer layers; a family adds `encode`."""

    speaks_alone = True

    def add_words(self, layer: Callable[[Any], nn.Module] = WordLayer) -> None:
        """Build the words' layers of the configuration's sizes; a family may have layers of its own."""
        config = self.config
        self.words = nn.Embedding(config.vocabulary, config.width)
        self.positions = nn.Parameter(torch.zeros(config.longest, config.width))
        self.word_layers = nn.ModuleList(layer(config) for _ in range(config.decoder_layers))
        self.norm_out = nn.LayerNorm(config.width)
        self.bias_out = nn.Parameter(torch.zeros(config.vocabulary))
        self.dropout = Dropout(config.dropout)

    def initialise(self) -> None:
        """Draw the weights of all linear layers and of the word vectors."""
        initialise_linear(self)
        nn.init.normal_(self.words.weight, std=self.config.width**-0.5)

    @property
    def layers(self) -> list[WordLayer]:
        """The words' layers in order."""
        return cast("list[WordLayer]", list(self.word_layers))

    def seen(self, memory: Any) -> list[Seen | None]:
        """Return for each layer the keys and values of what `encode` made, None: there is no photo."""
        return [None if memory is None else layer.cross.keys_values(memory) for layer in self.layers]

    def hidden(self, memory: Any, tokens: Tensor, *, both_ways: bool = False) -> Tensor:
        """Give what the layers make of captions (B, C, T) that begin with the start token: (B, C, T, W).

        `memory` is `encode`'s (B, L, W); None trains the words alone. Padding is never looked at;
        later words are where a token sees both ways.
        """
        photos, captions, length = tokens.shape
        tokens = tokens.reshape(photos * captions, length)  # (B * C, T)
        words: Tensor = self.dropout(self.embed(tokens) + self.positions[:length])  # (B * C, T, W)
        before = True if both_ways else causal(length, tokens.device)  # (T, T)
        mask = before & (tokens != PADDING)[:, None, None, :]  # (B * C, 1, T, T), or (B * C, 1, 1, T)
        for layer, seen in zip(self.layers, self.seen(memory), strict=True):
            words = layer(words, mask, seen)
        return words.reshape(photos, captions, length, -1)  # (B, C, T, W)

    def attend(self, regions: Tensor, tokens: Tensor) -> Tensor:
        """Give where the layers look, on average, as they find the word after each token: (B, T, L), sums 1.

        `regions` are the encoder's (B, L, D), `tokens` one caption a photo, (B, T), with its start token, no padding.
        """
        return self.looked_at(self.encode(regions), tokens)[1]

    def looked_at(self, memory: Any, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Give what the layers make of one caption a photo, (B, T, W), and where they look, (B, T, L)."""
        words = self.embed(tokens) + self.positions[: tokens.shape[1]]  # (B, T, W)
        mask = causal(tokens.shape[1], tokens.device)  # (T, T)
        looks = []
        for layer, seen in zip(self.layers, self.seen(memory), strict=True):
            words, looked = layer.watch(words, mask, seen)
            looks.append(looked)
        return words, torch.stack(looks).mean(0)

    def start(self, regions: Tensor) -> DecoderCache:
        """Begin to decode photos (B, L, D): encode them once for all captions and all tokens."""
        memory = self.encode(regions)
        # Laid out for the products once, or each of them would copy all regions at every step.
        laid_out = [(seen[0].contiguous(), seen[1].contiguous()) for seen in self.seen(memory) if seen is not None]
        return DecoderCache(laid_out, [None] * len(self.layers))

    def step(self, tokens: Tensor, cache: DecoderCache) -> Tensor:
        """Say one more token of each caption, (B * C,), and get the log-probabilities of the next, (B * C, V)."""
        words = (self.embed(tokens) + self.positions[cache.length])[:, None]  # (B * C, 1, W)
        for number, layer in enumerate(self.layers):
            words, cache.past[number] = layer.step(words, cache.past[number], cache.regions[number])
        cache.length += 1
        return torch.log_softmax(self.score(words[:, 0]).float(), -1)  # (B * C, V)

    def embed(self, tokens: Tensor) -> Tensor:
        """Give the words' vectors, (..., W), of tokens (...)."""
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
