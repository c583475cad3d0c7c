"""The captioner's own network: a Transformer over image regions and the words said so far.

The regions go through layer norm, a ReLU dense layer and self-attention layers; the words through causal
self-attention, cross-attention over the regions and a feed-forward (Vaswani et al. 2017, arXiv 1706.03762; norm
first in the decoder, Xiong et al. 2020, arXiv 2002.04745; word vectors shared with the output projection, Press and
Wolf 2017, arXiv 1608.05859).

Shapes: B photos, L regions, D features a region as the encoder gives them, W width of this network, H heads,
C captions (or beams) a photo, T tokens, S tokens said so far, V words in the vocabulary.
"""

from dataclasses import dataclass, field
from typing import ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  the name that everyone reads

PADDING = 0
"""The id that fills short captions up; the same as the tokenizer's."""


@dataclass(frozen=True)
class TransformerConfig:
    """The network's sizes."""

    vocabulary: int
    """V, special ids included."""
    regions: int
    """L."""
    region_width: int
    """D."""
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

    def __init__(self, config: TransformerConfig) -> None:
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


def _feed_forward(config: TransformerConfig) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(config.width, config.feed_forward),
        nn.ReLU(),
        Dropout(config.dropout),
        nn.Linear(config.feed_forward, config.width),
    )


class RegionLayer(nn.Module):
    """Self-attention over the regions, add and norm; feed-forward, add and norm."""

    def __init__(self, config: TransformerConfig) -> None:
        """Build one layer."""
        super().__init__()
        self.attention = Attention(config)
        self.norm_attention = nn.LayerNorm(config.width)
        self.feed_forward = _feed_forward(config)
        self.norm_feed_forward = nn.LayerNorm(config.width)
        self.dropout = Dropout(config.dropout)

    def forward(self, regions: Tensor) -> Tensor:
        """(B, L, W) to (B, L, W)."""
        mixed = self.attention(regions, *self.attention.keys_values(regions))
        regions = self.norm_attention(regions + self.dropout(mixed))
        normed: Tensor = self.norm_feed_forward(regions + self.dropout(self.feed_forward(regions)))
        return normed


class WordLayer(nn.Module):
    """Causal self-attention, cross-attention over the regions, feed-forward; each normed first and added."""

    def __init__(self, config: TransformerConfig) -> None:
        """Build one layer."""
        super().__init__()
        self.attention, self.cross = Attention(config), Attention(config)
        self.feed_forward = _feed_forward(config)
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

    def finish(self, words: Tensor, regions: tuple[Tensor, Tensor] | None) -> Tensor:
        """Cross-attention and feed-forward; the captions of one photo share its keys and values."""
        if regions is not None:
            photos = regions[0].shape[0]
            asked = self.norm_cross(words).reshape(photos, -1, words.shape[-1])  # (B, C * T, W)
            words = words + self.dropout(self.cross(asked, *regions)).reshape(words.shape)  # (B * C, T, W)
        fed: Tensor = self.dropout(self.feed_forward(self.norm_feed_forward(words)))
        return words + fed


StepResult = tuple[Tensor, tuple[Tensor, Tensor]]


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


class TransformerCaptioner(nn.Module):
    """Regions and the words so far to the next word."""

    speaks_alone: ClassVar[bool] = True
    """Whether `hidden` takes no photos (None)."""

    def __init__(self, config: TransformerConfig) -> None:
        """Build the network with random weights."""
        super().__init__()
        self.config = config
        self.norm_regions = nn.LayerNorm(config.region_width)
        self.dense = nn.Linear(config.region_width, config.width)
        self.places = nn.Parameter(torch.zeros(config.regions, config.width))
        self.region_layers = nn.ModuleList(RegionLayer(config) for _ in range(config.encoder_layers))
        self.words = nn.Embedding(config.vocabulary, config.width)
        self.positions = nn.Parameter(torch.zeros(config.longest, config.width))
        self.word_layers = nn.ModuleList(WordLayer(config) for _ in range(config.decoder_layers))
        self.norm_out = nn.LayerNorm(config.width)
        self.bias_out = nn.Parameter(torch.zeros(config.vocabulary))
        self.dropout = Dropout(config.dropout)
        self._initialise()

    @property
    def longest(self) -> int:
        """The most tokens of a caption, the end token included."""
        return self.config.longest

    @property
    def _layers(self) -> list[WordLayer]:
        return cast("list[WordLayer]", list(self.word_layers))

    def _initialise(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        nn.init.normal_(self.words.weight, std=self.config.width**-0.5)
        nn.init.normal_(self.places, std=0.02)
        nn.init.normal_(self.positions, std=0.02)

    def encode(self, regions: Tensor) -> Tensor:
        """Relate the regions (B, L, D) to each other: (B, L, W)."""
        dense = torch.relu(self.dense(self.dropout(self.norm_regions(regions))))  # (B, L, W)
        mixed: Tensor = dense + self.places
        for layer in self.region_layers:
            mixed = layer(mixed)
        return mixed

    def forward(self, memory: Tensor | None, tokens: Tensor) -> Tensor:
        """Give the scores of each next word, (B, C, T, V), for captions (B, C, T) that begin with the start token."""
        return self.score(self.hidden(memory, tokens))

    def hidden(self, memory: Tensor | None, tokens: Tensor) -> Tensor:
        """Give what the layers make of captions (B, C, T) that begin with the start token: (B, C, T, W).

        `memory` is `encode`'s (B, L, W); None trains the words alone. Padding is never looked at.
        """
        photos, captions, length = tokens.shape
        tokens = tokens.reshape(photos * captions, length)  # (B * C, T)
        words: Tensor = self.dropout(self._embed(tokens) + self.positions[:length])  # (B * C, T, W)
        causal = torch.ones(length, length, dtype=torch.bool, device=tokens.device).tril()
        mask = causal & (tokens != PADDING)[:, None, None, :]  # (B * C, 1, T, T)
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
        mask = torch.ones(2 * tokens.shape[1:], dtype=torch.bool, device=tokens.device).tril()  # (T, T)
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
