"""What tells that a caption may be wrong: numbers about the words, the search and the picture, each with a name.

All of it is numpy on what is at hand when a caption is found; captioner.confidence weighs it. Nothing here depends on
the photos beside it in a batch.
"""

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from captioner.records import Caption, Openness

Plane = NDArray[np.uint8]
"""One channel of a picture, (H, W)."""
SIDE_PX = 128
"""The whole picture is looked at on a square of this side, and so many pixels of its middle as they are."""
FUNCTION_WORDS = frozenset(
    ("a", "an", "and", "are", "as", "at", "by", "down", "for", "from", "her", "his", "in", "is", "of", "on", "over",
     "the", "their", "through", "to", "up", "while", "with")
)  # fmt: skip
"""Words that are there whatever the photo shows."""
_LEVELS = 16
_EDGE = 24.0
_COMMON_SHARE = 1 / 2048


def word_overlap(first: str, second: str) -> float:
    """Return how far two captions share their words: 1 all, 0 none (twice the common words over both lengths)."""
    one, other = set(first.lower().split()), set(second.lower().split())
    return 2 * len(one & other) / max(1, len(one) + len(other))


def agreement(texts: Sequence[str]) -> float:
    """Return the mean overlap of all pairs of captions; 1 where there is but one."""
    pairs = list(combinations(texts, 2))
    return sum(word_overlap(*pair) for pair in pairs) / len(pairs) if pairs else 1.0


def caption_signals(caption: Caption, words: Sequence[str], openness: Openness) -> dict[str, float]:
    """Return what the caption's words, one a token, and the network's openness at each of them tell."""
    chances = openness.logprobs or [caption.mean_logprob]
    telling = [place for place, word in enumerate(words) if word not in FUNCTION_WORDS] or range(len(chances))
    others = [other.mean_logprob for other in caption.alternatives]
    return {
        "mean_logprob": caption.mean_logprob,
        "lowest_logprob": min(chances),
        "openness": sum(openness.entropies[place] for place in telling) / len(telling),
        "from_photo": sum(chances) - sum(openness.blind_logprobs or chances),
        "words": float(len(caption.text.split())),
        "agreement": agreement([caption.text, *(other.text for other in caption.alternatives)]),
        "margin": caption.mean_logprob - (sum(others) / len(others) if others else caption.mean_logprob),
    }


def picture_signals(pixels: NDArray[np.uint8]) -> dict[str, float]:
    """Return what the pixels of a photo, (H, W, 3), tell before any model: light, colours, edges, grain."""
    small = Image.fromarray(pixels).resize((SIDE_PX, SIDE_PX), Image.Resampling.BOX)
    red, green, blue = np.moveaxis(np.asarray(small), 2, 0)
    greys = np.asarray(small.convert("L"))
    grey = greys.astype(np.float32)
    across, down = np.abs(np.diff(grey, axis=1)), np.abs(np.diff(grey, axis=0))
    shares = np.bincount((greys // (256 // _LEVELS)).ravel(), minlength=_LEVELS) / grey.size
    kinds = _colour_shares(red, green, blue)
    top, left = (max(0, (side - SIDE_PX) // 2) for side in pixels.shape[:2])
    middle = pixels[top : top + SIDE_PX, left : left + SIDE_PX].astype(np.float32)
    spread = np.maximum(np.maximum(red, green), blue) - np.minimum(np.minimum(red, green), blue)
    return {
        "contrast": float(grey.std()) / 128,
        "light": float(grey.mean()) / 255,
        "grey_entropy": _entropy(shares) / math.log(_LEVELS),
        "edges": float((across > _EDGE).mean() + (down > _EDGE).mean()) / 2,
        "edges_across": float((across > _EDGE).mean() - (down > _EDGE).mean()),
        "colours": math.log2(max(1, int((kinds > _COMMON_SHARE).sum()))) / 12,
        "largest_colour": float(kinds.max()),
        "vivid": float(spread.mean()) / 255,
        "smooth": _smoothness(grey),
        "smooth_middle": _smoothness(middle[..., 0] + middle[..., 1] + middle[..., 2]),
        "flat": float((across < 1).mean() + (down < 1).mean()) / 2,
    }


PICTURE = ("contrast", "light", "grey_entropy", "edges", "edges_across", "colours", "largest_colour", "vivid", "smooth",
           "smooth_middle", "flat")  # fmt: skip
"""Names of `picture_signals`, in order."""


def _colour_shares(red: Plane, green: Plane, blue: Plane) -> NDArray[np.float64]:
    """Return the share of each of 4,096 colours (16 levels a channel)."""
    levels = (red // 16).astype(np.uint16) * 256 + (green // 16) * np.uint16(16) + blue // 16
    return np.bincount(levels.ravel(), minlength=4096) / levels.size


def _smoothness(grey: NDArray[np.float32]) -> float:
    """Return how alike neighbouring pixels are: near 1 in photos, near 0 in noise; 1 where all is one grey."""
    variance = float(grey.var())
    if variance < 1e-2 or min(grey.shape) < 2:  # noqa: PLR2004  one grey, or nothing beside it
        return 1.0
    across, down = np.diff(grey, axis=1).ravel(), np.diff(grey, axis=0).ravel()
    change = float(across @ across / across.size + down @ down / down.size) / 2
    return 1 - change / (2 * variance)


def _entropy(shares: NDArray[np.float64]) -> float:
    """Return the entropy of shares in nats."""
    there = shares[shares > 0]
    return float(-(there * np.log(there)).sum())
