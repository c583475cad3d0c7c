"""From regions to words: greedy, beam and sampled search over any network's `start` and `step`.

Imports no network. Three parts are made to be exchanged: filters (what may be said next), the selector (which
captions go on) and the ranker (which finished caption is best).

Shapes: B photos, L regions, D features, K beams a photo, S tokens said so far (the start token left out), V words.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import isnan
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor

PADDING, START, END, UNKNOWN = 0, 1, 2, 3
"""Ids that are no words; the same as the tokenizer's."""
NO_NUMBERS = "the captioner gave no chances of words for this photo"
"""What is said where a network gives no numbers."""
IMPOSSIBLE = -1e9
"""Log-probability of what a filter forbids: below anything real, and still finite."""


class Cache(Protocol):
    """What a network keeps between two steps: a row for each beam of each photo, photo by photo."""

    def reorder(self, rows: Tensor) -> None:
        """Go on from these rows, (B * K,) indexes."""

    def keep_photos(self, photos: Tensor) -> None:
        """Drop all photos but these, (B,) indexes; `reorder` follows with the rows to match."""


class Network(Protocol):
    """What can be searched."""

    @property
    def longest(self) -> int:
        """The most tokens it can say, the end token included."""

    def start(self, regions: Tensor) -> Cache:
        """Encode (B, L, D) once."""

    def step(self, tokens: Tensor, cache: Any) -> Tensor:
        """Say (B * K,) tokens, return the next ones' log-probabilities (B * K, V)."""


@dataclass(frozen=True)
class Search:
    """How captions are searched for: greedily (one beam), with beams, or by chance (temperature above 0)."""

    beams: int = 3
    """K: how many captions go on side by side, and at most how many are returned; 1 is greedy."""
    length_power: float = 0.7
    """A caption's rank is its log-probability over its length to this power: 0 prefers short ones, 1 long ones."""
    longest: int = 24
    """The most tokens, the end token included."""
    shortest: int = 4
    """The fewest tokens before the end token."""
    no_repeat: int = 2
    """No run of this many words is said twice, and no word twice in a row; 0 lifts both rules."""
    forbidden: tuple[int, ...] = ()
    """Ids that are never said, beside the ones that are no words."""
    temperature: float = 0.0
    """0: the likeliest captions; above 0: K captions drawn by chance, the freer the higher it is."""
    top_p: float = 1.0
    """Words are drawn from the likeliest ones that have this chance together, above 0 up to 1 (all words)."""
    seed: int = 0
    """What is drawn follows from this number and the photo's key, whatever the batch."""

    def __post_init__(self) -> None:
        """Raise ValueError, naming the setting, where one is out of its range."""
        for name, least in _LEAST.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}, and must be at least {least}")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}, and must be above 0 and at most 1")
        if self.shortest >= self.longest:
            raise ValueError(f"shortest is {self.shortest}, and must be below longest, {self.longest}")


_LEAST = {"beams": 1, "longest": 1, "shortest": 0, "no_repeat": 0, "temperature": 0, "seed": 0}


@dataclass(frozen=True)
class Said:
    """One finished caption."""

    tokens: tuple[int, ...]
    """Its ids, without the start and end tokens."""
    logprob: float
    """Sum of its tokens' natural-log probabilities, the end token's included."""

    @property
    def mean_logprob(self) -> float:
        """Mean over its tokens, the end token included."""
        return self.logprob / (len(self.tokens) + 1)


Filter = Callable[[Tensor, Tensor], Tensor]
"""Takes log-probabilities (rows, V) and the tokens so far (rows, S); returns the log-probabilities to go by."""


def filters_for(search: Search) -> list[Filter]:
    """Return the filters that the settings ask for."""
    never = [PADDING, START, UNKNOWN, *search.forbidden]
    chosen = [forbid(never), keep_length(search.shortest, search.longest)]
    return [*chosen, no_stutter, no_repeat(search.no_repeat)] if search.no_repeat else chosen


def allowed(filters: list[Filter], logprobs: Tensor, tokens: Tensor) -> Tensor:
    """Apply every filter to log-probabilities (rows, V); a caption that no word may follow may end after all."""
    kept = logprobs
    for apply in filters:
        kept = apply(kept, tokens)
    stuck = kept.amax(1) <= IMPOSSIBLE
    kept[:, END] = torch.where(stuck, logprobs[:, END], kept[:, END])
    return kept


