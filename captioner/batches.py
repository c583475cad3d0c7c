"""Training batches: which photos, which version of each, which captions; the same for the same seed and step.

Shapes: B photos, C captions a photo, T tokens; h, w, c the lower encoder's map.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from captioner.feature_cache import FeatureCache
from captioner.tokenizer import END, PADDING, START, Tokenizer, split_words

CAPTIONS_PER_PHOTO = 5
"""Captions of one photo in one batch: drawn without repetition where it has that many."""
SIDES = {"left", "right", "lefthand", "righthand", "left-hand", "right-hand"}
"""Words that make a caption untrue of the mirrored photo."""


@dataclass(frozen=True)
class Batch:
    """What one training step sees."""

    maps: Tensor
    """(B, c, h, w) float32: the lower encoder's map of each photo."""
    tokens: Tensor
    """(B, C, T): start token, words, end token, padding."""
    photos: list[int]
    """(B,): which of the photos that are drawn from they are."""


class Batches:
    """Draws batches from cached versions of the photos."""

    def __init__(
        self, cache: FeatureCache, versions: Sequence[str], tokenizer: Tokenizer, longest: int, window: float = 1.0
    ) -> None:
        """Open the versions (the first must be `plain`) and put all captions into ids.

        Below 1, `window` is the smallest share of a map's height and width that a batch shows: a crop of another
        aspect that needs no new run of the encoder.
        """
        self.window = window
        self.captions = CAPTIONS_PER_PHOTO
        """C: fewer where photos have one caption, which would only be repeated."""
        self.maps = [cache.version(name) for name in versions]
        self.flips = [cache.flipped(name) for name in versions]
        self.examples = cache.examples
        self.chosen = list(range(len(cache.examples)))
        self.ids = [[_framed(tokenizer, caption, longest) for caption in one.captions] for one in cache.examples]
        self.sided = [[bool(SIDES & set(split_words(c))) for c in one.captions] for one in cache.examples]

    def draw(self, seed: int, step: int, size: int) -> Batch:
        """Draw the batch of a step: photos in an order new for each pass, a random version and captions of each."""
        passes, place = divmod(step, max(1, len(self.chosen) // size))
        order = np.random.default_rng([seed, passes]).permutation(len(self.chosen))
        random = np.random.default_rng([seed, step, 1])
        photos = [int(number) for number in order[place * size : (place + 1) * size]]
        drawn = [self._draw_one(self.chosen[photo], random) for photo in photos]
        maps = self._windows([one for one, _ in drawn], random)
        return Batch(_maps(maps), _padded([ids for _, ids in drawn]), photos)

    def _windows(self, maps: list[NDArray[np.float16]], random: np.random.Generator) -> list[NDArray[np.float16]]:
        """Cut a window out of each (h, w, c) map: of one size for the batch, anywhere in each photo."""
        if self.window >= 1.0 or not maps:
            return maps
        height, width, _ = maps[0].shape
        rows, columns = (int(random.integers(math.ceil(self.window * side), side + 1)) for side in (height, width))
        places = [(int(random.integers(height - rows + 1)), int(random.integers(width - columns + 1))) for _ in maps]
        return [one[y : y + rows, x : x + columns] for one, (y, x) in zip(maps, places, strict=True)]

    def keep(self, photos: Sequence[int]) -> None:
        """Draw from these photos alone; a batch then numbers them by their place in this list."""
        self.chosen = list(photos)

    def plain(self, photos: Sequence[int]) -> Tensor:
        """Return the unchanged maps of some photos, (B, c, h, w)."""
        return _maps([self.maps[0][photo] for photo in photos])

    def _draw_one(self, photo: int, random: np.random.Generator) -> tuple[NDArray[np.float16], list[list[int]]]:
        version = int(random.integers(len(self.maps)))
        captions = list(range(len(self.ids[photo])))
        if self.flips[version][photo]:
            captions = [number for number in captions if not self.sided[photo][number]]
        if not captions:
            version, captions = 0, list(range(len(self.ids[photo])))
        chosen = list(random.permutation(captions))
        while len(chosen) < self.captions:
            chosen.append(int(random.choice(captions)))
        return self.maps[version][photo], [self.ids[photo][number] for number in chosen[: self.captions]]


def _framed(tokenizer: Tokenizer, caption: str, longest: int) -> list[int]:
    return ([START, *tokenizer.encode(caption), END])[: longest + 1]


def _maps(maps: Sequence[NDArray[np.float16]]) -> Tensor:
    return torch.from_numpy(np.stack(maps).astype(np.float32)).permute(0, 3, 1, 2)  # (B, c, h, w)


def _padded(captions: Sequence[Sequence[list[int]]]) -> Tensor:
    longest = max(len(ids) for one in captions for ids in one)
    rows = [[ids + [PADDING] * (longest - len(ids)) for ids in one] for one in captions]
    return torch.tensor(rows)  # (B, C, T)
