"""Train the built-in voice's small vocoder: `python -m speech.train_vocoder CORPUS VOICE FOLDER [--recipe FILE]`.

The student is Coqui's `HifiganGenerator` with fewer blocks than the teacher, the universal HiFi-GAN V1, and begins with
the teacher's own weights for what it has. Two phases: it first learns to do what the teacher does, sound and hidden
layers, on the very same mels; then small critics (`speech.discriminators`) teach it the fine grain of the recordings.
The mels are those of the recordings and those that the voice's acoustic model makes for the same words, durations and
pitch, so that both have a recording that belongs to them. One core is enough: bfloat16 where the processor has it,
resumable, an atomic checkpoint every few minutes, a row of `losses.csv` every `LOG_STEPS` steps.
Letters: B segments, M mel bands, T frames, N samples, C channels.
"""

import argparse
import json
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from speech import corpus, discriminators, train, vocoder
from speech.mels import HOP_LENGTH, MEL_FLOOR
from speech.resumable import Stateful, Training
from speech.vocoder import HifiganGenerator
from speech.vocoder_pairs import FULL_SCALE, Pair, load_pairs, make_pairs, save_pairs
from speech.voices import resolve_voice

log = logging.getLogger(__name__)

RECIPE = Path(__file__).parent / "recipes" / "narrator_vocoder.json"
LOSSES = ("hidden", "wave", "spectrum", "critics", "deceiving", "feature")
LOG_STEPS = 50
FFT_SIZES = (2048, 1024, 512, 256)
"""Resolutions at which the student's sound is compared with the teacher's or the recording's, hop a quarter of each."""
SLOPE, LAST_SLOPE = 0.1, 0.01
"""Of the leaky ReLU before each up-sampling and before the last convolution: Coqui's."""
SMALLEST_SIZE = 1e-3
KERNELS_OF_TEACHER = vocoder.UNIVERSAL_V1["resblock_kernel_sizes"]


def prune(teacher: HifiganGenerator, settings: dict[str, Any]) -> HifiganGenerator:
    """Return a student that has the teacher's weights for every layer that both have: the same width, fewer blocks."""
    kept = [KERNELS_OF_TEACHER.index(size) for size in settings["resblock_kernel_sizes"]]
    shared = {}
    for name, value in teacher.state_dict().items():
        if not name.startswith("resblocks."):
            shared[name] = value
            continue
        _, number, rest = name.split(".", 2)
        stage, block = divmod(int(number), len(KERNELS_OF_TEACHER))
        if block in kept:
            shared[f"resblocks.{stage * len(kept) + kept.index(block)}.{rest}"] = value
    student = vocoder.build(settings)
    student.load_state_dict(shared)
    return student


class Listener:
    """Keeps what each stage of a generator gives, as the next layer gets it."""

    def __init__(self, generator: HifiganGenerator) -> None:
        """Listen to the input of every up-sampling but the first and of the last convolution."""
        self.stages: list[torch.Tensor] = []
        for layer in [*list(generator.ups)[1:], generator.conv_post]:
            layer.register_forward_pre_hook(lambda _layer, inputs: self.stages.append(inputs[0]))

    def take(self) -> list[torch.Tensor]:
        """Return the stages (B, C, 1, T) of the last call and forget them."""
        stages, self.stages = self.stages, []
        return stages


def hidden_distance(ours: list[torch.Tensor], theirs: list[torch.Tensor]) -> torch.Tensor:
    """Return the mean over the stages of the absolute difference, relative to the teacher's mean size."""
    parts = [
        (a.float() - b.float()).abs().mean() / b.float().abs().mean().clamp(min=1e-5)
        for a, b in zip(ours, theirs, strict=True)
    ]
    return torch.stack(parts).mean()


