"""Captions by unmasking: all words at once, then again and again the ones that were least sure.

Mask-predict (Ghazvininejad et al. 2019, arXiv 1904.09324) with a network of fusion that learned `mlm`. A caption's
length is given beforehand; of several the caption with the best mean log-probability is taken.

Shapes: B photos, L regions, D features a region, N words, T = N + 2 tokens.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from captioner.decoding import END, IMPOSSIBLE, PADDING, START, Said
from captioner.models.fusion import Fusion
from captioner.models.objectives import MASK


@torch.inference_mode()
def unmask(network: Fusion, regions: Tensor, lengths: Sequence[int], rounds: int = 4) -> list[Said]:
    """Caption photos (B, L, D) with as many words as one of `lengths` says, in so many rounds."""
    tried = [_of_length(network, regions, length, rounds) for length in lengths]
    means = torch.stack([logprobs.mean(1) for _, logprobs in tried])  # (lengths, B)
    best = means.argmax(0).tolist()  # (B,)
    return [
        Said(tuple(tried[which][0][photo].tolist()), float(tried[which][1][photo].sum()))
        for photo, which in enumerate(best)
    ]


def _of_length(network: Fusion, regions: Tensor, length: int, rounds: int) -> tuple[Tensor, Tensor]:
    """Return the words of captions of one length and their log-probabilities, each (B, N)."""
    words = torch.full((len(regions), length), MASK, device=regions.device)  # (B, N)
    logprobs = torch.zeros(words.shape, device=regions.device)
    for number in range(rounds):
        found, sure = _fill(network, regions, words)
        unknown = words == MASK
        words, logprobs = torch.where(unknown, found, words), torch.where(unknown, sure, logprobs)
        again = length * (rounds - 1 - number) // rounds
        if again == 0:
            break
        words = words.scatter(1, logprobs.topk(again, dim=1, largest=False).indices, MASK)
    return words, logprobs


def _fill(network: Fusion, regions: Tensor, words: Tensor) -> tuple[Tensor, Tensor]:
    """Return the likeliest word at each place, given the others, and its log-probability: each (B, N)."""
    edges = [words.new_full((len(words), 1), token) for token in (START, END)]
    tokens = torch.cat([edges[0], words, edges[1]], 1)[:, None]  # (B, 1, T)
    scores = network.score(network.understand(regions, tokens)[:, 0, 1:-1]).float()  # (B, N, V)
    never = torch.tensor([PADDING, START, END, MASK], device=words.device)
    sure, found = scores.log_softmax(-1).index_fill(-1, never, IMPOSSIBLE).max(-1)
    return found, sure
