"""Fusion: three ways that words and regions meet in vision-language pre-training, and the heads that they learn by.

`merged`        regions and words in one Transformer with a prefix-LM mask: regions see regions, words see all regions
                and the words before (Unified VLP, Zhou et al. 2020, arXiv 1909.11059; VisualBERT, Li et al. 2019,
                arXiv 1908.03557; GIT, Wang et al. 2022, arXiv 2205.14100).
`co_attention`  a tower for each; the words' looks across at each layer, and so do the regions where all words may be
                known (ViLBERT, Lu et al. 2019, arXiv 1908.02265; LXMERT, Tan and Bansal 2019, arXiv 1908.07490).
`flamingo`      a language model that stays as it is once it has learned from text; a Perceiver resampler makes N
                latents of the regions, and layers between the frozen ones look at them through gates tanh(g) that
                begin at 0: before the first step on photos it is the language model (Alayrac et al. 2022,
                arXiv 2204.14198).

What is learned is a choice of `objectives` (captioner.models.objectives): `lm`, `mlm`, `itc`, `itm` to pre-train with
or to fine-tune to captions and retrieval, `answer` and `classify` to answer questions.

Shapes: B photos, L regions, D features a region, W width of this network, H heads, N latents, C texts a photo,
T tokens, E width of the vectors that photos and texts are compared by.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn

from captioner.decoding import PADDING, Said, Search
from captioner.errors import ModelError
from captioner.models.layers import Attention, RegionLayer, Seen, StepResult, TextLayer, WordLayer, causal, feed_forward
from captioner.models.network import ContrastiveNetwork, NetworkConfig
from captioner.models.objectives import Heads, Objective, loss_of
from captioner.models.words import WordNetwork
from captioner.unmasking import unmask


@dataclass(frozen=True)
class FusionConfig(NetworkConfig):
    """The network's sizes, its way, and what it learns by."""

    width: int = 256
    """W."""
    heads: int = 8
    """H, a divisor of `width`."""
    feed_forward: int = 1024
    """Width of the inner layer of each feed-forward."""
    decoder_layers: int = 3
    """Layers over the words, and over the regions beside them."""
    latents: int = 16
    """N, of the Flamingo way; the paper's 64 are for several photos."""
    embedding: int = 128
    """E."""
    way: Literal["merged", "co_attention", "flamingo"] = "merged"
    """How words and regions meet."""
    objectives: tuple[Objective, ...] = ("lm",)
    """Names of captioner.models.objectives; their losses are added up."""
    separator: int = field(default=PADDING, metadata={"words": True})
    """Id of the word between a question and its answer; padding: there are no questions."""
    answers: tuple[int, ...] = field(default=(), metadata={"words": True})
    """Ids of the fixed answers that `classify` chooses from."""
    longest: int = 32
    """The most tokens of a text, the end token included."""
    dropout: float = 0.1
    """Share of values dropped while training."""

    def __post_init__(self) -> None:
        """Take lists for tuples, as JSON has them; raise ModelError for what there is not, or cannot be learned."""
        object.__setattr__(self, "objectives", tuple(self.objectives))
        object.__setattr__(self, "answers", tuple(self.answers))
        super().__post_init__()
        where = f"option objectives={'+'.join(self.objectives)}"
        if self.way == "flamingo" and not {"lm", "answer"}.issuperset(self.objectives):
            raise ModelError("not in the Flamingo way", where, "there are lm, answer")
        if not self.objectives:
            raise ModelError("nothing to learn by", where, f"there are {', '.join(get_args(Objective))}")
        if self.asks and self.separator == PADDING:
            mend = "add separator=WORD, the word between a question and its answer, to --options"
            raise ModelError("questions cannot be told from answers", where, mend)
        if "classify" in self.objectives and not self.answers:
            raise ModelError("there are no answers to choose from", where, "add answers=WORD+WORD+... to --options")

    @property
    def asks(self) -> bool:
        """Whether it learns to answer questions."""
        return not {"answer", "classify"}.isdisjoint(self.objectives)


class MergedLayer(TextLayer):
    """A layer that regions and words share; the words' keys and values stand behind the regions'."""

    def watch(self, words: Tensor, mask: Tensor, regions: Seen) -> tuple[Tensor, Tensor]:
        """Do as `forward` for one caption a photo; give too where it looked among the regions, (B, T, L), sums 1."""
        normed = self.norm_attention(words)
        return self(words, mask, regions), self.attention.looks(normed, regions[0])


