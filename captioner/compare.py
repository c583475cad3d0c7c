"""Train families side by side by one recipe and score them on the same photos: a table, one row each.

    python -m captioner.compare --data DATA --out DIR --minutes 4 --csv families.csv [--only show_tell,coca]

They take turns, and each gets the same minutes of processor time, whatever else the machine does; each sees the same
photos in the same order, as many as it gets through. What takes a CNN takes the same one, frozen, from one cache. A
killed command that is started again, with other minutes too, goes on where each family's last turn ended. Scores are of
all dev photos, with the search that a captioner has by itself. Times are the processor's, of one thread.
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
from captioner.errors import CaptionerError, DataError
from captioner.models import ContrastiveNetwork
from captioner.pictures import draw_runs
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
TURN_S = 15.0
"""Seconds of processor time that a family learns before it is the next one's turn."""
WARM_UP_STEPS = 20
WATCHED_PHOTOS = 60
"""Dev photos whose loss is logged after each turn."""


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
    rate_share: float = 1.0
    """Share of the highest learning rate: two towers that look at each other learn next to nothing at the whole one."""


ENTRIES = (
    Entry("show_tell", "show_tell", ("width=256",)),
    Entry("show_attend_tell soft", "show_attend_tell", ("width=256", "attention_width=128")),
    Entry("cnn_transformer", "cnn_transformer"),
    Entry("coca", "coca"),
    Entry("show_attend_tell hard", "show_attend_tell", ("width=256", "attention_width=128", "attention=hard")),
    Entry("bottom_up (grid boxes)", "bottom_up"),
    Entry("vit_transformer", "vit_transformer"),
    Entry("fusion merged", "fusion", ("objectives=lm+itc",)),
    Entry("fusion co-attention", "fusion", ("way=co_attention", "objectives=lm+itc"), rate_share=0.25),
    Entry("fusion flamingo", "fusion", ("way=flamingo",), language_steps=200),
)
"""What is compared, in this order."""


def settings_of(entry: Entry, given: argparse.Namespace) -> Settings:
    """Return the one recipe for a row of the table."""
    settings = Settings(given.data, given.out / entry.name.replace(" ", "-"), minutes=given.minutes)
    settings = replace(settings, family=entry.family, options=entry.options, language_steps=entry.language_steps)
    settings = replace(settings, cache=given.out / "cache", batch_photos=given.batch_photos, name=entry.name)
    settings = replace(settings, fixed_blocks=7 if default_encoder(entry.family) != "patches" else None)
    settings = replace(settings, tune_share=1.0, encoder_rate=0.0, versions=("plain",))
    settings = replace(settings, peak_rate=given.peak_rate * entry.rate_share)
    return replace(settings, warm_up_steps=WARM_UP_STEPS, average_keep=0.98)


class TimedTrainer(Trainer):
    """Learns for so many minutes of processor time, in turns; the learning rate falls as they pass."""

    @property
    def left_s(self) -> float:
        """Seconds of processor time that are left."""
        return max(0.0, self.settings.minutes * 60 - self.spent_s)

    def turn(self) -> None:
        """Learn for one turn, and keep what was learned."""
        until_s = self.spent_s + min(TURN_S, self.left_s)
        losses = []
        while self.spent_s < until_s:
            passed = max(1e-9, self.spent_s / (self.settings.minutes * 60))
            self.total = max(self.step + 1, round((self.step + 1) / passed))
            began = time.process_time()
            losses.append(self.train_step())
            self.spent_s += time.process_time() - began
        self.row(sum(losses) / len(losses), self.dev_loss())
        self.checkpoint()


