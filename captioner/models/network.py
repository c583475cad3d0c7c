"""What every captioner's network is: the same two calls to decode with, the same three to learn by.

To decode: `start` encodes the photos once, `step` says one token more of each caption (captioner.decoding knows no
more than these). To learn: `encode`, `hidden` and `score` give the scores of all next words of whole captions at once;
`loss` is what training goes down on, and the one thing that a family changes where its learning needs it.

Shapes: B photos, L regions, D features a region, C captions a photo, T tokens, W width of the words, V words, N texts,
E width of the features that photos and texts are compared by.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import Field, dataclass, fields
from typing import Any, ClassVar, get_args, get_type_hints

import torch
from torch import Tensor, nn

from captioner.decoding import PADDING, Cache, Said, Search
from captioner.errors import ModelError


@dataclass(frozen=True)
class NetworkConfig:
    """What every network must know; a family adds its own sizes after these."""

    vocabulary: int
    """V, special ids included."""
    regions: int
    """L, as the encoder gives them."""
    region_width: int
    """D."""

    def __post_init__(self) -> None:
        """Raise ModelError for a value that is none of its choices (`Literal`), or that no layer can be built with."""
        for name, choices in choices_of(type(self)).items():
            chosen = getattr(self, name)
            for value in chosen if isinstance(chosen, tuple) else (chosen,):
                if value not in choices:
                    raise ModelError(f"no choice {value!r}", f"option {name}", f"there are {', '.join(choices)}")
        for one in fields(self):
            value = getattr(self, one.name)
            least, below = _range_of(one)
            if isinstance(value, int | float) and not least <= value < below:
                upper = "" if below == math.inf else f", and below {below:g}"
                raise ModelError(f"{value} cannot be", f"option {one.name}", f"it must be {least} or more{upper}")
        width, heads = getattr(self, "width", 1), getattr(self, "heads", 1)
        if width % heads:
            mend = f"choose a divisor of the width, {width}"
            raise ModelError(f"{heads} heads do not divide the width", "option heads", mend)


def choices_of(config: type[NetworkConfig]) -> dict[str, tuple[str, ...]]:
    """Return the choices of the fields that have some, by name."""
    found = {}
    for name, kind in get_type_hints(config).items():
        inner = get_args(kind)
        chosen = get_args(inner[0]) if len(inner) == 2 and inner[1] is ... else inner  # noqa: PLR2004  tuple[X, ...]
        if chosen and all(isinstance(one, str) for one in chosen):
            found[name] = chosen
    return found


def _range_of(option: Field[Any]) -> tuple[int, float]:
    """Return the least that a number may be, and what it must be below."""
    if option.name == "dropout":
        return 0, 1.0
    if option.metadata.get("words") or isinstance(option.default, float):
        return 0, math.inf
    if option.name in ("encoder_layers", "text_layers"):
        return 0, math.inf  # nothing is done there then
    return 2 if option.name == "longest" else 1, math.inf


class CaptionNetwork(nn.Module, ABC):
    """The contract of captioner.models; see the file's top."""

    kind: ClassVar[str]
    """The family's name in `config.json` and on the command line."""
    usual_encoder: ClassVar[str] = "tf_efficientnet_lite2"
    """Name of the encoder that training takes where none is named (captioner.beginnings)."""
    speaks_alone: ClassVar[bool] = False
    """Whether `hidden` takes no photos (None): the words can then learn from text first (`--language-steps`)."""

    def __init__(self, config: Any) -> None:
        """Keep the configuration; the family builds its layers after this, with random weights."""
        super().__init__()
        self.config = config

    @property
    def longest(self) -> int:
        """The most tokens of a caption, the end token included."""
        return int(self.config.longest)

    @property
    def captions(self) -> bool:
        """Whether it learned to say captions; where not, it may still serve search and be gone on from."""
        return True

    @property
    def own_search(self) -> Callable[[Tensor, Search], list[list[Said]]] | None:
        """How it finds captions otherwise than by `start` and `step`; None: it does not (captioner.decoding)."""
        return None

    @abstractmethod
    def encode(self, regions: Tensor) -> Any:
        """Make of the regions (B, L, D) what the words look at."""

    @abstractmethod
    def hidden(self, memory: Any, tokens: Tensor) -> Tensor:
        """Give what is known before each next word of captions (B, C, T) that begin with the start token: (B, C, T, W).

        `memory` is `encode`'s. No token sees a later one, and none sees padding.
        """

    @abstractmethod
    def score(self, words: Tensor) -> Tensor:
        """Turn hidden states (..., W) into scores of each next word, (..., V)."""

    @abstractmethod
    def start(self, regions: Tensor) -> Cache:
        """Begin to decode photos (B, L, D): encode them once for all captions and all tokens."""

    @abstractmethod
    def step(self, tokens: Tensor, cache: Any) -> Tensor:
        """Say one more token of each caption, (B * C,), and get the log-probabilities of the next, (B * C, V)."""

    def attend(self, regions: Tensor, tokens: Tensor) -> Tensor | None:
        """Give where the network looks as it finds the word after each token, (B, T, L), sums 1; None: nowhere.

        `regions` are the encoder's (B, L, D), `tokens` one caption a photo, (B, T), with its start token, no padding.
        """
        del regions, tokens
        return None

    def watch(self, regions: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor | None]:
        """Give what `hidden` and `attend` do for one caption a photo: (B, T, W) and (B, T, L).

        A family does both at once where that saves work.
        """
        return self.hidden(self.encode(regions), tokens[:, None])[:, 0], self.attend(regions, tokens)

    def forward(self, memory: Any, tokens: Tensor) -> Tensor:
        """Give the scores of each next word, (B, C, T, V), for captions (B, C, T) that begin with the start token."""
        return self.score(self.hidden(memory, tokens))

    def loss(self, regions: Tensor, tokens: Tensor, smoothing: float) -> Tensor:
        """Return what training goes down on for regions (B, L, D) and captions (B, C, T), start token and padding."""
        return word_loss(self, self.hidden(self.encode(regions), tokens[..., :-1]), tokens, smoothing)

    @property
    def keeps_encoder(self) -> bool:
        """Whether the encoder stays as it is, whatever the recipe says."""
        return False

    def frozen(self) -> list[nn.Parameter]:
        """Return the parameters that stay as they are once the network learns from photos."""
        return []


