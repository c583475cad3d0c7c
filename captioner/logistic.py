"""Logistic regression, a rising curve, and the measures of doubt: small, exact and without a library.

Shapes: N captions or pictures, S signals.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import softplus

Numbers = NDArray[np.float64]
Flags = NDArray[np.bool_]


def fit_logistic(inputs: Numbers, wanted: Flags, decay: float, balanced: bool = False) -> tuple[Numbers, float]:
    """Fit weights (S,) and a bias to (N, S) inputs and (N,) answers.

    The inputs are scaled to unit variance inside; `decay` is the penalty on the squares of the scaled weights, in
    captions. `balanced` lets both answers weigh the same.
    """
    mean, spread = inputs.mean(0), inputs.std(0) + 1e-6
    scaled = torch.from_numpy((inputs - mean) / spread)
    signs = torch.from_numpy(np.where(wanted, -1.0, 1.0))
    heed = np.where(wanted, 0.5 / max(1, wanted.sum()), 0.5 / max(1, (~wanted).sum())) * len(wanted)
    heeds = torch.from_numpy(heed if balanced else np.ones(len(wanted)))
    weights = torch.zeros(inputs.shape[1] + 1, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weights], max_iter=300, line_search_fn="strong_wolfe", tolerance_grad=1e-9)

    def loss() -> torch.Tensor:
        optimiser.zero_grad()
        odds = scaled @ weights[:-1] + weights[-1]
        total = (heeds * softplus(signs * odds)).sum() + decay * weights[:-1].square().sum() / 2
        total.backward()  # type: ignore[no-untyped-call]
        return total

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    found = weights.detach().numpy()
    plain = found[:-1] / spread
    return plain, float(found[-1] - plain @ mean)


def rising(scores: Numbers, right: Flags) -> tuple[Numbers, Numbers]:
    """Fit the rising step curve (isotonic regression, by pooling neighbours that violate it): its blocks.

    Returns the mean score and the share right of each block.
    """
    order = np.argsort(scores, kind="stable")
    blocks: list[list[float]] = []  # sum of scores, number right, number
    for score, hit in zip(scores[order], right[order], strict=True):
        blocks.append([float(score), float(hit), 1.0])
        while len(blocks) > 1 and blocks[-2][1] * blocks[-1][2] >= blocks[-1][1] * blocks[-2][2]:
            last = blocks.pop()
            blocks[-1] = [a + b for a, b in zip(blocks[-1], last, strict=True)]
    means = np.array([[total / count, hits / count] for total, hits, count in blocks])
    return means[:, 0], means[:, 1]


def expected_calibration_error(confidence: Numbers, right: Flags, bins: int = 10) -> float:
    """Return the mean distance between confidence and the share right, over bins of equal width (Guo et al. 2017)."""
    return sum(share * abs(said - found) for said, found, share in reliability(confidence, right, bins))


def reliability(confidence: Numbers, right: Flags, bins: int = 10) -> list[tuple[float, float, float]]:
    """Return mean confidence, share right, and share of all for each bin that is not empty."""
    places = np.minimum((confidence * bins).astype(int), bins - 1)
    kept = [places == place for place in range(bins) if (places == place).any()]
    return [(float(confidence[one].mean()), float(right[one].mean()), float(one.mean())) for one in kept]


def risk_by_coverage(confidence: Numbers, right: Flags) -> Numbers:
    """Return the share wrong among the surest 1, 2, ... N captions, (N,)."""
    order = np.argsort(-confidence, kind="stable")
    risks: Numbers = np.cumsum(~right[order]) / np.arange(1, len(right) + 1)
    return risks


def aurc(confidence: Numbers, right: Flags) -> float:
    """Return the area under the curve of risk by coverage (Geifman and El-Yaniv 2017): lower is better."""
    return float(risk_by_coverage(confidence, right).mean())


def auroc(scores: Sequence[float] | Numbers, wanted: Flags) -> float:
    """Return the chance that a wanted one scores above an unwanted one; ties count half."""
    values = np.asarray(scores, dtype=float)
    ranks = np.empty(len(values))
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    positive, total = int(wanted.sum()), len(wanted)
    return float((ranks[wanted].sum() - positive * (positive + 1) / 2) / max(1, positive * (total - positive)))
