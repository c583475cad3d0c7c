"""Fit how sure a captioner is, on one half of captioned photos, and measure it on the other half.

A caption is right where its CIDEr-D against what people wrote about the photo is above the 10th percentile of a
person's own caption scored against the others'. Pictures that are no photos are drawn (captioner.drawn_pictures), and
words are laid over photos (captioner.drawn_overlays): one set of styles to learn from, another one to be judged on.

Shapes: N captions or pictures, D features, L regions.
"""

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from captioner.confidence import Calibration, Line
from captioner.dataset import Example
from captioner.drawn_overlays import with_words
from captioner.drawn_pictures import KINDS, Purpose, draw
from captioner.errors import DataError
from captioner.logistic import Flags, Numbers, fit_logistic
from captioner.metrics import CiderD, ptb_like
from captioner.records import Caption, Features, Photo
from captioner.signals import PICTURE

LEAST_PHOTOS = 100
"""Fewer captioned photos than these say nothing about a share."""
PERCENTILE = 10
"""A caption is right above this percentile of people's own scores."""
BATCH_PHOTOS = 25
"""Photos at a time: their pixels are held in memory."""
SIGNALS = ("openness", "from_photo")
"""What the probability of being right is made of; chosen, as the penalties are, on the fitted half alone (LOG.md)."""
WHERE_PHOTO_IS_NEEDED = ("openness", "mean_logprob")
"""The same of a captioner that says nothing without a photo."""
WHERE_TWO_SPEAK = ("surer", "both_agree", "openness")
"""The same of two captioners (captioner.together)."""
DECAY, PICTURE_DECAY, PIXELS_DECAY, TEXT_DECAY = 10.0, 10.0, 1.0, 1000.0
"""Penalties on the weights of the lines."""
FOLDS = 10
"""Parts of the fitted half that take turns at being left out."""
DRAWN: dict[Purpose, dict[str, int]] = {
    "fit": dict.fromkeys(KINDS, 60),
    "report": {"blank": 50, "noise": 50, "screen": 20, "page": 20},
}
"""How many pictures of each kind are drawn."""
OVERLAID: dict[Purpose, int] = {"fit": 300, "report": 200}
"""How many photos get words laid over them."""
TEXT_REGIONS, TEXT_SHARE, PLAIN_SHARE = 2, 0.25, 0.98
"""A flagged picture has so many regions with text; a region has it from that share of it on; so many photos pass."""


class Narrator(Protocol):
    """What is calibrated: any captioner."""

    def encode(self, photos: Sequence[Photo]) -> list[Features]:
        """Turn photos into features."""

    def decode(self, features: Sequence[Features]) -> list[Caption]:
        """Turn features into captions."""


@dataclass
class Seen:
    """What a captioner made of some pictures: a caption and features of each."""

    captions: list[Caption] = field(default_factory=list)
    pooled: list[NDArray[Any]] = field(default_factory=list)
    regions: list[NDArray[Any]] = field(default_factory=list)

    def inputs(self, names: Sequence[str]) -> Numbers:
        """Return the named signals, (N, S)."""
        return np.array([[one.signals[name] for name in names] for one in self.captions]).reshape(-1, len(names))

    def those(self, chosen: Flags) -> "Seen":
        """Return the chosen ones."""
        kept = [one for one, wanted in zip(self.each(), chosen, strict=True) if wanted]
        return Seen([one for one, _, _ in kept], [one for _, one, _ in kept], [one for _, _, one in kept])

    def each(self) -> Iterator[tuple[Caption, NDArray[Any], NDArray[Any]]]:
        """Yield caption, pooled features and regions of each picture."""
        return zip(self.captions, self.pooled, self.regions, strict=True)

    def confidences(self, calibration: Calibration) -> Numbers:
        """Return what a calibration says of each caption, (N,)."""
        return np.array([calibration.doubt(one.signals, *rest).confidence for one, *rest in self.each()])

    def flagged(self, calibration: Calibration, rule: str) -> Flags:
        """Say of which pictures a calibration has that doubt, (N,)."""
        return np.array([rule in calibration.doubt(one.signals, *rest).flags for one, *rest in self.each()], dtype=bool)


