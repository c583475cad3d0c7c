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
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  the name that everyone reads

from captioner.decoding import END, PADDING, START
from captioner.models.network import LARGEST_SCALE, contrast, true_pairs, word_loss
from captioner.unmasking import MASK

Objective = Literal["lm", "mlm", "itc", "itm", "answer", "classify"]
"""What there is to learn by."""


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

    @property
    def scale(self) -> Tensor:
        """One over the temperature of what is compared."""
        return self.log_scale.exp().clamp(max=LARGEST_SCALE)

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
    return _told_apart(network.score(hidden[taken]), tokens[taken], smoothing)


def _told_apart(scores: Tensor, wanted: Tensor, smoothing: float = 0.0) -> Tensor:
    """Return the mean loss of N scores, (N, classes), against (N,); 0 for none, where the mean would be no number."""
    return F.cross_entropy(scores.float(), wanted, label_smoothing=smoothing) if len(wanted) else scores.float().sum()


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
    return contrast(photos, texts, network.heads.scale, true_pairs(tokens))


def _itm(network: Any, regions: Tensor, tokens: Tensor, smoothing: float) -> Tensor:
    del smoothing
    texts = tokens[:, :1]  # (B, 1, T): one of each photo
    (photos, others), (places, other_texts) = hard_negatives(network, regions, tokens)
    shown = torch.cat([regions, regions[others], regions[places]])  # (B + N + M, L, D)
    read = torch.cat([texts, texts[photos], texts[other_texts]])  # (B + N + M, 1, T)
    wanted = torch.arange(len(shown), device=texts.device) < len(regions)  # (B + N + M,)
    scores = match(network, shown, read).float()
    return scores.sum() * 0 if wanted.all() else F.cross_entropy(scores, wanted.long())  # all match: nothing to learn


def match(network: Any, regions: Tensor, tokens: Tensor) -> Tensor:
    """Give the scores for no match and for a match of photos (B, L, D), one text each, (B, 1, T): (B, 2)."""
    scores: Tensor = network.heads.match(network.understand(regions, tokens)[:, 0, 0])
    return scores


def hard_negatives(network: Any, regions: Tensor, tokens: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
    """Draw for the first texts of (B, C, T) other photos, and for photos other texts: the liker, the likelier.

    Returns texts with the photos drawn for them, (N,) each, and photos with their texts, (M,) each: those for which
    there is one. A text in the words of one of a photo's own is true of it, and never drawn. Without contrastive
    vectors all are as likely.
    """
    texts = tokens[:, :1]  # (B, 1, T)
    true = true_pairs(tokens)[:, :: tokens.shape[1]]  # (B, B), photos by first texts
    alike = torch.zeros(true.shape, device=tokens.device)
    if network.contrastive:
        with torch.no_grad():
            photos, said = _vectors(network, regions, texts)
            alike = network.heads.scale * photos @ said[:, 0].T  # (B, B)
    return _drawn(alike.T, true.T), _drawn(alike, true)


def _drawn(alike: Tensor, true: Tensor) -> tuple[Tensor, Tensor]:
    """Draw of each row of (B, B) one that is not true, where there is one: the rows' places and what was drawn."""
    rows = (~true).any(1).nonzero()[:, 0]  # (N,)
    if not len(rows):
        return rows, rows
    chances = alike.float().masked_fill(true, -torch.inf)[rows].softmax(1)  # (N, B)
    return rows, torch.multinomial(chances, 1)[:, 0]


def asked(tokens: Tensor, separator: int) -> Tensor:
    """Say which tokens of texts (..., T) belong to the question, the separator included: (..., T)."""
    at = tokens == separator
    return (at.cumsum(-1) - at.long()) == 0


def _answer(network: Any, regions: Tensor, tokens: Tensor, smoothing: float) -> Tensor:
    hidden = network.hidden(network.encode(regions), tokens[..., :-1])  # (B, C, T - 1, W)
    wanted = tokens.masked_fill(asked(tokens, network.config.separator), PADDING)[..., 1:]  # (B, C, T - 1)
    said = wanted != PADDING
    return _told_apart(network.score(hidden[said]), wanted[said], smoothing)


def _classify(network: Any, regions: Tensor, tokens: Tensor, smoothing: float) -> Tensor:
    question = asked(tokens, network.config.separator)  # (B, C, T)
    place = question.sum(-1, keepdim=True).clamp(max=tokens.shape[-1] - 1)  # the answer's, (B, C, 1)
    given = tokens.gather(-1, place)  # (B, C, 1)
    same = given == tokens.new_tensor(network.config.answers)  # (B, C, answers)
    known = same.any(-1)
    scores = classes(network, regions, tokens.masked_fill(~question, PADDING))  # (B, C, answers)
    return _told_apart(scores[known], same[known].long().argmax(-1), smoothing)


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
