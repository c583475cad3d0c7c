"""Score a captioner on photos it never learned from: `python -m captioner.evaluate --data DIR [--model NAME]`.

Goes the way a run goes, from the photos' files through `Captioner`, and writes what it finds into the captioner's
folder: `scores.json` and the scores in `CARD.md`. A score in a card comes from here and nowhere else.
"""

import argparse
import json
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from captioner.captioning import Captioner
from captioner.dataset import Example, find_data
from captioner.errors import CaptionerError, DataError
from captioner.metrics import all_scores, ptb_like
from captioner.records import Photo
from captioner.weights import model_folder

BATCH_PHOTOS = 50
"""Photos read and captioned at a time."""
MARKS = ("<!-- scores -->", "<!-- end of scores -->")
"""Between these lines a card's scores are written."""


def caption_examples(captioner: Captioner, examples: Sequence[Example]) -> list[str]:
    """Caption examples from their files; raises DataError for one that cannot be read."""
    captions = []
    for start in range(0, len(examples), BATCH_PHOTOS):
        photos = [_photo(one) for one in examples[start : start + BATCH_PHOTOS]]
        captions += [caption.text for caption in captioner.decode(captioner.encode(photos))]
    return captions


def _photo(example: Example) -> Photo:
    pixels = example.read()
    return Photo(example.name, pixels, pixels.shape[1], pixels.shape[0], Path(example.name).suffix.lstrip("."))


def repeats_a_pair(caption: str) -> bool:
    """Say whether a pair of words comes twice without a break, or a word twice in a row: the mark of a stuck model."""
    words = caption.split()
    doubled = any(first == second for first, second in pairwise(words))
    return doubled or any(words[at : at + 2] == words[at + 2 : at + 4] for at in range(len(words) - 3))


def evaluate(captioner: Captioner, examples: Sequence[Example]) -> dict[str, Any]:
    """Caption and score examples; returns the scores, how they were come by, and the captions."""
    if not examples:
        raise DataError("no dev photos to score on", "--data", "give captions-dev.tsv, a val split or a dev list")
    began = time.monotonic()
    captions = caption_examples(captioner, examples)
    spent_ms = (time.monotonic() - began) / len(examples) * 1000
    return {
        "captioner": captioner.name,
        "digest": captioner.digest,
        "photos": len(examples),
        "references": sum(len(one.captions) for one in examples),
        "search": asdict(captioner.search),
        "scores": all_scores(captions, [one.captions for one in examples]),
        "mean_words": sum(len(ptb_like(one).split()) for one in captions) / len(captions),
        "distinct_captions": len(set(captions)),
        "repeated_pair_share": sum(map(repeats_a_pair, captions)) / len(captions),
        "ms_a_photo": round(spent_ms, 1),
        "threads": torch.get_num_threads(),
        "captions": {one.name: caption for one, caption in zip(examples, captions, strict=True)},
    }


def score_table(found: dict[str, Any]) -> str:
    """Return the scores as a table for a model card."""
    scores = found["scores"]
    head, line = " | ".join(scores), " | ".join(f"{value:.4f}" for value in scores.values())
    rule = "|".join([" --- "] * len(scores))
    said = f"{found['photos']} photos, {found['references']} references, {found['search']['beams']} beams"
    more = f"Distinct captions: {found['distinct_captions']}; mean length {found['mean_words']:.1f} words;"
    more += f" with a word or a pair of words twice in a row: {found['repeated_pair_share']:.2%}."
    return f"{said}; digest `{found['digest']}`.\n\n| {head} |\n|{rule}|\n| {line} |\n\n{more}"


def write_card(folder: Path, table: str) -> None:
    """Put the table between the marks of `CARD.md`; a card without marks, or none, gets it at its end."""
    path = folder / "CARD.md"
    card = path.read_text(encoding="utf-8") if path.exists() else f"# {folder.name}\n"
    block = f"{MARKS[0]}\n{table}\n{MARKS[1]}"
    pattern = re.compile(f"{re.escape(MARKS[0])}.*?{re.escape(MARKS[1])}", re.DOTALL)
    card = pattern.sub(lambda _: block, card) if pattern.search(card) else f"{card.rstrip()}\n\n{block}\n"
    path.write_text(card, encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Score, write and print; return the exit status: 0 done, 2 could not start."""
    parser = argparse.ArgumentParser(prog="python -m captioner.evaluate", description="Score a captioner.")
    parser.add_argument("--data", type=Path, required=True, help="folder with dev photos and captions")
    parser.add_argument("--model", default="narrator-lite", help="name or folder of the captioner")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=0, help="processor threads; 0: as torch chooses")
    given = parser.parse_args(arguments)
    if given.threads:
        torch.set_num_threads(given.threads)
    try:
        found = evaluate(Captioner.load(given.model, given.device), find_data(given.data).dev)
        folder = model_folder(given.model)
    except CaptionerError as error:
        print(f"error: {error}")  # noqa: T201  a command's output
        return 2
    (folder / "scores.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    write_card(folder, score_table(found))
    print(score_table(found))  # noqa: T201  a command's output
    return 0


if __name__ == "__main__":
    sys.exit(main())
