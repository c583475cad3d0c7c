"""Train the built-in voice's acoustic model: `python -m speech.train CORPUS FOLDER [--recipe FILE]`.

The model is Coqui's `ForwardTTS` (a convolutional one in the manner of SpeedySpeech, Vainer and Dusek, Interspeech
2020, with FastPitch's pitch predictor, Lancucki, ICASSP 2021), given the teacher's durations, so that no aligner is
needed. It learns normalised mels; `speech.export` folds the normalisation into the last layer, so what comes out in use
is the natural-log mel that the vocoder hears. One CPU core is enough: bfloat16 where the processor has it, resumable,
an atomic checkpoint every few minutes, a row of `losses.csv` every `LOG_STEPS` steps.
Letters: B clips, P phoneme characters, T frames, M mel bands.
"""

import argparse
import json
import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.utils.rnn import pad_sequence

from speech import corpus
from speech.acoustic import ForwardTTS, IPAPhonemes, build, token_ids
from speech.resumable import Stateful, Training

log = logging.getLogger(__name__)

RECIPE = Path(__file__).parent / "recipes" / "narrator.json"
LOSSES = ("mel", "duration", "pitch")
LOG_STEPS = 200


@dataclass(frozen=True)
class Statistics:
    """What the mels and the pitch are normalised by."""

    mel_mean: NDArray[np.float32]
    """(M,) mean of each band."""
    mel_scale: NDArray[np.float32]
    """(M,) standard deviation of each band."""
    pitch_mean: float
    """Mean of the natural logarithm of the voiced pitch in Hz."""
    pitch_scale: float
    """Its standard deviation."""


@dataclass(frozen=True)
class Batch:
    """Some clips, padded."""

    tokens: torch.Tensor
    """(B, P) character numbers."""
    token_lengths: torch.Tensor
    """(B,)"""
    durations: torch.Tensor
    """(B, P) frames of each character."""
    mels: torch.Tensor
    """(B, T, M) normalised."""
    mel_lengths: torch.Tensor
    """(B,)"""
    pitch: torch.Tensor
    """(B, 1, T) normalised log pitch, exactly 0 where unvoiced."""


def acoustic_settings(recipe: dict[str, Any], alphabet: str) -> dict[str, Any]:
    """Return the settings of the voice's acoustic model: its phoneme characters and the sizes of the recipe."""
    marks = "".join(sorted(c for c in alphabet if c in " .,;?!"))
    characters = {"characters": "".join(sorted(set(alphabet) - set(marks))), "punctuations": marks}
    characters |= {"pad": "<PAD>", "eos": "<EOS>", "bos": "<BOS>", "blank": "<BLNK>"}
    return {"model_args": recipe["model"], "characters": characters}


def measure(utterances: list[corpus.Utterance]) -> Statistics:
    """Return the statistics of the training clips."""
    mels = np.concatenate([u.mel for u in utterances])
    pitch = np.concatenate([u.pitch_hz for u in utterances])
    voiced = np.log(pitch[pitch > 0])
    return Statistics(mels.mean(0), mels.std(0), float(voiced.mean()), float(voiced.std()))


def collate(utterances: list[corpus.Utterance], characters: IPAPhonemes, statistics: Statistics) -> Batch:
    """Return the clips as one padded batch."""
    tokens = [torch.tensor(token_ids(u.phonemes, characters)) for u in utterances]
    mels = [torch.from_numpy((u.mel - statistics.mel_mean) / statistics.mel_scale) for u in utterances]
    pitch = []
    for u in utterances:
        voiced = u.pitch_hz > 0
        logs = np.log(np.where(voiced, u.pitch_hz, 1.0))
        pitch.append(torch.from_numpy(np.where(voiced, (logs - statistics.pitch_mean) / statistics.pitch_scale, 0.0)))
    return Batch(
        pad_sequence(tokens, batch_first=True),  # (B, P)
        torch.tensor([len(t) for t in tokens]),
        pad_sequence([torch.from_numpy(u.durations) for u in utterances], batch_first=True),  # (B, P)
        pad_sequence(mels, batch_first=True),  # (B, T, M)
        torch.tensor([len(m) for m in mels]),
        pad_sequence(pitch, batch_first=True).float()[:, None],  # (B, 1, T)
    )


def batches_of_epoch(frames: list[int], budget: int, seed: int) -> list[list[int]]:
    """Return the clips' indices in batches of like length, each at most `budget` frames wide, in a random order."""
    random = np.random.default_rng(seed)
    order = np.argsort(np.array(frames) * random.uniform(0.9, 1.1, len(frames)))
    batches: list[list[int]] = [[]]
    for index in order.tolist():
        widest = max([frames[index], *(frames[k] for k in batches[-1])])
        if batches[-1] and widest * (len(batches[-1]) + 1) > budget:
            batches.append([])
        batches[-1].append(index)
    return [batches[k] for k in random.permutation(len(batches))]


def endless(utterances: list[corpus.Utterance], budget: int, seed: int, first: int) -> Iterator[list[int]]:
    """Yield batches for ever, as they would have come after `first` batches: what a resumed run needs."""
    frames, epoch, passed = [len(u.mel) for u in utterances], 0, 0
    while True:
        for batch in batches_of_epoch(frames, budget, seed + epoch):
            if passed >= first:
                yield batch
            passed += 1
        epoch += 1


