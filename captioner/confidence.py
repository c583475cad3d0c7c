"""How likely a caption is right, and whether there is anything to caption: a small calibration beside the model.

`confidence.json` in a captioner's folder holds a few straight lines (logistic regressions) over named numbers about the
caption and the picture (captioner.signals) and over the encoder's pooled features, a curve that makes probabilities
of the first one, and what was measured on photos that none of it was fitted on. captioner.calibrate writes it.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from captioner.errors import ModelError
from captioner.records import Caption, Features

FORMAT = 1
"""Version of the file's layout."""
NO_DESCRIPTION, HAS_TEXT = "no-reliable-description", "contains-text"
"""Doubts about a picture, named as the flags of the alt text."""


@dataclass(frozen=True)
class Line:
    """A logistic regression over named signals and, where `pooled` is not empty, over the encoder's features."""

    weights: dict[str, float]
    """By the signal's name."""
    bias: float
    """What it says where all signals are 0."""
    pooled: tuple[float, ...] = ()
    """(D,): weights of the encoder's features."""
    bound: float = 0.0
    """Log-odds from which on it says yes, where it is asked for yes or no."""

    def log_odds(self, signals: Mapping[str, float], features: NDArray[Any]) -> NDArray[np.float64]:
        """Return the log-odds for each row of `features`, (..., D); one number where no features are asked for."""
        total = self.bias + sum(weight * signals[name] for name, weight in self.weights.items())
        if not self.pooled:
            return np.asarray(total)
        rows: NDArray[np.float64] = features.astype(np.float64) @ self._pooled + total
        return rows

    @cached_property
    def _pooled(self) -> NDArray[np.float64]:
        return np.asarray(self.pooled)


@dataclass(frozen=True)
class Doubt:
    """What the calibration says of one caption."""

    confidence: float
    """Probability that it is right, 0..1, three digits: finer ones depend on the machine."""
    flags: tuple[str, ...]
    """Of `NO_DESCRIPTION` and `HAS_TEXT` those that hold."""


@dataclass(frozen=True)
class Calibration:
    """All that turns signals into a probability."""

    captioner: str
    """Digest of the captioner that it was fitted for: for any other it says nothing."""
    right: Line
    """Whether a caption of a photo is right."""
    curve: tuple[tuple[float, float], ...]
    """Log-odds of `right`, rising, and the share that was right there: between two, a straight line."""
    picture: Line | None = None
    """Whether there is anything to describe: no blank, no noise, no screen, no page."""
    text: Line | None = None
    """Whether a region shows text."""
    pixels: Line | None = None
    """As `picture`, by the numbers about the pixels alone: good for any captioner."""
    text_regions: float = 1.0
    """From so many regions with text on the picture is flagged."""
    risk: tuple[tuple[float, float, float], ...] = ()
    """Held-out photos by confidence, falling: threshold, share published from there on, share wrong among these."""
    figures: dict[str, Any] = field(default_factory=dict)
    """What was measured, for the card."""

    def doubt(self, signals: Mapping[str, float], pooled: NDArray[Any], regions: NDArray[Any]) -> Doubt:
        """Judge one caption by its signals and its photo's features, (D,) and (L, D)."""
        score = float(self.right.log_odds(signals, pooled))
        chance = float(np.interp(score, [at for at, _ in self.curve], [share for _, share in self.curve]))
        flags = []
        if self.picture is not None:
            seen = float(self.picture.log_odds(signals, pooled))
            chance *= 1 / (1 + np.exp(-np.clip(seen - self.picture.bound, -30, 30)))
            flags += [NO_DESCRIPTION] if seen < self.picture.bound else []
        if self.text is not None:
            shown = self.text.log_odds(signals, regions) > self.text.bound
            flags += [HAS_TEXT] if shown.sum() >= self.text_regions else []
        return Doubt(round(chance, 3), tuple(flags))

    def threshold(self, most_wrong: float) -> float:
        """Return the confidence from which on at most that share of the held-out captions was wrong.

        1.001, above any confidence, where no such share could be kept.
        """
        kept = [at for at, _, wrong in self.risk if wrong <= most_wrong]
        return kept[-1] if kept else 1.001

    def coverage(self, most_wrong: float) -> float:
        """Return the share of the held-out captions that was at or above that threshold."""
        return max((share for _, share, wrong in self.risk if wrong <= most_wrong), default=0.0)


def with_doubt(
    caption: Caption,
    signals: Mapping[str, float],
    features: Features,
    calibration: Calibration | None,
    pixels: Line | None = None,
) -> Caption:
    """Return a caption with its signals and, where there is a calibration, its confidence and the picture's doubts.

    Where there is none, `pixels` still knows a blank.
    """
    signals = {**signals, **features.picture}
    if calibration is None or not features.picture:
        blank = pixels is not None and features.picture and pixels.log_odds(signals, features.pooled) < pixels.bound
        return replace(caption, signals=signals, doubts=(NO_DESCRIPTION,) if blank else ())
    doubt = calibration.doubt(signals, features.pooled, features.regions)
    return replace(caption, signals=signals, confidence=doubt.confidence, doubts=doubt.flags)


def load_calibration(path: Path, captioner: str) -> Calibration | None:
    """Read a calibration; None where there is none, or where it was fitted for other weights than `captioner`'s.

    Raises ModelError where the file is broken.
    """
    if not path.exists():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT or content["captioner"] != captioner:
            return None
        lines: dict[str, Any] = {name: line and _read_line(line) for name, line in content.pop("lines").items()}
        del content["format"]
        return Calibration(**content, **lines)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"not a calibration ({error})", str(path), "fit it again: narrate calibrate") from error


def load_pixels(path: Path) -> Line | None:
    """Read from a calibration, whosesoever, what knows a blank by its pixels; None where there is none.

    Raises ModelError where the file is broken.
    """
    if not path.exists():
        return None
    try:
        line = json.loads(path.read_text(encoding="utf-8"))["lines"].get("pixels")
        return _read_line(line) if line else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"not a calibration ({error})", str(path), "fetch the captioner again") from error


def _read_line(content: Mapping[str, Any]) -> Line:
    return Line(**{**content, "pooled": tuple(content["pooled"])})


def calibration_json(calibration: Calibration) -> bytes:
    """Return what `load_calibration` reads; weights in five digits."""
    content = asdict(calibration)
    lines = {name: content.pop(name) for name in ("right", "picture", "text", "pixels")}
    return (json.dumps({"format": FORMAT, **_short(content), "lines": _short(lines)}, indent=None) + "\n").encode()


def _short(value: Any) -> Any:
    """Return numbers in five digits, wherever they stand."""
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, Mapping):
        return {name: _short(one) for name, one in value.items()}
    return [_short(one) for one in value] if isinstance(value, list | tuple) else value
