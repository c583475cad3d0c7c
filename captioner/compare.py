"""Train families one after another by one recipe and score them on the same photos: a table, one row each.

    python -m captioner.compare --data DATA --out DIR --steps 200 --csv families.csv [--only show_tell,coca]

Each sees the same photos in the same order, so many steps; what takes a CNN takes the same one, frozen, from one
cache. A killed command that is started again goes on where it was: trained steps and finished rows stand. Scores are
of all dev photos, with the search that a captioner has by itself. Times are the processor's, of one thread.
"""

import argparse
import csv
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from captioner.batches import Batches
from captioner.beginnings import default_encoder, new_bundle
from captioner.bundle import Bundle
from captioner.dataset import Data, Example, find_data
from captioner.decoding import Search, search_captions
from captioner.errors import CaptionerError
from captioner.models import ContrastiveNetwork
from captioner.retrieval import recalls
from captioner.scoring import scores_of_maps
from captioner.tokenizer import END, PADDING, START, Tokenizer
from captioner.train import LONGEST_TRAINED, Parts, Trainer
from captioner.train_settings import Settings
from captioner.training_log import say

COLUMNS = ("model", "encoder", "parameters", "steps", "photos a step", "minutes", "BLEU-4", "CIDEr-D",
           "text to photo R@1", "text to photo R@5", "text to photo R@10",
           "photo to text R@1", "photo to text R@5", "photo to text R@10", "ms a photo")  # fmt: skip
TIMED_PHOTOS = 24
"""Photos that the time of one is the mean of."""
WATCHED_PHOTOS = 60
"""Dev photos that a training run watches itself by."""


@dataclass(frozen=True)
class Entry:
    """One row: a family and how it is set."""

    name: str
    """What the table calls it."""
    family: str
    """Its family."""
    options: tuple[str, ...] = ()
    """Settings of its configuration."""
    language_steps: int = 0
    """Steps on text before those on photos."""


ENTRIES = (
    Entry("show_tell", "show_tell", ("width=256",)),
    Entry("show_attend_tell soft", "show_attend_tell", ("width=256", "attention_width=128")),
    Entry("cnn_transformer", "cnn_transformer"),
    Entry("coca", "coca"),
    Entry("show_attend_tell hard", "show_attend_tell", ("width=256", "attention_width=128", "attention=hard")),
    Entry("bottom_up (grid boxes)", "bottom_up"),
    Entry("vit_transformer", "vit_transformer"),
    Entry("fusion merged", "fusion", ("objectives=lm+itc",)),
    Entry("fusion co-attention", "fusion", ("way=co_attention", "objectives=lm+itc")),
    Entry("fusion flamingo", "fusion", ("way=flamingo",), language_steps=200),
)
"""What is compared, in this order."""


