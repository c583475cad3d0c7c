"""What the small vocoder learns from: each recording with its own mel and the one that the acoustic model makes of it.

The second is made from the same phonemes with the recording's durations and pitch, so both mels belong to the recording
frame by frame.
Letters: T frames, M mel bands, N samples.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from speech import acoustic, corpus, train, weights
from speech.mels import HOP_LENGTH
from speech.voices import ACOUSTIC, read_config

GROUP = 64
"""Clips that go through the acoustic model together: enough that the shortest texts have a longer one beside them."""
FULL_SCALE = 32767


@dataclass(frozen=True, eq=False)
class Pair:
    """One recording and its two mels."""

    clip: str
    """Name in the corpus."""
    samples: NDArray[np.int16]
    """(N,) the recording at the voice's rate, N = 256 T."""
    recorded: NDArray[np.float16]
    """(T, M) the recording's natural-log mel."""
    predicted: NDArray[np.float16]
    """(T, M) what the acoustic model makes of the same phonemes with the recording's durations and pitch."""


def predict_aligned(
    model: acoustic.ForwardTTS,
    characters: acoustic.IPAPhonemes,
    utterances: list[corpus.Utterance],
    statistics: train.Statistics,
) -> dict[str, NDArray[np.float16]]:
    """Return by clip the acoustic model's natural-log mel (T, M) for the recording's own durations and pitch."""
    predicted, ordered = {}, sorted(utterances, key=lambda u: len(u.mel))
    for start in range(0, len(ordered), GROUP):
        group = ordered[start : start + GROUP]
        batch = train.collate(group, characters, statistics)
        with torch.inference_mode():
            out = model(batch.tokens, batch.token_lengths, batch.mel_lengths, dr=batch.durations, pitch=batch.pitch)
        for utterance, mel in zip(group, out["model_outputs"], strict=True):
            predicted[utterance.clip] = mel[: len(utterance.mel)].numpy().astype(np.float16)  # (T, M)
    return predicted


def make_pairs(folder: Path, utterances: list[corpus.Utterance], voice: Path, held_out: int) -> list[Pair]:
    """Return a pair for each utterance of the corpus in `folder`."""
    config = read_config(voice)
    model, characters = acoustic.build(config["acoustic"])
    model.load_state_dict(weights.load(voice / ACOUSTIC))
    statistics = train.measure(train.split(utterances, held_out)[0])
    predicted = predict_aligned(model.eval(), characters, utterances, statistics)
    recorded, pairs = {u.clip: u.mel for u in utterances}, []
    for clip, samples in corpus.clips(folder):
        if clip in recorded:
            whole = samples[: len(recorded[clip]) * HOP_LENGTH]
            cut = np.clip(whole * FULL_SCALE, -FULL_SCALE, FULL_SCALE).astype(np.int16)
            pairs.append(Pair(clip, cut, recorded[clip].astype(np.float16), predicted[clip]))
    return pairs


def save_pairs(pairs: list[Pair], path: Path) -> None:
    """Write pairs to one .npz; nothing is pickled."""
    arrays = {
        "clips": np.array([p.clip for p in pairs]),
        "frames": np.array([len(p.recorded) for p in pairs]),
        "samples": np.concatenate([p.samples for p in pairs]),
        "recorded": np.concatenate([p.recorded for p in pairs]),
        "predicted": np.concatenate([p.predicted for p in pairs]),
    }
    with path.with_suffix(".part").open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]  # numpy's stub takes one array type for all names
    path.with_suffix(".part").replace(path)


def load_pairs(path: Path) -> list[Pair]:
    """Return the pairs that `save_pairs` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    ends = np.cumsum(arrays["frames"])[:-1]
    parts = zip(
        arrays["clips"],
        np.split(arrays["samples"], ends * HOP_LENGTH),
        np.split(arrays["recorded"], ends),
        np.split(arrays["predicted"], ends),
        strict=True,
    )
    return [Pair(str(clip), samples, recorded, predicted) for clip, samples, recorded, predicted in parts]
