"""Fusion against its papers' equations: what sees what in each way, and the Flamingo way before its first step."""

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parent))
from drawn import drawn

from captioner.beginnings import make_encoder
from captioner.decoding import END, START, UNKNOWN
from captioner.models.fusion import Fusion, FusionConfig
from captioner.models.network import contrast, true_pairs
from captioner.models.objectives import hard_negatives
from captioner.train import Parts, main, trained_groups

TOKENS = torch.tensor([[[START, 5, 6, 7], [START, 8, 9, 4]], [[START, 4, 4, 8], [START, 9, 5, 6]]])


def network(**options: object) -> Fusion:
    """Build a small network of 5 regions and 12 words."""
    torch.manual_seed(4)
    sizes = {"width": 16, "heads": 2, "feed_forward": 24, "decoder_layers": 2, "latents": 3, "dropout": 0.0}
    return Fusion(FusionConfig(12, 5, 7, **{**sizes, **options})).eval()


@pytest.fixture
def regions() -> torch.Tensor:
    return torch.randn(2, 5, 7, generator=torch.Generator().manual_seed(1))


def test_the_flamingo_way_is_not_trained_on_photos_before_it_knows_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    drawn(tmp_path / "data", count=8)
    wanted = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "run"), "--steps", "2"]
    wanted += ["--family", "fusion", "--encoder", "small", "--options", "way=flamingo"]

    assert main(wanted) == 2
    assert "--language-steps" in capsys.readouterr().out


def test_the_flamingo_way_keeps_its_encoder_too():
    encoder = make_encoder("small")

    learning = {id(one) for group in trained_groups(Parts(encoder, network(way="flamingo"))) for one in group}

    assert learning
    assert not learning & {id(one) for one in encoder.parameters()}


@torch.inference_mode()
def test_before_its_first_step_on_photos_the_flamingo_way_is_its_language_model(regions: torch.Tensor):
    model = network(way="flamingo")

    with_photos = model.hidden(model.encode(regions), TOKENS)

    assert torch.equal(with_photos, model.hidden(None, TOKENS))
    cache = model.start(regions)
    stepped = torch.stack([model.step(TOKENS[:, 0, place], cache) for place in range(4)], 1)  # (B, T, V)
    language = model.score(model.hidden(None, TOKENS[:, :1]))[:, 0].log_softmax(-1)
    assert torch.allclose(stepped, language, atol=1e-5)


def test_its_gates_are_the_first_to_learn_and_open_the_way_to_the_photo(regions: torch.Tensor):
    model = network(way="flamingo").train()
    tokens = torch.cat([TOKENS, torch.full((2, 2, 1), END)], -1)

    model.loss(regions, tokens, 0.0).backward()

    moved = {name for name, one in model.named_parameters() if one.grad is not None and bool(one.grad.any())}
    assert {name.rsplit(".", maxsplit=1)[-1] for name in moved if "gate_" in name} == {
        "gate_cross",
        "gate_feed_forward",
    }
    assert not any("resampler" in name or ".cross." in name for name in moved)  # behind closed gates
    with torch.no_grad():
        for layer in model.layers:
            layer.gate_cross.fill_(0.5)
    assert not torch.allclose(model.hidden(model.encode(regions), TOKENS), model.hidden(None, TOKENS), atol=1e-3)


@torch.inference_mode()
def test_merged_attention_is_one_transformer_over_regions_and_words_with_a_prefix_mask(regions: torch.Tensor):
    model, tokens = network(), TOKENS[:, 0]
    words = model.embed(tokens) + model.positions[:4]  # (B, T, W)
    whole = torch.cat([model.lay_out(regions), words], 1)  # (B, L + T, W)
    mask = torch.ones(9, 9).tril().bool()
    mask[:5, :5] = True  # regions see all regions, and no word

    for layer in model.layers:
        whole = layer(whole, mask, None)

    assert torch.allclose(whole[:, 5:], model.hidden(model.encode(regions), tokens[:, None])[:, 0], atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("way", ["merged", "co_attention"])
def test_where_all_words_may_be_known_an_earlier_one_sees_a_later_one_and_never_padding(
    way: str, regions: torch.Tensor
):
    model = network(way=way)
    other = TOKENS.clone()
    other[..., -1] = 10
    padded = torch.nn.functional.pad(TOKENS, (0, 2))

    known = model.understand(regions, TOKENS)

    assert not torch.allclose(known[:, :, 1], model.understand(regions, other)[:, :, 1], atol=1e-4)
    assert torch.allclose(known, model.understand(regions, padded)[:, :, :4], atol=1e-5)


@torch.inference_mode()
def test_co_attention_lets_the_regions_see_the_words(regions: torch.Tensor):
    model = network(way="co_attention")
    with torch.no_grad():
        blind = network(way="co_attention")
        for one in blind.crossing.parameters():
            one.zero_()

    assert not torch.allclose(model.understand(regions, TOKENS), blind.understand(regions, TOKENS), atol=1e-4)


def test_texts_without_a_known_word_or_a_question_are_nothing_to_learn_and_no_broken_number(regions: torch.Tensor):
    model = network(objectives=("mlm", "answer", "classify"), separator=11, answers=(4, 5))
    tokens = torch.tensor([[[START, UNKNOWN, END]], [[START, UNKNOWN, END]]])

    loss = model.loss(regions, tokens, 0.1)

    assert loss.item() == 0
    loss.backward()
    assert all(one.grad is None or bool(one.grad.isfinite().all()) for one in model.parameters())


@pytest.mark.parametrize("objectives", [("itm",), ("itm", "itc")])
def test_a_wrong_pair_is_never_a_photo_and_one_of_its_own_texts_in_the_same_words(objectives: tuple[str, ...]):
    model = network(objectives=objectives)
    one, same, other = ([START, 5, 6, END], [START, 7, 8, END]), ([START, 5, 6, END],) * 2, ([START, 9, 4, END],) * 2
    tokens = torch.tensor([one, same, other])  # the second photo's text is true of the first one
    torch.manual_seed(0)

    for _ in range(10):
        pairs = hard_negatives(model, torch.randn(3, 5, 7), tokens)
        (texts, photos), (places, others) = ([list(map(int, some)) for some in pair] for pair in pairs)
        assert texts == places == [0, 1, 2]
        assert photos[:2] == others[:2] == [2, 2]


def test_one_photo_a_batch_has_no_wrong_pair_and_nothing_to_match(regions: torch.Tensor):
    model = network(objectives=("itm",))

    assert model.loss(regions[:1], TOKENS[:1], 0.0).item() == 0
    assert all(len(some) == 0 for pair in hard_negatives(model, regions[:1], TOKENS[:1]) for some in pair)


@torch.inference_mode()
def test_equal_captions_of_two_photos_are_not_told_apart():
    vectors = torch.nn.functional.normalize(torch.randn(2, 1, 8), dim=-1)
    photos, texts = vectors[[0, 0], 0], vectors[[0, 0]]  # alike, as their captions are
    tokens = torch.tensor([[[START, 5, END]], [[START, 5, END]]])

    assert float(contrast(photos, texts, torch.tensor(7.0))) == pytest.approx(0.693, abs=1e-3)
    assert float(contrast(photos, texts, torch.tensor(7.0), true_pairs(tokens))) == 0


def test_the_temperature_of_wrong_pairs_has_the_bound_of_the_loss(regions: torch.Tensor):
    model = network(objectives=("itm", "itc"))
    with torch.no_grad():
        model.heads.log_scale.fill_(200.0)

    assert model.heads.scale.item() == 100.0
    assert bool(model.loss(regions, TOKENS, 0.0).isfinite())
