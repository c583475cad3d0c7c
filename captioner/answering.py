"""Questions about photos, answered by a network of fusion that learned to: one of fixed answers, or word by word.

`python -m captioner.answering PHOTO QUESTION --model RUN/model` answers in each way that the captioner learned.

Shapes: B photos, L regions, D features a region, T tokens.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from captioner.captioning import Captioner
from captioner.decoding import END, PADDING, START
from captioner.errors import CaptionerError, DataError, ModelError
from captioner.models.fusion import Fusion
from captioner.models.objectives import classes
from captioner.photos import open_photo
from captioner.records import Photo
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
    """Return a question's ids, the start token and the separator included; raise DataError where it cannot be asked."""
    ids = [START, *tokenizer.encode(question), network.config.separator]
    if not 2 < len(ids) < network.longest:  # noqa: PLR2004  the two that are no words of the question
        raise DataError("no question that can be asked", repr(question), f"ask in 1 to {network.longest - 3} words")
    return ids


def _say(network: Fusion, regions: Tensor, asked: list[int]) -> list[int]:
    """Take the question in, then say the likeliest words up to the end token: their ids."""
    cache, said = network.start(regions), list[int]()
    given = list(asked)
    for place in range(network.longest):  # of question and answer together
        logprobs = network.step(torch.tensor(given[place : place + 1], device=regions.device), cache)  # (1, V)
        if place < len(asked) - 1:
            continue
        said.append(int(logprobs.argmax()))
        if said[-1] == END:
            break
        given.append(said[-1])
    return said


@torch.inference_mode()
def answer(captioner: Captioner, photo: Photo, question: str) -> dict[str, str]:
    """Answer a question about a photo in each way that the captioner learned: way to answer.

    Raises ModelError where it learned none, DataError for a question that cannot be asked.
    """
    network = captioner.model
    if not isinstance(network, Fusion) or not network.config.asks:
        mend = "train one of the family fusion with --options objectives=answer,separator=WORD"
        raise ModelError("this captioner never learned to answer questions", captioner.name, mend)
    features = captioner.encode([photo])[0]
    regions = torch.from_numpy(features.regions).to(captioner.device).float()[None]  # (1, L, D)
    ways = {"answer": ("said", say_answers), "classify": ("chosen", choose_answers)}
    learned = [ways[name] for name in network.config.objectives if name in ways]
    return {way: find(network, regions, [question], captioner.tokenizer)[0] for way, find in learned}


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer and print; return the exit status: 0 done, 2 could not start."""
    parser = argparse.ArgumentParser(prog="python -m captioner.answering", description="Ask about a photo.")
    parser.add_argument("photo", type=Path, help="the photo")
    parser.add_argument("question", help="the question, in one pair of quotes")
    parser.add_argument("--model", required=True, help="folder of a captioner that learned to answer")
    given = parser.parse_args(arguments)
    try:
        captioner = Captioner.load(given.model)
        photo = open_photo(given.photo, captioner.input_size_px)
        if not isinstance(photo, Photo):
            raise DataError(photo.message, str(given.photo))
        for way, text in answer(captioner, photo, given.question).items():
            print(f"{way}: {text}")  # noqa: T201  a command's output
    except CaptionerError as error:
        print(f"error: {error}")  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
