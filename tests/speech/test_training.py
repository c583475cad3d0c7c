# ruff: noqa: RUF001 - the phonemes are letters of the IPA

import copy
import json
from pathlib import Path

import librosa
import numpy as np
import pytest
import soundfile
import soxr
import torch
from hypothesis import given
from hypothesis import strategies as st

from speech import corpus, train, train_vocoder, vocoder, weights
from speech.mels import FFT_SIZE, HOP_LENGTH, MEL_BANDS, log_mel
from speech.voices import read_config, resolve_voice

CLIP = Path(__file__).parents[2] / "docs" / "chelsea.png.mp3"
LETTERS = st.text(alphabet="abcˈ. ", max_size=12)
RECIPE = {
    "model": {
        "hidden_channels": 8,
        "use_aligner": False,
        "use_pitch": True,
        "positional_encoding": False,
        "encoder_type": "residual_conv_bn",
        "encoder_params": {"kernel_size": 3, "dilations": [1], "num_conv_blocks": 1, "num_res_blocks": 1},
        "decoder_type": "residual_conv_bn",
        "decoder_params": {"kernel_size": 3, "dilations": [1], "num_conv_blocks": 1, "num_res_blocks": 1},
    },
    "training": json.loads(train.RECIPE.read_text())["training"]
    | {"steps": 6, "batch_frames": 120, "held_out_clips": 2},
}


def utterances(count: int = 8) -> list[corpus.Utterance]:
    random = np.random.default_rng(0)
    made = []
    for k in range(count):
        phonemes = "".join(random.choice(list("abc."), 5 + k))
        durations = random.integers(1, 6, len(phonemes) + 2)
        frames = int(durations.sum())
        mel = random.standard_normal((frames, 80)).astype(np.float32)
        pitch = (random.random(frames) * 100 * (random.random(frames) > 0.5)).astype(np.float32)
        made.append(corpus.Utterance(f"clip-{k}", phonemes, durations, mel, pitch))
    return made


