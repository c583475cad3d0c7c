"""Search: every way of running it gives the same words, and the best ones there are."""

import itertools
from dataclasses import replace

import pytest
import torch
from make_tiny_captioner import tiny_bundle
from torch import Tensor

from captioner.decoding import (
    END,
    START,
    Search,
    beam_search,
    filters_for,
    greedy,
    keep_length,
    no_repeat,
    rank,
    sample,
    search_captions,
)
from captioner.models import TransformerCaptioner

CHANCE = Search(beams=3, longest=9, shortest=2, temperature=0.9, top_p=0.8, seed=7)
OPEN = Search(beams=4, length_power=0.7, longest=8, shortest=0, no_repeat=0)


@pytest.fixture(scope="module")
def network() -> TransformerCaptioner:
    return tiny_bundle(seed=3).model


@pytest.fixture(scope="module")
def regions(network: TransformerCaptioner) -> Tensor:
    return torch.randn(7, 4, network.config.region_width, generator=torch.Generator().manual_seed(5)) * 3


def logprob_of(network: TransformerCaptioner, regions: Tensor, tokens: tuple[int, ...]) -> float:
    """Score a whole caption in one go, without a cache."""
    given = torch.tensor([[[START, *tokens]]])
    logprobs = torch.log_softmax(network(network.encode(regions[None]), given)[0, 0], -1)
    return float(sum(logprobs[place, token] for place, token in enumerate((*tokens, END))))