@dataclass(frozen=True)
class Findings:
    """Everything that the captioner said, of which the calibration is made and by which it is judged."""

    photos: Seen
    """Captioned photos."""
    right: Flags
    """Which of their captions are right, (N,)."""
    fitted: Flags
    """Which of them are fitted on, (N,)."""
    drawn: dict[Purpose, dict[str, Seen]]
    """Pictures that are no photos, by purpose and kind."""
    overlaid: dict[Purpose, Seen]
    """Photos with words laid over them: of the fitted half to learn from, of the other half to be judged on."""
    masks: list[NDArray[np.bool_]]
    """Where the words are on those to learn from, (H, W) each."""


def findings(captioner: Narrator, examples: Sequence[Example], advance: Callable[[int], None]) -> Findings:
    """Caption the photos and all that is drawn; raises DataError where the photos are too few to judge by."""
    judge, fitted = judge_by(examples), halves(examples)
    photos = look(captioner, [one.photo for one in examples], advance)
    drawn = {
        purpose: {kind: look(captioner, [_drawn(kind, n, purpose) for n in range(count)], advance)
                  for kind, count in kinds.items()}
        for purpose, kinds in DRAWN.items()
    }  # fmt: skip
    masks: list[NDArray[np.bool_]] = []
    chosen = {"fit": np.flatnonzero(fitted), "report": np.flatnonzero(~fitted)}
    overlaid = {
        purpose: look(
            captioner,
            [_overlaid(examples[place], n, purpose, masks) for n, place in enumerate(chosen[purpose][:count])],
            advance,
        )
        for purpose, count in OVERLAID.items()
    }
    return Findings(photos, judge.right(photos.captions), fitted, drawn, overlaid, masks)


def amount(examples: Sequence[Example]) -> int:
    """Return how many pictures `findings` looks at, about."""
    return len(examples) + sum(sum(kinds.values()) for kinds in DRAWN.values()) + sum(OVERLAID.values())


def look(captioner: Narrator, photos: Sequence[Callable[[], Photo]], advance: Callable[[int], None]) -> Seen:
    """Caption pictures, each opened when its turn comes."""
    seen = Seen()
    for start in range(0, len(photos), BATCH_PHOTOS):
        features = captioner.encode([photo() for photo in photos[start : start + BATCH_PHOTOS]])
        seen.captions += captioner.decode(features)
        seen.pooled += [one.pooled for one in features]
        seen.regions += [one.regions for one in features]
        advance(len(features))
    return seen


def _drawn(kind: str, number: int, purpose: Purpose) -> Callable[[], Photo]:
    return lambda: as_photo(draw(kind, number, purpose))


def _overlaid(example: Example, number: int, purpose: Purpose, masks: list[NDArray[np.bool_]]) -> Callable[[], Photo]:
    """Return what opens a photo with words on it and, of those to learn from, keeps where they are."""

    def opened() -> Photo:
        pixels, where = with_words(example.read(), number, purpose)
        masks.extend([where] if purpose == "fit" else [])
        return as_photo(pixels)

    return opened