def forbid(ids: list[int]) -> Filter:
    """Never say these ids."""

    def apply(logprobs: Tensor, _: Tensor) -> Tensor:
        return logprobs.index_fill(1, torch.tensor(ids, device=logprobs.device), IMPOSSIBLE)

    return apply


def keep_length(shortest: int, longest: int) -> Filter:
    """Do not end before `shortest` tokens; end at `longest`, the end token included."""

    def apply(logprobs: Tensor, tokens: Tensor) -> Tensor:
        end = torch.tensor([END], device=logprobs.device)
        if tokens.shape[1] < shortest:
            return logprobs.index_fill(1, end, IMPOSSIBLE)
        if tokens.shape[1] + 1 >= longest:
            return torch.full_like(logprobs, IMPOSSIBLE).index_copy(1, end, logprobs[:, END : END + 1])
        return logprobs

    return apply


def no_stutter(logprobs: Tensor, tokens: Tensor) -> Tensor:
    """Never say a word twice in a row."""
    return logprobs if tokens.shape[1] == 0 else logprobs.scatter(1, tokens[:, -1:], IMPOSSIBLE)


def no_repeat(size: int) -> Filter:
    """Never say a run of `size` words a second time."""

    def apply(logprobs: Tensor, tokens: Tensor) -> Tensor:
        if tokens.shape[1] < size:
            return logprobs
        runs = tokens.unfold(1, size, 1)  # (rows, S - size + 1, size)
        recent = tokens[:, None, tokens.shape[1] - size + 1 :]  # (rows, 1, size - 1)
        seen = (runs[..., :-1] == recent).all(-1)  # (rows, S - size + 1)
        banned = torch.where(seen, runs[..., -1], PADDING)  # (rows, S - size + 1)
        return logprobs.scatter(1, banned, IMPOSSIBLE)

    return apply


def rank(logprob: float, length: int, power: float) -> float:
    """Score a finished caption of `length` tokens, the end token included: higher is better."""
    return logprob / float(length**power)


def select(totals: Tensor, beams: int) -> tuple[Tensor, Tensor, Tensor]:
    """Take the best 2 K ways to go on of each photo: so at least K of them do not end.

    From (B, K, V) totals: their totals, the beams they go on from, and their tokens, each (B, 2 * K), best first.
    """
    words = totals.shape[-1]
    best, places = totals.flatten(1).topk(min(2 * beams, totals.shape[1] * words), dim=1)  # (B, 2 * K)
    return best, places // words, places % words


@dataclass
class _Beams:
    """The unfinished captions of the photos still searched: one of each at first, K after the first word."""

    photos: list[int]
    tokens: Tensor  # (B, K, S)
    totals: Tensor  # (B, K)
    finished: dict[int, list[Said]] = field(default_factory=dict)


def search_captions(
    network: Network, regions: Tensor, search: Search, keys: Sequence[int] | None = None
) -> list[list[Said]]:
    """Return for each photo of (B, L, D) the finished captions, best first, at most `search.beams` of them.

    `keys`, a number for each photo, part the photos where captions are drawn by chance; without them the photos'
    places do. A network that does not say one word after another has a search of its own. Raises RuntimeError where
    the network gives no numbers.
    """
    own_search = getattr(network, "own_search", None)
    if own_search is not None:
        return cast("list[list[Said]]", own_search(regions, search))
    longest = min(search.longest, network.longest)
    search = replace(search, longest=longest, shortest=min(search.shortest, longest - 1))
    if search.temperature > 0:
        found = nucleus_search(network, regions, search, range(len(regions)) if keys is None else keys)
    elif search.beams == 1:
        found = [[said] for said in greedy(network, regions, search)]
    else:
        found = beam_search(network, regions, search)
    if any(isnan(said.logprob) for photo in found for said in photo):
        raise RuntimeError(NO_NUMBERS)
    return found


