"""CoCa: one image encoder that captions and compares, Contrastive Captioners (Yu et al. 2022, arXiv 2205.01917).

Learned queries pool what the image encoder gives: one for the contrastive loss, N for the captions. The text decoder's
first half is unimodal: causal, without the photo, and a [CLS] vector after the last word sums the text up. Its second
half looks at the N caption queries. The loss is the caption's and the contrastive one, with a learned temperature.

Shapes: B photos, L regions, D features a region, W width of this network, N caption queries, C captions a photo,
T tokens, M texts, E width of the vectors that photos and texts are compared by.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from captioner.decoding import PADDING
from captioner.models.layers import Attention, DecoderCache, RegionLayer, TextLayer, causal
from captioner.models.network import LARGEST_SCALE, ContrastiveNetwork, NetworkConfig, contrast, true_pairs, word_loss
from captioner.models.words import WordNetwork


@dataclass(frozen=True)
class CocaConfig(NetworkConfig):
    """The network's sizes and the weights of its two losses."""

    width: int = 256
    """W."""
    heads: int = 8
    """H, a divisor of `width`."""
    feed_forward: int = 1024
    """Width of the inner layer of each feed-forward."""
    encoder_layers: int = 1
    """Self-attention layers over the regions."""
    text_layers: int = 2
    """Layers over the words that do not see the photo."""
    decoder_layers: int = 2
    """Layers over the words that do."""
    queries: int = 16
    """N; the paper's 256 are for 18 x 18 patches."""
    embedding: int = 256
    """E."""
    caption_weight: float = 1.0
    """Weight of the caption loss; the paper's is 2 beside a contrastive loss of 1."""
    contrastive_weight: float = 0.5
    """Weight of the contrastive loss."""
    longest: int = 32
    """The most tokens of a caption, the end token included."""
    dropout: float = 0.2
    """Share of values dropped while training."""