def test_the_mel_is_what_the_vocoders_authors_compute():
    sound = (0.3 * np.random.default_rng(0).standard_normal(22050)).astype(np.float32)
    edge = (FFT_SIZE - HOP_LENGTH) // 2
    spectrum = librosa.stft(np.pad(sound, edge, mode="reflect"), n_fft=FFT_SIZE, hop_length=HOP_LENGTH, center=False)
    bank = librosa.filters.mel(sr=22050, n_fft=FFT_SIZE, n_mels=80, fmin=0, fmax=8000)
    theirs = np.log(np.maximum(bank @ np.sqrt(np.abs(spectrum) ** 2 + 1e-9), 1e-5)).T
    ours = log_mel(sound)
    assert ours.shape == theirs.shape == (22050 // 256, 80)
    assert np.abs(ours - theirs).max() < 1e-3


@given(LETTERS.filter(bool), LETTERS.filter(bool), st.data())
def test_carried_durations_keep_their_sum(teacher: str, ours: str, data: st.DataObject):
    durations = data.draw(st.lists(st.floats(0, 500), min_size=len(teacher), max_size=len(teacher)))
    carried = corpus.carry_durations(teacher, durations, ours)
    assert len(carried) == len(ours)
    if any(i is not None and j is not None for i, j in corpus.align(teacher, ours)):
        assert sum(carried) == pytest.approx(sum(durations), abs=1e-6)


@given(LETTERS, st.data())
def test_equal_phonemes_keep_their_own_durations(text: str, data: st.DataObject):
    durations = data.draw(st.lists(st.floats(0, 500), min_size=len(text), max_size=len(text)))
    assert corpus.carry_durations(text, durations, text) == pytest.approx(durations)


@given(LETTERS, LETTERS)
def test_an_alignment_passes_through_both_texts_in_order(one: str, other: str):
    pairs = corpus.align(one, other)
    assert [i for i, _ in pairs if i is not None] == list(range(len(one)))
    assert [j for _, j in pairs if j is not None] == list(range(len(other)))


@given(st.lists(st.floats(0, 300), min_size=1, max_size=40), st.integers(1, 400))
def test_frame_counts_add_up_and_none_is_empty(durations: list[float], frames: int):
    counts = corpus.frame_counts(durations, frames)
    if counts is None:
        assert len(durations) > frames
    else:
        assert counts.sum() == frames
        assert counts.min() >= 1


@given(st.lists(st.floats(0, 300), min_size=2, max_size=20), st.floats(0, 500))
def test_moving_the_end_silence_keeps_the_length(durations: list[float], silence_ms: float):
    moved = corpus.move_end_silence(durations, silence_ms)
    assert sum(moved) == pytest.approx(sum(durations), abs=1e-6)
    assert min(moved) >= 0


def test_the_pitch_of_a_tone_is_found_and_noise_has_none():
    time = np.arange(22050) / 22050
    tone = sum(0.1 * np.sin(2 * np.pi * 120 * k * time) for k in range(1, 6)).astype(np.float32)
    pitch = corpus.pitch_track(tone, 86)
    assert np.median(pitch[5:-5]) == pytest.approx(120, rel=0.02)
    noise = (0.1 * np.random.default_rng(0).standard_normal(22050)).astype(np.float32)
    assert (corpus.pitch_track(noise, 86) > 0).mean() < 0.2


def test_a_prepared_corpus_is_read_back(tmp_path: Path):
    assert corpus.save(utterances(), tmp_path / "corpus.npz") == 8
    for before, after in zip(utterances(), corpus.load(tmp_path / "corpus.npz"), strict=True):
        assert (before.clip, before.phonemes) == (after.clip, after.phonemes)
        assert np.array_equal(before.durations, after.durations)
        assert np.abs(before.mel - after.mel).max() < 0.01


def test_a_run_that_was_cut_ends_where_an_uncut_one_does(tmp_path: Path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    train.Trainer(utterances(), RECIPE, whole).run()
    shortened = {**RECIPE, "training": RECIPE["training"] | {"steps": 3}}
    first = train.Trainer(utterances(), shortened, cut)
    first.settings = RECIPE["training"] | {"steps": 3}
    first.run()
    resumed = train.Trainer(utterances(), RECIPE, cut)
    assert resumed.step == 3
    resumed.run()
    one = torch.load(whole / "checkpoint.pt", weights_only=True)
    other = torch.load(cut / "checkpoint.pt", weights_only=True)
    assert one["step"] == other["step"] == 6


def test_padding_changes_no_loss():
    clips = utterances()
    model, characters = train.build(train.acoustic_settings(RECIPE, "abc."))
    model.eval()
    statistics = train.measure(clips)
    model.requires_grad_(False)
    alone = [train.losses(model, train.collate([clip], characters, statistics)) for clip in clips]
    frames = [len(clip.mel) for clip in clips]
    expected = sum(float(parts["mel"]) * n for parts, n in zip(alone, frames, strict=True)) / sum(frames)
    together = train.losses(model, train.collate(clips, characters, statistics))
    assert float(together["mel"]) == pytest.approx(expected, rel=1e-4)


def test_the_original_vocoders_names_fit_coquis():
    fresh = vocoder.HifiganGenerator(**vocoder.UNIVERSAL_V1)
    original = {}
    for name, value in fresh.state_dict().items():
        renamed = name.replace("parametrizations.weight.original0", "weight_g")
        original[renamed.replace("parametrizations.weight.original1", "weight_v")] = value
    assert len(original) == 234
    loaded = vocoder.from_original(original)
    fresh.eval()
    fresh.remove_weight_norm()
    mel = torch.randn(1, 80, 8)
    with torch.inference_mode():
        assert torch.allclose(loaded(mel), fresh(mel), atol=1e-6)


@pytest.mark.parametrize("frames", [1, 7, 40])
def test_the_quick_layout_of_the_vocoder_gives_the_plain_ones_sound(frames: int):
    torch.manual_seed(0)
    plain = vocoder.build(vocoder.UNIVERSAL_V1 | {"upsample_initial_channel": 64})
    for layer in plain.modules():
        if isinstance(layer, torch.nn.Conv1d | torch.nn.ConvTranspose1d):
            layer.weight.data.mul_(1.5)
    quick = vocoder.as_images(copy.deepcopy(plain))
    mel = torch.randn(80, frames)
    with torch.inference_mode():
        one, other = plain(mel[None])[0, 0], quick(mel[None, :, None])[0, 0, 0]
    assert one.shape == other.shape == (frames * 256,)
    assert one.abs().max() > 0.01
    assert torch.allclose(one, other, atol=1e-5)


def test_the_vocoders_recipe_has_the_mels_of_the_acoustic_model():
    generator = json.loads(train_vocoder.RECIPE.read_text())["generator"]
    assert generator["in_channels"] == vocoder.UNIVERSAL_V1["in_channels"] == MEL_BANDS
    assert np.prod(generator["upsample_factors"]) == np.prod(vocoder.UNIVERSAL_V1["upsample_factors"]) == HOP_LENGTH


def test_the_vocoder_gives_back_a_clips_mel_as_the_acoustic_model_learns_it():
    voice = resolve_voice("narrator").folder
    generator = vocoder.build(read_config(voice)["vocoder"])
    generator.load_state_dict(weights.load(voice / "vocoder.safetensors"))
    sound, rate = soundfile.read(CLIP, dtype="float32")
    learnt = log_mel(soxr.resample(sound, rate, 22050)[: 120 * HOP_LENGTH].astype(np.float32))
    with torch.inference_mode():
        again = log_mel(generator(torch.from_numpy(learnt.T)[None])[0, 0].numpy())
    loud = learnt > np.quantile(learnt, 0.5)
    apart = np.abs(again - learnt)[loud].mean()
    a_frame_late = np.abs(again[:, 1:] - learnt[:, :-1])[loud[:, :-1]].mean()
    assert apart < 0.25
    assert apart < 0.7 * a_frame_late


def test_large_tensors_in_eight_bits_come_back_nearly_the_same(tmp_path: Path):
    torch.manual_seed(0)
    large = torch.randn(1000, 1000) * torch.linspace(1e-4, 3, 1000)[:, None]
    small, steps = torch.randn(5, 7), torch.tensor(12)
    weights.save({"large": large, "small": small, "steps": steps}, tmp_path / "w.safetensors", eight_bits=True)
    assert (tmp_path / "w.safetensors").stat().st_size < 1_020_000
    loaded = weights.load(tmp_path / "w.safetensors")
    assert sorted(loaded) == ["large", "small", "steps"]
    assert torch.equal(loaded["steps"], steps)
    assert torch.allclose(loaded["small"], small, rtol=1e-3)
    rows = large.abs().amax(dim=1, keepdim=True)
    assert ((loaded["large"] - large).abs() <= rows / 254 * 1.01).all()


def test_in_half_precision_every_tensor_is_stored_as_it_is(tmp_path: Path):
    value = torch.randn(1200, 1000)
    weights.save({"weight": value}, tmp_path / "w.safetensors")
    assert torch.equal(weights.load(tmp_path / "w.safetensors")["weight"], value.half().float())
