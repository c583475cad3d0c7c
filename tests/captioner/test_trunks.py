"""CNNs of torchvision as encoders: their sizes, their pixels, and random weights that give numbers."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from drawn import drawn

from captioner.beginnings import make_encoder
from captioner.train import main
from captioner.trunks import TRUNKS, TrunkEncoder, new_trunk

SIZES = {
    "resnet18": (224, 49, 512),
    "resnet50": (224, 49, 2048),
    "resnet101": (224, 49, 2048),
    "mobilenet_v3_small": (224, 49, 576),
    "mobilenet_v3_large": (224, 49, 960),
    "inception_v3": (299, 64, 2048),
    "small": (32, 16, 96),
}
"""Pixels on a side, regions, features a region."""


def photo(side_px: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.uint8]]":
    return np.random.default_rng(1).integers(0, 256, (side_px, side_px, 3), np.uint8)


def test_the_sizes_of_every_trunk_are_known():
    assert set(SIZES) == set(TRUNKS)


@pytest.mark.parametrize("name", SIZES)
def test_a_trunk_with_random_weights_gives_regions_that_half_precision_holds(name: str):
    torch.manual_seed(0)
    side_px, count, width = SIZES[name]
    encoder = make_encoder(name)
    prepared = encoder.prepare([photo(400), photo(50)])
    assert prepared.shape == (2, 3, side_px, side_px)

    with torch.inference_mode():
        lower = encoder.lower(prepared)
        regions = encoder.upper(lower.half().float())

    assert regions.shape == (2, encoder.region_count, encoder.width) == (2, count, width)
    assert bool(regions.half().isfinite().all())
    assert float(regions.std()) > 0.01


def test_the_same_seed_gives_the_same_trunk_and_so_the_same_cached_maps():
    digests = []
    for _ in range(2):
        torch.manual_seed(3)
        digests.append(new_trunk("resnet18").lower_digest())

    assert digests[0] == digests[1]


def test_inception_sees_pixels_from_minus_one_to_one_and_has_no_auxiliary_head():
    encoder = new_trunk("inception_v3")
    assert isinstance(encoder, TrunkEncoder)
    black_and_white = torch.tensor([0, 255], dtype=torch.uint8).reshape(2, 1, 1, 1).expand(2, 3, 4, 4)

    seen = encoder.normalise(black_and_white)

    assert seen.flatten(1).unique(dim=1).flatten().tolist() == [-1.0, 1.0]
    assert not any("Aux" in type(one).__name__ for one in encoder.modules())


def test_training_leaves_the_lower_stages_and_the_batch_norms_as_they_came():
    encoder = new_trunk("resnet18")
    tuned = {id(one) for one in encoder.tuned()}

    lower = [one for name, one in encoder.named_parameters() if not name.startswith(encoder.upper_names())]
    norms = [one for part in encoder.modules() if isinstance(part, torch.nn.BatchNorm2d) for one in part.parameters()]

    assert tuned
    assert not tuned & {id(one) for one in [*lower, *norms]}


def test_training_on_a_trunk_with_random_weights_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    drawn(tmp_path / "data", count=8)
    wanted = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "run"), "--steps", "1", "--versions", "plain"]

    assert main([*wanted, "--family", "show_tell", "--encoder", "mobilenet_v3_small", "--batch-photos", "2"]) == 0

    assert "random weights" in capsys.readouterr().out