class GatedLayer(nn.Module):
    """A look at the latents through gates that begin closed, then a layer of the language model as it is."""

    def __init__(self, config: FusionConfig) -> None:
        """Build one layer."""
        super().__init__()
        self.cross, self.norm_cross = Attention(config), nn.LayerNorm(config.width)
        self.gated_feed_forward, self.norm_gated = feed_forward(config), nn.LayerNorm(config.width)
        self.gate_cross, self.gate_feed_forward = nn.Parameter(torch.zeros(())), nn.Parameter(torch.zeros(()))
        self.frozen = TextLayer(config)

    def look(self, words: Tensor, latents: Seen | None) -> Tensor:
        """Add what the gates let through: (B * C, T, W); `latents` are keys and values (B, H, N, W / H)."""
        if latents is None:
            return words
        asked = self.norm_cross(words).reshape(len(latents[0]), -1, words.shape[-1])  # (B, C * T, W)
        words = words + torch.tanh(self.gate_cross) * self.cross(asked, *latents).reshape(words.shape)
        fed: Tensor = torch.tanh(self.gate_feed_forward) * self.gated_feed_forward(self.norm_gated(words))
        return words + fed

    def forward(self, words: Tensor, mask: Tensor, latents: Seen | None) -> Tensor:
        """(B * C, T, W) to (B * C, T, W)."""
        made: Tensor = self.frozen(self.look(words, latents), mask)
        return made

    def step(self, words: Tensor, past: Seen | None, latents: Seen | None) -> StepResult:
        """One more token for each caption, (B * C, 1, W)."""
        return self.frozen.step(self.look(words, latents), past, None)

    def watch(self, words: Tensor, mask: Tensor, latents: Seen) -> tuple[Tensor, Tensor]:
        """Do as `forward` for one caption a photo; give too where it looked, (B, T, N), sums 1."""
        looked = self.cross.looks(self.norm_cross(words), latents[0])
        return self(words, mask, latents), looked