def losses(model: ForwardTTS, batch: Batch) -> dict[str, torch.Tensor]:
    """Return the mean absolute error of the mels, the squared errors of log durations and pitch; no padding counts."""
    out = model(batch.tokens, batch.token_lengths, batch.mel_lengths, dr=batch.durations, pitch=batch.pitch)
    frames = out["y_mask"][:, 0, :, None]  # (B, T, 1)
    characters = out["x_mask"][:, 0]  # (B, P)
    mel = ((out["model_outputs"].float() - batch.mels).abs() * frames).sum() / (frames.sum() * batch.mels.shape[2])
    duration = (out["durations_log"].float() - torch.log1p(batch.durations.float())) ** 2 * characters
    pitch = (out["pitch_avg"][:, 0].float() - out["pitch_avg_gt"][:, 0].float()) ** 2 * characters
    return {"mel": mel, "duration": duration.sum() / characters.sum(), "pitch": pitch.sum() / characters.sum()}


def learning_rate(step: int, settings: dict[str, Any]) -> float:
    """Return the rate of a step: a linear warm-up, then half a cosine down to the final rate."""
    if step < settings["warm_up_steps"]:
        return float(settings["learning_rate"] * (step + 1) / settings["warm_up_steps"])
    done = (step - settings["warm_up_steps"]) / max(settings["steps"] - settings["warm_up_steps"], 1)
    span = settings["learning_rate"] - settings["final_learning_rate"]
    return float(settings["final_learning_rate"] + span * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


class Trainer(Training):
    """One training run in a folder: model, average of its weights, optimiser, step."""

    log_steps, losses = LOG_STEPS, LOSSES

    def __init__(self, utterances: list[corpus.Utterance], recipe: dict[str, Any], folder: Path) -> None:
        """Build everything from the recipe, and go on from the folder's checkpoint where there is one."""
        self.settings = recipe["training"]
        super().__init__(folder, self.settings["steps"])
        torch.manual_seed(self.settings["seed"])
        self.train_clips, self.dev_clips = split(utterances, self.settings["held_out_clips"])
        self.statistics = measure(self.train_clips)
        alphabet = "".join(sorted({c for u in utterances for c in u.phonemes}))
        self.model_settings = acoustic_settings(recipe, alphabet)
        self.model, self.characters = build(self.model_settings)
        decay = torch.optim.swa_utils.get_ema_multi_avg_fn(self.settings["ema_decay"])  # type: ignore[no-untyped-call]  # torch's
        self.average = torch.optim.swa_utils.AveragedModel(self.model, multi_avg_fn=decay, use_buffers=True)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), betas=(0.9, 0.98), weight_decay=self.settings["weight_decay"]
        )
        self.bfloat16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()  # noqa: SLF001 - torch has no public question
        self.resume()
        self.batches = endless(self.train_clips, self.settings["batch_frames"], self.settings["seed"], self.step)

    def advance(self) -> dict[str, float]:
        """Take one step and return its losses."""
        clips = [self.train_clips[k] for k in next(self.batches)]
        parts = self._update(collate(clips, self.characters, self.statistics))
        self.step += 1
        return parts

    def _update(self, batch: Batch) -> dict[str, float]:
        """Take one step and return its losses."""
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, self.settings)
        with torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            parts = losses(self.model, batch)
        weights = {"mel": 1.0, "duration": self.settings["duration_weight"], "pitch": self.settings["pitch_weight"]}
        total = sum((parts[name] * weight for name, weight in weights.items()), torch.zeros(()))
        self.optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings["gradient_clip"])
        self.optimizer.step()
        self.average.update_parameters(self.model)
        return {name: float(value.detach()) for name, value in parts.items()}

    def evaluate(self) -> dict[str, float]:
        """Return the averaged model's losses on the held-out clips, as `dev_` and the name of the loss."""
        self.average.eval()
        totals = dict.fromkeys((f"dev_{name}" for name in LOSSES), 0.0)
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16):
            for clip in self.dev_clips:
                parts = losses(self.average.module, collate([clip], self.characters, self.statistics))
                for name, value in parts.items():
                    totals[f"dev_{name}"] += float(value) / len(self.dev_clips)
        return totals

    def parts(self) -> dict[str, Stateful]:
        """Return the model, the average of its weights and the optimiser."""
        return {"model": self.model, "average": self.average, "optimizer": self.optimizer}

    def facts(self) -> dict[str, Any]:
        """Return what an export needs: the model's settings and what the mels are normalised by."""
        means, scales = (torch.from_numpy(a) for a in (self.statistics.mel_mean, self.statistics.mel_scale))
        return {"settings": self.model_settings, "mel_mean": means, "mel_scale": scales}


def split(utterances: list[corpus.Utterance], held_out: int) -> tuple[list[corpus.Utterance], list[corpus.Utterance]]:
    """Return training and held-out clips: every n-th clip is held out, whatever the order of the corpus."""
    ordered = sorted(utterances, key=lambda u: u.clip)
    every = max(2, len(ordered) // held_out) if held_out else len(ordered) + 1
    dev = [u for k, u in enumerate(ordered) if k % every == every - 1]
    return [u for k, u in enumerate(ordered) if k % every != every - 1], dev


def main() -> None:
    """Train as the command line says."""
    parser = argparse.ArgumentParser(description="Train the built-in voice's acoustic model.")
    parser.add_argument("corpus", type=Path, help="folder with clips-*.tar, metadata.tsv and durations.tsv")
    parser.add_argument("folder", type=Path, help="where the prepared corpus, checkpoint and log lie")
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="sizes and settings (JSON)")
    parser.add_argument("--threads", type=int, default=1, help="processor cores to use")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    options.folder.mkdir(parents=True, exist_ok=True)
    prepared = options.folder / "corpus.npz"
    if not prepared.exists():
        log.info("%d clips prepared", corpus.save(corpus.prepare(options.corpus), prepared))
    recipe = json.loads(options.recipe.read_text(encoding="utf-8"))
    trainer = Trainer(corpus.load(prepared), recipe, options.folder)
    trainer.stop_at_sigterm()
    trainer.run()


if __name__ == "__main__":
    main()