@torch.inference_mode()
def test_step_by_step_with_a_cache_scores_as_the_whole_caption_at_once(network: TransformerCaptioner, regions: Tensor):
    for photo, found in enumerate(search_captions(network, regions, OPEN)):
        for said in found:
            assert said.logprob == pytest.approx(logprob_of(network, regions[photo], said.tokens), abs=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize(
    "search", [OPEN, Search(), Search(beams=1), CHANCE], ids=["open", "default", "greedy", "nucleus"]
)
def test_a_batch_gives_what_each_photo_gives_alone(network: TransformerCaptioner, regions: Tensor, search: Search):
    keys = [photo * 1_000_003 for photo in range(len(regions))]
    together = search_captions(network, regions, search, keys)
    alone = [search_captions(network, regions[n : n + 1], search, keys[n : n + 1])[0] for n in range(len(regions))]

    assert [[said.tokens for said in found] for found in together] == [[s.tokens for s in found] for found in alone]


@torch.inference_mode()
def test_the_order_of_photos_changes_nothing(network: TransformerCaptioner, regions: Tensor):
    order = [3, 0, 6, 5, 1, 2, 4]
    straight, mixed = search_captions(network, regions, OPEN), search_captions(network, regions[order], OPEN)

    assert [mixed[place][0].tokens for place in range(7)] == [straight[photo][0].tokens for photo in order]


@torch.inference_mode()
def test_one_beam_is_greedy(network: TransformerCaptioner, regions: Tensor):
    search = Search(beams=1, length_power=0.0, longest=9, shortest=2)

    beams = [found[0].tokens for found in beam_search(network, regions, search)]

    assert beams == [said.tokens for said in greedy(network, regions, search)]


@torch.inference_mode()
@pytest.mark.parametrize("power", [0.0, 0.7, 1.0])
def test_beams_wide_enough_find_what_trying_everything_finds(
    network: TransformerCaptioner, regions: Tensor, power: float
):
    words = (4, 5, 9)
    search = Search(beams=40, length_power=power, longest=4, shortest=0, no_repeat=0, forbidden=tuple(
        word for word in range(4, network.config.vocabulary) if word not in words))  # fmt: skip
    for photo in range(3):
        every = [tokens for length in range(4) for tokens in itertools.product(words, repeat=length)]
        scores = {one: rank(logprob_of(network, regions[photo], one), len(one) + 1, power) for one in every}

        found = search_captions(network, regions[photo : photo + 1], search)[0]

        assert found[0].tokens == max(scores, key=scores.__getitem__)


class Plain:
    """The network without its key and value cache: every step reads the whole caption anew, without reordering."""

    def __init__(self, network: TransformerCaptioner) -> None:
        self.network, self.longest = network, network.longest

    def start(self, regions: Tensor) -> "Plain":
        self.memory, self.said = self.network.encode(regions), None
        return self

    def step(self, tokens: Tensor, _: "Plain") -> Tensor:
        new = tokens.reshape(len(self.memory), -1, 1)  # (B, K, 1)
        self.said = new if self.said is None else torch.cat([self.said, new], 2)  # (B, K, S)
        return torch.log_softmax(self.network(self.memory, self.said)[:, :, -1], -1).flatten(0, 1)  # (B * K, V)

    def reorder(self, rows: Tensor) -> None:
        self.said = self.said.flatten(0, 1)[rows].unflatten(
            0, (len(self.memory), len(rows) // max(1, len(self.memory)))
        )

    def keep_photos(self, photos: Tensor) -> None:
        self.memory = self.memory[photos]


@torch.inference_mode()
@pytest.mark.parametrize("search", [OPEN, Search(), Search(beams=1), CHANCE])
def test_a_cache_changes_no_word(network: TransformerCaptioner, regions: Tensor, search: Search):
    cached, plain = search_captions(network, regions, search), search_captions(Plain(network), regions, search)

    assert [[said.tokens for said in found] for found in cached] == [[s.tokens for s in found] for found in plain]


@torch.inference_mode()
@pytest.mark.parametrize(
    "search",
    [
        Search(beams=3, longest=10, shortest=5, no_repeat=2, forbidden=(4, 7)),
        Search(beams=1, longest=10, shortest=5, no_repeat=2, forbidden=(4, 7)),
        Search(beams=20, longest=10, shortest=5, no_repeat=2, forbidden=(4, 7), temperature=2.0),
    ],
    ids=["beams", "greedy", "nucleus"],
)
def test_no_caption_breaks_the_rules_it_was_given(network: TransformerCaptioner, regions: Tensor, search: Search):
    for said in itertools.chain.from_iterable(search_captions(network, regions, search)):
        pairs = list(itertools.pairwise(said.tokens))
        assert 5 <= len(said.tokens) <= 9
        assert len(pairs) == len(set(pairs))
        assert all(one != other for one, other in pairs)
        assert not {4, 7} & set(said.tokens)
        assert all(token > 3 for token in said.tokens)


@torch.inference_mode()
@pytest.mark.parametrize("beams", [1, 3])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_rules_that_leave_no_word_end_the_caption(
    network: TransformerCaptioner, regions: Tensor, beams: int, temperature: float
):
    but_two = tuple(range(6, network.config.vocabulary))
    search = Search(beams, longest=10, shortest=8, no_repeat=2, forbidden=but_two, temperature=temperature)

    for said in itertools.chain.from_iterable(search_captions(network, regions, search)):
        assert len(said.tokens) == 3  # "a dog a", after which every pair was said
        assert said.logprob > -100


@torch.inference_mode()
def test_the_captions_of_a_photo_come_best_first_and_differ(network: TransformerCaptioner, regions: Tensor):
    for search in (OPEN, CHANCE):
        for found in search_captions(network, regions, search):
            ranks = [rank(said.logprob, len(said.tokens) + 1, search.length_power) for said in found]
            assert ranks == sorted(ranks, reverse=True)
            assert len({said.tokens for said in found}) == len(found) <= search.beams


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"beams": 0}, "beams is 0, and must be at least 1"),
        ({"temperature": -1.0}, "temperature is -1.0, and must be at least 0"),
        ({"top_p": 0.0}, "top_p is 0.0, and must be above 0 and at most 1"),
        ({"top_p": 1.5}, "top_p is 1.5"),
        ({"shortest": 24}, "shortest is 24, and must be below longest, 24"),
    ],
)
def test_a_setting_out_of_its_range_is_named(settings: dict[str, float], said: str):
    with pytest.raises(ValueError, match=said):
        Search(**settings)


def test_a_run_of_words_is_banned_only_where_it_would_come_twice():
    tokens = torch.tensor([[5, 6, 7, 5, 6], [5, 6, 7, 6, 5]])

    allowed = no_repeat(3)(torch.zeros(2, 10), tokens)

    assert allowed[0].nonzero().flatten().tolist() == [0, 7]  # padding is never said anyway
    assert allowed[1, 4:].eq(0).all()


