"""Train a captioner: `python -m captioner.train --data DIR --out DIR --minutes N --device cpu|cuda`.

The encoder's lower part runs once over every photo (feature_cache); its upper part and the Transformer are trained,
the upper part after a while. AdamW, warm-up and cosine, label smoothing, clipping, bfloat16, a running average of the
weights (EMA), which is what is kept. A killed run that is started again with the same command goes on where its last
checkpoint was, step for step as if it had never stopped.

Shapes: B photos, C captions a photo, T tokens, V words.
"""

import argparse
import copy
import csv
import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from captioner.batches import Batches
from captioner.bundle import Bundle, load_bundle, save_bundle
from captioner.dataset import Data, find_data
from captioner.decoding import Search
from captioner.encoders import Encoder, EncoderConfig, load_imagenet
from captioner.errors import CaptionerError, DataError, ModelError
from captioner.feature_cache import FeatureCache
from captioner.models import TransformerCaptioner, TransformerConfig
from captioner.scoring import scores_of_maps
from captioner.tokenizer import PADDING, SPECIAL, Tokenizer
from captioner.weights import model_folder


@dataclass(frozen=True)
class Settings:
    """What a training run is told."""

    data: Path
    """Folder with photos and captions, in a layout of captioner.dataset."""
    out: Path
    """Folder of the run: state, log, model."""
    minutes: float = 60.0
    """How long to train; turned into a number of steps once the first steps were timed."""
    steps: int | None = None
    """Number of steps, instead of minutes."""
    device: str = "cpu"
    """`cpu` or `cuda`."""
    batch_photos: int = 48
    """B."""
    versions: tuple[str, ...] = ("plain", "flip", "crop1", "crop2")
    """Versions of each photo to draw from (captioner.feature_cache)."""
    peak_rate: float = 6e-4
    """Highest learning rate of the Transformer."""
    encoder_rate: float = 1e-4
    """Highest learning rate of the encoder's upper part."""
    warm_up_steps: int = 150
    """Steps over which the learning rate rises, and again over which the encoder's does."""
    average_keep: float = 0.998
    """Share of the running average that each step keeps."""
    tune_share: float = 0.25
    """Share of the steps after which the encoder's upper part is trained too; 1: never."""
    min_count: int = 4
    """Words used less often in the training captions are unknown."""
    checkpoint_s: float = 150.0
    """Seconds between checkpoints."""
    score_s: float = 600.0
    """Seconds between scores on dev."""
    start: Path | None = None
    """Folder of a captioner to go on from, instead of ImageNet weights and a new Transformer."""
    name: str = "my-captioner"
    """What users will call the captioner."""
    licence: str = "unknown"
    """On what terms it may be used, in one line: it ends up in every manifest."""
    seed: int = 1
    """Everything random follows from it and the step's number."""


TIMED_STEPS = 20
LABEL_SMOOTHING = 0.1
CLIP_NORM = 1.0
LONGEST_TRAINED = 20
"""Tokens of a caption that are learned from, the end included; what is longer (one in fifty) is cut."""


class Parts(nn.Module):
    """The encoder's upper part and the Transformer, trained together."""

    encoder: Encoder
    model: TransformerCaptioner

    def __init__(self, encoder: Encoder, model: TransformerCaptioner) -> None:
        """Hold both."""
        super().__init__()
        self.encoder, self.model = encoder, model

    def forward(self, maps: Tensor, tokens: Tensor) -> Tensor:
        """Return the mean loss a word for maps (B, c, h, w) and captions (B, C, T)."""
        memory = self.model.encode(self.encoder.upper(maps.contiguous(memory_format=torch.channels_last)))
        wanted = tokens[..., 1:]  # (B, C, T - 1)
        said = wanted != PADDING
        scores = self.model.score(self.model.hidden(memory, tokens[..., :-1])[said])  # (words, V)
        smoothing = LABEL_SMOOTHING if self.training else 0.0
        return nn.functional.cross_entropy(scores.float(), wanted[said], label_smoothing=smoothing)


