"""Words that reviewers use and a captioner does not know: room for them, and a first idea of each.

A word's first vector is what the network has in mind where reviewers say it (weight imprinting, Qi et al. 2018, arXiv
1712.07136): a few hundred photos would not move it there from nothing.

Shapes: B photos, c, h, w a map of the encoder's lower part, T tokens, W width of the network, V words.
"""

import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from captioner.bundle import Bundle
from captioner.dataset import Example
from captioner.models.words import WordNetwork
from captioner.tokenizer import SPECIAL, Tokenizer, split_words
from captioner.train import Trainer

NEW_WORD = 3
"""A word that reviewers use in so many photos joins the vocabulary."""
BATCH_PHOTOS = 50


def with_words(bundle: Bundle, train: Sequence[Example]) -> tuple[Bundle, tuple[str, ...]]:
    """Return the captioner with the words that reviewers use often and it does not know, and these words.

    A new word starts as the mean of all words and as unlikely as the least likely one: before it is learned it is
    never said.
    """
    known = set(bundle.tokenizer.words)
    uses = Counter(word for one in train for word in {w for text in one.captions for w in split_words(text)})
    new = tuple(sorted(word for word, count in uses.items() if count >= NEW_WORD and word not in known))
    if not new:
        return bundle, ()
    tokenizer = Tokenizer([*bundle.tokenizer.words[len(SPECIAL) :], *new])
    config = bundle.model.config
    model = type(bundle.model)(replace(config, vocabulary=len(tokenizer)))
    old = bundle.model.state_dict()
    grown = {name: one for name, one in model.state_dict().items() if one.shape != old[name].shape}  # (V, ...)
    model.load_state_dict(old | {name: _grown(old[name], len(new)) for name in grown})
    model.eval().requires_grad_(requires_grad=False)
    return replace(bundle, model=model, tokenizer=tokenizer), new


def _grown(rows: Tensor, count: int) -> Tensor:
    """Return a tensor with a row a word, (V, ...), with `count` rows more: the mean, of biases (V,) the least."""
    more = rows.min() if rows.dim() == 1 else rows.mean(0, keepdim=True)
    return torch.cat([rows, more.expand(count, *rows.shape[1:])])


@torch.no_grad()
def imprint(trainer: Trainer, count: int) -> None:
    """Give the last `count` words of a network that is about to learn the vectors of what it has in mind at them.

    That is the mean of what the layers make there, without the mean of everywhere, as long as a word's vector usually
    is. Networks that say their words another way than captioner.models.words begin with nothing.
    """
    network = trainer.parts.model
    if not count or not isinstance(network, WordNetwork):
        return
    states, wanted = _states(trainer, network.eval())  # (N, W), (N,)
    words, known = network.words.weight, len(network.words.weight) - count
    usual = words[:known].norm(dim=1).mean()
    for word in range(known, known + count):
        if (wanted == word).any():
            found = states[wanted == word].mean(0) - states.mean(0)  # (W,)
            words[word] = usual * found / found.norm()
            network.bias_out[word] = network.bias_out[:known].median()
    trainer.average.model.load_state_dict(network.state_dict())


@torch.no_grad()
def with_new_words_of(bundle: Bundle, learned: Bundle, count: int) -> Bundle:
    """Return a copy of a captioner that has the last `count` words as another learned them: these are never mixed.

    A word that is half learned is not said at all, however well its photos were learned.
    """
    mixed = copy.deepcopy(bundle)
    theirs = learned.model.state_dict()
    for name, rows in mixed.model.state_dict().items():
        if count and rows.dim() and len(rows) == len(bundle.tokenizer):
            rows[-count:] = theirs[name][-count:]
    return mixed


def _states(trainer: Trainer, network: WordNetwork) -> tuple[Tensor, Tensor]:
    """Return what the layers make before each word of the photos' first captions, (N, W), and these words, (N,)."""
    states, wanted = [], []
    for start in range(0, len(trainer.data.train), BATCH_PHOTOS):
        photos = range(start, min(start + BATCH_PHOTOS, len(trainer.data.train)))
        regions = trainer.encoder.upper(trainer.train.plain(photos).contiguous(memory_format=torch.channels_last))
        memory = network.encode(regions)
        captions = [torch.tensor(trainer.train.ids[photo][0]) for photo in photos]
        tokens = torch.nn.utils.rnn.pad_sequence(captions, batch_first=True)  # (B, T)
        said = tokens[:, 1:] != 0  # (B, T - 1); 0 is padding
        states.append(network.norm_out(network.hidden(memory, tokens[:, None, :-1]))[:, 0][said])
        wanted.append(tokens[:, 1:][said])
    return torch.cat(states), torch.cat(wanted)