@torch.inference_mode()
@torch.inference_mode()
@pytest.mark.parametrize("search", [Search(), Search(beams=1)], ids=["beams", "greedy"])
def test_a_network_that_gives_no_numbers_is_an_error_and_not_a_search_without_end(
    network: TransformerCaptioner, regions: Tensor, search: Search
):
    with pytest.raises(RuntimeError, match="no chances of words"):
        search_captions(network, regions * float("nan"), search)


def test_samples_follow_the_chances_and_are_padded_after_their_end(network: TransformerCaptioner, regions: Tensor):
    torch.manual_seed(0)
    drawn = sample(network, regions[:1], 4000, 6)[0]
    chances = torch.log_softmax(network(network.encode(regions[:1]), torch.tensor([[[START]]]))[0, 0, 0], -1)
    for apply in filters_for(Search(shortest=0, no_repeat=0))[:1]:
        chances = apply(chances[None], torch.empty(1, 0, dtype=torch.long))[0]
    expected = chances.softmax(-1)
    seen = torch.bincount(drawn[:, 0], minlength=network.config.vocabulary) / 4000

    assert (seen - expected).abs().max() < 0.04
    for row in drawn.tolist():
        if END in row:
            assert set(row[row.index(END) + 1 :]) <= {0}


@torch.inference_mode()
def test_a_small_nucleus_draws_what_greedy_finds(network: TransformerCaptioner, regions: Tensor):
    search = replace(CHANCE, top_p=1e-6)

    drawn = search_captions(network, regions, search)

    assert [[said.tokens for said in found] for found in drawn] == [
        [said.tokens] for said in greedy(network, regions, search)
    ]


@torch.inference_mode()
def test_no_word_outside_the_nucleus_is_drawn_and_every_word_inside_is(network: TransformerCaptioner, regions: Tensor):
    logprobs = network.step(torch.tensor([START]), network.start(regions[:1]))
    for apply in filters_for(CHANCE):
        logprobs = apply(logprobs, torch.empty(1, 0, dtype=torch.long))
    chances, words = (logprobs[0] / 0.9).softmax(-1).sort(descending=True)
    inside = words[: int((chances.cumsum(0) < 0.8).sum()) + 1].tolist()

    found = search_captions(network, regions[:1], replace(CHANCE, beams=3000))[0]

    assert {said.tokens[0] for said in found} == set(inside)


@torch.inference_mode()
def test_what_is_drawn_follows_from_the_seed_and_the_photos_key(network: TransformerCaptioner, regions: Tensor):
    same = regions[:1].expand(2, -1, -1)

    def drawn(seed: int, keys: list[int]) -> list[list[tuple[int, ...]]]:
        found = search_captions(network, same, replace(CHANCE, seed=seed, top_p=1.0), keys)
        return [[said.tokens for said in one] for one in found]

    assert drawn(0, [3, 3])[0] == drawn(0, [3, 3])[1] == drawn(0, [9, 3])[1]
    assert drawn(0, [3, 4])[0] != drawn(0, [3, 4])[1]
    assert drawn(0, [3, 4]) != drawn(1, [3, 4])


@torch.inference_mode()
def test_a_drawn_captions_log_probability_is_the_networks_own(network: TransformerCaptioner, regions: Tensor):
    for photo, found in enumerate(search_captions(network, regions, CHANCE)):
        for said in found:
            assert said.logprob == pytest.approx(logprob_of(network, regions[photo], said.tokens), abs=1e-4)


def test_the_highest_random_number_draws_a_word_that_has_a_chance():
    from captioner.decoding import _draw

    chances = torch.tensor([[0.0, 0.3, 0.7, 0.0], [0.2, 0.0, 0.0, 0.0]])

    assert _draw(chances, torch.ones(2, 1)).tolist() == [2, 0]
    assert _draw(chances, torch.zeros(2, 1)).tolist() == [1, 0]


def test_a_caption_ends_at_its_longest_and_not_before_its_shortest():
    logprobs = torch.zeros(1, 6)
    for count, ends, goes_on in [(1, False, True), (2, True, True), (3, True, False)]:
        allowed = keep_length(2, 4)(logprobs, torch.full((1, count), 5))[0] > -1
        assert (bool(allowed[END]), bool(allowed[5])) == (ends, goes_on)
