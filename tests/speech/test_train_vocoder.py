import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from speech import discriminators, export, train_vocoder, vocoder, vocoder_pairs, weights
from speech.mels import log_mel
from speech.voices import read_config
from tests.fakes.make_tiny_voice import tiny_voice

WIDTH = {"upsample_initial_channel": 32}
RECIPE: dict[str, Any] = {
    "generator": {
        **vocoder.UNIVERSAL_V1,
        **WIDTH,
        "resblock_kernel_sizes": [7],
        "resblock_dilation_sizes": [[1, 3, 5]],
    },
    "training": json.loads(train_vocoder.RECIPE.read_text())["training"]
    | {
        "batch": 2,
        "segment_frames": 12,
        "local_steps": 2,
        "distilling_steps": 4,
        "adversarial_steps": 2,
        "critic_channels": 2,
    },
}


def teacher() -> vocoder.HifiganGenerator:
    torch.manual_seed(0)
    generator = vocoder.build(vocoder.UNIVERSAL_V1 | WIDTH)
    for layer in generator.modules():
        if isinstance(layer, torch.nn.Conv1d | torch.nn.ConvTranspose1d):
            layer.weight.data.mul_(1.5)
    return generator


def pairs() -> list[vocoder_pairs.Pair]:
    random, made = np.random.default_rng(0), []
    for k in range(3):
        sound = (0.2 * random.standard_normal((8 + 5 * k) * 256)).astype(np.float32)
        mel = log_mel(sound).astype(np.float16)
        made.append(vocoder_pairs.Pair(f"clip-{k}", (sound * 32767).astype(np.int16), mel, mel + np.float16(0.1)))
    return made


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "losses.csv").open() as lines:
        return list(csv.DictReader(lines))


def test_a_student_with_every_block_of_the_teacher_sounds_like_it():
    original = teacher()
    student = train_vocoder.prune(original, vocoder.UNIVERSAL_V1 | WIDTH)
    mel = torch.randn(1, 80, 9)
    with torch.inference_mode():
        assert torch.allclose(student(mel), original(mel), atol=1e-5)


def test_a_smaller_student_keeps_the_weights_that_both_have():
    original, student = teacher(), train_vocoder.prune(teacher(), RECIPE["generator"])
    assert torch.equal(student.conv_pre.weight, original.conv_pre.weight)
    assert torch.equal(student.resblocks[2].convs1[1].weight, original.resblocks[2 * 3 + 1].convs1[1].weight)
    assert len(student.resblocks) == 4


def test_pairs_are_read_back(tmp_path: Path):
    vocoder_pairs.save_pairs(pairs(), tmp_path / "pairs.npz")
    for before, after in zip(pairs(), vocoder_pairs.load_pairs(tmp_path / "pairs.npz"), strict=True):
        assert before.clip == after.clip
        assert np.array_equal(before.samples, after.samples)
        assert np.array_equal(before.recorded, after.recorded)
        assert np.array_equal(before.predicted, after.predicted)


def first_spectrum(folder: Path, changed: dict[str, float]) -> float:
    folder.mkdir()
    settings = {**RECIPE["training"], "adversarial_steps": 0, "warm_up_steps": 1, **changed}
    train_vocoder.Trainer(pairs(), teacher(), {**RECIPE, "training": settings}, folder).run()
    return next(float(row["spectrum"]) for row in rows(folder) if float(row["spectrum"]))


def test_learning_stage_by_stage_brings_the_student_nearer_to_its_teacher(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(train_vocoder.Trainer, "log_steps", 5)
    before = first_spectrum(tmp_path / "before", {"local_steps": 0, "distilling_steps": 5, "learning_rate": 1e-9})
    after = first_spectrum(tmp_path / "after", {"local_steps": 15, "distilling_steps": 20, "learning_rate": 0.02})
    by_stage = [float(row["hidden"]) for row in rows(tmp_path / "after")[:3]]
    assert by_stage[2] < by_stage[1] < by_stage[0]
    assert after < before


def test_a_run_cut_in_either_phase_goes_on_where_it_stopped(tmp_path: Path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    train_vocoder.Trainer(pairs(), teacher(), RECIPE, whole).run()
    for stop in (2, 5, 6):
        trainer = train_vocoder.Trainer(pairs(), teacher(), RECIPE, cut)
        while trainer.step < stop:
            trainer.advance()
        trainer.save()
    one, other = (torch.load(folder / "checkpoint.pt", weights_only=True) for folder in (whole, cut))
    assert one["step"] == other["step"] == 6
    for name, value in one["average"].items():
        assert torch.allclose(value, other["average"][name], atol=1e-4), name
    for name, value in one["critics"].items():
        assert torch.allclose(value, other["critics"][name], atol=1e-4), name


def test_critics_tell_noise_from_silence_after_a_few_steps():
    torch.manual_seed(0)
    critics = torch.nn.ModuleList([discriminators.SpectrumCritics(2), discriminators.PeriodCritics(2)])
    optimizer = torch.optim.AdamW(critics.parameters(), lr=0.01)
    real, made = 0.3 * torch.randn(2, 4096), torch.zeros(2, 4096)
    losses = []
    for _ in range(15):
        loss = sum((discriminators.critic_loss(c(real), c(made)) for c in critics), torch.zeros(()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.5 * losses[0]


def test_an_exported_voice_holds_the_students_averaged_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    train_vocoder.Trainer(pairs(), teacher(), RECIPE, tmp_path).run()
    source = tiny_voice(tmp_path / "source")
    (source / "CARD.md").write_text("a card")
    target = tiny_voice(tmp_path / "target")
    (target / "CARD.md").write_text("kept")
    monkeypatch.setattr("sys.argv", ["export", str(source), str(target), "--vocoder", str(tmp_path)])
    export.main()
    student, settings = train_vocoder.averaged_student(tmp_path / "checkpoint.pt")
    assert read_config(target)["vocoder"] == settings == RECIPE["generator"]
    stored = weights.load(target / "vocoder.safetensors")
    assert all(torch.equal(stored[name], value.half().float()) for name, value in student.state_dict().items())
    kept = weights.load(source / "model.safetensors")
    again = weights.load(target / "model.safetensors")
    assert all(torch.allclose(v, kept[name], rtol=1e-3, atol=1e-6) for name, v in again.items())
    assert (target / "CARD.md").read_text() == "kept"
    assert sorted(path.name for path in tmp_path.glob("target*")) == ["target"]


def test_an_export_that_fails_leaves_the_old_voice_as_it_was(tmp_path: Path):
    voice = tiny_voice(tmp_path / "voice")
    before = {path.name: path.read_bytes() for path in voice.iterdir()}

    def half_written() -> None:
        with export.replaced_whole(voice) as folder:
            (folder / "config.json").write_text("{")
            raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        half_written()
    assert {path.name: path.read_bytes() for path in voice.iterdir()} == before
