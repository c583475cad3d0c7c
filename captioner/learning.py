"""A captioner that learns from its reviewers: some hundred photos with a person's words, minutes of a processor.

The network that writes is tuned, the encoder stays; words that reviewers use and the captioner does not know are added
to its vocabulary. Where photos are at hand that it learned from once, it rehearses some of them, so that it forgets
less. What was learned is mixed with what was known (Wortsman et al. 2021, arXiv 2109.01903), as much of it as passes a
gate: reviewers have fewer words to change in held-out photos, and dev CIDEr-D stands where it can be looked at. All of
it starts from the same captioner each time, so that no round builds on the mistakes of another.

Shapes: L regions, D features.
"""

import copy
import hashlib
import tempfile
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from captioner.bundle import Bundle, load_bundle
from captioner.dataset import Data, Example
from captioner.decoding import search_captions
from captioner.errors import DataError
from captioner.metrics import all_scores, ptb_like
from captioner.new_words import imprint, with_new_words_of, with_words
from captioner.soup import mix
from captioner.train import Trainer
from captioner.train_settings import Settings
from captioner.weights import model_folder

HELD_OUT = 5
"""One photo in so many is never learned from, by its name's hash: the same ones in every round."""
LEAST_LEARNED, LEAST_HELD_OUT = 30, 6
"""Fewer photos than these say nothing."""
SHARES = (1.0, 0.6, 0.3)
"""How much of what was learned is tried, the most first."""
DEV_LOSS = 0.005
"""How far dev CIDEr-D may fall."""
BATCH_PHOTOS = 50

Advance = Callable[[int], None]


@dataclass(frozen=True)
class Course:
    """How it is taught; LOG.md has the measurement."""

    steps: int = 100
    """Batches learned from."""
    batch_photos: int = 32
    """Photos a batch, or all there are."""
    rate: float = 1.5e-4
    """Highest learning rate."""
    versions: tuple[str, ...] = ("plain",)
    """Versions of each photo, as in captioner.feature_cache."""
    rehearsed: int = 240
    """Photos that it learned from once and rehearses, where they are at hand."""
    seed: int = 1
    """Everything random follows from it."""


@dataclass(frozen=True)
class Marks:
    """What the gate looks at."""

    edits: float
    """Words that a reviewer changes in 100 words of the held-out photos' texts."""
    dev_cider_d: float | None
    """CIDEr-D on the dev photos; None where there are none."""


@dataclass(frozen=True)
class Lesson:
    """What came of teaching."""

    learned: int
    """Photos learned from."""
    held_out: int
    """Photos kept back for the gate."""
    rehearsed: int
    """Photos rehearsed."""
    dev: int
    """Dev photos scored."""
    new_words: tuple[str, ...]
    """Words that joined the vocabulary."""
    before: Marks
    """The captioner as it was."""
    tried: dict[float, Marks]
    """What each share of what was learned gave."""
    bundle: Bundle | None
    """The captioner that passed; None where none did."""

    @property
    def share(self) -> float | None:
        """Return how much of what was learned passed."""
        return next((share for share, marks in self.tried.items() if passes(self.before, marks)), None)


def passes(before: Marks, after: Marks) -> bool:
    """Return whether the tuned captioner may be used: better for the reviewers, and not worse on dev."""
    if after.edits >= before.edits:
        return False
    if before.dev_cider_d is None or after.dev_cider_d is None:
        return True
    return after.dev_cider_d >= before.dev_cider_d - DEV_LOSS


def part(reviewed: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """Part reviewed photos into those to learn from and those held out, the same way whatever else there is."""
    held_out = [one for one in reviewed if _digits(one.name) % HELD_OUT == 0]
    return [one for one in reviewed if _digits(one.name) % HELD_OUT], held_out


def _digits(name: str) -> int:
    return int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)


def learn(base: str | Path, reviewed: Sequence[Example], known: Data, course: Course, advance: Advance) -> Lesson:
    """Teach the captioner `base` and put what it learned to the gate; `advance` is told of each step.

    `reviewed` are photos with a person's words, each under a name that stays its own; `known` has what it learned from
    once, to be rehearsed, and the dev photos of the gate: either may be empty. Raises DataError where there are too few
    to learn from.
    """
    train, held_out = part(reviewed)
    if len(train) < LEAST_LEARNED or len(held_out) < LEAST_HELD_OUT:
        what = f"{len(train)} reviewed photos to learn from and {len(held_out)} to check by are too few"
        raise DataError(what, mend=f"review until there are {LEAST_LEARNED} and {LEAST_HELD_OUT}")
    rehearsed = sorted(known.train, key=lambda one: _digits(one.name))[: course.rehearsed]
    old, tuned, new_words = teach(base, train, rehearsed, course, advance)
    looked, seen = regions_of(old, held_out), regions_of(old, known.dev)

    def marks(bundle: Bundle) -> Marks:
        texts = captions_of(bundle, looked)
        return Marks(edits_in_100(texts, held_out), _dev_score(bundle, seen, known.dev))

    before, tried, best = marks(old), dict[float, Marks](), None
    known_words = with_new_words_of(old, tuned, len(new_words))
    for share in SHARES:
        mixed = mix([copy.deepcopy(known_words), tuned], [1 - share, share])
        tried[share] = marks(mixed)
        if passes(before, tried[share]):
            best = mixed
            break
    return Lesson(len(train), len(held_out), len(rehearsed), len(known.dev), new_words, before, tried, best)


