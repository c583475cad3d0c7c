"""A second look at a finished caption: how open each word was, and how much of it came from the photo at all.

Shapes: L regions, D features, T tokens, V words.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from captioner.decoding import END, START
from captioner.records import Openness


@torch.inference_mode()
def look_again(network: Any, regions: Tensor, tokens: Sequence[int]) -> Openness:
    """Say one photo's caption again, its regions (1, L, D): alone, so that no neighbour changes a bit.

    The photo's part in a caption is what its words lose in probability without it (pointwise mutual information).
    """
    given = torch.tensor([[[START, *tokens]]], device=regions.device)  # (1, 1, T)
    said = torch.tensor([*tokens, END], device=regions.device)[:, None]  # (T, 1)
    seen = _logprobs(network, network.encode(regions), given)  # (T, V)
    entropies = -(seen.exp() * seen).sum(1)
    blind = _logprobs(network, None, given).gather(1, said)[:, 0].tolist() if network.speaks_alone else []
    return Openness(seen.gather(1, said)[:, 0].tolist(), entropies.tolist(), blind)


def _logprobs(network: Any, memory: Any, given: Tensor) -> Tensor:
    """Return the log-probabilities of each next word, (T, V)."""
    return torch.log_softmax(network.score(network.hidden(memory, given))[0, 0].float(), -1)