def as_photo(pixels: NDArray[np.uint8]) -> Photo:
    """Return pixels, (H, W, 3), as a photo that a run would have opened: shrunk by a whole factor where it is large."""
    factor = max(1, min(pixels.shape[:2]) // 260)
    small = np.asarray(Image.fromarray(pixels).reduce(factor))
    return Photo(hashlib.sha256(pixels.tobytes()).hexdigest(), small, pixels.shape[1], pixels.shape[0], "png")


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
        what = f"{len(examples)} captioned photos are too few to calibrate on: it takes {LEAST_PHOTOS}"
        raise DataError(what, "DATA", mend)
    scorer = CiderD([[ptb_like(text) for text in one.captions] for one in examples])
    scores = [score for photo in range(len(examples)) for score in scorer.against_each_other(photo)]
    if len(scores) < LEAST_PHOTOS:
        raise DataError("hardly any photo has two captions, so people cannot be compared", "DATA", mend)
    return Judge(scorer, float(np.percentile(scores, PERCENTILE)))


def fit(found: Findings, digest: str) -> Calibration:
    """Fit the lines for the captioner whose weights have this digest."""
    photos = found.photos.those(found.fitted)
    right, curve = fit_right(photos, found.right[found.fitted])
    pixels, text = fit_pixels(found, photos), fit_text(found, photos)
    return Calibration(digest, right, curve, fit_picture(found, photos) or pixels, text, pixels, TEXT_REGIONS)


def fit_right(seen: Seen, right: Flags) -> tuple[Line, tuple[tuple[float, float], ...]]:
    """Fit the line that says whether a caption is right, and the curve from its log-odds to a probability.

    The curve is a sigmoid (Platt's scaling), fitted to scores of captions that the line did not learn from. Raises
    DataError where all captions are right, or none is.
    """
    if right.all() or not right.any():
        what = f"{int(right.sum())} of {len(right)} captions are right: there is nothing to tell apart"
        raise DataError(what, "the captioner", "give photos of another kind, or train it longer")
    names = signals_of(seen)
    inputs = seen.inputs(names)
    slope, offset = fit_logistic(left_out_scores(inputs, right)[:, None], right, 0.0)
    weights, bias = fit_logistic(inputs, right, DECAY)
    odds = np.linspace(-8, 8, 65)
    shares = 1 / (1 + np.exp(-(odds * slope[0] + offset)))
    return _line(names, weights, bias), tuple(zip(odds.tolist(), shares.tolist(), strict=True))


def signals_of(seen: Seen) -> tuple[str, ...]:
    """Return the names of what the probability of being right is made of."""
    if "both_agree" in seen.captions[0].signals:
        return WHERE_TWO_SPEAK
    return SIGNALS if seen.inputs(["from_photo"]).any() else WHERE_PHOTO_IS_NEEDED


def left_out_scores(inputs: Numbers, right: Flags) -> Numbers:
    """Return each caption's log-odds by a line that was fitted without it, (N,)."""
    scores, order = np.zeros(len(right)), np.random.default_rng(0).permutation(len(right))
    for fold in range(FOLDS):
        held = np.isin(np.arange(len(right)), order[fold::FOLDS])
        weights, bias = fit_logistic(inputs[~held], right[~held], DECAY)
        scores[held] = inputs[held] @ weights + bias
    return scores


def fit_picture(found: Findings, photos: Seen) -> Line | None:
    """Fit the line that tells photos from blanks, noise, screens and pages by the encoder's features.

    None where the captioner does not show them.
    """
    if not photos.pooled[0].size:
        return None
    some = [photos, *found.drawn["fit"].values()]
    pooled = np.concatenate([np.stack(one.pooled) for one in some]).astype(np.float64)  # (N, D)
    weights, bias = fit_logistic(pooled, _is_photo(some), PICTURE_DECAY, balanced=True)
    return Line({}, bias, tuple(weights.tolist()))


def fit_pixels(found: Findings, photos: Seen) -> Line:
    """Fit the line that tells the same by the numbers about the pixels, whatever the captioner."""
    some = [photos, *found.drawn["fit"].values()]
    inputs = np.concatenate([one.inputs(PICTURE) for one in some])
    return _line(PICTURE, *fit_logistic(inputs, _is_photo(some), PIXELS_DECAY, balanced=True))


def _is_photo(some: Sequence[Seen]) -> Flags:
    """Say of everything in `some`, photos first, whether it is a photo, (N,)."""
    return np.concatenate([np.full(len(one.captions), number == 0) for number, one in enumerate(some)])


def fit_text(found: Findings, photos: Seen) -> Line | None:
    """Fit the line that tells regions with text; None where the captioner shows no square grid of regions."""
    shape = photos.regions[0].shape
    grid = math.isqrt(shape[0])
    if len(shape) != 2 or grid * grid != shape[0] or photos.regions[0].dtype != np.float16:  # noqa: PLR2004  (L, D)
        return None
    covered = np.concatenate([_covered(mask, grid) for mask in found.masks])  # (N * L,)
    worded = np.concatenate(found.overlaid["fit"].regions)[covered > TEXT_SHARE]
    plain = np.concatenate(photos.regions)
    plain = plain[np.random.default_rng(0).permutation(len(plain))[: 3 * len(worded)]]
    inputs = np.concatenate([worded, plain]).astype(np.float64)
    weights, bias = fit_logistic(inputs, np.arange(len(inputs)) < len(worded), TEXT_DECAY, balanced=True)
    line = Line({}, bias, tuple(weights.tolist()))
    tops = [float(np.sort(line.log_odds({}, regions))[-TEXT_REGIONS]) for regions in photos.regions]
    return replace(line, bound=float(np.quantile(tops, PLAIN_SHARE)))


def _covered(mask: NDArray[np.bool_], grid: int) -> Numbers:
    """Return the share of each cell of a grid that a mask covers, row by row."""
    small = Image.fromarray(mask.astype(np.float32)).resize((grid, grid), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64).ravel()


def _line(names: Sequence[str], weights: Numbers, bias: float) -> Line:
    return Line(dict(zip(names, weights.tolist(), strict=True)), bias)
