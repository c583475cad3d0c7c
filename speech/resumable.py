"""A training that can be stopped and gone on with: what the acoustic model's and the vocoder's have in common."""

import csv
import json
import logging
import signal
import time
from abc import ABC, abstractmethod
from collections import Counter
from pathlib import Path
from typing import Any, Protocol

import torch

log = logging.getLogger(__name__)

SAVE_S = 180.0


class Stateful(Protocol):
    """A model, an average of weights or an optimiser."""

    def state_dict(self) -> dict[str, Any]:
        """Return everything that it needs to go on."""

    def load_state_dict(self, state: dict[str, Any], /) -> Any:
        """Go on from there."""


class Training(ABC):
    """Steps in a folder: an atomic `checkpoint.pt` every `SAVE_S` seconds, a row of `losses.csv` every `log_steps`."""

    log_steps: int
    losses: tuple[str, ...]
    """Names of what `advance` returns: some of them at each step, all of them in every row."""

    def __init__(self, folder: Path, last_step: int) -> None:
        """Begin at step 0 of `last_step`."""
        self.folder, self.last_step, self.step, self.stopping = folder, last_step, 0, False

    @abstractmethod
    def advance(self) -> dict[str, float]:
        """Take one step, count it in `step`, and return its losses."""

    @abstractmethod
    def parts(self) -> dict[str, Stateful]:
        """Return what a checkpoint holds, by its name there."""

    @abstractmethod
    def facts(self) -> dict[str, Any]:
        """Return what else a checkpoint holds for those who use it: tensors and what JSON can say."""

    def stop_at_sigterm(self) -> None:
        """End after the step in hand, with a checkpoint, when the system asks for it."""
        signal.signal(signal.SIGTERM, lambda _number, _frame: setattr(self, "stopping", True))

    def evaluate(self) -> dict[str, float]:
        """Return figures on what is held out; nothing where nothing is."""
        return {}

    def run(self) -> None:
        """Train up to the last step, or until `stopping` is set."""
        saved, started, sums, first = time.monotonic(), time.monotonic(), Counter[str](), self.step
        while self.step < self.last_step and not self.stopping:
            sums.update(self.advance())
            if self.step % self.log_steps == 0:
                steps = self.step - first
                means = {name: sums[name] / steps for name in self.losses}
                self._log({"step": self.step, "step_s": (time.monotonic() - started) / steps, **means})
                sums, first, started = Counter(), self.step, time.monotonic()
            if time.monotonic() - saved > SAVE_S:
                self.save()
                saved = time.monotonic()
        self.save()

    def save(self) -> None:
        """Write the checkpoint under a temporary name, then rename it."""
        facts = {name: fact if torch.is_tensor(fact) else json.dumps(fact) for name, fact in self.facts().items()}
        state = {name: part.state_dict() for name, part in self.parts().items()}
        torch.save({"step": self.step, **facts, **state}, self.folder / "checkpoint.part")
        (self.folder / "checkpoint.part").replace(self.folder / "checkpoint.pt")

    def resume(self) -> None:
        """Go on from the checkpoint, where there is one."""
        path = self.folder / "checkpoint.pt"
        if path.exists():
            state = torch.load(path, weights_only=True)
            self.step = state["step"]
            for name, part in self.parts().items():
                part.load_state_dict(state[name])

    def _log(self, row: dict[str, float]) -> None:
        """Add a row to `losses.csv`: means since the last one, and what is held out."""
        row |= self.evaluate()
        path = self.folder / "losses.csv"
        fresh = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(row))
            if fresh:
                writer.writeheader()
            writer.writerow({name: round(value, 5) for name, value in row.items()})
        log.info("step %d: %s", self.step, {name: round(value, 4) for name, value in row.items()})
