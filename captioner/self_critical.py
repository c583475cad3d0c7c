"""The second phase of training: raise CIDEr-D itself, `python -m captioner.self_critical --start MODEL ...`.

Self-critical sequence training (Rennie et al. 2017, arXiv 1612.00563): captions are drawn by chance, scored, and made
likelier where they beat the mean of the photo's other ones (Luo 2020, arXiv 2003.09971). The end of a caption is
scored as a word, so that captions are not taught to break off. The encoder stays as it is unless a rate is given.

Shapes: B photos, C captions a photo, T tokens, V words.
"""

import sys
from collections.abc import Sequence

from captioner.interrupts import end_at_once

if __name__ == "__main__":
    end_at_once()

import torch
from torch import Tensor, nn

from captioner.batches import Batch
from captioner.bundle import Bundle
from captioner.dataset import Data
from captioner.decoding import sample
from captioner.errors import DataError, ModelError
from captioner.metrics import CiderD, ptb_like
from captioner.tokenizer import END, PADDING, START
from captioner.train import Trainer, run_command
from captioner.train_settings import Settings, parse
from captioner.training_log import say

CAPTIONS_DRAWN = 5
"""Drawn for each photo."""
LONGEST_DRAWN = 20
"""Tokens of a drawn caption, the end included; one in fifty of people's captions is longer."""
LEARNED_WEIGHT = 0.2
"""Weight of one of people's captions a photo, learned from as in the first phase: keeps the language in shape."""
FEWEST_REFERENCES = 4
"""Photos with fewer captions are left out: one reference says little about a caption."""
GENTLE = {"peak_rate": 1.5e-5, "encoder_rate": 0.0, "tune_share": 0.0, "warm_up_steps": 30, "average_keep": 0.99}
"""Settings of this phase where none are given: small steps, a shorter average. LOG.md has the rates tried: at 5e-5
without people's captions beside the drawn ones it fell apart, at 4e-5 with the encoder it gained nothing."""


class SelfCritical(Trainer):
    """A training run on rewards; state, log and checkpoints are those of the first phase."""

    def __init__(self, settings: Settings, data: Data, bundle: Bundle) -> None:
        """Keep the photos with enough references and prepare these for scoring."""
        kept = [one for one in data.train if len(one.captions) >= FEWEST_REFERENCES]
        if not kept:
            mend = "use captioner.train alone"
            raise DataError(f"no photo has {FEWEST_REFERENCES} captions or more", str(settings.data), mend)
        if bundle.model.own_search is not None or not bundle.model.captions:
            mend = "train it with --options objectives=lm first"
            raise ModelError("it never learned to say captions word by word", bundle.name, mend)
        super().__init__(settings, data, bundle)
        places = {one.name: place for place, one in enumerate(data.train)}
        self.train.keep([places[one.name] for one in kept])
        self.optimizer.param_groups[0]["betas"] = (0.9, 0.999)  # differences of scores are noisy: a longer memory
        self.scorer = CiderD([[ptb_like(caption) + " ." for caption in one.captions] for one in kept])

    def loss(self, batch: Batch) -> tuple[Tensor, float]:
        """Draw captions and score them; return what to go down on, and minus the mean score to log."""
        self.parts.eval()  # what is drawn and what is learned from have the same chances: nothing is dropped
        maps = batch.maps.to(self.settings.device).contiguous(memory_format=torch.channels_last)
        with self.autocast():
            regions = self.parts.encoder.upper(maps)  # (B, L, D)
        with torch.no_grad(), self.autocast():  # on its own: autocast would keep its weights without their gradients
            drawn = sample(self.parts.model, regions, CAPTIONS_DRAWN, LONGEST_DRAWN)  # (B, C, T)
        learned = batch.tokens[:, :1, 1:].to(drawn.device)  # (B, 1, T')
        with self.autocast():
            logprobs = self._logprobs(regions, _joined(drawn, learned))  # (B, C + 1)
        rewards = self._rewards(drawn, batch.photos).to(drawn.device)  # (B, C)
        others = (rewards.sum(1, keepdim=True) - rewards) / (CAPTIONS_DRAWN - 1)  # (B, C)
        better = ((rewards - others) * logprobs[:, :-1]).sum() / (drawn != PADDING).sum()
        likelihood = logprobs[:, -1].sum() / (learned != PADDING).sum()
        return -better - LEARNED_WEIGHT * likelihood, -float(rewards.mean())

    def dev_loss(self) -> float | None:
        """Return nothing: this phase goes by CIDEr-D."""
        return None

    def _rewards(self, drawn: Tensor, photos: Sequence[int]) -> Tensor:
        """Score each drawn caption of (B, C, T) against its photo's references: (B, C)."""
        words = self.tokenizer.words
        scores = [
            [self.scorer.score(" ".join("." if number == END else words[number] for number in ids if number), photo)
             for ids in some]
            for some, photo in zip(drawn.tolist(), photos, strict=True)
        ]  # fmt: skip
        return torch.tensor(scores)

    def _logprobs(self, regions: Tensor, said: Tensor) -> Tensor:
        """Return the log-probability of each caption of (B, C, T), which the start token is not in: (B, C)."""
        start = torch.full_like(said[..., :1], START)
        hidden = self.parts.model.hidden(self.parts.model.encode(regions), torch.cat([start, said[..., :-1]], 2))
        words = said != PADDING  # (B, C, T)
        scores = self.parts.model.score(hidden[words]).float()  # (words, V)
        each = -nn.functional.cross_entropy(scores, said[words], reduction="none")  # (words,)
        return torch.zeros(said.shape, device=said.device).masked_scatter(words, each).sum(2)  # (B, C)


def _joined(first: Tensor, second: Tensor) -> Tensor:
    """Put captions (B, C, T) and (B, C', T') of the same photos together, padded: (B, C + C', longer of T and T')."""
    longest = max(first.shape[2], second.shape[2])
    return torch.cat([nn.functional.pad(one, (0, longest - one.shape[2])) for one in (first, second)], 1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the second phase of training and return the exit status."""
    settings = parse(arguments, "captioner.self_critical", **GENTLE)
    if settings.start is None:
        say("error: no captioner to go on from; give the folder that captioner.train wrote as --start")
        return 2
    return run_command(settings, SelfCritical)


if __name__ == "__main__":
    sys.exit(main())