def beam_search(network: Network, regions: Tensor, search: Search) -> list[list[Said]]:
    """Search with K beams, batched over the photos of (B, L, D); see `search_captions`.

    The photos that are done are dropped. A photo is done when no unfinished caption outranks the worst of its K
    finished ones at its present length: transformers' default rule. To go on while one still could at full length
    takes a quarter longer and gave captions no better (LOG.md).
    """
    filters, photos = filters_for(search), list(range(regions.shape[0]))
    tokens = torch.empty(len(photos), 1, 0, dtype=torch.long, device=regions.device)  # all begin alike: one is enough
    state = _Beams(photos, tokens, torch.zeros(len(photos), 1, device=regions.device))
    state.finished = {photo: [] for photo in photos}
    cache = network.start(regions)
    last = torch.full((len(photos),), START, device=regions.device)  # (B,), later (B * K,)
    while state.photos:
        if state.tokens.shape[2] >= search.longest:  # at the longest each ends: what does not has no chances
            raise RuntimeError(NO_NUMBERS)
        logprobs = allowed(filters, network.step(last, cache), state.tokens.flatten(0, 1))  # (B * K, V)
        rows = _advance(state, logprobs.reshape(*state.totals.shape, -1), search)
        kept = _drop_done(state, search)
        if len(kept) < len(rows):
            cache.keep_photos(kept)
        cache.reorder(rows[kept].flatten())
        last = state.tokens[:, :, -1].flatten()  # (B * K,)
    return [_best(state.finished[photo], search) for photo in photos]


def _advance(state: _Beams, logprobs: Tensor, search: Search) -> Tensor:
    """Let each photo's beams say one more token; return the rows they went on from, (B, K)."""
    totals, beams, tokens = select(state.totals[..., None] + logprobs, search.beams)  # each (B, 2 * K)
    _keep_finished(state, totals[:, : search.beams], beams, tokens)
    first = torch.arange(len(state.photos), device=tokens.device)[:, None] * state.totals.shape[1]  # (B, 1)
    going = torch.where(tokens == END, IMPOSSIBLE * 2, totals)  # (B, 2 * K)
    state.totals, order = going.topk(min(search.beams, going.shape[1]), dim=1)  # (B, K)
    parents, words = beams.gather(1, order), tokens.gather(1, order)  # (B, K)
    before = state.tokens.gather(1, parents[..., None].expand(-1, -1, state.tokens.shape[2]))  # (B, K, S)
    state.tokens = torch.cat([before, words[..., None]], 2)  # (B, K, S + 1)
    return parents + first


def _keep_finished(state: _Beams, totals: Tensor, beams: Tensor, tokens: Tensor) -> None:
    """Keep the captions that end among the K best ways to go on, as transformers does: one beam is then greedy."""
    ended = ((tokens[:, : totals.shape[1]] == END) & (totals > IMPOSSIBLE / 2)).nonzero().tolist()
    for photo, place in ended:
        said = tuple(state.tokens[photo, beams[photo, place]].tolist())
        state.finished[state.photos[photo]].append(Said(said, float(totals[photo, place])))


def _drop_done(state: _Beams, search: Search) -> Tensor:
    """Drop the photos that are done; return the indexes of the others."""
    best_left, length = state.totals[:, 0].tolist(), state.tokens.shape[2]
    done = [
        _is_done(state.finished[photo], best_left[number], length, search) for number, photo in enumerate(state.photos)
    ]
    kept = torch.tensor(
        [number for number, over in enumerate(done) if not over], dtype=torch.long, device=state.totals.device
    )
    state.photos = [photo for photo, over in zip(state.photos, done, strict=True) if not over]
    state.tokens, state.totals = state.tokens[kept], state.totals[kept]
    return kept


def _is_done(finished: list[Said], best_left: float, length: int, search: Search) -> bool:
    if best_left < IMPOSSIBLE / 2:
        return True
    if len(finished) < search.beams:
        return False
    worst = _best(finished, search)[-1]
    reached = rank(best_left, length, search.length_power)
    return rank(worst.logprob, len(worst.tokens) + 1, search.length_power) >= reached


def _best(finished: list[Said], search: Search) -> list[Said]:
    def key(said: Said) -> float:
        return -rank(said.logprob, len(said.tokens) + 1, search.length_power)

    return sorted(finished, key=key)[: search.beams]


def greedy(network: Network, regions: Tensor, search: Search) -> list[Said]:
    """Say the likeliest next word each time, for each photo of (B, L, D); what beam search gives with one beam."""
    filters, cache = filters_for(search), network.start(regions)
    count = regions.shape[0]
    tokens = torch.empty(count, 0, dtype=torch.long, device=regions.device)  # (B, S)
    last, totals = torch.full((count,), START, device=regions.device), torch.zeros(count, device=regions.device)
    ended = torch.zeros(count, dtype=torch.bool, device=regions.device)
    while not bool(ended.all()):
        logprobs = allowed(filters, network.step(last, cache), tokens)  # (B, V)
        best, last = logprobs.max(1)  # each (B,)
        totals = totals + torch.where(ended, 0.0, best)
        last = torch.where(ended, END, last)
        tokens = torch.cat([tokens, last[:, None]], 1)  # (B, S + 1)
        ended = ended | (last == END)
    return [Said(_until_end(row), total) for row, total in zip(tokens.tolist(), totals.tolist(), strict=True)]


