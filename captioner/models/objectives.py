"""What networks of fusion learn by: the heads of vision-language pre-training, and of what it is fine-tuned to.

`lm`        each word from the words before it and the photo: captioning.
`mlm`       words that were taken out, from all others and the photo (Devlin et al. 2019, arXiv 1810.04805); any share
            of them, so that captions can be said by unmasking (Ghazvininejad et al. 2019, arXiv 1904.09324).
`itc`       photos and texts as vectors, compared (ALBEF, Li et al. 2021, arXiv 2107.07651): retrieval.
`itm`       does this text belong to this photo? Wrong pairs are drawn by how alike `itc` finds them: hard negatives
            (ALBEF, section 3.2).
`answer`    a question's answer, word by word (BLIP, Li et al. 2022, arXiv 2201.12086).
`classify`  a question's answer, one of a fixed set (VQA, Antol et al. 2015, arXiv 1505.00468).

The word for a word that was taken out is the unknown word. A text's vector is what is known at its start token.

Shapes: B photos, L regions, D features a region, C texts a photo, T tokens, W width of the network, V words, E width of
the vectors that photos and texts are compared by.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  the name that everyone reads

from captioner.decoding import END, PADDING, START, UNKNOWN
from captioner.models.network import contrast, word_loss

MASK = UNKNOWN
"""What stands where a word was taken out."""


class Heads(nn.Module):
    """The layers that the objectives need beside the network's own."""

    def __init__(self, width: int, embedding: int, answers: int, objectives: Sequence[str]) -> None:
        """Build those of the objectives that are asked for."""
        super().__init__()
        if "itc" in objectives:
            self.photo_out, self.text_out = nn.Linear(width, embedding), nn.Linear(width, embedding)
            self.log_scale = nn.Parameter(torch.tensor(1 / 0.07).log())
        if "itm" in objectives:
            self.match = nn.Linear(width, 2)
        if "classify" in objectives:
            self.answer = nn.Linear(width, answers)

    def photo_vector(self, regions: Tensor) -> Tensor:
        """Give the unit vectors of regions (B, L, W): (B, E)."""
        return F.normalize(self.photo_out(regions.mean(1)).float(), dim=-1)

    def text_vector(self, starts: Tensor) -> Tensor:
        """Give the unit vectors of what is known at texts' start tokens, (..., W): (..., E)."""
        return F.normalize(self.text_out(starts).float(), dim=-1)


def _lm(network: Any, regions: Tensor, tokens: Tensor, smoothing: float) -> Tensor:
    return word_loss(network, network.hidden(network.encode(regions), tokens[..., :-1]), tokens, smoothing)


def _mlm(network: Any, regions: Tensor, tokens: Tensor, smoothing: float) -> Tensor:
    taken = take_out(tokens)
    hidden = network.understand(regions, tokens.masked_fill(taken, MASK))  # (B, C, T, W)
    return F.cross_entropy(network.score(hidden[taken]).float(), tokens[taken], label_smoothing=smoothing)


def take_out(tokens: Tensor) -> Tensor:
    """Draw for each text a share of words to take out, any from one word to all: (B, C, T)."""
    words = (tokens != PADDING) & (tokens != START) & (tokens != END) & (tokens != MASK)  # (B, C, T)
    order = torch.rand(tokens.shape, device=tokens.device).masked_fill(~words, 2.0)
    drawn = order < torch.rand(tokens.shape[:2], device=tokens.device)[..., None]
    first = torch.zeros_like(words).scatter(-1, order.argmin(-1, keepdim=True), value=True)  # at least one
    return (drawn | first) & words