class Resampler(nn.Module):
    """A Perceiver resampler: learned latents look at the regions and at each other, twice."""

    def __init__(self, config: FusionConfig) -> None:
        """Build two layers."""
        super().__init__()
        self.latents = nn.Parameter(torch.randn(config.latents, config.width))
        self.attentions = nn.ModuleList(Attention(config) for _ in range(2))
        self.feeds = nn.ModuleList(feed_forward(config) for _ in range(2))
        self.norms = nn.ModuleList(nn.LayerNorm(config.width) for _ in range(4))

    def forward(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        """Give the latents of regions (B, L, W), (B, N, W), and where they looked at last, (B, N, L), sums 1."""
        latents = self.latents.expand(len(regions), -1, -1)  # (B, N, W)
        for number in range(2):
            attention = cast("Attention", self.attentions[number])
            normed = self.norms[2 * number](latents)
            keys, values = attention.keys_values(torch.cat([regions, normed], 1))  # each (B, H, L + N, W / H)
            looked = attention.looks(normed, keys)[..., : regions.shape[1]]  # (B, N, L)
            latents = latents + attention(normed, keys, values)
            latents = latents + self.feeds[number](self.norms[2 * number + 1](latents))
        return latents, looked / looked.sum(-1, keepdim=True)


LAYERS: dict[str, Any] = {"merged": MergedLayer, "co_attention": WordLayer, "flamingo": GatedLayer}


class Fusion(WordNetwork, ContrastiveNetwork):
    """Regions and the words so far to the next word, in one of three ways, with heads to pre-train and fine-tune."""

    kind = "fusion"

    def __init__(self, config: FusionConfig) -> None:
        """Build the network with random weights."""
        super().__init__(config)
        self.norm_regions = nn.LayerNorm(config.region_width)
        self.dense = nn.Linear(config.region_width, config.width)
        self.places = nn.Parameter(torch.zeros(config.regions, config.width))
        self.add_words(LAYERS[config.way])
        if config.way == "co_attention":
            self.region_layers = nn.ModuleList(RegionLayer(config) for _ in range(config.decoder_layers))
            self.crossing = nn.ModuleList(Attention(config) for _ in range(config.decoder_layers))
        if config.way == "flamingo":
            self.resampler = Resampler(config)
        self.heads = Heads(config.width, config.embedding, len(config.answers), config.objectives)
        self.initialise()
        nn.init.normal_(self.places, std=0.02)
        nn.init.normal_(self.positions, std=0.02)

    @property
    def contrastive(self) -> bool:
        """Whether it learned to compare photos and texts."""
        return "itc" in self.config.objectives

    @property
    def keeps_encoder(self) -> bool:
        """The Flamingo way learns between two parts that stay as they are."""
        return bool(self.config.way == "flamingo")

    @property
    def captions(self) -> bool:
        """Whether it learned to say captions: word by word, or by unmasking."""
        return not {"lm", "mlm"}.isdisjoint(self.config.objectives)

    @property
    def own_search(self) -> Callable[[Tensor, Search], list[list[Said]]] | None:
        """Unmasking, where it learned no other way to say captions."""
        return partial(unmask, self) if self.captions and "lm" not in self.config.objectives else None

    def frozen(self) -> list[nn.Parameter]:
        """Return what is left as it is once the Flamingo way has learned its language."""
        if self.config.way != "flamingo":
            return []
        layers = [cast("nn.Module", layer.frozen) for layer in self.layers]
        language: list[nn.Module] = [self.words, self.norm_out, *layers]
        held = [parameter for part in language for parameter in part.parameters()]
        return [*held, self.positions, self.bias_out]

    def lay_out(self, regions: Tensor) -> Tensor:
        """Bring regions (B, L, D) to the words' width, with their places: (B, L, W)."""
        dense: Tensor = torch.relu(self.dense(self.dropout(self.norm_regions(regions)))) + self.places
        return dense

    def tower(self, regions: Tensor) -> list[Tensor]:
        """Give the regions (B, L, W) as they enter each layer, and as they leave the last: (B, L, W) each."""
        states = [regions]
        for number in range(self.config.decoder_layers):
            if self.config.way == "merged":
                layer = cast("Any", self.word_layers[number])
                states.append(layer(states[-1], None))
            elif self.config.way == "co_attention":
                states.append(self.region_layers[number](states[-1]))
        return states

    def encode(self, regions: Tensor) -> list[Seen]:
        """Give for each layer the keys and values of what the words look at there, (B, H, L or N, W / H)."""
        laid = self.lay_out(regions)
        if self.config.way == "flamingo":
            latents, _ = self.resampler(laid)
            return [layer.cross.keys_values(latents) for layer in self.layers]
        states = self.tower(laid)
        if self.config.way == "co_attention":
            return [layer.cross.keys_values(state) for layer, state in zip(self.layers, states[1:], strict=True)]
        return [layer.attention.keys_values(layer.norm_attention(state))
                for layer, state in zip(self.layers, states, strict=False)]  # fmt: skip

    def seen(self, memory: list[Seen] | None) -> list[Seen | None]:
        """Return what `encode` made, or for each layer None."""
        return [None] * len(self.layers) if memory is None else list(memory)

    def understand(self, regions: Tensor, tokens: Tensor) -> Tensor:
        """Let words see regions, and later words too: (B, C, T, W) of regions (B, L, D), texts (B, C, T).

        Regions see words in the way of co-attention; merged, they see each other alone, as when captions are learned.
        """
        if self.config.way == "merged":
            return self.hidden(self.encode(regions), tokens, both_ways=True)
        photos, texts, length = tokens.shape
        flat = tokens.reshape(photos * texts, length)  # (B * C, T)
        there = (flat != PADDING)[:, None, None]  # (B * C, 1, 1, T)
        words = self.dropout(self.embed(flat) + self.positions[:length])  # (B * C, T, W)
        seen = self.lay_out(regions).repeat_interleave(texts, 0)  # (B * C, L, W)
        for layer, region_layer, crossing in zip(self.layers, self.region_layers, self.crossing, strict=True):
            across = cast("Attention", crossing)
            seen = region_layer(seen + self.dropout(across(seen, *across.keys_values(words), there)))
            words = layer(words, there, layer.cross.keys_values(seen))
        hidden: Tensor = words.reshape(photos, texts, length, -1)  # (B, C, T, W)
        return hidden

    def loss(self, regions: Tensor, tokens: Tensor, smoothing: float) -> Tensor:
        """Return the sum of the objectives' losses for regions (B, L, D) and texts (B, C, T)."""
        losses = [loss_of(name, self, regions, tokens, smoothing) for name in self.config.objectives]
        return torch.stack(losses).sum()

    def embed_photos(self, regions: Tensor) -> Tensor:
        """Give the photos' (B, L, D) unit vectors: (B, E)."""
        return self.heads.photo_vector(self.tower(self.lay_out(regions))[-1])

    def embed_texts(self, tokens: Tensor) -> Tensor:
        """Give the unit vectors of texts (M, T), start token and padding included: (M, E)."""
        return self.heads.text_vector(self.hidden(None, tokens[:, None], both_ways=True)[:, 0, 0])

    def attend(self, regions: Tensor, tokens: Tensor) -> Tensor:
        """Give where each word of (B, T) looks, in the Flamingo way where its latents do: (B, T, L), sums 1."""
        words = self.embed(tokens) + self.positions[: tokens.shape[1]]  # (B, T, W)
        mask, looks = causal(tokens.shape[1], tokens.device), []
        for layer, seen in zip(self.layers, self.encode(regions), strict=True):
            words, looked = layer.watch(words, mask, seen)
            looks.append(looked)
        mean = torch.stack(looks).mean(0)  # (B, T, L or N)
        return mean @ self.resampler(self.lay_out(regions))[1] if self.config.way == "flamingo" else mean
