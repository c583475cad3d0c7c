"""Mixing captioners: shares are kept to, and what does not fit together is refused."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from make_tiny_captioner import tiny_bundle

from captioner.bundle import load_bundle, save_bundle
from captioner.errors import ModelError
from captioner.soup import main, mix
from captioner.tokenizer import Tokenizer


def test_weights_are_mixed_in_the_shares_given_beyond_the_end_too():
    start, end = tiny_bundle(0), tiny_bundle(1)
    expected = {name: 1.5 * one - 0.5 * start.model.state_dict()[name] for name, one in end.model.state_dict().items()}
    upper = "network.conv_head.weight"
    expected_upper = 1.5 * end.encoder.state_dict()[upper] - 0.5 * start.encoder.state_dict()[upper]

    mixed = mix([end, start], [1.5, -0.5])

    for name, one in mixed.model.state_dict().items():
        torch.testing.assert_close(one, expected[name])
    torch.testing.assert_close(mixed.encoder.state_dict()[upper], expected_upper)


def test_the_command_writes_a_captioner(tmp_path: Path):
    for number in (0, 1):
        save_bundle(tiny_bundle(number), tmp_path / str(number))

    assert main(["--out", str(tmp_path / "out"), f"{tmp_path}/0=0.5", f"{tmp_path}/1=0.5"]) == 0

    halves = [load_bundle(tmp_path / name).model.words.weight for name in ("0", "1", "out")]
    torch.testing.assert_close(halves[2], (halves[0] + halves[1]) / 2, rtol=0.002, atol=0.002)


def test_what_does_not_fit_together_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(ModelError, match=r"the shares add up to 1\.5"):
        mix([tiny_bundle(), tiny_bundle()], [1.0, 0.5])
    reworded = replace(tiny_bundle(), tokenizer=Tokenizer([f"word{n}" for n in range(20)]))
    with pytest.raises(ModelError, match="other words"):
        mix([tiny_bundle(), reworded], [0.5, 0.5])

    assert main(["--out", str(tmp_path), "narrator-lite"]) == 2
    assert "no share is given" in capsys.readouterr().out
