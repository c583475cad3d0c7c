"""From regions to words: greedy, beam and sampled search over any network's `start` and `step`.

Imports no network. Three parts are made to be exchanged: filters (what may be said next), the selector (which
captions go on) and the ranker (which finished caption is best).

Shapes: B photos, L regions, D features, K beams a photo, S tokens said so far (the start token left out), V words.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from torch import Tensor

PADDING, START, END, UNKNOWN = 0, 1, 2, 3
"""Ids that are no words; the same as the tokenizer's."""
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
    """How captions are searched for."""

    beams: int = 3
    """K; 1 is greedy."""
    length_power: float = 0.7
    """A caption's rank is its log-probability over its length to this power: 0 prefers short ones, 1 long ones."""
    longest: int = 24
    """The most tokens, the end token included."""
    shortest: int = 4
    """The fewest tokens before the end token."""
    no_repeat: int = 3
    """No run of this many words is said twice; 0 lifts the rule."""
    forbidden: tuple[int, ...] = ()
    """Ids that are never said, beside the ones that are no words."""


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
    chosen = [forbid(never), keep_length(search.shortest, search.longest), no_stutter]
    return [*chosen, no_repeat(search.no_repeat)] if search.no_repeat else chosen


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
    """The unfinished captions of the photos still searched."""

    photos: list[int]
    tokens: Tensor  # (B, K, S)
    totals: Tensor  # (B, K)
    finished: dict[int, list[Said]] = field(default_factory=dict)


def search_captions(network: Network, regions: Tensor, search: Search) -> list[list[Said]]:
    """Return for each photo of (B, L, D) the finished captions, best first, at most `search.beams` of them."""
    search = replace(search, longest=min(search.longest, network.longest))
    if search.beams == 1:
        return [[said] for said in greedy(network, regions, search)]
    return beam_search(network, regions, search)


def beam_search(network: Network, regions: Tensor, search: Search) -> list[list[Said]]:
    """Search with K beams, batched over the photos of (B, L, D); see `search_captions`.

    The photos that are done are dropped. A photo is done when no unfinished caption can still
    outrank the worst of its K best: log-probabilities only fall, and length is bounded.
    """
    count, filters = search.beams, filters_for(search)
    photos = list(range(regions.shape[0]))
    totals = torch.full((len(photos), count), IMPOSSIBLE, device=regions.device)
    totals[:, 0] = 0.0
    state = _Beams(photos, torch.empty(len(photos), count, 0, dtype=torch.long, device=regions.device), totals)
    state.finished = {photo: [] for photo in photos}
    cache = network.start(regions)
    last = torch.full((len(photos) * count,), START, device=regions.device)  # (B * K,)
    while state.photos:
        logprobs = network.step(last, cache)  # (B * K, V)
        for apply in filters:
            logprobs = apply(logprobs, state.tokens.flatten(0, 1))
        rows = _advance(state, logprobs.reshape(-1, count, logprobs.shape[-1]), search)
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
    going = torch.where(tokens == END, IMPOSSIBLE * 2, totals)  # (B, 2 * K)
    state.totals, order = going.topk(search.beams, dim=1)  # (B, K)
    parents, words = beams.gather(1, order), tokens.gather(1, order)  # (B, K)
    before = state.tokens.gather(1, parents[..., None].expand(-1, -1, state.tokens.shape[2]))  # (B, K, S)
    state.tokens = torch.cat([before, words[..., None]], 2)  # (B, K, S + 1)
    first = torch.arange(len(state.photos), device=parents.device)[:, None] * search.beams
    return parents + first


def _keep_finished(state: _Beams, totals: Tensor, beams: Tensor, tokens: Tensor) -> None:
    """Keep the captions that end among the K best ways to go on, as transformers does: one beam is then greedy."""
    ended = ((tokens[:, : totals.shape[1]] == END) & (totals > IMPOSSIBLE / 2)).nonzero().tolist()
    for photo, place in ended:
        said = tuple(state.tokens[photo, beams[photo, place]].tolist())
        state.finished[state.photos[photo]].append(Said(said, float(totals[photo, place])))


def _drop_done(state: _Beams, search: Search) -> Tensor:
    """Drop the photos that are done; return the indexes of the others."""
    best_left = state.totals[:, 0].tolist()
    done = [_is_done(state.finished[photo], best_left[number], search) for number, photo in enumerate(state.photos)]
    kept = torch.tensor(
        [number for number, over in enumerate(done) if not over], dtype=torch.long, device=state.totals.device
    )
    state.photos = [photo for photo, over in zip(state.photos, done, strict=True) if not over]
    state.tokens, state.totals = state.tokens[kept], state.totals[kept]
    return kept


def _is_done(finished: list[Said], best_left: float, search: Search) -> bool:
    if best_left < IMPOSSIBLE / 2:
        return True
    if len(finished) < search.beams:
        return False
    worst = _best(finished, search)[-1]
    reachable = rank(best_left, search.longest, search.length_power)
    return rank(worst.logprob, len(worst.tokens) + 1, search.length_power) >= reachable


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
        logprobs = network.step(last, cache)  # (B, V)
        for apply in filters:
            logprobs = apply(logprobs, tokens)
        best, last = logprobs.max(1)  # each (B,)
        totals = totals + torch.where(ended, 0.0, best)
        last = torch.where(ended, END, last)
        tokens = torch.cat([tokens, last[:, None]], 1)  # (B, S + 1)
        ended = ended | (last == END)
    return [Said(_until_end(row), total) for row, total in zip(tokens.tolist(), totals.tolist(), strict=True)]


def sample(network: Network, regions: Tensor, count: int, longest: int, top_p: float = 1.0) -> Tensor:
    """Draw `count` captions for each photo of (B, L, D) by chance, from torch's global generator.

    Returns (B, count, S) ids with the end token, padded after it. Below 1, `top_p` leaves out the unlikeliest words
    (nucleus sampling, Holtzman et al. 2020, arXiv 1904.09751).
    """
    cache, rows = network.start(regions), regions.shape[0] * count
    last = torch.full((rows,), START, device=regions.device)
    said, ended = [], torch.zeros(rows, dtype=torch.bool, device=regions.device)
    for _ in range(min(longest, network.longest)):
        chances = _nucleus(forbid([PADDING, START, UNKNOWN])(network.step(last, cache), last).exp(), top_p)
        last = torch.where(ended, PADDING, _draw(chances))  # (B * count,)
        said.append(last)
        ended = ended | (last == END)
        if bool(ended.all()):
            break
    return torch.stack(said, 1).reshape(-1, count, len(said))  # (B, count, S)


def _draw(chances: Tensor) -> Tensor:
    """Draw one word a row of (rows, V) chances: (rows,); one random number a row, where multinomial takes V."""
    sums = chances.cumsum(1)
    point = torch.rand(len(sums), 1, device=sums.device) * sums[:, -1:]
    return torch.searchsorted(sums, point, right=True).clamp(max=sums.shape[1] - 1)[:, 0]


def _nucleus(chances: Tensor, top_p: float) -> Tensor:
    if top_p >= 1.0:
        return chances
    ordered, places = chances.sort(dim=1, descending=True)
    outside = ordered.cumsum(1) - ordered > top_p * ordered.sum(1, keepdim=True)
    return chances.scatter(1, places, ordered.masked_fill(outside, 0.0))


def _until_end(tokens: list[int]) -> tuple[int, ...]:
    return tuple(tokens[: tokens.index(END)])
