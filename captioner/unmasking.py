"""Captions by unmasking: all words at once, then again and again the ones that were least sure.

Mask-predict (Ghazvininejad et al. 2019, arXiv 1904.09324), the search of a network of fusion that learned `mlm` and not
`lm` (captioner.decoding hands over to it). A caption's length is given beforehand; all that the search allows are
tried, and the ones with the best mean log-probability are taken, those that say nothing twice first.

Shapes: B photos, L regions, D features a region, N words, T = N + 2 tokens, V words in the vocabulary.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from captioner.decoding import END, IMPOSSIBLE, NO_NUMBERS, PADDING, START, UNKNOWN, Said, Search
from captioner.records import Openness

MASK = UNKNOWN
"""What stands where a word was taken out."""
ROUNDS = 4
"""How often a caption is gone through."""
MOST_WORDS = 16
"""Of a caption: longer ones are rare among people's, and each length costs time."""


@torch.inference_mode()
def unmask(network: Any, regions: Tensor, search: Search) -> list[list[Said]]:
    """Caption photos (B, L, D); return for each at most `search.beams` captions, best first.

    Of the search, `beams`, `longest`, `shortest`, `no_repeat` and `forbidden` count; the lengths are those of the
    tokens, the end token included.
    """
    most = max(1, min(search.longest - 1, network.longest - 2, MOST_WORDS))
    lengths = range(max(1, min(search.shortest, most)), most + 1)
    tried = [_of_length(network, regions, length, search.forbidden) for length in lengths]
    if not all(bool(logprobs.isfinite().all()) for _, logprobs in tried):
        raise RuntimeError(NO_NUMBERS)
    found = []
    for photo in range(len(regions)):
        said = [
            Said(tuple(words[photo].tolist()), float(logprobs[photo].mean()) * (words.shape[1] + 1))
            for words, logprobs in tried
        ]
        said.sort(key=lambda one: (_repeats(one.tokens, search.no_repeat), -one.mean_logprob))
        found.append(said[: search.beams])
    return found


@torch.inference_mode()
def unmasked_openness(network: Any, regions: Tensor, tokens: Sequence[int]) -> Openness:
    """Say how open each word of one photo's caption was, its regions (1, L, D): taken out alone, all others known.

    The end token is no choice of its own: the length was given.
    """
    words = torch.tensor(tokens, device=regions.device)  # (N,)
    places = torch.arange(len(tokens), device=regions.device)
    without = words.repeat(len(tokens), 1)  # (N, N)
    without[places, places] = MASK
    logprobs = _logprobs(network, regions, without[None])[0, places, places]  # (N, V)
    entropies = -(logprobs.exp() * logprobs).sum(1)
    return Openness([*logprobs[places, words].tolist(), 0.0], [*entropies.tolist(), 0.0], [])


def _repeats(tokens: Sequence[int], size: int) -> bool:
    """Say whether a run of `size` words comes twice, or a word twice in a row; 0: neither is looked for."""
    runs = [tuple(tokens[place : place + size]) for place in range(len(tokens) - size + 1)]
    return size > 0 and (len(set(runs)) < len(runs) or any(a == b for a, b in pairwise(tokens)))


def _of_length(network: Any, regions: Tensor, length: int, forbidden: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return the words of captions of one length and their log-probabilities, each (B, N)."""
    words = torch.full((len(regions), length), MASK, device=regions.device)  # (B, N)
    logprobs = torch.zeros(words.shape, device=regions.device)
    never = torch.tensor([PADDING, START, END, MASK, *forbidden], device=regions.device)
    for number in range(ROUNDS):
        scores = _logprobs(network, regions, words[:, None])[:, 0]  # (B, N, V)
        sure, found = scores.index_fill(-1, never, IMPOSSIBLE).max(-1)  # each (B, N)
        unknown = words == MASK
        words, logprobs = torch.where(unknown, found, words), torch.where(unknown, sure, logprobs)
        again = length * (ROUNDS - 1 - number) // ROUNDS
        if again == 0:
            break
        words = words.scatter(1, logprobs.topk(again, dim=1, largest=False).indices, MASK)
    return words, logprobs


def _logprobs(network: Any, regions: Tensor, words: Tensor) -> Tensor:
    """Return the log-probabilities of the words at each place of captions (B, C, N), given the others: (B, C, N, V)."""
    edges = [words.new_full((*words.shape[:2], 1), token) for token in (START, END)]
    tokens = torch.cat([edges[0], words, edges[1]], 2)  # (B, C, T)
    scores: Tensor = network.score(network.understand(regions, tokens)[:, :, 1:-1]).float()
    return scores.log_softmax(-1)