class Trainer:
    """One training run, from its first step or from its last checkpoint."""

    def __init__(self, settings: Settings, data: Data, bundle: Bundle) -> None:
        """Compute or open the cached maps, put the captioner to train together, take up a checkpoint."""
        self.settings, self.data, self.bundle = settings, data, bundle
        encoder, self.tokenizer = bundle.encoder.to(settings.device), bundle.tokenizer
        cache_folder = settings.out / "cache"
        versions, longest = settings.versions, LONGEST_TRAINED
        self.train = Batches(FeatureCache(cache_folder, data.train, encoder), versions, self.tokenizer, longest)
        self.dev = Batches(FeatureCache(cache_folder, data.dev, encoder), ("plain",), self.tokenizer, longest)
        self.parts = Parts(encoder, bundle.model).to(settings.device)
        self.average = copy.deepcopy(self.parts).eval().requires_grad_(False)
        self.groups = trained_groups(self.parts)
        places = dict(self.average.named_parameters())
        names = {id(one): name for name, one in self.parts.named_parameters()}
        self.averaged = [places[names[id(one)]] for group in self.groups for one in group]
        rates = [{"params": group} for group in self.groups]
        self.optimizer = torch.optim.AdamW(rates, lr=0.0, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
        self.step, self.total, self.spent_s = 0, settings.steps or 0, 0.0
        self.resume()

    @property
    def state_file(self) -> Path:
        """Where checkpoints go."""
        return self.settings.out / "state.pt"

    def resume(self) -> None:
        """Take up the last checkpoint where there is one; only data is read from it."""
        if not self.state_file.exists():
            return
        state = torch.load(self.state_file, map_location=self.settings.device, weights_only=True)
        if state["words"] != list(self.tokenizer.words):
            raise DataError("the captions changed since the run began", str(self.state_file), "give a new --out")
        self.parts.load_state_dict(state["parts"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.step, self.total, self.spent_s = state["step"], state["total"], state["spent_s"]

    def checkpoint(self) -> None:
        """Write the state and the averaged model, each under another name first."""
        state: dict[str, Any] = {"parts": self.parts.state_dict(), "average": self.average.state_dict()}
        state |= {"optimizer": self.optimizer.state_dict(), "words": list(self.tokenizer.words)}
        state |= {"step": self.step, "total": self.total, "spent_s": self.spent_s}
        temporary = self.state_file.with_suffix(".part")
        torch.save(state, temporary)
        temporary.replace(self.state_file)
        averaged = replace(self.bundle, encoder=self.average.encoder, model=self.average.model)
        save_bundle(averaged, self.settings.out / "model")

    def run(self) -> None:
        """Train to the last step, with checkpoints, scores and a line in `log.csv` every ten steps."""
        last_checkpoint = last_score = began = time.monotonic()
        before_s, losses = self.spent_s, []
        while self.step < self.total or not self.total:
            losses.append(self.train_step())
            self.spent_s = before_s + time.monotonic() - began
            if not self.total and self.step >= TIMED_STEPS:
                self.total = max(self.step + 1, self._steps_in_time())
            if self.step % 10 == 0:
                self.log(sum(losses) / len(losses))
                losses = []
            if time.monotonic() - last_score > self.settings.score_s:
                self.score()
                last_score = time.monotonic()
            if time.monotonic() - last_checkpoint > self.settings.checkpoint_s:
                self.checkpoint()
                last_checkpoint = time.monotonic()
        self.checkpoint()
        self.score()

    def _steps_in_time(self) -> int:
        """Estimate how many steps fit: those that tune the encoder take about 1.6 times as long as the first ones."""
        later = 0.6 if 0 < self.settings.tune_share < 1 else 0.0
        mean_s = self.spent_s / self.step * (1 + later * (1 - self.settings.tune_share))
        return round(self.settings.minutes * 60 / mean_s)

    def train_step(self) -> float:
        """Learn from one batch and return its loss; depends on nothing but the state, the seed and the step."""
        batch = self.train.draw(self.settings.seed, self.step, self.settings.batch_photos)
        torch.manual_seed(self.settings.seed * 1_000_003 + self.step)
        self._set_rates()
        device = torch.device(self.settings.device)
        self.parts.train()
        with torch.autocast(device.type, torch.bfloat16):
            loss = self.parts(batch.maps.to(device), batch.tokens.to(device))
        loss.backward()
        nn.utils.clip_grad_norm_(self.parts.parameters(), CLIP_NORM)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self._average()
        return float(loss.detach())

    def _set_rates(self) -> None:
        total = self.total or 10**9
        warm_up = self.settings.warm_up_steps
        share = rate_share(self.step, total, warm_up)
        tuned = min(1.0, max(0.0, (self.step - self.settings.tune_share * total) / warm_up))
        rates = (self.settings.peak_rate * share, self.settings.encoder_rate * share * tuned)
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        for parameter in self.groups[1]:
            parameter.requires_grad_(tuned > 0)

    def _average(self) -> None:
        keep = min(self.settings.average_keep, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for mean, new in zip(self.averaged, self.groups[0] + self.groups[1], strict=True):
                mean.lerp_(new, 1 - keep)

    def score(self) -> None:
        """Log the averaged model's loss and greedy CIDEr-D on the dev photos' plain maps."""
        if not self.dev.examples:
            return
        size, losses, device = 50, [], torch.device(self.settings.device)
        for step in range(max(1, len(self.dev.examples) // size)):
            batch = self.dev.draw(0, step, min(size, len(self.dev.examples)))
            with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16):
                losses.append(float(self.average(batch.maps.to(device), batch.tokens.to(device))))
        scores = scores_of_maps(self.average, self.dev, self.tokenizer, Search(beams=1))
        self.log(None, sum(losses) / len(losses), scores["CIDEr-D"])

    def log(self, loss: float | None, dev_loss: float | None = None, dev_cider_d: float | None = None) -> None:
        """Print one line and add it to `log.csv`."""
        cells = ["" if one is None else f"{one:.4f}" for one in (loss, dev_loss, dev_cider_d)]
        rate = self.optimizer.param_groups[0]["lr"]
        path = self.settings.out / "log.csv"
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.writer(stream)
            if new:
                writer.writerow(["step", "spent_s", "rate", "loss", "dev_loss", "dev_cider_d"])
            writer.writerow([self.step, f"{self.spent_s:.0f}", f"{rate:.2e}", *cells])
        left_s = self.spent_s / max(1, self.step) * (self.total - self.step) if self.total else 0
        what = f"loss {cells[0]}" if cells[0] else f"dev loss {cells[1]}, dev CIDEr-D {cells[2]}"
        say(f"step {self.step} of {self.total or '?'}, {what}, {left_s / 60:.0f} min left")


def new_bundle(data: Data, settings: Settings) -> Bundle:
    """Return what training begins with: a captioner to go on from, or ImageNet's encoder and a new Transformer.

    Raises DataError where there is nothing to learn from, ModelError where what it begins with cannot be had.
    """
    if not data.train:
        raise DataError("no photos to learn from", str(settings.data), "give captions of a train split")
    if settings.device.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError("there is no such device", settings.device, "use --device cpu")
    if settings.start is not None:
        start = load_bundle(model_folder(settings.start))
        named = settings.name if settings.name != Settings.name else start.name
        terms = settings.licence if settings.licence != Settings.licence else start.licence
        return replace(start, name=named, licence=terms)  # what came of it keeps its terms unless others are named
    tokenizer = Tokenizer.count((c for one in data.train for c in one.captions), settings.min_count)
    if len(tokenizer) == len(SPECIAL):
        mend = "train on more captions"
        raise DataError(f"no word is used {settings.min_count} times or more", str(settings.data), mend)
    encoder = load_imagenet(EncoderConfig(grid=7))
    torch.manual_seed(settings.seed)
    model = TransformerCaptioner(TransformerConfig(len(tokenizer), encoder.config.grid**2, encoder.width))
    return Bundle(settings.name, encoder, model, tokenizer, settings.licence)


def trained_groups(parts: Parts) -> list[list[nn.Parameter]]:
    """Return the Transformer's parameters and those of the encoder that may be trained; freeze all others.

    Of the encoder's upper part the depthwise kernels stay: they are 3 % of its weights and half of its backward time.
    """
    parts.encoder.requires_grad_(False)
    parts.model.requires_grad_(True)
    network, lower = parts.encoder.network, parts.encoder.config.lower_blocks
    upper = [*network.blocks[lower:].modules(), network.conv_head]
    tuned = [one for one in upper if isinstance(one, nn.Conv2d) and one.groups == 1]
    return [list(parts.model.parameters()), [parameter for one in tuned for parameter in one.parameters()]]


def rate_share(step: int, total: int, warm_up: int) -> float:
    """Return the share of the peak learning rate at a step: linear warm-up, then a cosine down to 2 %."""
    if step < warm_up:
        return (step + 1) / warm_up
    done = (step - warm_up) / max(1, total - warm_up)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def say(line: str) -> None:
    """Print one progress line at once."""
    print(line, flush=True)  # noqa: T201  a command's output


def parse(arguments: Sequence[str] | None, program: str) -> Settings:
    """Read the command line that both phases of training share."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description="Train a captioner.")
    parser.add_argument("--data", type=Path, required=True, help="folder with photos and captions")
    parser.add_argument("--out", type=Path, required=True, help="folder for the state, the log and the model")
    parser.add_argument("--minutes", type=float, default=60.0, help="how long to train")
    parser.add_argument("--steps", type=int, help="how many steps to train, instead of minutes")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--start", type=Path, help="name or folder of a captioner to go on from")
    parser.add_argument("--name", default=Settings.name, help="what users will call the captioner")
    parser.add_argument("--licence", default=Settings.licence, help="its terms of use, in one line")
    parser.add_argument("--versions", default=",".join(Settings.versions), help="plain,flip,crop1,crop2,...")
    parser.add_argument("--threads", type=int, default=0, help="processor threads; 0: as torch chooses")
    given = vars(parser.parse_args(arguments))
    threads = given.pop("threads")
    if threads:
        torch.set_num_threads(threads)
    return Settings(**{**given, "versions": tuple(given["versions"].split(","))})


def run_command(settings: Settings, kind: "type[Trainer]") -> int:
    """Train, and return the exit status: 0 done, 2 could not start, 130 interrupted."""
    try:
        data = find_data(settings.data)
        settings.out.mkdir(parents=True, exist_ok=True)
        kind(settings, data, new_bundle(data, settings)).run()
    except (CaptionerError, OSError) as error:
        say(f"error: {error}")
        return 2
    except KeyboardInterrupt:
        say("stopped; the same command goes on from the last checkpoint")
        return 130
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the first phase of training and return the exit status."""
    return run_command(parse(arguments, "captioner.train"), Trainer)


if __name__ == "__main__":
    sys.exit(main())