def _vectors(network: Any, regions: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Give the unit vectors of the photos, (B, E), and of their texts, (B, C, E)."""
    texts = network.hidden(None, tokens, both_ways=True)[:, :, 0]  # (B, C, W)
    return network.embed_photos(regions), network.heads.text_vector(texts)


def _itc(network: Any, regions: Tensor, tokens: Tensor, smoothing: float) -> Tensor:
    del smoothing
    photos, texts = _vectors(network, regions, tokens)
    return contrast(photos, texts, network.heads.log_scale.exp().clamp(max=100.0))


def _itm(network: Any, regions: Tensor, tokens: Tensor, smoothing: float) -> Tensor:
    del smoothing
    texts = tokens[:, :1]  # (B, 1, T): one of each photo
    other_photos, other_texts = hard_negatives(network, regions, texts)
    shown = torch.cat([regions, regions, regions[other_photos]])  # (3 * B, L, D)
    read = torch.cat([texts, texts[other_texts], texts])  # (3 * B, 1, T)
    wanted = torch.arange(len(shown), device=texts.device) < len(regions)  # (3 * B,)
    return F.cross_entropy(match(network, shown, read).float(), wanted.long())


def match(network: Any, regions: Tensor, tokens: Tensor) -> Tensor:
    """Give the scores for no match and for a match of photos (B, L, D), one text each, (B, 1, T): (B, 2)."""
    scores: Tensor = network.heads.match(network.understand(regions, tokens)[:, 0, 0])
    return scores


def hard_negatives(network: Any, regions: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
    """Draw for each text another photo, for each photo another text, (B,) each: the liker, the likelier.

    Without contrastive vectors all others are as likely.
    """
    own = torch.eye(len(texts), dtype=torch.bool, device=texts.device)  # (B, B)
    if network.contrastive:
        with torch.no_grad():
            photos, said = _vectors(network, regions, texts)
            alike = network.heads.log_scale.exp() * photos @ said[:, 0].T  # (B, B), photos by texts
    else:
        alike = torch.zeros_like(own, dtype=torch.float)
    chances = alike.masked_fill(own, -1e4)
    if len(texts) == 1:  # there is no other
        return torch.zeros_like(texts[:, 0, 0]), torch.zeros_like(texts[:, 0, 0])
    draw = [torch.multinomial(one.float().softmax(1), 1)[:, 0] for one in (chances.T, chances)]
    return draw[0], draw[1]


def asked(tokens: Tensor, separator: int) -> Tensor:
    """Say which tokens of texts (..., T) belong to the question, the separator included: (..., T)."""
    at = tokens == separator
    return (at.cumsum(-1) - at.long()) == 0


def _answer(network: Any, regions: Tensor, tokens: Tensor, smoothing: float) -> Tensor:
    hidden = network.hidden(network.encode(regions), tokens[..., :-1])  # (B, C, T - 1, W)
    learned = tokens.masked_fill(asked(tokens, network.config.separator), PADDING)
    return word_loss(network, hidden, learned, smoothing)


def _classify(network: Any, regions: Tensor, tokens: Tensor, smoothing: float) -> Tensor:
    question = asked(tokens, network.config.separator)  # (B, C, T)
    place = question.sum(-1, keepdim=True).clamp(max=tokens.shape[-1] - 1)  # the answer's, (B, C, 1)
    given = tokens.gather(-1, place)  # (B, C, 1)
    same = given == tokens.new_tensor(network.config.answers)  # (B, C, answers)
    known = same.any(-1)
    scores = classes(network, regions, tokens.masked_fill(~question, PADDING))  # (B, C, answers)
    return F.cross_entropy(scores[known].float(), same[known].long().argmax(-1), label_smoothing=smoothing)


def classes(network: Any, regions: Tensor, questions: Tensor) -> Tensor:
    """Give the scores of the fixed answers for photos (B, L, D) and questions (B, C, T): (B, C, answers)."""
    scores: Tensor = network.heads.answer(network.understand(regions, questions)[:, :, 0])
    return scores


OBJECTIVES: dict[str, Callable[[Any, Tensor, Tensor, float], Tensor]] = {
    "lm": _lm, "mlm": _mlm, "itc": _itc, "itm": _itm, "answer": _answer, "classify": _classify,
}  # fmt: skip
"""Name to loss: of a network, regions (B, L, D), texts (B, C, T) and the label smoothing."""


def loss_of(name: str, network: Any, regions: Tensor, tokens: Tensor, smoothing: float) -> Tensor:
    """Return one objective's loss."""
    return OBJECTIVES[name](network, regions, tokens, smoothing)
