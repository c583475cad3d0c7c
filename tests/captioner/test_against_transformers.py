"""Our search against transformers' `generate` on the same weights: token for token, all captions of each photo."""

from collections.abc import Sequence

import pytest
import torch
from blenderbot import as_blenderbot, generate
from make_tiny_captioner import tiny_bundle
from torch import Tensor

from captioner.bundle import load_bundle
from captioner.decoding import START, Search, search_captions
from captioner.models import TransformerCaptioner
from captioner.weights import model_folder

SEARCHES = {
    "greedy": Search(beams=1, longest=10, shortest=0, no_repeat=0),
    "greedy with rules": Search(beams=1, longest=10, shortest=4, no_repeat=2, forbidden=(5, 9)),
    "beams": Search(beams=3, length_power=0.0, longest=10, shortest=0, no_repeat=0),
    "short beams": Search(beams=4, length_power=1.0, longest=5, shortest=3, no_repeat=3),
    "beams with rules": Search(beams=5, length_power=0.7, longest=10, shortest=4, no_repeat=2, forbidden=(5, 9)),
}


def tokens_of(network: TransformerCaptioner, regions: Tensor, search: Search) -> Sequence[tuple[int, ...]]:
    """Return our captions, the K best of each photo one after another."""
    return [said.tokens for found in search_captions(network, regions, search) for said in found]


@torch.inference_mode()
def test_transformers_holds_our_weights_exactly():
    network = tiny_bundle(seed=3).model
    regions = torch.randn(2, 4, network.config.region_width)
    tokens = torch.tensor([[START, 5, 6, 7], [START, 9, 4, 8]])

    theirs = as_blenderbot(network)(
        encoder_outputs=(network.encode(regions),), decoder_input_ids=tokens, use_cache=False
    ).logits

    assert torch.allclose(theirs, network(network.encode(regions), tokens[:, None])[:, 0], atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("seed", [3, 4, 5])
@pytest.mark.parametrize("name", SEARCHES)
def test_every_caption_is_the_one_that_transformers_generates(name: str, seed: int):
    network, search = tiny_bundle(seed).model, SEARCHES[name]
    regions = torch.randn(16, 4, network.config.region_width, generator=torch.Generator().manual_seed(seed)) * 3

    assert tokens_of(network, regions, search) == generate(as_blenderbot(network), network, regions, search)


@torch.inference_mode()
@pytest.mark.parametrize("search", [Search(), Search(beams=1)], ids=["beams", "greedy"])
def test_the_built_in_captioner_says_what_transformers_generates_from_its_weights(search: Search):
    network = load_bundle(model_folder("narrator-lite")).model
    noise = torch.randn(
        6, network.config.regions, network.config.region_width, generator=torch.Generator().manual_seed(1)
    )
    regions = noise.relu()

    assert tokens_of(network, regions, search) == generate(as_blenderbot(network), network, regions, search)