class Coca(WordNetwork, ContrastiveNetwork):
    """Regions and the words so far to the next word; photos and texts to vectors that can be compared."""

    kind = "coca"

    def __init__(self, config: CocaConfig) -> None:
        """Build the network with random weights."""
        super().__init__(config)
        self.norm_regions = nn.LayerNorm(config.region_width)
        self.dense = nn.Linear(config.region_width, config.width)
        self.places = nn.Parameter(torch.zeros(config.regions, config.width))
        self.region_layers = nn.ModuleList(RegionLayer(config) for _ in range(config.encoder_layers))
        self.queries = nn.Parameter(torch.zeros(1 + config.queries, config.width))
        self.pooling, self.norm_pooled = Attention(config), nn.LayerNorm(config.width)
        self.text_layers = nn.ModuleList(TextLayer(config) for _ in range(config.text_layers))
        self.summary = nn.Parameter(torch.zeros(config.width))  # [CLS]
        self.norm_summary = nn.LayerNorm(config.width)
        self.photo_out = nn.Linear(config.width, config.embedding, bias=False)
        self.text_out = nn.Linear(config.width, config.embedding, bias=False)
        self.log_scale = nn.Parameter(torch.tensor(1 / 0.07).log())
        self.add_words()
        self.initialise()
        for one in (self.places, self.positions, self.queries, self.summary):
            nn.init.normal_(one, std=0.02 if one is not self.queries else 1.0)

    def pool(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        """Give what the queries find in the regions (B, L, D), and what the photo is compared by: (B, N, W), (B, W)."""
        related = self._related(regions)
        asked = self.queries.expand(len(related), -1, -1)  # (B, 1 + N, W)
        pooled = self.norm_pooled(self.pooling(asked, *self.pooling.keys_values(related)))  # (B, 1 + N, W)
        return pooled[:, 1:], pooled[:, 0]

    def _related(self, regions: Tensor) -> Tensor:
        mixed: Tensor = torch.relu(self.dense(self.dropout(self.norm_regions(regions)))) + self.places  # (B, L, W)
        for layer in self.region_layers:
            mixed = layer(mixed)
        return mixed

    def encode(self, regions: Tensor) -> Tensor:
        """Give what the caption queries find in the regions (B, L, D): (B, N, W)."""
        return self.pool(regions)[0]

    def read(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Run the unimodal half on texts (M, T), [CLS] after them: the words' (M, T, W) and the text's (M, W)."""
        length = tokens.shape[1]
        words = self.dropout(self.embed(tokens) + self.positions[:length])  # (M, T, W)
        words = torch.cat([words, self.summary.expand(len(words), 1, -1)], 1)  # (M, T + 1, W)
        there = nn.functional.pad(tokens != PADDING, (0, 1), value=True)  # (M, T + 1)
        mask = causal(length + 1, tokens.device) & there[:, None, None]  # (M, 1, T + 1, T + 1)
        for layer in self.text_layers:
            words = layer(words, mask)
        return words[:, :-1], self.norm_summary(words[:, -1])

    def hidden(self, memory: Any, tokens: Tensor, *, both_ways: bool = False) -> Tensor:
        """Give what is known before each next word of captions (B, C, T): (B, C, T, W); see WordNetwork."""
        del both_ways  # its words see what was said alone
        photos, captions, length = tokens.shape
        flat = tokens.reshape(photos * captions, length)  # (B * C, T)
        return self._captioned(memory, self.read(flat)[0], flat).reshape(photos, captions, length, -1)

    def _captioned(self, memory: Any, words: Tensor, tokens: Tensor) -> Tensor:
        """Run the half that looks at the photo on words (B * C, T, W) of tokens (B * C, T)."""
        mask = causal(tokens.shape[1], tokens.device) & (tokens != PADDING)[:, None, None]  # (B * C, 1, T, T)
        for layer, seen in zip(self.layers, self.seen(memory), strict=True):
            words = layer(words, mask, seen)
        return words

    def loss(self, regions: Tensor, tokens: Tensor, smoothing: float) -> Tensor:
        """Return the caption loss and the contrastive one for regions (B, L, D) and captions (B, C, T)."""
        photos, captions, length = tokens.shape
        memory, vectors = self.pool(regions)
        flat = tokens.reshape(photos * captions, length)  # (B * C, T)
        words, summaries = self.read(flat)
        hidden = self._captioned(memory, words[:, :-1], flat[:, :-1]).reshape(photos, captions, length - 1, -1)
        said = word_loss(self, hidden, tokens, smoothing)
        texts = unit(self.text_out(summaries)).reshape(photos, captions, -1)  # (B, C, E)
        compared = contrast(unit(self.photo_out(vectors)), texts, self.scale, true_pairs(tokens))
        loss: Tensor = self.config.caption_weight * said + self.config.contrastive_weight * compared
        return loss

    @property
    def scale(self) -> Tensor:
        """One over the temperature."""
        return self.log_scale.exp().clamp(max=LARGEST_SCALE)

    def embed_photos(self, regions: Tensor) -> Tensor:
        """Give the photos' (B, L, D) unit vectors: (B, E)."""
        return unit(self.photo_out(self.pool(regions)[1]))

    def embed_texts(self, tokens: Tensor) -> Tensor:
        """Give the unit vectors of texts (M, T), start token and padding included: (M, E)."""
        return unit(self.text_out(self.read(tokens)[1]))

    def start(self, regions: Tensor) -> DecoderCache:
        """Begin to decode photos (B, L, D)."""
        cache = super().start(regions)
        cache.past = [None] * (len(self.text_layers) + len(self.layers))
        return cache

    def step(self, tokens: Tensor, cache: DecoderCache) -> Tensor:
        """Say one more token of each caption, (B * C,), and get the log-probabilities of the next, (B * C, V)."""
        words = (self.embed(tokens) + self.positions[cache.length])[:, None]  # (B * C, 1, W)
        seen: list[Any] = [None] * len(self.text_layers) + cache.regions
        for number, layer in enumerate([*self.text_layers, *self.layers]):
            words, cache.past[number] = layer.step(words, cache.past[number], seen[number])
        cache.length += 1
        return torch.log_softmax(self.score(words[:, 0]).float(), -1)  # (B * C, V)

    def attend(self, regions: Tensor, tokens: Tensor) -> Tensor:
        """Give where the queries look that each word of (B, T) looks at: (B, T, L), sums 1."""
        related, memory = self._related(regions), self.encode(regions)
        asked = self.queries[1:].expand(len(related), -1, -1)  # (B, N, W)
        pooled = self.pooling.looks(asked, self.pooling.keys_values(related)[0])  # (B, N, L)
        words, mask = self.read(tokens)[0], causal(tokens.shape[1], tokens.device)
        looks = []
        for layer, seen in zip(self.layers, self.seen(memory), strict=True):
            words, looked = layer.watch(words, mask, seen)
            looks.append(looked)  # (B, T, N)
        return torch.stack(looks).mean(0) @ pooled


def unit(vectors: Tensor) -> Tensor:
    """Scale vectors (..., E) to length 1."""
    return nn.functional.normalize(vectors.float(), dim=-1)
