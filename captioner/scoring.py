"""Captions of cached maps and their scores, for training to watch itself; captioner.evaluate scores for good.

Shapes: B photos, L regions, D features, c x h x w the lower encoder's map.
"""

from typing import Any

import torch

from captioner.batches import Batches
from captioner.decoding import Search, search_captions
from captioner.metrics import all_scores
from captioner.tokenizer import Tokenizer

BATCH_PHOTOS = 50
"""Photos decoded together."""


@torch.inference_mode()
def captions_of_maps(parts: Any, photos: Batches, tokenizer: Tokenizer, search: Search) -> list[str]:
    """Caption every photo from its plain map with an encoder's upper part and a network."""
    device, texts = next(parts.parameters()).device, []
    for start in range(0, len(photos.examples), BATCH_PHOTOS):
        chosen = range(start, min(start + BATCH_PHOTOS, len(photos.examples)))
        maps = photos.plain(chosen).to(device).contiguous(memory_format=torch.channels_last)  # (B, c, h, w)
        regions = parts.encoder.upper(maps)  # (B, L, D)
        texts += [tokenizer.decode(found[0].tokens) for found in search_captions(parts.model, regions, search)]
    return texts


def scores_of_maps(parts: Any, photos: Batches, tokenizer: Tokenizer, search: Search) -> dict[str, float]:
    """Caption every photo as `captions_of_maps` does and return all scores by name."""
    captions = captions_of_maps(parts, photos, tokenizer, search)
    return all_scores(captions, [one.captions for one in photos.examples])
