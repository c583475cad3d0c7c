"""A detector that has learned to find the drawn shapes: each is of a kind and a colour, and its box is known."""

from collections.abc import Sequence

import numpy as np
import torch

from captioner.boxes import DetectorConfig, DetectorEncoder
from captioner.drawings import COLOURS, KINDS, SIDE_PX, Drawing, drawings

CLASSES = [(kind, colour) for kind in KINDS for colour in COLOURS]


def boxes_of(made: Sequence[Drawing], side_px: int) -> list[torch.Tensor]:
    """Return where each drawing's shape is on a square of this side: (1, 4) each."""
    return [torch.tensor([one.box]) * (side_px / SIDE_PX) for one in made]


def finding_detector(steps: int = 300, rate: float = 3e-3, count: int = 600) -> DetectorEncoder:
    """Train a small detector from random weights; it stays as it is afterwards."""
    torch.manual_seed(0)
    detector = DetectorEncoder(DetectorConfig(classes=1 + len(CLASSES)))
    optimizer = torch.optim.Adam(detector.parameters(), lr=rate)
    made, random = drawings(count, seed=4), np.random.default_rng(0)
    prepared = detector.prepare([one.pixels for one in made])
    places = boxes_of(made, detector.config.input_size_px)
    kinds = [torch.tensor([1 + CLASSES.index((one.kind, one.colour))]) for one in made]
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * min((step + 1) / 15, 1 - step / steps)
        some = [int(number) for number in random.choice(count, 12, replace=False)]
        loss = detector.learn(prepared[some], [places[one] for one in some], [kinds[one] for one in some])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(detector.parameters(), 5.0)
        optimizer.step()
        optimizer.zero_grad()
    return detector.eval().requires_grad_(requires_grad=False)
