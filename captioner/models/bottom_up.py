"""Bottom-up and top-down attention: boxes of a detector, and two LSTMs (Anderson et al. 2018, arXiv 1707.07998).

The first LSTM attends: it sees what the second one said, the mean box and the last word, and its state weighs the boxes
(section 3.2.1), a_i = w_a tanh(W_v v_i + W_h h1). The second speaks: it sees the weighed boxes and the first's state.
Boxes come from captioner.boxes: a detector's best ones, or a fixed grid where no detector's weights are at hand. A
photo with fewer boxes than others is filled up with vectors of nothing but zeros: these are never looked at.

Shapes: B photos, L boxes, D features a box, W width of boxes, words and states, A width of the attention,
C captions a photo, T tokens, V words.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from captioner.models.layers import Dropout
from captioner.models.network import CaptionNetwork, NetworkConfig, RecurrentCache

States = tuple[Tensor, Tensor, Tensor, Tensor]
"""State and cell of the first LSTM and of the second, each (B * C, W)."""


@dataclass(frozen=True)
class BottomUpConfig(NetworkConfig):
    """The network's sizes."""

    width: int = 256
    """W; 1,000 in the paper."""
    attention_width: int = 128
    """A; 512 in the paper."""
    longest: int = 32
    """The most tokens of a caption, the end token included."""
    dropout: float = 0.3
    """Share of values dropped while training."""


class Memory(NamedTuple):
    """What the words look at."""

    boxes: Tensor
    """v, (B, L, W)."""
    keys: Tensor
    """W_v v, (B, L, A)."""
    there: Tensor
    """Which boxes are no filling, (B, L)."""
    mean: Tensor
    """The mean box, (B, W)."""


class BottomUp(CaptionNetwork):
    """Boxes and the words so far to the next word."""

    kind = "bottom_up"
    usual_encoder = "boxes"

    def __init__(self, config: BottomUpConfig) -> None:
        """Build the network with random weights."""
        super().__init__(config)
        width = config.width
        self.norm = nn.LayerNorm(config.region_width)
        self.dense = nn.Linear(config.region_width, width)
        self.words = nn.Embedding(config.vocabulary, width)
        self.attending = nn.LSTMCell(3 * width, width)
        self.speaking = nn.LSTMCell(2 * width, width)
        self.ask = nn.Linear(width, config.attention_width)  # W_h
        self.answer = nn.Linear(width, config.attention_width, bias=False)  # W_v
        self.weigh = nn.Linear(config.attention_width, 1, bias=False)  # w_a
        self.out = nn.Linear(width, config.vocabulary)
        self.dropout = Dropout(config.dropout)
        for cell in (self.attending, self.speaking):
            begin_loud(cell)

    def encode(self, regions: Tensor) -> Memory:
        """Lay the boxes (B, L, D), their keys and their mean out."""
        there = (regions != 0).any(-1)  # (B, L)
        boxes = torch.relu(self.dense(self.norm(regions))) * there[..., None]  # (B, L, W)
        mean = boxes.sum(1) / there.sum(1, keepdim=True).clamp_min(1)  # (B, W)
        return Memory(boxes, self.answer(boxes), there, mean)

    def look(self, state: Tensor, memory: Memory) -> Tensor:
        """Return how much of each box is looked at from states (B * C, W): (B, C, L), sums 1."""
        asked = self.ask(state).reshape(len(memory.keys), -1, 1, self.config.attention_width)  # (B, C, 1, A)
        scores = self.weigh(torch.tanh(asked + memory.keys[:, None])).squeeze(-1).float()  # (B, C, L)
        weights: Tensor = scores.masked_fill(~memory.there[:, None], -1e4).softmax(-1)
        return weights

    def advance(self, words: Tensor, states: States, memory: Memory) -> tuple[States, Tensor]:
        """Take one word more, (B * C, W); give the states after it and where was looked, (B, C, L)."""
        state, cell, said, said_cell = states
        mean = memory.mean.repeat_interleave(len(words) // len(memory.mean), 0)  # (B * C, W)
        state, cell = self.attending(torch.cat([said, mean, words], 1), (state, cell))
        looked = self.look(state, memory)
        context = (looked.to(memory.boxes.dtype) @ memory.boxes).flatten(0, 1)  # (B * C, W)
        said, said_cell = self.speaking(torch.cat([context, state], 1), (said, said_cell))
        return (state, cell, said, said_cell), looked

    def hidden(self, memory: Memory, tokens: Tensor) -> Tensor:
        """Give what is known before each next word of captions (B, C, T): (B, C, T, W)."""
        return self.unroll(memory, tokens)[0]

    def unroll(self, memory: Memory, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Go through captions (B, C, T): the second LSTM's states (B, C, T, W), and the looks (B, C, T, L)."""
        photos, captions, length = tokens.shape
        words = self.dropout(self.words(tokens))  # (B, C, T, W)
        states = self.begin(memory, photos * captions)
        said: list[Tensor] = []
        looks: list[Tensor] = []
        for place in range(length):
            states, looked = self.advance(words[:, :, place].flatten(0, 1), states, memory)
            said.append(states[2])
            looks.append(looked)
        return torch.stack(said, 1).reshape(photos, captions, length, -1), torch.stack(looks, 2)

    def begin(self, memory: Memory, rows: int) -> States:
        """Return the first states: nothing yet."""
        nothing = memory.mean.new_zeros(rows, self.config.width)  # (B * C, W)
        return nothing, nothing, nothing, nothing

    def score(self, words: Tensor) -> Tensor:
        """Turn states (..., W) into scores of each next word, (..., V)."""
        scores: Tensor = self.out(self.dropout(words))
        return scores

    def attend(self, regions: Tensor, tokens: Tensor) -> Tensor:
        """Give where the network looks as it finds the word after each token of (B, T): (B, T, L), sums 1."""
        return self.unroll(self.encode(regions), tokens[:, None])[1][:, 0]

    def start(self, regions: Tensor) -> RecurrentCache:
        """Begin to decode photos (B, L, D)."""
        memory = self.encode(regions)
        return RecurrentCache(tuple(memory), self.begin(memory, len(regions)))

    def step(self, tokens: Tensor, cache: RecurrentCache) -> Tensor:
        """Say one more token of each caption, (B * C,), and get the log-probabilities of the next, (B * C, V)."""
        cache.spread(len(tokens))
        state, cell, said, said_cell = cache.rows
        states, _ = self.advance(self.words(tokens), (state, cell, said, said_cell), Memory(*cache.photos))
        cache.rows = states
        return torch.log_softmax(self.score(states[2]).float(), -1)  # (B * C, V)


@torch.no_grad()
def begin_loud(cell: nn.LSTMCell) -> None:
    """Let an LSTM hear and remember well from the start: a word goes through two of them before it is scored.

    As torch makes them, what is heard of a word fades in each: after 200 steps the dev loss was 4.9, this way 4.2.
    """
    nn.init.uniform_(cell.weight_ih, -3 * cell.hidden_size**-0.5, 3 * cell.hidden_size**-0.5)
    for gate in cell.weight_hh.chunk(4):
        nn.init.orthogonal_(gate)
    cell.bias_ih.chunk(4)[1].fill_(1.0)  # the forget gate (Jozefowicz et al. 2015)
