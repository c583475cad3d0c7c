"""Every family keeps the contract: the same words in any batch, with or without a cache, before and after a disk."""

from pathlib import Path
from typing import Any

import pytest
import torch
from make_tiny_captioner import WORDS

from captioner.beginnings import make_encoder, make_network, read_options
from captioner.bundle import Bundle, load_bundle, save_bundle
from captioner.decoding import Search, greedy, search_captions
from captioner.errors import ModelError
from captioner.models import FAMILIES, CaptionNetwork
from captioner.tokenizer import END, START, Tokenizer

TOKENIZER = Tokenizer(WORDS)
SMALL = {
    "cnn_transformer": ("width=32", "heads=4", "feed_forward=64", "decoder_layers=2"),
    "cnn_transformer, sinusoidal": ("width=32", "heads=4", "feed_forward=64", "places=sinusoidal"),
    "show_tell": ("width=32",),
    "show_attend_tell": ("width=32", "attention_width=16", "penalty=1.0"),
    "vit_transformer": ("width=32", "heads=4", "feed_forward=64", "encoder_layers=2", "decoder_layers=2"),
    "coca": ("width=32", "heads=4", "feed_forward=64", "text_layers=1", "decoder_layers=2", "queries=5"),
    "bottom_up": ("width=32", "attention_width=16"),
    "fusion, merged": ("width=32", "heads=4", "feed_forward=64", "decoder_layers=2", "objectives=lm+mlm+itc+itm"),
    "fusion, co-attention": ("width=32", "heads=4", "feed_forward=64", "way=co_attention", "objectives=lm+mlm+itc+itm"),
    "fusion, flamingo": ("width=32", "heads=4", "feed_forward=64", "decoder_layers=2", "latents=5", "way=flamingo"),
    "show_attend_tell, hard": ("width=32", "attention_width=16", "attention=hard"),
}
"""Families, and ways of theirs after a comma, with options that make them small."""
LOOKING = [name for name in SMALL if name != "show_tell"]
SEARCHES = [Search(beams=1, longest=9), Search(beams=3, longest=9), Search(beams=2, longest=9, temperature=0.8)]


def build(name: str) -> CaptionNetwork:
    """Build a small network with words that differ enough for a search."""
    torch.manual_seed(3)
    family = name.split(",", maxsplit=1)[0]
    network = make_network(family, make_encoder("small"), TOKENIZER, [*SMALL[name], "longest=12"])
    with torch.no_grad():
        for one in network.parameters():
            if one.dim() > 1:
                one.mul_(1.5)
    return network.eval()


@pytest.fixture(params=SMALL)
def network(request: Any) -> CaptionNetwork:
    return build(request.param)


