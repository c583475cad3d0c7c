"""The second phase of training: raise CIDEr-D itself, `python -m captioner.self_critical --start MODEL ...`.

Self-critical sequence training (Rennie et al. 2017, arXiv 1612.00563): captions are drawn by chance, scored, and made
likelier where they beat the mean of the photo's other ones (Luo 2020, arXiv 2003.09971). The end of a caption is
scored as a word, so that captions are not taught to break off. The encoder stays as it is.

Shapes: B photos, C captions a photo, T tokens, V words.
"""

import sys
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from captioner.bundle import Bundle
from captioner.dataset import Data
from captioner.decoding import sample
from captioner.errors import DataError
from captioner.metrics import CiderD, ptb_like
from captioner.tokenizer import END, PADDING, START
from captioner.train import CLIP_NORM, Settings, Trainer, parse, run_command, say

CAPTIONS_DRAWN = 5
"""C."""
LEARNED_WEIGHT = 0.2
"""Weight of one of people's captions a photo, learned from as in the first phase: keeps the language in shape."""
FEWEST_REFERENCES = 4
"""Photos with fewer captions are left out: one reference says little about a caption."""


def gently(settings: Settings) -> Settings:
    """Return the settings of this phase: small steps, a short memory, the encoder left alone.

    At a rate of 5e-5 without people's captions beside the drawn ones it fell apart after 180 steps ("is is is").
    """
    return replace(settings, peak_rate=1.5e-5, tune_share=1.0, warm_up_steps=30, average_keep=0.99)


class SelfCritical(Trainer):
    """A training run on rewards; state, log and checkpoints are those of the first phase."""

    def __init__(self, settings: Settings, data: Data, bundle: Bundle) -> None:
        """Keep the photos with enough references and prepare these for scoring."""
        kept = [one for one in data.train if len(one.captions) >= FEWEST_REFERENCES]
        if not kept:
            mend = "use captioner.train alone"
            raise DataError(f"no photo has {FEWEST_REFERENCES} captions or more", str(settings.data), mend)
        super().__init__(settings, data, bundle)
        places = {one.name: place for place, one in enumerate(data.train)}
        self.train.keep([places[one.name] for one in kept])
        self.optimizer.param_groups[0]["betas"] = (0.9, 0.999)  # differences of scores are noisy: a longer memory
        self.scorer = CiderD([[ptb_like(caption) + " ." for caption in one.captions] for one in kept])

    def train_step(self) -> float:
        """Draw captions, score them, and learn from the differences; return minus the mean score."""
        batch = self.train.draw(self.settings.seed, self.step, self.settings.batch_photos)
        torch.manual_seed(self.settings.seed * 1_000_003 + self.step)
        self._set_rates()
        device = torch.device(self.settings.device)
        self.parts.eval()
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
            maps = batch.maps.to(device).contiguous(memory_format=torch.channels_last)
            regions = self.parts.encoder.upper(maps).float()  # (B, L, D)
            drawn = sample(self.parts.model, regions, CAPTIONS_DRAWN, 20)  # (B, C, T)
        rewards = self._rewards(drawn, batch.photos).to(device)  # (B, C)
        others = (rewards.sum(1, keepdim=True) - rewards) / (CAPTIONS_DRAWN - 1)  # (B, C)
        with torch.autocast(device.type, torch.bfloat16):
            learned = batch.tokens[:, :1].to(device)  # (B, 1, T)
            logprobs = self._logprobs(regions, drawn)  # (B, C)
            likelihood = self._logprobs(regions, learned[..., 1:]).sum() / (learned[..., 1:] != PADDING).sum()
        loss = -((rewards - others) * logprobs).sum() / (drawn != PADDING).sum() - LEARNED_WEIGHT * likelihood
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it without types
        nn.utils.clip_grad_norm_(self.groups[0], CLIP_NORM)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step += 1
        self._average()
        return -float(rewards.mean())

    def _rewards(self, drawn: Tensor, photos: Sequence[int]) -> Tensor:
        """Score each drawn caption of (B, C, T) against its photo's references: (B, C)."""
        words = self.tokenizer.words
        scores = [
            [self.scorer.score(" ".join("." if number == END else words[number] for number in ids if number), photo)
             for ids in some]
            for some, photo in zip(drawn.tolist(), photos, strict=True)
        ]  # fmt: skip
        return torch.tensor(scores)

    def _logprobs(self, regions: Tensor, drawn: Tensor) -> Tensor:
        """Return the log-probability of each drawn caption, (B, C), now with gradients."""
        start = torch.full_like(drawn[..., :1], START)
        hidden = self.parts.model.hidden(self.parts.model.encode(regions), torch.cat([start, drawn[..., :-1]], 2))
        said = drawn != PADDING  # (B, C, T)
        scores = self.parts.model.score(hidden[said]).float()  # (words, V)
        each = -nn.functional.cross_entropy(scores, drawn[said], reduction="none")  # (words,)
        return torch.zeros(drawn.shape, device=drawn.device).masked_scatter(said, each).sum(2)  # (B, C)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the second phase of training and return the exit status."""
    settings = gently(parse(arguments, "captioner.self_critical"))
    if settings.start is None:
        say("error: no captioner to go on from; give the folder that captioner.train wrote as --start")
        return 2
    return run_command(settings, SelfCritical)


if __name__ == "__main__":
    sys.exit(main())