def train(entries: Sequence[Entry], given: argparse.Namespace, data: Data) -> Iterator[tuple[Entry, TimedTrainer]]:
    """Train all in turns, or go on with them; yield each, the first first, once all are through."""
    watched, trainers = replace(data, dev=data.dev[:WATCHED_PHOTOS]), []
    for entry in entries:
        settings = settings_of(entry, given)
        settings.out.mkdir(parents=True, exist_ok=True)
        trainers.append(TimedTrainer(settings, watched, new_bundle(data, settings)))
    while any(one.left_s for one in trainers):
        for one in trainers:
            if one.left_s:
                say(f"{one.settings.name}:")
                one.turn()
    yield from zip(entries, trainers, strict=True)


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
    pixels = [one.read() for one in examples[:TIMED_PHOTOS]]
    for warming in (True, False):
        began = time.process_time()
        for one in pixels[:2] if warming else pixels:
            search_captions(bundle.model, bundle.encoder(bundle.encoder.prepare([one])), bundle.search)
    return (time.process_time() - began) / len(pixels) * 1000


def row_of(entry: Entry, trainer: TimedTrainer, data: Data) -> list[Any]:
    """Score one by its averaged weights; return its row."""
    average, settings = trainer.average, trainer.settings
    bundle = replace(trainer.bundle, encoder=average.encoder, model=average.model)
    photos = Batches(trainer.dev_cache(data.dev), ("plain",), bundle.tokenizer, LONGEST_TRAINED)
    found: dict[str, Any] = scores_of_maps(average, photos, bundle.tokenizer, Search())
    found |= retrieval_scores(average, photos, bundle.tokenizer)
    found = {name: f"{value:.4f}" for name, value in found.items()}
    found |= {"model": entry.name, "encoder": default_encoder(entry.family), "minutes": f"{trainer.spent_s / 60:.1f}"}
    found |= {"parameters": sum(one.numel() for one in bundle.model.parameters())}
    found |= {"steps": trainer.step, "photos a step": settings.batch_photos}
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


def refuse_what_cannot_be(given: argparse.Namespace, named: Sequence[str]) -> None:
    """Raise DataError for settings that nothing can come of."""
    known = [one.name for one in ENTRIES]
    for name in named:
        if name not in known:
            raise DataError("no such row", f"--only {name}", f"there are {', '.join(known)}")
    for option in ("minutes", "batch_photos"):
        if getattr(given, option) <= 0:
            raise DataError("not more than 0", f"--{option.replace('_', '-')}", "give a positive number")


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare; return the exit status: 0 done, 2 could not start, 130 interrupted."""
    parser = argparse.ArgumentParser(prog="python -m captioner.compare", description="Compare the families.")
    parser.add_argument("--data", type=Path, required=True, help="folder with photos and captions, dev photos too")
    parser.add_argument("--out", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--csv", type=Path, required=True, help="the table; rows that it has stand")
    parser.add_argument("--minutes", type=float, default=30.0, help="processor time that each is trained")
    parser.add_argument("--batch-photos", type=int, default=32, help="photos a step, five captions each")
    parser.add_argument("--peak-rate", type=float, default=1e-3, help="highest learning rate")
    parser.add_argument("--only", default="", help="names of rows, with commas between")
    parser.add_argument("--curves", type=Path, help="draw the dev losses of all, or of those named by --only: a PNG")
    given = parser.parse_args(arguments)
    try:
        named = [one for one in given.only.split(",") if one]
        refuse_what_cannot_be(given, named)
        data = find_data(given.data)
        if not data.dev:
            raise DataError("no dev photos to score on", str(given.data), "give captions of a dev split")
        left = list(rows_left(given.csv, named))
        for entry, trainer in train(left, given, data):
            row = row_of(entry, trainer, data)
            add_row(given.csv, row)
            say(", ".join(f"{name} {cell}" for name, cell in zip(COLUMNS, row, strict=True) if cell != ""))
        if given.curves:
            drawn = [one for one in ENTRIES if not named or one.name in named]
            logs = {one.name: settings_of(one, given).out / "log.csv" for one in drawn}
            say(str(draw_runs(logs, given.curves)))
    except (CaptionerError, OSError) as error:
        say(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        say("stopped; the same command goes on where each family's last turn ended")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
