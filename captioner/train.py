"""Train a captioner: `python -m captioner.train --data DIR --out DIR --minutes N --device cpu|cuda`.

The encoder's lower part runs once over every photo (feature_cache); its upper part and the Transformer are trained,
the upper part after a while, and before that, where asked, the words alone on caption text. AdamW, warm-up and
cosine, label smoothing, clipping, bfloat16 where the device has it, a running average of the weights (EMA), which is
what is kept. A killed run that is started again with the same command goes on where its last checkpoint was, step
for step as if it had never stopped.

Shapes: B photos, C captions a photo, T tokens, V words.
"""

import copy
import math
import pickle
import sys
import time
from collections import deque
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from captioner.interrupts import INTERRUPTED, end_at_once, raise_again, waiting

if __name__ == "__main__":
    end_at_once()

import torch
from torch import Tensor, nn

from captioner.batches import CAPTIONS_PER_PHOTO, Batch, Batches
from captioner.beginnings import new_bundle
from captioner.bundle import Bundle, save_bundle
from captioner.captioning import is_memory_fault
from captioner.dataset import Data, Example, find_data
from captioner.decoding import Search
from captioner.encoders import PhotoEncoder
from captioner.errors import CaptionerError, DataError, TrainingError
from captioner.feature_cache import FeatureCache
from captioner.language import Texts, language_loss
from captioner.models import CaptionNetwork
from captioner.scoring import scores_of_maps
from captioner.train_settings import Settings, assert_same, assert_usable, parse, told
from captioner.training_log import TrainingLog, say

TIMED_STEPS = 20
LABEL_SMOOTHING = 0.1
CLIP_NORM = 1.0
KEPT = "what was learned is kept, and the same command goes on from there"
LONGEST_TRAINED = 20
"""Tokens of a caption that are learned from, the end included; what is longer (one in fifty) is cut."""


class Parts(nn.Module):
    """The encoder's upper part and the network, trained together."""

    encoder: PhotoEncoder
    model: CaptionNetwork

    def __init__(self, encoder: PhotoEncoder, model: CaptionNetwork) -> None:
        """Hold both."""
        super().__init__()
        self.encoder, self.model = encoder, model

    def forward(self, maps: Tensor, tokens: Tensor) -> Tensor:
        """Return the mean loss a word for maps (B, c, h, w) and captions (B, C, T)."""
        regions = self.encoder.upper(maps.contiguous(memory_format=torch.channels_last))  # (B, L, D)
        return self.model.loss(regions, tokens, LABEL_SMOOTHING if self.training else 0.0)


