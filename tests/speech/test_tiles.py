"""Sound that is made in tiles is the sound made in one piece."""

import pytest
import torch
from make_coqui_voices import HIFIGAN

from speech import hifigan
from speech.hifigan import Hifigan
from speech.vocoder import build

ONE_PIECE = 10_000


@pytest.fixture
def vocoder() -> Hifigan:
    torch.manual_seed(0)
    return Hifigan(build(HIFIGAN | {"in_channels": 80, "out_channels": 1}), torch.device("cpu"), dtype=torch.float32)


@pytest.mark.parametrize("lengths", [[129], [300], [500, 3], [1, 200, 90]])
def test_tiles_that_overlap_sound_like_one_piece(vocoder: Hifigan, lengths: list[int], monkeypatch: pytest.MonkeyPatch):
    mels = [torch.randn(80, length) for length in lengths]
    monkeypatch.setattr(hifigan, "TILE", ONE_PIECE)
    whole = vocoder(mels)
    monkeypatch.setattr(hifigan, "TILE", 128)
    tiled = vocoder(mels)

    for one, other in zip(whole, tiled, strict=True):
        assert one.shape == other.shape
        assert float(one.abs().max()) > 1e-3
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_whatever_the_length_the_generator_sees_a_few_widths_only(vocoder: Hifigan):
    widths = set()
    vocoder._generator.register_forward_pre_hook(lambda _module, given: widths.add(given[0].shape[-1]))

    for length in range(1, 1500, 61):
        vocoder([torch.randn(80, length)])

    assert widths <= set(range(64, hifigan.TILE + 1, 64))