def spectra(sound: torch.Tensor) -> list[torch.Tensor]:
    """Return the complex spectrograms (B, F, T) of sounds (B, N) at every resolution."""
    return [
        torch.stft(sound, size, size // 4, window=torch.hann_window(size), return_complex=True) for size in FFT_SIZES
    ]


def magnitude(spectrum: torch.Tensor) -> torch.Tensor:
    """Return the magnitude with a slope that is never infinite."""
    return torch.sqrt(spectrum.real**2 + spectrum.imag**2 + 1e-7)


def spectrum_distance(ours: torch.Tensor, theirs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return how far sounds (B, N) are apart: in phase and size, and in the logarithm of size alone.

    The second is the multi-resolution spectrogram loss of Parallel WaveGAN (Yamamoto et al., ICASSP 2020).
    """
    phase, size = [], []
    for a, b in zip(spectra(ours), spectra(theirs), strict=True):
        one, other = magnitude(a), magnitude(b)
        phase.append((torch.view_as_real(a - b).abs().mean()) / other.mean().clamp(min=1e-5))
        convergence = torch.linalg.norm(one - other) / torch.linalg.norm(other).clamp(min=1e-5)
        size.append(convergence + (one.log() - other.log()).abs().mean())
    return torch.stack(phase).mean(), torch.stack(size).mean()


def sized_groups(student: nn.Module) -> list[dict[str, Any]]:
    """Return a group of the optimiser for each tensor, with its size: Adam's steps shall be in proportion to it.

    The teacher's weights range from 0.002 to 0.03 on average: one rate for all would wipe out the small ones.
    """
    sizes = [float(tensor.detach().square().mean().sqrt()) for tensor in student.parameters()]
    return [
        {"params": [tensor], "size": max(size, SMALLEST_SIZE)}
        for tensor, size in zip(student.parameters(), sizes, strict=True)
    ]


def stage_by_stage(student: HifiganGenerator, mels: torch.Tensor, stages: list[torch.Tensor]) -> list[torch.Tensor]:
    """Return what each stage of the student makes of the teacher's stage before it, and of the mels the first.

    So no stage has to wait until those before it are right.
    """
    made, blocks = [], student.num_kernels
    heard = [nn.functional.leaky_relu(student.conv_pre(mels), SLOPE), *stages[:-1]]
    for number, (raised, before) in enumerate(zip(student.ups, heard, strict=True)):
        up = raised(before)
        mixed = sum(block(up) for block in list(student.resblocks)[number * blocks : (number + 1) * blocks]) / blocks
        made.append(nn.functional.leaky_relu(mixed, LAST_SLOPE if raised is student.ups[-1] else SLOPE))
    return made


def learning_rate(step: int, settings: dict[str, Any]) -> float:
    """Return the rate of a step: a warm-up and half a cosine in the first phase, half a cosine to a tenth after it."""
    first, second = settings["distilling_steps"], settings["adversarial_steps"]
    if step < first:
        peak, last, done = settings["learning_rate"], settings["final_learning_rate"], step / first
    else:
        peak = settings["adversarial_learning_rate"]
        last, done = peak / 10, (step - first) / max(second, 1)
    rate = last + (peak - last) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))
    return float(rate * min(1.0, (step + 1) / settings["warm_up_steps"]))


class Trainer(Training):
    """One training run in a folder: student, average of its weights, teacher, critics, optimisers, step."""

    log_steps, losses = LOG_STEPS, LOSSES

    def __init__(self, pairs: list[Pair], teacher: HifiganGenerator, recipe: dict[str, Any], folder: Path) -> None:
        """Build everything from the recipe, and go on from the folder's checkpoint where there is one."""
        self.settings, self.generator_settings, self.pairs = recipe["training"], recipe["generator"], pairs
        super().__init__(folder, self.settings["distilling_steps"] + self.settings["adversarial_steps"])
        torch.manual_seed(self.settings["seed"])
        self.student = vocoder.as_images(prune(teacher, self.generator_settings)).requires_grad_(True)
        self.bfloat16 = torch.ops.mkldnn._is_mkldnn_bf16_supported()  # noqa: SLF001 - torch has no public question
        self.teacher = vocoder.as_images(teacher).requires_grad_(False)
        if self.bfloat16:
            self.teacher.bfloat16()
        self.ours, self.theirs = Listener(self.student), Listener(self.teacher)
        decay = torch.optim.swa_utils.get_ema_multi_avg_fn(self.settings["ema_decay"])  # type: ignore[no-untyped-call]  # torch's
        self.average = torch.optim.swa_utils.AveragedModel(self.student, multi_avg_fn=decay)
        self.optimizer = torch.optim.AdamW(sized_groups(self.student), betas=(0.8, 0.99), weight_decay=0.0)
        channels = self.settings["critic_channels"]
        self.critics = nn.ModuleList(
            [discriminators.SpectrumCritics(channels), discriminators.PeriodCritics(channels)]
        ).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
        self.critic_optimizer = torch.optim.AdamW(self.critics.parameters(), betas=(0.8, 0.99), weight_decay=0.0)
        self.resume()

    def advance(self) -> dict[str, float]:
        """Take one step of the phase that it belongs to, and return its losses."""
        mels, sounds = self.segments(self.step)
        distilling = self.step < self.settings["distilling_steps"]
        losses = self._distil(mels) if distilling else self._deceive(mels, sounds)
        self.step += 1
        return losses

    def segments(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the mels (B, M, 1, T) and recordings (B, N) of a step: the same ones for the same step."""
        random = np.random.default_rng((self.settings["seed"], step))
        width, mels, sounds = self.settings["segment_frames"], [], []
        for number in random.integers(0, len(self.pairs), self.settings["batch"]).tolist():
            pair = self.pairs[number]
            start = int(random.integers(0, max(len(pair.recorded) - width, 0) + 1))
            mel = pair.predicted if random.random() < self.settings["predicted_share"] else pair.recorded
            mels.append(_widened(mel[start : start + width].astype(np.float32), width))  # (T, M)
            piece = pair.samples[start * HOP_LENGTH : (start + width) * HOP_LENGTH].astype(np.float32) / FULL_SCALE
            sounds.append(np.pad(piece, (0, width * HOP_LENGTH - len(piece))))  # (N,)
        stacked = torch.from_numpy(np.stack(mels)).transpose(1, 2)[:, :, None]  # (B, M, 1, T)
        return stacked.contiguous(memory_format=torch.channels_last), torch.from_numpy(np.stack(sounds))

    def _distil(self, mels: torch.Tensor) -> dict[str, float]:
        """Take one step towards what the teacher makes of the same mels, and return its losses."""
        with torch.no_grad():
            wanted = self.teacher(mels.to(self.teacher.conv_pre.weight.dtype))[:, 0, 0].float()  # (B, N)
        stages = self.theirs.take()
        if self.step < self.settings["local_steps"]:
            with self._autocast():
                hidden = hidden_distance(stage_by_stage(self.student, mels, stages), stages)
            self.ours.take()
            self._update(hidden)
            return {"hidden": float(hidden.detach())}
        with self._autocast():
            made = self.student(mels)[:, 0, 0]  # (B, N)
        hidden = hidden_distance(self.ours.take(), stages)
        wave, spectrum = spectrum_distance(made.float(), wanted)
        settings = self.settings
        total = settings["hidden_weight"] * hidden + settings["wave_weight"] * wave
        self._update(total + settings["spectrum_weight"] * spectrum)
        parts = {"hidden": hidden, "wave": wave, "spectrum": spectrum}
        return {name: float(value.detach()) for name, value in parts.items()}

    def _deceive(self, mels: torch.Tensor, real: torch.Tensor) -> dict[str, float]:
        """Take one step of the critics and one of the student against them, and return the losses."""
        with self._autocast():
            made = self.student(mels)[:, 0, 0]  # (B, N)
        self.ours.take()
        made = made.float()
        with self._autocast():
            loss = sum((discriminators.critic_loss(c(real), c(made.detach())) for c in self.critics), torch.zeros(()))
        self.critic_optimizer.param_groups[0]["lr"] = self.settings["critic_learning_rate"]
        self.critic_optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's
        self.critic_optimizer.step()
        self.critics.requires_grad_(False)
        with self._autocast():
            judged = [(c(real), c(made)) for c in self.critics]
            deceiving = sum((discriminators.deceiving_loss(m) for _, m in judged), torch.zeros(()))
            feature = sum((discriminators.feature_loss(r, m) for r, m in judged), torch.zeros(()))
        _, spectrum = spectrum_distance(made, real)
        settings = self.settings
        total = settings["deceiving_weight"] * deceiving + settings["feature_weight"] * feature
        self._update(total + settings["spectrum_weight"] * spectrum)
        self.critics.requires_grad_(True)
        parts = {"critics": loss, "deceiving": deceiving, "feature": feature, "spectrum": spectrum}
        return {name: float(value.detach()) for name, value in parts.items()}

    def _update(self, loss: torch.Tensor) -> None:
        """Move the student and the average of its weights one step down `loss`."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, self.settings) * group["size"]
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]  # torch's
        nn.utils.clip_grad_norm_(self.student.parameters(), self.settings["gradient_clip"])
        self.optimizer.step()
        self.average.update_parameters(self.student)

    def _autocast(self) -> torch.autocast:
        """Return the context in which the convolutions run in bfloat16 where the processor has it."""
        return torch.autocast("cpu", torch.bfloat16, enabled=self.bfloat16)

    def parts(self) -> dict[str, Stateful]:
        """Return the student, the average of its weights, the critics and both optimisers."""
        return {
            "student": self.student,
            "average": self.average,
            "critics": self.critics,
            "optimizer": self.optimizer,
            "critic_optimizer": self.critic_optimizer,
        }

    def facts(self) -> dict[str, Any]:
        """Return what an export needs: the generator's settings."""
        return {"settings": self.generator_settings}


def _widened(mel: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Return a mel (T, M) with silence after its end, `frames` long."""
    return np.pad(mel, ((0, frames - len(mel)), (0, 0)), constant_values=math.log(MEL_FLOOR))


def averaged_student(checkpoint: Path) -> tuple[HifiganGenerator, dict[str, Any]]:
    """Return the averaged generator of a checkpoint and its settings."""
    state = torch.load(checkpoint, weights_only=True)
    settings = json.loads(state["settings"])
    student, prefix = vocoder.build(settings), "module."
    plain = {n.removeprefix(prefix): v for n, v in state["average"].items() if n.startswith(prefix)}
    student.load_state_dict({n: v[:, :, 0] if v.ndim == vocoder.IMAGE_AXES else v for n, v in plain.items()})
    return student, settings


def main() -> None:
    """Train as the command line says."""
    parser = argparse.ArgumentParser(description="Train the built-in voice's small vocoder.")
    parser.add_argument("corpus", type=Path, help="folder with clips-*.tar, metadata.tsv and durations.tsv")
    parser.add_argument("voice", help="the voice whose acoustic model makes the mels: built-in name or folder")
    parser.add_argument("folder", type=Path, help="where the prepared corpus, checkpoint and log lie")
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="sizes and settings (JSON)")
    parser.add_argument("--threads", type=int, default=1, help="processor cores to use")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(options.threads)
    options.folder.mkdir(parents=True, exist_ok=True)
    prepared, paired = options.folder / "corpus.npz", options.folder / "pairs.npz"
    if not prepared.exists():
        log.info("%d clips prepared", corpus.save(corpus.prepare(options.corpus), prepared))
    if not paired.exists():
        held_out = json.loads(train.RECIPE.read_text(encoding="utf-8"))["training"]["held_out_clips"]
        voice = resolve_voice(options.voice).folder
        save_pairs(make_pairs(options.corpus, corpus.load(prepared), voice, held_out), paired)
    recipe = json.loads(options.recipe.read_text(encoding="utf-8"))
    trainer = Trainer(load_pairs(paired), vocoder.universal(), recipe, options.folder)
    trainer.stop_at_sigterm()
    trainer.run()


if __name__ == "__main__":
    main()
