"""Score a captioner on photos it never learned from: `python -m captioner.evaluate --data DIR [--model NAME]`.

Goes the way a run goes, from the photos' files through `Captioner`, and writes what it finds into the captioner's
folder: `scores.json` and the scores in `CARD.md`. A score in a card comes from here and nowhere else. Draws a contact
sheet and learning curves where they are asked for (captioner.pictures).
"""

import argparse
import json
import re
import sys
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch

from captioner.bundle import search_settings
from captioner.captioning import Captioner
from captioner.dataset import Example, find_data
from captioner.errors import CaptionerError, DataError
from captioner.metrics import all_scores, ptb_like
from captioner.pictures import draw_contact_sheet, draw_curves
from captioner.weights import model_folder, replace_files

BATCH_PHOTOS = 50
"""Photos read and captioned at a time."""
SHEET_PHOTOS = 10
"""The first so many photos of the list are on a contact sheet: they are not chosen."""
MARKS = ("<!-- scores -->", "<!-- end of scores -->")
"""Between these lines a card's scores are written."""


def caption_examples(captioner: Captioner, examples: Sequence[Example]) -> tuple[list[str], dict[str, float]]:
    """Caption examples from their files; raises DataError for one that cannot be read.

    Returns the captions and where the processor's time went, in milliseconds a photo: the file's decoding, the encoder,
    the search.
    """
    captions: list[str] = []
    spent = {"open": 0.0, "encode": 0.0, "search": 0.0}
    for start in range(0, len(examples), BATCH_PHOTOS):
        times = [time.process_time()]
        photos = [one.photo() for one in examples[start : start + BATCH_PHOTOS]]
        times.append(time.process_time())
        features = captioner.encode(photos)
        times.append(time.process_time())
        captions += [caption.text for caption in captioner.decode(features)]
        times.append(time.process_time())
        for part, (begun, ended) in zip(spent, pairwise(times), strict=True):
            spent[part] += ended - begun
    return captions, {part: round(seconds / len(examples) * 1000, 1) for part, seconds in spent.items()}


def repeats_a_pair(caption: str) -> bool:
    """Say whether any two neighbouring words come twice in that order, wherever, or a word twice in a row."""
    pairs = list(pairwise(ptb_like(caption).split()))
    return len(set(pairs)) < len(pairs) or any(first == second for first, second in pairs)


def evaluate(captioner: Captioner, examples: Sequence[Example]) -> dict[str, Any]:
    """Caption and score examples; returns the scores, how they were come by, and the captions."""
    if not examples:
        raise DataError("no dev photos to score on", "--data", "give captions-dev.tsv, a val split or a dev list")
    captions, spent_ms = caption_examples(captioner, examples)
    return {
        "captioner": captioner.name,
        "digest": captioner.weights_digest or captioner.digest,
        "photos": len(examples),
        "references": sum(len(one.captions) for one in examples),
        "search": search_settings(captioner.search, captioner.tokenizer),
        "scores": all_scores(captions, [one.captions for one in examples]),
        "mean_words": sum(len(ptb_like(one).split()) for one in captions) / len(captions),
        "distinct_captions": len(set(captions)),
        "repeated_pair_share": sum(map(repeats_a_pair, captions)) / len(captions),
        "processor_ms_a_photo": spent_ms,
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
    more += f" with a pair of words that comes twice: {found['repeated_pair_share']:.2%}."
    spent = found["processor_ms_a_photo"]
    times = ", ".join(f"{part} {value:.1f}" for part, value in spent.items())
    more += f" Processor time: {sum(spent.values()):.1f} ms a photo ({times}; threads: {found['threads']})."
    return f"{said}; digest `{found['digest']}`.\n\n| {head} |\n|{rule}|\n| {line} |\n\n{more}"


def card_with(folder: Path, table: str, marks: tuple[str, str] = MARKS) -> str:
    """Return the folder's `CARD.md` with the table between its marks, or at its end where it has none."""
    path = folder / "CARD.md"
    card = path.read_text(encoding="utf-8") if path.exists() else f"# {folder.name}\n"
    block = f"{marks[0]}\n{table}\n{marks[1]}"
    pattern = re.compile(f"{re.escape(marks[0])}.*?{re.escape(marks[1])}", re.DOTALL)
    return pattern.sub(lambda _: block, card) if pattern.search(card) else f"{card.rstrip()}\n\n{block}\n"


def score_model(name_or_folder: str, device: str, examples: Sequence[Example], sheet: Path | None) -> str:
    """Score a captioner, write scores and card into its folder, draw the contact sheet; return the table."""
    folder = model_folder(name_or_folder)
    found = evaluate(Captioner.load(name_or_folder, device), examples)
    table = score_table(found)
    scores = json.dumps(found, indent=1) + "\n"
    replace_files(folder, {"scores.json": scores.encode(), "CARD.md": card_with(folder, table).encode()})
    if sheet:
        first = examples[:SHEET_PHOTOS]
        draw_contact_sheet([one.read() for one in first], list(found["captions"].values())[:SHEET_PHOTOS], sheet)
    return table


def main(arguments: Sequence[str] | None = None) -> int:
    """Score, draw, write and print; return the exit status: 0 done, 2 could not start."""
    parser = argparse.ArgumentParser(prog="python -m captioner.evaluate", description="Score a captioner.")
    parser.add_argument("--data", type=Path, help="folder with dev photos and captions; without it nothing is scored")
    parser.add_argument("--model", default="narrator-lite", help="name or folder of the captioner")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--threads", type=int, default=0, help="processor threads; 0: as torch chooses")
    parser.add_argument("--contact-sheet", type=Path, help="draw the first ten dev photos with captions: a PNG file")
    parser.add_argument("--curves", type=Path, help="draw a training's log.csv as a PNG file beside it")
    given = parser.parse_args(arguments)
    if not given.data and not given.curves:
        parser.error("give --data to score, --curves to draw, or both")
    if given.threads:
        torch.set_num_threads(given.threads)
    try:
        if given.curves:
            print(draw_curves(given.curves, given.curves.with_suffix(".png")))  # noqa: T201  a command's output
        if given.data:
            dev = find_data(given.data).dev
            print(score_model(given.model, given.device, dev, given.contact_sheet))  # noqa: T201
    except CaptionerError as error:
        print(f"error: {error}")  # noqa: T201
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
