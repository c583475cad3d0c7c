"""A second look at a finished caption: how open each word was, and how much of it came from the photo at all.

Shapes: L regions, D features, T tokens, V words.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from captioner.decoding import END, START
from captioner.records import Openness
from captioner.unmasking import unmasked_openness


@torch.inference_mode()
def look_again(network: Any, regions: Tensor, tokens: Sequence[int]) -> tuple[Openness, Tensor | None]:
    """Say one photo's caption again, its regions (1, L, D): alone, so that no neighbour changes a bit.

    Returns how open each word was, and where the network looked for each, (T, L), None: nowhere. The photo's part in a
    caption is what its words lose in probability without it (pointwise mutual information).
    """
    if network.own_search is not None:
        return unmasked_openness(network, regions, tokens), None
    given = torch.tensor([[START, *tokens]], device=regions.device)  # (1, T)
    said = torch.tensor([*tokens, END], device=regions.device)[:, None]  # (T, 1)
    hidden, looked = network.watch(regions, given)  # (1, T, W), (1, T, L)
    seen = _logprobs(network, hidden[0])  # (T, V)
    entropies = -(seen.exp() * seen).sum(1)
    blind: list[float] = []
    if network.speaks_alone:
        blind = _logprobs(network, network.hidden(None, given[:, None])[0, 0]).gather(1, said)[:, 0].tolist()
    openness = Openness(seen.gather(1, said)[:, 0].tolist(), entropies.tolist(), blind)
    return openness, None if looked is None else looked[0, : len(tokens)]


def _logprobs(network: Any, hidden: Tensor) -> Tensor:
    """Return the log-probabilities of each next word, (T, V), from hidden states (T, W)."""
    return torch.log_softmax(network.score(hidden).float(), -1)