def teach(
    base: str | Path, train: Sequence[Example], rehearsed: Sequence[Example], course: Course, advance: Advance
) -> tuple[Bundle, Bundle, tuple[str, ...]]:
    """Return the captioner as it was, with room for new words, the one that learned, and the new words."""
    bundle, new_words = with_words(load_bundle(model_folder(base)), train)
    with tempfile.TemporaryDirectory(prefix="narrate-learn-") as folder, redirect_stdout(StringIO()):
        settings = Settings(
            data=Path(folder),
            out=Path(folder),
            steps=course.steps,
            batch_photos=min(course.batch_photos, len(train) + len(rehearsed)),
            versions=course.versions,
            peak_rate=course.rate,
            encoder_rate=0.0,
            fixed_blocks=_all_blocks(bundle),
            tune_share=1.0,
            warm_up_steps=max(1, course.steps // 10),
            average_keep=0.97,
            seed=course.seed,
        )
        trainer = Trainer(settings, Data(train=[*train, *rehearsed]), copy.deepcopy(bundle))
        imprint(trainer, len(new_words))
        trainer.train.captions = 1  # drawn anew for each batch where a photo has more
        for _ in range(course.steps):
            trainer.train_step()
            advance(1)
    tuned = replace(bundle, model=trainer.average.model.eval())
    return bundle, tuned, new_words


def _all_blocks(bundle: Bundle) -> int | None:
    """Return how many blocks the encoder has, so that all of it is computed once; None where it has no such cut."""
    blocks = getattr(getattr(bundle.encoder, "network", None), "blocks", None)
    return None if blocks is None else len(blocks)


@torch.inference_mode()
def regions_of(bundle: Bundle, examples: Sequence[Example]) -> NDArray[np.float16]:
    """Encode photos as a run does: (N, L, D)."""
    parts = []
    for start in range(0, len(examples), BATCH_PHOTOS):
        pixels = [one.read() for one in examples[start : start + BATCH_PHOTOS]]
        parts.append(bundle.encoder(bundle.encoder.prepare(pixels)).to(torch.float16).numpy())  # (B, L, D)
    return np.concatenate(parts) if parts else np.empty((0, 1, 1), dtype=np.float16)


@torch.inference_mode()
def captions_of(bundle: Bundle, regions: NDArray[np.float16]) -> list[str]:
    """Caption encoded photos, (N, L, D), with the captioner's own search."""
    texts = []
    for start in range(0, len(regions), BATCH_PHOTOS):
        batch = torch.from_numpy(regions[start : start + BATCH_PHOTOS]).float()  # (B, L, D)
        found = search_captions(bundle.model, batch, bundle.search, range(start, start + len(batch)))
        texts += [bundle.tokenizer.decode(one[0].tokens) for one in found]
    return texts


def edits_in_100(texts: Sequence[str], examples: Sequence[Example]) -> float:
    """Return how many words of 100 a reviewer changes, adds or takes out to come from `texts` to their own words."""
    pairs = [
        (ptb_like(text).split(), ptb_like(one.captions[0]).split()) for text, one in zip(texts, examples, strict=True)
    ]
    words = sum(len(wanted) for _, wanted in pairs)
    return 100 * sum(distance(said, wanted) for said, wanted in pairs) / max(1, words)


def distance(said: Sequence[str], wanted: Sequence[str]) -> int:
    """Return the least number of words to change, add or take out (Levenshtein's distance)."""
    row = list(range(len(wanted) + 1))
    for at, word in enumerate(said, start=1):
        new = [at]
        for place, other in enumerate(wanted):
            new.append(min(new[-1] + 1, row[place + 1] + 1, row[place] + (word != other)))
        row = new
    return row[-1]


def _dev_score(bundle: Bundle, regions: NDArray[np.float16], dev: Sequence[Example]) -> float | None:
    if not dev:
        return None
    return all_scores(captions_of(bundle, regions), [one.captions for one in dev])["CIDEr-D"]
