"""Fit how sure a captioner is, on one half of captioned photos, and measure it on the other half.

A caption is right where its CIDEr-D against what people wrote about the photo is above the 10th percentile of a
person's own caption scored against the others'. Pictures that are no photos are drawn (captioner.drawn_pictures), and
words are laid over photos (captioner.drawn_overlays): one set of styles to learn from, another one to be judged on.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from captioner.confidence import Calibration, Line
from captioner.dataset import Example
from captioner.errors import DataError
from captioner.logistic import Flags, Numbers, aurc, expected_calibration_error, fit_logistic
from captioner.metrics import CiderD, ptb_like
from captioner.records import Caption, Features, Photo

LEAST_PHOTOS = 100
"""Fewer captioned photos than these say nothing about a share."""
PERCENTILE = 10
"""A caption is right above this percentile of people's own scores."""
BATCH_PHOTOS = 25
"""Photos at a time: their pixels are held in memory."""


class Narrator(Protocol):
    """What is calibrated: any captioner."""

    def encode(self, photos: Sequence[Photo]) -> list[Features]:
        """Turn photos into features."""

    def decode(self, features: Sequence[Features]) -> list[Caption]:
        """Turn features into captions."""


@dataclass
class Seen:
    """What a captioner made of some pictures; one of each a picture."""

    captions: list[Caption]
    pooled: list[NDArray[Any]]
    regions: list[NDArray[Any]]

    def inputs(self, names: Sequence[str]) -> Numbers:
        """Return the named signals, (N, S)."""
        return np.array([[one.signals[name] for name in names] for one in self.captions])

    def those(self, chosen: Flags) -> "Seen":
        """Return the chosen ones."""
        kept = [one for one, wanted in zip(self.each(), chosen, strict=True) if wanted]
        return Seen([one for one, _, _ in kept], [one for _, one, _ in kept], [one for _, _, one in kept])

    def each(self) -> Iterator[tuple[Caption, NDArray[Any], NDArray[Any]]]:
        """Yield caption, pooled features and regions of each picture."""
        return zip(self.captions, self.pooled, self.regions, strict=True)


def look(captioner: Narrator, photos: Sequence[Callable[[], Photo]], advance: Callable[[int], None]) -> Seen:
    """Caption pictures, each opened when its turn comes."""
    seen = Seen([], [], [])
    for start in range(0, len(photos), BATCH_PHOTOS):
        features = captioner.encode([photo() for photo in photos[start : start + BATCH_PHOTOS]])
        seen.captions += captioner.decode(features)
        seen.pooled += [one.pooled for one in features]
        seen.regions += [one.regions for one in features]
        advance(len(features))
    return seen


def halves(examples: Sequence[Example]) -> Flags:
    """Say of each photo whether it is fitted on, (N,): by a hash of its name, whatever the order."""
    return np.array([hashlib.sha256(one.name.encode()).digest()[0] % 2 == 0 for one in examples])


@dataclass(frozen=True)
class Judge:
    """Says which captions are right."""

    scorer: CiderD
    bound: float
    """The score above which a caption is right."""

    def right(self, captions: Sequence[Caption]) -> Flags:
        """Say of a caption of each photo whether it is right, (N,)."""
        scores = [self.scorer.score(ptb_like(one.text), photo) for photo, one in enumerate(captions)]
        return np.array(scores) > self.bound


def judge_by(examples: Sequence[Example]) -> Judge:
    """Set the bound by people's own captions, each scored against the others of its photo.

    Raises DataError where there are too few photos, or hardly any with two captions.
    """
    mend = "give photos with several captions each, five if possible"
    if len(examples) < LEAST_PHOTOS:
        raise DataError(
            f"{len(examples)} captioned photos are too few to calibrate on", f"at least {LEAST_PHOTOS}", mend
        )
    scorer = CiderD([[ptb_like(text) for text in one.captions] for one in examples])
    scores = [score for photo in range(len(examples)) for score in scorer.against_each_other(photo)]
    if len(scores) < LEAST_PHOTOS:
        raise DataError("hardly any photo has two captions, so people cannot be compared", "the captions", mend)
    return Judge(scorer, float(np.percentile(scores, PERCENTILE)))


SIGNALS = ("openness", "from_photo")
"""What the probability of being right is made of."""
DECAY = 10.0
"""Penalty on its weights: chosen by cross-validation on the half that is fitted on (LOG.md)."""
FOLDS = 10


def fit_right(seen: Seen, right: Flags) -> tuple[Line, tuple[tuple[float, float], ...]]:
    """Fit the line that says whether a caption is right, and the curve from its log-odds to a probability.

    The curve is fitted to scores of captions that the line did not learn from.
    """
    inputs = seen.inputs(SIGNALS)
    scores = np.zeros(len(right))
    order = np.random.default_rng(0).permutation(len(right))
    for fold in range(FOLDS):
        held = np.isin(np.arange(len(right)), order[fold::FOLDS])
        weights, bias = fit_logistic(inputs[~held], right[~held], DECAY)
        scores[held] = inputs[held] @ weights + bias
    slope, offset = fit_logistic(scores[:, None], right, 0.0)
    weights, bias = fit_logistic(inputs, right, DECAY)
    line = Line(dict(zip(SIGNALS, weights.tolist(), strict=True)), bias)
    return line, sigmoid_curve(float(slope[0]), offset)


def sigmoid_curve(slope: float, offset: float) -> tuple[tuple[float, float], ...]:
    """Return points of a sigmoid of the log-odds (Platt's scaling)."""
    odds = np.linspace(-8, 8, 65)
    return tuple(zip(odds.tolist(), (1 / (1 + np.exp(-(odds * slope + offset)))).tolist(), strict=True))


def calibrate(
    captioner: Narrator, digest: str, examples: Sequence[Example], advance: Callable[[int], None]
) -> Calibration:
    """Fit a calibration for the captioner whose weights have this digest; raises DataError for too few photos."""
    judge = judge_by(examples)
    seen = look(captioner, [one.photo for one in examples], advance)
    return fit(seen, judge.right(seen.captions), halves(examples), digest)


def fit(seen: Seen, right: Flags, fitted: Flags, digest: str) -> Calibration:
    """Fit on the captions that `fitted` says, measure on the others."""
    line, curve = fit_right(seen.those(fitted), right[fitted])
    calibration = Calibration(digest, line, curve)
    held = seen.those(~fitted)
    confidence = np.array(
        [calibration.doubt(one.signals, pooled, regions).confidence for one, pooled, regions in held.each()]
    )
    figures = {
        "photos": [int(fitted.sum()), int((~fitted).sum())],
        "right": round(float(right[~fitted].mean()), 4),
        "ece": round(expected_calibration_error(confidence, right[~fitted]), 4),
        "aurc": round(aurc(confidence, right[~fitted]), 4),
        "aurc_logprob": round(aurc(held.inputs(["mean_logprob"])[:, 0], right[~fitted]), 4),
    }
    return replace(calibration, risk=risk_table(confidence, right[~fitted]), figures=figures)


def risk_table(confidence: Numbers, right: Flags) -> tuple[tuple[float, float, float], ...]:
    """Return threshold, coverage and share wrong at each confidence that was met, falling."""
    order = np.argsort(-confidence, kind="stable")
    wrong = np.cumsum(~right[order])
    last = [
        place
        for place in range(len(order))
        if place + 1 == len(order) or confidence[order[place + 1]] < confidence[order[place]]
    ]
    return tuple((float(confidence[order[at]]), (at + 1) / len(order), float(wrong[at] / (at + 1))) for at in last)