@pytest.fixture
def regions(network: CaptionNetwork) -> torch.Tensor:
    shape = (3, network.config.regions, network.config.region_width)
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def scores_of(network: CaptionNetwork, regions: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
    """Score the next words of captions (B, C, T) without a cache: (B, C, T, V)."""
    return network(network.encode(regions), tokens).log_softmax(-1)


def test_there_is_a_small_network_of_every_family():
    assert {name.split(",")[0] for name in SMALL} == set(FAMILIES)
    assert all(FAMILIES[name][1].kind == name for name in FAMILIES)


@torch.inference_mode()
def test_a_later_word_changes_no_earlier_score(network: CaptionNetwork, regions: torch.Tensor):
    one = torch.tensor([[[START, 5, 6, 7, 8]]])
    other = torch.tensor([[[START, 5, 9, 4, 3]]])

    first, second = scores_of(network, regions[:1], one), scores_of(network, regions[:1], other)

    assert torch.allclose(first[..., :2, :], second[..., :2, :], atol=1e-5)
    assert not torch.allclose(first[..., 2:, :], second[..., 2:, :], atol=1e-3)


@torch.inference_mode()
def test_padding_changes_no_score_before_it(network: CaptionNetwork, regions: torch.Tensor):
    short = torch.tensor([[[START, 5, 6]]])
    long = torch.tensor([[[START, 5, 6, 0, 0, 0]]])

    assert torch.allclose(
        scores_of(network, regions[:1], short), scores_of(network, regions[:1], long)[:, :, :3], atol=1e-5
    )


@torch.inference_mode()
def test_captions_side_by_side_do_not_see_each_other(network: CaptionNetwork, regions: torch.Tensor):
    tokens = torch.tensor([[[START, 5, 6], [START, 7, 8]], [[START, 9, 9], [START, 4, 5]], [[START, 4, 4]] * 2])

    together = scores_of(network, regions, tokens)

    for photo in range(3):
        for caption in range(2):
            alone = scores_of(network, regions[photo : photo + 1], tokens[photo, caption][None, None])
            assert torch.allclose(together[photo, caption], alone[0, 0], atol=1e-4)


@torch.inference_mode()
def test_step_by_step_with_a_cache_scores_as_the_whole_caption_at_once(network: CaptionNetwork, regions: torch.Tensor):
    tokens = torch.tensor([[START, 5, 6, 7, 8], [START, 9, 4, 5, 5], [START, 12, 11, 10, 9]])
    cache = network.start(regions)

    stepped = torch.stack([network.step(tokens[:, place], cache) for place in range(5)], 1)  # (B, T, V)

    assert torch.allclose(stepped, scores_of(network, regions, tokens[:, None])[:, 0], atol=1e-4)


@torch.inference_mode()
def test_a_cache_that_is_reordered_goes_on_from_the_rows_it_was_given(network: CaptionNetwork, regions: torch.Tensor):
    cache = network.start(regions)
    network.step(torch.tensor([START] * 3), cache)
    cache.keep_photos(torch.tensor([0, 2]))
    cache.reorder(torch.tensor([0, 0, 2, 2]))

    stepped = network.step(torch.tensor([5, 6, 7, 8]), cache).reshape(2, 2, -1)

    tokens = torch.tensor([[[START, 5], [START, 6]], [[START, 7], [START, 8]]])
    assert torch.allclose(stepped, scores_of(network, regions[[0, 2]], tokens)[:, :, 1], atol=1e-4)


@torch.inference_mode()
@pytest.mark.parametrize("search", SEARCHES, ids=["greedy", "beams", "drawn"])
def test_a_batch_gives_what_each_photo_gives_alone(network: CaptionNetwork, regions: torch.Tensor, search: Search):
    together = search_captions(network, regions, search, [7, 8, 9])

    for number in range(3):
        alone = search_captions(network, regions[number : number + 1], search, [7 + number])[0]
        assert [said.tokens for said in alone] == [said.tokens for said in together[number]]
        assert [said.logprob for said in alone] == pytest.approx([said.logprob for said in together[number]], abs=1e-3)


@torch.inference_mode()
def test_greedy_says_what_scoring_again_finds_likeliest(network: CaptionNetwork, regions: torch.Tensor):
    free = Search(beams=1, longest=9, shortest=0, no_repeat=0)

    for number, said in enumerate(greedy(network, regions, free)):
        tokens = torch.tensor([[[START, *said.tokens]]])
        scores = scores_of(network, regions[number : number + 1], tokens)[0, 0]
        scores[:, [0, 1, 3]] = -1e9  # never said
        best = scores.argmax(-1).tolist()
        assert best[: len(said.tokens)] == list(said.tokens)
        assert best[-1] == END or len(said.tokens) == 8


def test_a_captioner_is_the_same_after_it_was_saved_and_loaded(network: CaptionNetwork, tmp_path: Path):
    encoder = make_encoder("small")
    bundle = Bundle("drawn", encoder, network.half().float(), TOKENIZER, "MIT", "en", Search(beams=2, longest=9))
    encoder.half().float()
    save_bundle(bundle, tmp_path)

    again = load_bundle(tmp_path)

    photo = torch.randint(0, 255, (1, 3, 32, 32), dtype=torch.uint8)
    with torch.inference_mode():
        before = search_captions(network, encoder(photo), bundle.search)
        after = search_captions(again.model, again.encoder(photo), again.search)
    assert before == after
    assert again.model.config == network.config
    assert again.encoder.digest() == encoder.digest()


@torch.inference_mode()
@pytest.mark.parametrize("name", LOOKING)
def test_where_a_word_was_looked_for_sums_to_one_and_no_later_word_changes_it(name: str):
    network = build(name)
    regions = torch.randn(2, network.config.regions, network.config.region_width)

    short = network.attend(regions, torch.tensor([[START, 5, 6]] * 2))
    long = network.attend(regions, torch.tensor([[START, 5, 6, 9]] * 2))

    assert short is not None
    assert long is not None
    assert long.shape == (2, 4, network.config.regions)
    assert torch.allclose(long.sum(-1), torch.ones(2, 4), atol=1e-5)
    assert torch.allclose(long[:, :3], short, atol=1e-5)


def test_what_looks_nowhere_says_so():
    network = build("show_tell")

    assert network.attend(torch.randn(1, 16, network.config.region_width), torch.tensor([[START]])) is None


def test_every_weight_that_learns_gets_a_gradient(network: CaptionNetwork, regions: torch.Tensor):
    network.train()
    torch.manual_seed(5)

    network.loss(regions, torch.tensor([[[START, 5, 6, 7, END], [START, 8, 9, END, 0]]] * 3), 0.1).backward()

    assert [name for name, one in network.named_parameters() if one.grad is None] == []


def test_words_are_given_as_words_and_read_as_their_ids():
    settings = FAMILIES["fusion"][0]

    read = read_options(settings, ["separator=dog", "answers=red+blue", "objectives=lm+itc"], TOKENIZER)

    ids = TOKENIZER.encode("dog red blue")
    assert read == {"separator": ids[0], "answers": tuple(ids[1:]), "objectives": ("lm", "itc")}


@pytest.mark.parametrize("option", ["colour=red", "colour", "vocabulary=5"])
def test_an_option_that_there_is_not_is_told_with_those_that_there_are(option: str):
    with pytest.raises(ModelError, match=r"there are width, longest, dropout$"):
        read_options(FAMILIES["show_tell"][0], [option], TOKENIZER)