class ContrastiveNetwork(CaptionNetwork):
    """A network that puts photos and texts into one space besides."""

    @property
    def contrastive(self) -> bool:
        """Whether it was trained to."""
        return True

    @abstractmethod
    def embed_photos(self, regions: Tensor) -> Tensor:
        """Give the photos' (B, L, D) unit vectors: (B, E)."""

    @abstractmethod
    def embed_texts(self, tokens: Tensor) -> Tensor:
        """Give the unit vectors of texts (N, T), start token and padding included: (N, E)."""

    def similarity(self, features: Tensor, texts: Tensor) -> Tensor:
        """Give the cosine of each of the photos' vectors (B, E) with each of the texts (N, T): (B, N)."""
        return features @ self.embed_texts(texts).T


def word_loss(network: CaptionNetwork, hidden: Tensor, tokens: Tensor, smoothing: float) -> Tensor:
    """Return the mean loss a word of captions (B, C, T), padding left out, from `hidden`, (B, C, T - 1, W)."""
    wanted = tokens[..., 1:]  # (B, C, T - 1)
    said = wanted != PADDING
    scores = network.score(hidden[said])  # (words, V)
    return nn.functional.cross_entropy(scores.float(), wanted[said], label_smoothing=smoothing)


@dataclass
class RecurrentCache:
    """What one decoding of a recurrent network keeps between tokens."""

    photos: tuple[Tensor, ...]
    """A row for each photo: what is looked at."""
    rows: tuple[Tensor, ...]
    """A row for each caption of each photo, photo by photo: the states."""

    def reorder(self, rows: Tensor) -> None:
        """Keep the rows (B * C,), in that order: which caption each one goes on from."""
        self.rows = tuple(one[rows] for one in self.rows)

    def keep_photos(self, photos: Tensor) -> None:
        """Keep the photos at these indexes; the caller reorders the rows to match."""
        self.photos = tuple(one[photos] for one in self.photos)

    def spread(self, count: int) -> None:
        """Make one row a photo into `count` rows in all: captions that are drawn side by side begin alike."""
        self.rows = tuple(one.repeat_interleave(count // len(one), 0) for one in self.rows)


LARGEST_SCALE = 100.0
"""The temperature stays above one hundredth, as in CLIP (Radford et al. 2021, arXiv 2103.00020)."""


def true_pairs(tokens: Tensor) -> Tensor:
    """Say which texts of (B, C, T) are true of which photos, (B, B * C): its own ones, and others in the same words."""
    texts = tokens.flatten(0, 1)  # (B * C, T)
    same = (texts[:, None] == texts).all(-1)  # (B * C, B * C)
    return same.reshape(*tokens.shape[:2], -1).any(1)


def contrast(photos: Tensor, texts: Tensor, scale: Tensor, true: Tensor | None = None) -> Tensor:
    """Return the contrastive loss of unit vectors of B photos and of C texts each: (B, E) and (B, C, E).

    Radford et al. 2021 (arXiv 2103.00020), both ways: each text must find its photo among B, each photo its texts
    among B * C, which share its chance. Where `true`, (B, B * C), tells that a text of another photo is true of a photo
    (`true_pairs`), the two are no pair to be told apart.
    """
    count, each = texts.shape[:2]
    scores = scale * photos.float() @ texts.flatten(0, 1).float().T  # (B, B * C)
    own = torch.arange(count, device=scores.device).repeat_interleave(each)  # (B * C,)
    mine = own == torch.arange(count, device=scores.device)[:, None]  # (B, B * C)
    if true is not None:
        scores = scores.masked_fill(true & ~mine, -1e4)
    to_photos = nn.functional.cross_entropy(scores.T, own)
    to_texts = -(scores.log_softmax(1) * mine).sum() / mine.sum()
    return (to_photos + to_texts) / 2