class Trainer:
    """One training run, from its first step or from its last checkpoint."""

    def __init__(self, settings: Settings, data: Data, bundle: Bundle) -> None:
        """Compute or open the cached maps, put the captioner to train together, take up a checkpoint."""
        self.settings, self.data, self.bundle = settings, data, bundle
        encoder, self.tokenizer = bundle.encoder.to(settings.device), bundle.tokenizer
        self.stored_config = encoder.config
        if settings.fixed_blocks is not None:
            encoder.config = replace(encoder.config, lower_blocks=settings.fixed_blocks)
        self.encoder, self.cache_folder = encoder, settings.cache or settings.out / "cache"
        longest = min(LONGEST_TRAINED, bundle.model.longest - 1)  # the start token has a place too
        drawn = (settings.versions, self.tokenizer, longest, settings.window)
        self.train = Batches(FeatureCache(self.cache_folder, data.train, encoder), *drawn)
        self.dev = Batches(self.dev_cache(data.dev), ("plain",), self.tokenizer, longest)
        if settings.language_steps:
            if not bundle.model.speaks_alone:
                raise DataError(
                    "its words cannot learn without photos", bundle.model.kind, "leave out --language-steps"
                )
            said = [caption for one in data.train for caption in one.captions]
            self.texts = Texts([*data.texts, *said], self.tokenizer, longest)
        self.parts = Parts(encoder, bundle.model).to(settings.device)
        self.average = copy.deepcopy(self.parts).eval().requires_grad_(False)
        self.groups = trained_groups(self.parts)
        places = dict(self.average.named_parameters())
        names = {id(one): name for name, one in self.parts.named_parameters()}
        self.averaged = [places[names[id(one)]] for group in self.groups for one in group]
        rates = [{"params": group} for group in self.groups]
        self.optimizer = torch.optim.AdamW(rates, lr=0.0, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
        self.step, self.spent_s = 0, 0.0
        self.total = settings.language_steps + settings.steps if settings.steps else 0
        self.log = TrainingLog(settings.out / "log.csv")
        self.resume()

    def dev_cache(self, examples: Sequence[Example]) -> FeatureCache:
        """Return the cached maps of photos that are not learned from."""
        return FeatureCache(self.cache_folder, examples, self.encoder)

    @property
    def state_file(self) -> Path:
        """Where checkpoints go."""
        return self.settings.out / "state.pt"

    def resume(self) -> None:
        """Take up the last checkpoint where there is one; only data is read from it."""
        if not self.state_file.exists():
            return
        try:
            state = torch.load(self.state_file, map_location=self.settings.device, weights_only=True)
        except (OSError, EOFError, RuntimeError, ValueError, KeyError, pickle.UnpicklingError) as error:
            if isinstance(error, PermissionError) or is_memory_fault(error):
                raise
            mend = "put a whole copy of it back, or move it away to begin from the first step"
            why = str(error).partition("\n")[0] or "it is empty"
            raise DataError(f"not a whole checkpoint ({why})", str(self.state_file), mend) from error
        if state["words"] != list(self.tokenizer.words):
            raise DataError("the captions changed since the run began", str(self.state_file), "give a new --out")
        assert_same(self.settings, state["settings"], self.state_file)
        try:
            self.parts.load_state_dict(state["parts"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (KeyError, RuntimeError, ValueError) as error:
            mend = "end it with the version that it was begun with, or give a new --out"
            raise DataError("a checkpoint of another version", str(self.state_file), mend) from error
        self.step, self.total, self.spent_s = state["step"], state["total"], state["spent_s"]
        self.log.forget_after(self.step)

    def checkpoint(self) -> None:
        """Write the state and the averaged model, each under another name first.

        Raises TrainingError, and leaves the last ones, where a weight is no number that a model's file can hold.
        """
        with waiting():
            self._checkpoint()

    def _checkpoint(self) -> None:
        kept = [one for parts in (self.parts, self.average) for one in parts.state_dict().values()]
        if not all(one.half().isfinite().all() for one in kept if one.is_floating_point()):
            raise self._diverged("a weight is no longer a number")
        state: dict[str, Any] = {"parts": self.parts.state_dict(), "average": self.average.state_dict()}
        state |= {"optimizer": self.optimizer.state_dict(), "words": list(self.tokenizer.words)}
        state |= {"settings": told(self.settings)}
        state |= {"step": self.step, "total": self.total, "spent_s": self.spent_s}
        temporary = self.state_file.with_suffix(".part")
        torch.save(state, temporary)
        temporary.replace(self.state_file)
        encoder = copy.copy(self.average.encoder)
        encoder.config = self.stored_config  # where this run cut it is no property of the captioner
        averaged = replace(self.bundle, encoder=encoder, model=self.average.model)
        save_bundle(averaged, self.settings.out / "model")

    def run(self) -> None:
        """Train to the last step, with checkpoints, scores and a row in `log.csv` every ten steps."""
        with self.log:
            try:
                self._run()
            except KeyboardInterrupt:
                if self.step:
                    self.checkpoint()
                raise

    def _run(self) -> None:
        last_checkpoint = last_score = time.monotonic()
        losses: list[float] = []
        recent_s: deque[float] = deque(maxlen=TIMED_STEPS)
        while self.step < self.total or not self.total:
            with waiting():  # Ctrl-C comes between two steps
                began = time.monotonic()
                losses.append(self.train_step())
                recent_s.append(time.monotonic() - began)
                self.spent_s += recent_s[-1]
            timed = len(recent_s) == TIMED_STEPS and self.step >= TIMED_STEPS + self.settings.language_steps
            if not self.total and timed:
                self.total = self.step + self._steps_left(sum(recent_s) / len(recent_s))
            self.log.show(self.step, self.total)
            if self.step % 10 == 0 and self.step != self.total:
                self.row(sum(losses) / len(losses))
                losses = []
            if time.monotonic() - last_score > self.settings.score_s:
                self.score()
                last_score = time.monotonic()
            if time.monotonic() - last_checkpoint > self.settings.checkpoint_s:
                self.checkpoint()
                last_checkpoint = time.monotonic()
        self.checkpoint()
        self.score(sum(losses) / len(losses) if losses else None)

    def _steps_left(self, mean_s: float) -> int:
        """Estimate how many steps fit: those that tune the encoder take about 1.6 times as long as the first ones."""
        later = 0.6 if 0 < self.settings.tune_share < 1 else 0.0
        left_s = self.settings.minutes * 60 - self.spent_s
        return max(1, round(left_s / (mean_s * (1 + later * (1 - self.settings.tune_share)))))

    def train_step(self) -> float:
        """Learn from one batch and return its loss; depends on nothing but the state, the seed and the step.

        Raises TrainingError, and changes no weight, where the loss or its gradient is no number.
        """
        torch.manual_seed(self.settings.seed * 1_000_003 + self.step)
        self._set_rates()
        if self.step < self.settings.language_steps:
            loss, logged = self._language_loss()
        else:
            step = self.step - self.settings.language_steps
            loss, logged = self.loss(self.train.draw(self.settings.seed, step, self.settings.batch_photos))
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it without types
        norm = nn.utils.clip_grad_norm_(self.parts.parameters(), CLIP_NORM)
        if not math.isfinite(logged + float(norm)):
            raise self._diverged("the loss is no longer a number")
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self._average()
        return logged

    def _diverged(self, what: str) -> TrainingError:
        mend = "begin again with a lower --peak-rate and a new --out, or check the photos and captions"
        return TrainingError(what, f"after step {self.step}", mend)

    def loss(self, batch: Batch) -> tuple[Tensor, float]:
        """Return what to go down on for a batch, and the number to log."""
        device = self.settings.device
        self.parts.train()
        with self.autocast():
            loss: Tensor = self.parts(batch.maps.to(device), batch.tokens.to(device))
        return loss, float(loss.detach())

    def _language_loss(self) -> tuple[Tensor, float]:
        size = self.settings.batch_photos * CAPTIONS_PER_PHOTO
        tokens = self.texts.draw(self.settings.seed, self.step, size).to(self.settings.device)  # (B, 1, T)
        self.parts.train()
        with self.autocast():
            loss = language_loss(self.parts.model, tokens, LABEL_SMOOTHING)
        return loss, float(loss.detach())

    def autocast(self) -> AbstractContextManager[Any]:
        """Compute in bfloat16 on a device that has it; elsewhere it would be emulated, and slow."""
        device = torch.device(self.settings.device)
        return torch.autocast(device.type, torch.bfloat16, enabled=has_bfloat16(device))

    def _set_rates(self) -> None:
        """Set the learning rates: each phase, on text and on photos, has its own warm-up and cosine."""
        settings, language = self.settings, self.settings.language_steps
        if self.step < language:
            rates = (settings.peak_rate * rate_share(self.step, language, settings.warm_up_steps), 0.0)
        else:
            step, total = self.step - language, (self.total or 10**9) - language
            share = rate_share(step, total, settings.warm_up_steps)
            tuned = min(1.0, max(0.0, (step - settings.tune_share * total) / settings.warm_up_steps))
            rates = (settings.peak_rate * share, settings.encoder_rate * share * tuned)
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        for parameter in self.groups[1]:
            parameter.requires_grad_(rates[1] > 0)
        for parameter in self.parts.model.frozen():
            parameter.requires_grad_(self.step < language)

    def _average(self) -> None:
        keep = min(self.settings.average_keep, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for mean, new in zip(self.averaged, self.groups[0] + self.groups[1], strict=True):
                mean.lerp_(new, 1 - keep)

    def score(self, loss: float | None = None) -> None:
        """Log the averaged model's loss and greedy CIDEr-D on the dev photos' plain maps, beside the training loss."""
        if self.dev.examples:
            self.row(loss, self.dev_loss(), self._dev_cider_d())
        elif loss is not None:
            self.row(loss)

    def _dev_cider_d(self) -> float | None:
        if not self.average.model.captions:
            return None
        return scores_of_maps(self.average, self.dev, self.tokenizer, Search(beams=1))["CIDEr-D"]

    def dev_loss(self) -> float | None:
        """Return the averaged model's mean loss a word on the dev photos' captions."""
        size, losses, device = 50, [], self.settings.device
        for step in range(max(1, len(self.dev.examples) // size)):
            batch = self.dev.draw(0, step, min(size, len(self.dev.examples)))
            with torch.inference_mode(), self.autocast():
                losses.append(float(self.average(batch.maps.to(device), batch.tokens.to(device))))
        return sum(losses) / len(losses)

    def row(self, loss: float | None, dev_loss: float | None = None, dev_cider_d: float | None = None) -> None:
        """Log what was measured at this step."""
        rate = self.optimizer.param_groups[0]["lr"]
        self.log.row(self.step, self.total, self.spent_s, rate, loss, dev_loss, dev_cider_d)


def trained_groups(parts: Parts) -> list[list[nn.Parameter]]:
    """Return the network's parameters and those of the encoder that may be trained; freeze all others."""
    parts.encoder.requires_grad_(False)
    parts.model.requires_grad_(True)
    return [list(parts.model.parameters()), [] if parts.model.keeps_encoder else parts.encoder.tuned()]


def rate_share(step: int, total: int, warm_up: int) -> float:
    """Return the share of the peak learning rate at a step: linear warm-up, then a cosine down to 2 %."""
    if step < warm_up:
        return (step + 1) / warm_up
    done = (step - warm_up) / max(1, total - warm_up)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def has_bfloat16(device: torch.device) -> bool:
    """Say whether a device computes in bfloat16 by itself."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())  # noqa: SLF001  torch has no public question


def run_command(settings: Settings, kind: "type[Trainer]") -> int:
    """Train, and return the exit status: 0 done, 2 could not start or go on, 130 interrupted."""
    raise_again()
    try:
        assert_usable(settings)
        data = find_data(settings.data)
        settings.out.mkdir(parents=True, exist_ok=True)
        kind(settings, data, new_bundle(data, settings)).run()
    except (CaptionerError, OSError) as error:
        say(f"error: {error}")
        return 2
    except (MemoryError, RuntimeError) as error:
        if not is_memory_fault(error):
            raise
        say(f"error: --device {settings.device}: does not fit into memory; lower --batch-photos, or the family's width")
        return 2
    except KeyboardInterrupt:
        begun = (settings.out / "state.pt").exists()
        say(f"stopped; {KEPT}" if begun else "stopped before anything was learned")
        return INTERRUPTED
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the first phase of training and return the exit status."""
    return run_command(parse(arguments, "captioner.train"), Trainer)


if __name__ == "__main__":
    sys.exit(main())
