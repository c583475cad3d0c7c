"""Two captioners at once: both say their words, the surer one's are published, and disagreement is a doubt."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from captioner.confidence import load_calibration, with_doubt
from captioner.errors import ModelError
from captioner.hedging import DISAGREE
from captioner.records import Alternative, Caption, Features, Photo
from captioner.signals import FUNCTION_WORDS
from captioner.weights import Description, user_calibration, with_calibration

if TYPE_CHECKING:
    from captioner.captioning import AnyCaptioner

LEAST_AGREEMENT = 0.15
"""Captions that share less of their telling words are flagged."""


def describe_together(first: Description, second: Description) -> Description:
    """Say what two captioners are as one; raise ModelError where they are one, or write different languages."""
    if first.weights_digest == second.weights_digest:
        raise ModelError("both captioners are the same one", second.name, "name another one with --also")
    if first.language.partition("-")[0] != second.language.partition("-")[0]:
        what = f"it writes {second.language}, and {first.name} writes {first.language}"
        raise ModelError(what, second.name, "choose two captioners of one language")
    weights = hashlib.sha256(f"{first.weights_digest} {second.weights_digest}".encode()).hexdigest()[:16]
    calibration = user_calibration(weights)
    digest = hashlib.sha256(f"{first.digest} {second.digest} {with_calibration(weights, calibration)}".encode())
    name, licence = f"{first.name} + {second.name}", f"{first.licence}; {second.licence}"
    return Description(name, first.folder, digest.hexdigest()[:16], licence, first.language, weights, calibration)


@dataclass(frozen=True, eq=False)
class BothFeatures(Features):
    """What the first captioner's encoder makes of a photo, with what the second one's makes of it."""

    other: Features | None = None
    """The second one's."""


class Together:
    """Two loaded captioners with the calls of one."""

    def __init__(self, first: "AnyCaptioner", second: "AnyCaptioner", description: Description) -> None:
        """Put them side by side; `description` is that of both."""
        self.first, self.second = first, second
        self.name, self.digest, self.weights_digest = description.name, description.digest, description.weights_digest
        self.licence, self.language = description.licence, description.language
        self.encoder_digest: str = first.encoder_digest
        self.input_size_px: int = max(first.input_size_px, second.input_size_px)
        self.calibration = load_calibration(description.calibration, description.weights_digest)

    def encode(self, photos: Sequence[Photo]) -> list[Features]:
        """Turn photos into features of both."""
        pairs = zip(self.first.encode(photos), self.second.encode(photos), strict=True)
        return [BothFeatures(**vars(one), other=other) for one, other in pairs]

    def decode(self, features: Sequence[Features]) -> list[Caption]:
        """Turn features into captions: the surer one's, the other one's words first among its alternatives."""
        others = [one.other for one in features if isinstance(one, BothFeatures) and one.other is not None]
        if len(others) != len(features):
            raise ModelError("features of one captioner", self.name, "encode the photo with both")
        both = zip(self.first.decode(features), self.second.decode(others), features, strict=True)
        return [self._surer(one, other, photo) for one, other, photo in both]

    def _surer(self, one: Caption, other: Caption, photo: Features) -> Caption:
        if (other.confidence or 0.0) > (one.confidence or 0.0):
            one, other = other, one
        agreement = agreement_of(one.text, other.text)
        signals = {**one.signals, "both_agree": agreement, "surer": _log_odds(one.confidence)}
        disagree = () if agreement >= LEAST_AGREEMENT else (DISAGREE,)
        doubts = tuple(dict.fromkeys((*one.doubts, *other.doubts, *disagree)))
        rest = (Alternative(other.text, other.mean_logprob), *one.alternatives)
        told = replace(one, captioner_digest=self.digest, alternatives=rest, signals=signals, doubts=doubts)
        if self.calibration is None:
            return told
        judged = with_doubt(told, signals, photo, self.calibration)
        return replace(judged, doubts=tuple(dict.fromkeys((*doubts, *judged.doubts))))


def _log_odds(confidence: float | None) -> float:
    """Return the log-odds of a confidence, within -7 and 7; 0 where there is none."""
    chance = min(max(0.5 if confidence is None else confidence, 0.001), 0.999)
    return math.log(chance / (1 - chance))


def agreement_of(first: str, second: str) -> float:
    """Return how far two captions share the words that tell something: 1 all, 0 none."""
    one, other = ({word for word in text.lower().split() if word not in FUNCTION_WORDS} for text in (first, second))
    return 2 * len(one & other) / max(1, len(one) + len(other))
