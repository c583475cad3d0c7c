"""Search: every way of running it gives the same words, and the best ones there are."""

import itertools

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
    no_repeat,
    rank,
    sample,
    search_captions,
)
from captioner.models import TransformerCaptioner

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
@pytest.mark.parametrize("search", [OPEN, Search(beams=3), Search(beams=1)], ids=["open", "default", "greedy"])
def test_a_batch_gives_what_each_photo_gives_alone(network: TransformerCaptioner, regions: Tensor, search: Search):
    together = search_captions(network, regions, search)
    alone = [search_captions(network, regions[photo : photo + 1], search)[0] for photo in range(len(regions))]

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
        every = [
            tokens for length in range(4) for tokens in itertools.product(words, repeat=length)
            if all(a != b for a, b in itertools.pairwise(tokens))
        ]  # fmt: skip
        scores = {one: rank(logprob_of(network, regions[photo], one), len(one) + 1, power) for one in every}

        found = search_captions(network, regions[photo : photo + 1], search)[0]

        assert found[0].tokens == max(scores, key=scores.__getitem__)


@torch.inference_mode()
def test_no_caption_breaks_the_rules_it_was_given(network: TransformerCaptioner, regions: Tensor):
    search = Search(beams=3, longest=10, shortest=5, no_repeat=2, forbidden=(4, 7))
    for said in itertools.chain.from_iterable(search_captions(network, regions, search)):
        pairs = list(itertools.pairwise(said.tokens))
        assert 5 <= len(said.tokens) <= 9
        assert len(pairs) == len(set(pairs))
        assert not {4, 7} & set(said.tokens)
        assert all(token > 3 for token in said.tokens)


def test_a_run_of_words_is_banned_only_where_it_would_come_twice():
    tokens = torch.tensor([[5, 6, 7, 5, 6], [5, 6, 7, 6, 5]])

    allowed = no_repeat(3)(torch.zeros(2, 10), tokens)

    assert allowed[0].nonzero().flatten().tolist() == [0, 7]  # padding is never said anyway
    assert allowed[1, 4:].eq(0).all()


@torch.inference_mode()
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
def test_a_small_nucleus_draws_the_likeliest_word_alone(network: TransformerCaptioner, regions: Tensor):
    drawn = sample(network, regions[:2], 20, 1, top_p=1e-6)
    likeliest = greedy(network, regions[:2], Search(beams=1, longest=8, shortest=0, no_repeat=0))

    assert [set(some[:, 0].tolist()) for some in drawn] == [{(*said.tokens, END)[0]} for said in likeliest]
