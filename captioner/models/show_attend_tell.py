"""Show, Attend and Tell: an LSTM that looks at the photo's regions before each word (Xu et al. 2015, arXiv 1502.03044).

A CNN without its last two layers gives a map whose cells are the regions (a ResNet-50's 7 x 7 x 2048: 49 of them). How
much of region i is looked at is Bahdanau's additive attention (Bahdanau et al. 2015, arXiv 1409.0473):

    e_i = W_a tanh(W_b s + W_c H_i),   a = softmax(e),   z = sum_i a_i H_i            (soft)

with s the LSTM's state, which begins, as its cell does, as a function of the mean region. The next state is
LSTMCell([E y; z], s), and the next word's scores come from W_o(E y + W_h s' + W_z z).

Hard attention looks at one region, drawn from a. It is learned by REINFORCE (section 4.1): the caption's
log-likelihood, less a moving average b of it, rewards the draws, and an entropy term keeps them apart:

    dL/dW = d log p(y | s~, a) / dW + r (log p(y | s~, a) - b) d log p(s~ | a) / dW + h dH[s~] / dW

With a chance of one half a caption is shown the mean z of soft attention instead, as in the paper. To decode, the most
looked-at region is taken, so that the same photo gives the same words.

Shapes: B photos, L regions, D features a region, W width of regions, words and state, A width of the attention,
C captions a photo, T tokens, V words.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from captioner.decoding import PADDING
from captioner.models.layers import Dropout
from captioner.models.network import CaptionNetwork, NetworkConfig, RecurrentCache, word_loss

BASELINE_KEEP = 0.9
"""Share of the moving-average reward that each step keeps: the paper's 0.9."""


@dataclass(frozen=True)
class ShowAttendTellConfig(NetworkConfig):
    """The network's sizes, and how it looks and learns to."""

    width: int = 512
    """W."""
    attention_width: int = 256
    """A."""
    longest: int = 32
    """The most tokens of a caption, the end token included."""
    dropout: float = 0.3
    """Share of values dropped while training."""
    attention: Literal["soft", "hard"] = "soft"
    """`soft`: the regions' weighted mean; `hard`: one region, drawn by chance while training."""
    penalty: float = 0.0
    """Weight of the doubly stochastic penalty (section 4.2.1): each region should get attention 1 over a caption."""
    reward: float = 1.0
    """Weight r of the rewards of hard attention."""
    entropy: float = 0.01
    """Weight h of the entropy of hard attention."""


class Memory(NamedTuple):
    """What the words look at."""

    regions: Tensor
    """H, (B, L, W)."""
    keys: Tensor
    """W_c H, (B, L, A)."""


class Unrolled(NamedTuple):
    """What comes of a whole caption."""

    hidden: Tensor
    """What is known before each next word, (B, C, T, W)."""
    attention: Tensor
    """How much of each region was looked at, (B, C, T, L)."""
    drawn: Tensor
    """Log-probability of the region that was drawn, (B, C, T); 0 where none was."""


