"""Pre-training of the decoder as a language model: captions without photos, the cross-attention left out.

The vocabulary stays that of the training captions; a text with more than one word outside it in ten is not used.

Shapes: B texts beside each other, T tokens, V words.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from captioner.errors import DataError
from captioner.models import CaptionNetwork
from captioner.tokenizer import END, PADDING, START, UNKNOWN, Tokenizer

UNKNOWN_SHARE = 0.1
"""The largest share of a text's words that may be outside the vocabulary."""


class Texts:
    """Draws batches of caption text; the same for the same seed and step."""

    def __init__(self, texts: Sequence[str], tokenizer: Tokenizer, longest: int) -> None:
        """Put the texts into ids; raise DataError where none can be used."""
        ids = (tokenizer.encode(text) for text in texts)
        used = (one for one in ids if one and one.count(UNKNOWN) <= UNKNOWN_SHARE * len(one))
        self.ids = [([START, *one, END])[: longest + 1] for one in used]
        if not self.ids:
            mend = "give captions*.tsv or captions-text.txt.gz, or no --language-steps"
            raise DataError("no caption text to learn from", "--language-steps", mend)

    def draw(self, seed: int, step: int, size: int) -> Tensor:
        """Draw the (B, 1, T) tokens of a step, in an order new for each pass over the texts."""
        passes, place = divmod(step, max(1, len(self.ids) // size))
        order = np.random.default_rng([seed, passes, 2]).permutation(len(self.ids))
        drawn = [self.ids[int(number)] for number in order[place * size : (place + 1) * size]]
        longest = max(len(ids) for ids in drawn)
        return torch.tensor([[ids + [PADDING] * (longest - len(ids))] for ids in drawn])  # (B, 1, T)


def language_loss(model: CaptionNetwork, tokens: Tensor, smoothing: float) -> Tensor:
    """Return the mean loss a word of captions (B, 1, T) that no photo helps to guess."""
    wanted = tokens[..., 1:]  # (B, 1, T - 1)
    said = wanted != PADDING
    scores = model.score(model.hidden(None, tokens[..., :-1])[said])  # (words, V)
    return nn.functional.cross_entropy(scores.float(), wanted[said], label_smoothing=smoothing)