def settings_of(entry: Entry, given: argparse.Namespace) -> Settings:
    """Return the one recipe for a row of the table."""
    settings = Settings(given.data, given.out / entry.name.replace(" ", "-"), steps=given.steps, family=entry.family)
    settings = replace(settings, options=entry.options, language_steps=entry.language_steps, versions=("plain",))
    settings = replace(settings, cache=given.out / "cache", batch_photos=given.batch_photos, name=entry.name)
    settings = replace(settings, fixed_blocks=7 if default_encoder(entry.family) != "patches" else None)
    settings = replace(settings, tune_share=1.0, encoder_rate=0.0, peak_rate=given.peak_rate, score_s=1e9)
    return replace(settings, warm_up_steps=max(1, given.steps // 6), average_keep=0.98, checkpoint_s=60.0)


def train(entry: Entry, settings: Settings, data: Data) -> tuple[Bundle, Trainer, float]:
    """Train one, or go on with it; returns it with its averaged weights and the processor's minutes."""
    settings.out.mkdir(parents=True, exist_ok=True)
    bundle = new_bundle(data, settings)
    spent = settings.out / "processor_s.txt"
    before = float(spent.read_text(encoding="utf-8")) if spent.exists() else 0.0
    trainer = Trainer(settings, replace(data, dev=data.dev[:WATCHED_PHOTOS]), bundle)
    say(f"{entry.name}: step {trainer.step} of {trainer.total}")
    began = time.process_time()
    try:
        trainer.run()
    finally:
        spent.write_text(f"{before + time.process_time() - began:.1f}", encoding="utf-8")
    average = trainer.average
    finished = replace(bundle, encoder=average.encoder, model=average.model)
    return finished, trainer, float(spent.read_text(encoding="utf-8")) / 60


@torch.inference_mode()
def retrieval_scores(parts: Parts, photos: Batches, tokenizer: Tokenizer) -> dict[str, float]:
    """Return the recalls of dev photos and their captions by contrastive vectors; nothing where there are none."""
    network = parts.model
    if not isinstance(network, ContrastiveNetwork) or not network.contrastive:
        return {}
    places = range(len(photos.examples))
    shown = (photos.plain(places[start : start + 50]) for start in places[::50])
    vectors = [network.embed_photos(parts.encoder.upper(maps)) for maps in shown]
    texts = [(number, caption) for number, one in enumerate(photos.examples) for caption in one.captions]
    ids = [tokenizer.encode(text) for _, text in texts]
    said = [network.embed_texts(padded(ids[start : start + 250])) for start in range(0, len(ids), 250)]
    scores = torch.cat(vectors) @ torch.cat(said).T  # (N, M)
    return recalls(scores.float().numpy().astype(np.float32), [owner for owner, _ in texts])


def padded(texts: Sequence[list[int]]) -> torch.Tensor:
    """Return texts as (N, T) tokens: start, words, end, padding."""
    framed = [[START, *ids[: LONGEST_TRAINED - 1], END] for ids in texts]
    longest = max(map(len, framed))
    return torch.tensor([ids + [PADDING] * (longest - len(ids)) for ids in framed])


@torch.inference_mode()
def ms_a_photo(bundle: Bundle, examples: Sequence[Example]) -> float:
    """Return the processor's milliseconds from pixels to caption, one photo at a time."""
    pixels = [one.read() for one in examples[: TIMED_PHOTOS + 2]]
    for number, one in enumerate(pixels):
        if number == 2:  # noqa: PLR2004  the first ones warm up
            began = time.process_time()
        search_captions(bundle.model, bundle.encoder(bundle.encoder.prepare([one])), bundle.search)
    return (time.process_time() - began) / TIMED_PHOTOS * 1000


def row_of(entry: Entry, given: argparse.Namespace, data: Data) -> list[Any]:
    """Train and score one; return its row."""
    settings = settings_of(entry, given)
    bundle, trainer, minutes = train(entry, settings, data)
    cache = trainer.dev_cache(data.dev)
    photos = Batches(cache, ("plain",), bundle.tokenizer, LONGEST_TRAINED)
    found: dict[str, Any] = scores_of_maps(trainer.average, photos, bundle.tokenizer, Search())
    found |= retrieval_scores(trainer.average, photos, bundle.tokenizer)
    found = {name: f"{value:.4f}" for name, value in found.items()}
    found |= {"model": entry.name, "encoder": default_encoder(entry.family), "minutes": f"{minutes:.1f}"}
    found |= {"parameters": sum(one.numel() for one in bundle.model.parameters())}
    found |= {"steps": trainer.total, "photos a step": settings.batch_photos}
    found |= {"ms a photo": f"{ms_a_photo(bundle, data.dev):.0f}"}
    return [found.get(name, "") for name in COLUMNS]


def rows_left(path: Path, only: Sequence[str]) -> Iterator[Entry]:
    """Yield what has no row in the table yet."""
    done: set[str] = set()
    if path.exists():
        with path.open(encoding="utf-8", newline="") as stream:
            done = {row["model"] for row in csv.DictReader(stream)}
    yield from (one for one in ENTRIES if one.name not in done and (not only or one.name in only))


def add_row(path: Path, row: Sequence[Any]) -> None:
    """Write a row at the end of the table, the header first where it is new."""
    new = not path.exists()
    with path.open("a", encoding="utf-8", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows([COLUMNS, row] if new else [row])


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare; return the exit status: 0 done, 2 could not start, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="python -m captioner.compare", description="Compare the families.")
    parser.add_argument("--data", type=Path, required=True, help="folder with photos and captions, dev photos too")
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--csv", type=Path, required=True, help="the table; rows that it has stand")
    parser.add_argument("--steps", type=int, default=200, help="steps that each is trained")
    parser.add_argument("--batch-photos", type=int, default=32, help="photos a step, five captions each")
    parser.add_argument("--peak-rate", type=float, default=1e-3, help="highest learning rate")
    parser.add_argument("--only", default="", help="names of rows, with commas between")
    given = parser.parse_args(arguments)
    try:
        data = find_data(given.data)
        for entry in rows_left(given.csv, [one for one in given.only.split(",") if one]):
            row = row_of(entry, given, data)
            add_row(given.csv, row)
            say(", ".join(f"{name} {cell}" for name, cell in zip(COLUMNS, row, strict=True) if cell != ""))
    except (CaptionerError, OSError) as error:
        say(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        say("stopped; the same command goes on from the last checkpoint")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
