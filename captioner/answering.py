"""Questions about photos, answered by a network of fusion that learned to: one of fixed answers, or word by word.

Shapes: B photos, L regions, D features a region, T tokens.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from captioner.decoding import END, PADDING, START
from captioner.models.fusion import Fusion
from captioner.models.objectives import classes
from captioner.tokenizer import Tokenizer


@torch.inference_mode()
def choose_answers(network: Fusion, regions: Tensor, questions: Sequence[str], tokenizer: Tokenizer) -> list[str]:
    """Answer a question about each photo of (B, L, D) with one of the fixed answers (objective `classify`)."""
    asked = [_asked(question, network, tokenizer) for question in questions]
    longest = max(map(len, asked))
    tokens = torch.tensor([ids + [PADDING] * (longest - len(ids)) for ids in asked], device=regions.device)
    best = classes(network, regions, tokens[:, None])[:, 0].argmax(-1).tolist()  # (B,)
    return [tokenizer.words[network.config.answers[number]] for number in best]


@torch.inference_mode()
def say_answers(network: Fusion, regions: Tensor, questions: Sequence[str], tokenizer: Tokenizer) -> list[str]:
    """Answer a question about each photo of (B, L, D) word by word, the likeliest each time (objective `answer`)."""
    return [
        tokenizer.decode(_say(network, regions[number : number + 1], _asked(question, network, tokenizer)))
        for number, question in enumerate(questions)
    ]


def _asked(question: str, network: Fusion, tokenizer: Tokenizer) -> list[int]:
    return [START, *tokenizer.encode(question), network.config.separator]


def _say(network: Fusion, regions: Tensor, asked: list[int]) -> list[int]:
    """Take the question in, then say the likeliest words up to the end token: their ids."""
    cache, said = network.start(regions), list[int]()
    given = list(asked)
    for place in range(network.longest):
        logprobs = network.step(torch.tensor(given[place : place + 1], device=regions.device), cache)  # (1, V)
        if place < len(asked) - 1:
            continue
        said.append(int(logprobs.argmax()))
        if said[-1] == END:
            break
        given.append(said[-1])
    return said