def nucleus_search(network: Network, regions: Tensor, search: Search, keys: Sequence[int]) -> list[list[Said]]:
    """Draw K captions by chance for each photo of (B, L, D); see `search_captions`.

    Words are drawn from the nucleus: the likeliest ones whose chances add up to `top_p` (Holtzman et al. 2020,
    arXiv 1904.09751). A caption that is drawn twice is returned once; its log-probability is the network's own,
    without temperature.
    """
    shape = (search.beams, search.longest)
    numbers = [np.random.default_rng([search.seed, key]).random(shape, np.float32) for key in keys]
    points = torch.from_numpy(np.concatenate(numbers)).to(regions.device)  # (B * K, longest)
    steps = (points[:, place : place + 1] for place in range(search.longest))
    tokens, totals = _draw_captions(network, regions, steps, search)  # (B * K, S), (B * K,)
    drawn = [Said(_until_end(row), total) for row, total in zip(tokens.tolist(), totals.tolist(), strict=True)]
    some = (drawn[first : first + search.beams] for first in range(0, len(drawn), search.beams))
    return [_best(list({said.tokens: said for said in photo}.values()), search) for photo in some]


def sample(network: Network, regions: Tensor, count: int, longest: int, top_p: float = 1.0) -> Tensor:
    """Draw `count` captions for each photo of (B, L, D) by chance, from torch's global generator, with no rule kept.

    Returns (B, count, S) ids with the end token, padded after it: what training learns from.
    """
    rows, longest = regions.shape[0] * count, min(longest, network.longest)
    steps = (torch.rand(rows, 1, device=regions.device) for _ in range(longest))
    free = Search(count, longest=longest + 1, shortest=0, no_repeat=0, temperature=1.0, top_p=top_p)
    tokens, _ = _draw_captions(network, regions, steps, free)
    return tokens.reshape(len(regions), count, -1)  # (B, count, S)


def _draw_captions(network: Network, regions: Tensor, steps: Iterable[Tensor], search: Search) -> tuple[Tensor, Tensor]:
    """Draw a word for each caption from each step's random numbers, (B * K, 1) in 0..1, till all have ended.

    Returns the ids, (B * K, S) with the end token, padded after it, and the captions' log-probabilities, (B * K,).
    """
    filters, cache = filters_for(search), network.start(regions)
    rows = len(regions) * search.beams
    last, totals = torch.full((rows,), START, device=regions.device), torch.zeros(rows, device=regions.device)
    tokens = torch.empty(rows, 0, dtype=torch.long, device=regions.device)  # (B * K, S)
    ended = torch.zeros(rows, dtype=torch.bool, device=regions.device)
    for points in steps:
        logprobs = allowed(filters, network.step(last, cache), tokens)  # (B * K, V)
        chances = _nucleus((logprobs / search.temperature).softmax(1), search.top_p)  # (B * K, V)
        last = torch.where(ended, PADDING, _draw(chances, points))  # (B * K,)
        totals = totals + torch.where(ended, 0.0, logprobs.gather(1, last[:, None])[:, 0])
        tokens = torch.cat([tokens, last[:, None]], 1)  # (B * K, S + 1)
        ended = ended | (last == END)
        if bool(ended.all()):
            break
    return tokens, totals


def _draw(chances: Tensor, points: Tensor) -> Tensor:
    """Draw one word a row of (rows, V) chances by the random numbers (rows, 1) in 0..1: (rows,)."""
    sums = chances.cumsum(1)
    total = sums[:, -1:]  # a point that is rounded up to it would draw a word that has no chance
    below = torch.minimum(points * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(sums, below, right=True)[:, 0]


def _nucleus(chances: Tensor, top_p: float) -> Tensor:
    """Keep of (rows, V) chances the highest whose sum reaches `top_p` of the whole; set the others to 0."""
    if top_p >= 1.0:
        return chances
    ordered, places = chances.sort(dim=1, descending=True, stable=True)
    outside = ordered.cumsum(1) - ordered > top_p * ordered.sum(1, keepdim=True)
    return chances.scatter(1, places, ordered.masked_fill(outside, 0.0))


def _until_end(tokens: list[int]) -> tuple[int, ...]:
    return tuple(tokens[: tokens.index(END)])