class ShowAttendTell(CaptionNetwork):
    """Regions and the words so far to the next word, looking as it goes."""

    kind = "show_attend_tell"
    baseline: Tensor

    def __init__(self, config: ShowAttendTellConfig) -> None:
        """Build the network with random weights."""
        super().__init__(config)
        width = config.width
        self.norm = nn.LayerNorm(config.region_width)
        self.dense = nn.Linear(config.region_width, width)
        self.first = nn.Linear(width, 2 * width)
        self.words = nn.Embedding(config.vocabulary, width)
        self.ask = nn.Linear(width, config.attention_width)  # W_b
        self.answer = nn.Linear(width, config.attention_width, bias=False)  # W_c
        self.weigh = nn.Linear(config.attention_width, 1, bias=False)  # W_a
        self.cell = nn.LSTMCell(2 * width, width)
        self.from_state, self.from_context = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.out = nn.Linear(width, config.vocabulary)
        self.dropout = Dropout(config.dropout)
        self.register_buffer("baseline", torch.zeros(()))
        nn.init.uniform_(self.words.weight, -0.1, 0.1)

    def encode(self, regions: Tensor) -> Memory:
        """Lay the regions (B, L, D) and their keys out."""
        dense = torch.relu(self.dense(self.norm(regions)))  # (B, L, W)
        return Memory(dense, self.answer(dense))

    def begin(self, memory: Memory) -> tuple[Tensor, Tensor]:
        """Return the first state and cell, from the mean region: each (B, W)."""
        state, cell = torch.tanh(self.first(memory.regions.mean(1))).chunk(2, -1)
        return state, cell

    def look(self, state: Tensor, memory: Memory) -> Tensor:
        """Return how much of each region is looked at from states (B * C, W): (B, C, L), sums 1."""
        asked = self.ask(state).reshape(len(memory.keys), -1, 1, self.config.attention_width)  # (B, C, 1, A)
        scores = self.weigh(torch.tanh(asked + memory.keys[:, None])).squeeze(-1)  # (B, C, L)
        seen: Tensor = scores.float().softmax(-1)
        return seen

    def hidden(self, memory: Memory, tokens: Tensor) -> Tensor:
        """Give what is known before each next word of captions (B, C, T): (B, C, T, W)."""
        return self.unroll(memory, tokens).hidden

    def unroll(self, memory: Memory, tokens: Tensor) -> Unrolled:
        """Go through captions (B, C, T) token by token, each shown the true one before (teacher forcing)."""
        photos, captions, length = tokens.shape
        state, cell = (one.repeat_interleave(captions, 0) for one in self.begin(memory))  # each (B * C, W)
        words = self.dropout(self.words(tokens))  # (B, C, T, W)
        soft = torch.rand(photos, captions, device=tokens.device) < 0.5  # noqa: PLR2004  the paper's chance
        states: list[Tensor] = []
        contexts: list[Tensor] = []
        seen: list[Tensor] = []
        drawn: list[Tensor] = []
        for place in range(length):
            looked = self.look(state, memory)  # (B, C, L)
            weights, logprob = self.choose(looked, soft)  # (B, C, L), (B, C)
            context = (weights.to(memory.regions.dtype) @ memory.regions).flatten(0, 1)  # (B * C, W)
            state, cell = self.cell(torch.cat([words[:, :, place].flatten(0, 1), context], 1), (state, cell))
            for kept, one in ((states, state), (contexts, context), (seen, looked), (drawn, logprob)):
                kept.append(one)
        last = self.from_state(torch.stack(states, 1)) + self.from_context(torch.stack(contexts, 1))  # (B * C, T, W)
        hidden = torch.tanh(words + last.reshape(photos, captions, length, -1))  # (B, C, T, W)
        return Unrolled(hidden, torch.stack(seen, 2), torch.stack(drawn, 2))

    def choose(self, looked: Tensor, soft: Tensor) -> tuple[Tensor, Tensor]:
        """Return the weights to mix the regions by, (B, C, L), and the log-probability of what was drawn, (B, C).

        `soft` says which captions (B, C) are shown the mean although attention is hard.
        """
        nothing = looked.new_zeros(looked.shape[:2])
        if self.config.attention == "soft":
            return looked, nothing
        if not self.training:
            return one_hot(looked.argmax(-1), looked.shape[-1]), nothing
        region = torch.multinomial(looked.flatten(0, 1), 1).reshape(looked.shape[:2])  # (B, C)
        logprob = looked.gather(-1, region[..., None]).squeeze(-1).clamp_min(1e-9).log()  # (B, C)
        weights = torch.where(soft[..., None], looked, one_hot(region, looked.shape[-1]))
        return weights, torch.where(soft, nothing, logprob)

    def score(self, words: Tensor) -> Tensor:
        """Turn what is known (..., W) into scores of each next word, (..., V)."""
        scores: Tensor = self.out(self.dropout(words))
        return scores

    def loss(self, regions: Tensor, tokens: Tensor, smoothing: float) -> Tensor:
        """Return the mean loss a word, with the penalty and, where attention is hard, with its rewards."""
        made = self.unroll(self.encode(regions), tokens[..., :-1])
        loss = word_loss(self, made.hidden, tokens, smoothing)
        said = (tokens[..., 1:] != PADDING).float()  # (B, C, T)
        if self.config.penalty:
            loss = loss + self.config.penalty * doubly_stochastic(made.attention, said)
        if self.config.attention == "hard" and self.training:
            loss = loss + self._reinforce(made, tokens, said)
        return loss

    def _reinforce(self, made: Unrolled, tokens: Tensor, said: Tensor) -> Tensor:
        """Return what makes draws likelier that led to likelier captions, a word; moves the baseline on."""
        with torch.no_grad():
            chances = self.score(made.hidden).float().log_softmax(-1)  # (B, C, T, V)
            likely = chances.gather(-1, tokens[..., 1:, None]).squeeze(-1)  # (B, C, T)
            rewards = (likely * said).sum(-1) / said.sum(-1).clamp_min(1)  # (B, C)
            gained = rewards - self.baseline
            self.baseline.lerp_(rewards.mean().to(self.baseline.dtype), 1 - BASELINE_KEEP)
        entropy = -(made.attention * made.attention.clamp_min(1e-9).log()).sum(-1)  # (B, C, T)
        rewarded = self.config.reward * gained[..., None] * made.drawn + self.config.entropy * entropy  # (B, C, T)
        loss: Tensor = -(rewarded * said).sum() / said.sum()
        return loss

    def attend(self, regions: Tensor, tokens: Tensor) -> Tensor:
        """Give where the network looks as it finds the word after each token of (B, T): (B, T, L), sums 1."""
        seen: Tensor = self.unroll(self.encode(regions), tokens[:, None]).attention[:, 0]
        return seen

    def start(self, regions: Tensor) -> RecurrentCache:
        """Begin to decode photos (B, L, D)."""
        memory = self.encode(regions)
        return RecurrentCache(tuple(memory), self.begin(memory))

    def step(self, tokens: Tensor, cache: RecurrentCache) -> Tensor:
        """Say one more token of each caption, (B * C,), and get the log-probabilities of the next, (B * C, V)."""
        cache.spread(len(tokens))
        memory, (state, cell) = Memory(*cache.photos), cache.rows
        looked = self.look(state, memory)  # (B, C, L)
        weights, _ = self.choose(looked, torch.zeros(looked.shape[:2], dtype=torch.bool, device=looked.device))
        context, words = (weights @ memory.regions).flatten(0, 1), self.words(tokens)  # each (B * C, W)
        state, cell = cache.rows = self.cell(torch.cat([words, context], 1), (state, cell))
        hidden: Tensor = torch.tanh(words + self.from_state(state) + self.from_context(context))  # (B * C, W)
        return torch.log_softmax(self.score(hidden).float(), -1)  # (B * C, V)


def one_hot(regions: Tensor, count: int) -> Tensor:
    """Return weights (..., L) that take one region each of (...)."""
    return nn.functional.one_hot(regions, count).float()


def doubly_stochastic(attention: Tensor, said: Tensor) -> Tensor:
    """Return the mean over captions of sum_i (1 - sum_t a_ti)^2, from (B, C, T, L); padding (said 0) does not count."""
    over_words = (attention * said[..., None]).sum(2)  # (B, C, L)
    return (1 - over_words).square().sum(-1).mean()
