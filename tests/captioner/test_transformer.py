"""The network's masks: what must not be seen changes nothing."""

import pytest
import torch
from make_tiny_captioner import tiny_bundle

from captioner.models import MODELS, TransformerCaptioner
from captioner.models.layers import Dropout


@pytest.fixture(scope="module")
def network() -> TransformerCaptioner:
    return tiny_bundle(seed=4).model


@torch.inference_mode()
def test_a_future_word_changes_no_earlier_score(network: TransformerCaptioner):
    memory = network.encode(torch.randn(1, 4, network.config.region_width))
    one, other = torch.tensor([[[1, 5, 6, 7]]]), torch.tensor([[[1, 5, 9, 8]]])

    first, second = network(memory, one), network(memory, other)

    assert torch.equal(first[..., :2, :], second[..., :2, :])
    assert not torch.allclose(first[..., 2:, :], second[..., 2:, :])


@torch.inference_mode()
def test_padding_changes_no_score_before_it(network: TransformerCaptioner):
    memory = network.encode(torch.randn(2, 4, network.config.region_width))
    short, long = torch.tensor([[[1, 5, 6]], [[1, 9, 4]]]), torch.tensor([[[1, 5, 6, 0, 0]], [[1, 9, 4, 0, 0]]])

    assert torch.allclose(network(memory, short), network(memory, long)[:, :, :3], atol=1e-5)


@torch.inference_mode()
def test_the_captions_of_one_photo_do_not_see_each_other_nor_another_photo(network: TransformerCaptioner):
    regions = torch.randn(2, 4, network.config.region_width)
    tokens = torch.tensor([[[1, 5, 6], [1, 7, 8]], [[1, 9, 9], [1, 4, 5]]])

    together = network(network.encode(regions), tokens)

    for photo in range(2):
        for caption in range(2):
            memory = network.encode(regions[photo : photo + 1])
            alone = network(memory, tokens[photo, caption][None, None])[0, 0]
            assert torch.allclose(together[photo, caption], alone, atol=1e-5)


@torch.inference_mode()
def test_every_region_counts(network: TransformerCaptioner):
    regions = torch.randn(1, 4, network.config.region_width)
    tokens = torch.tensor([[[1, 5, 6]]])
    before = network(network.encode(regions), tokens)
    for region in range(4):
        changed = regions.clone()
        changed[0, region] += torch.randn(network.config.region_width)
        assert not torch.allclose(network(network.encode(changed), tokens), before)


@torch.inference_mode()
def test_the_fused_attention_is_the_one_that_is_written_out(network: TransformerCaptioner):
    attention = network.word_layers[0].cross
    asked, given = torch.randn(2, 3, network.config.width), torch.randn(2, 5, network.config.width)

    fused = attention(asked, *attention.keys_values(given))
    written_out = attention.train()(asked, *attention.keys_values(given))
    attention.eval()

    assert torch.allclose(fused, written_out, atol=1e-5)


def test_dropout_drops_the_share_it_says_and_keeps_the_mean():
    torch.manual_seed(0)
    dropped = Dropout(0.25)(torch.ones(999, 101))

    assert float((dropped == 0).float().mean()) == pytest.approx(0.25, abs=0.01)
    assert float(dropped.mean()) == pytest.approx(1.0, abs=0.01)


def test_dropout_does_nothing_outside_training():
    inputs = torch.randn(3, 5)

    assert Dropout(0.5).eval()(inputs) is inputs


def test_the_table_of_networks_names_the_transformer():
    assert MODELS["transformer"][1] is TransformerCaptioner


@torch.inference_mode()
def test_where_each_word_looks_sums_to_one_and_no_later_word_changes_it(network: TransformerCaptioner):
    regions = torch.randn(1, 4, network.config.region_width)
    short = network.attend(regions, torch.tensor([[1, 5, 6]]))
    long = network.attend(regions, torch.tensor([[1, 5, 6, 9]]))

    assert torch.allclose(long.sum(-1), torch.ones(1, 4))
    assert torch.allclose(long[:, :3], short, atol=1e-6)


@torch.inference_mode()
def test_a_region_that_is_looked_at_alone_gets_all_of_the_attention(network: TransformerCaptioner):
    keys = torch.zeros(1, network.config.heads, 4, network.config.width // network.config.heads)
    attention = network.word_layers[0].cross
    words = torch.randn(1, 1, network.config.width)
    query = attention.query(words).reshape(1, 1, network.config.heads, -1).transpose(1, 2)
    keys[:, :, 2] = 1000 * query[:, :, 0]

    assert attention.looks(words, keys)[0, 0].argmax() == 2
