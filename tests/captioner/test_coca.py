"""CoCa against its paper's equations: Yu et al. 2022; and the contrastive loss, Radford et al. 2021."""

import pytest
import torch

from captioner.decoding import START
from captioner.models.coca import Coca, CocaConfig
from captioner.models.network import contrast


@pytest.fixture
def model() -> Coca:
    torch.manual_seed(4)
    sizes = {"width": 16, "heads": 2, "feed_forward": 24, "text_layers": 1, "decoder_layers": 1, "dropout": 0.0}
    return Coca(CocaConfig(12, 5, 7, **sizes, queries=3, embedding=8)).eval()


@torch.inference_mode()
def test_a_text_has_the_same_vector_with_and_without_padding(model: Coca):
    short, long = torch.tensor([[START, 5, 6]]), torch.tensor([[START, 5, 6, 0, 0]])

    assert torch.allclose(model.embed_texts(short), model.embed_texts(long), atol=1e-6)
    assert not torch.allclose(model.embed_texts(short), model.embed_texts(long + (long == 6)), atol=1e-3)


@torch.inference_mode()
def test_similarity_is_the_cosine_of_unit_vectors(model: Coca):
    vectors = model.embed_photos(torch.randn(2, 5, 7))
    texts = torch.tensor([[START, 5, 6], [START, 7, 8], [START, 9, 4]])

    alike = model.similarity(vectors, texts)

    wanted = torch.nn.functional.cosine_similarity(vectors[:, None], model.embed_texts(texts)[None], dim=-1)
    assert torch.allclose(alike, wanted, atol=1e-6)
    assert torch.allclose(vectors.norm(dim=-1), torch.ones(2), atol=1e-6)


@torch.inference_mode()
def test_the_first_half_does_not_see_the_photo_and_the_second_does(model: Coca):
    tokens = torch.tensor([[START, 5, 6]])
    photos = [torch.randn(1, 5, 7) for _ in range(2)]

    words = model.read(tokens)[0]

    first, second = (model.hidden(model.encode(photo), tokens[None])[0] for photo in photos)
    assert words.shape == first.shape
    assert not torch.allclose(first, second, atol=1e-4)


def test_the_contrastive_loss_with_one_text_a_photo_is_that_of_clip():
    torch.manual_seed(0)
    photos, texts = (torch.nn.functional.normalize(torch.randn(4, 8), dim=-1) for _ in range(2))
    scores, own = 7.0 * photos @ texts.T, torch.arange(4)

    loss = contrast(photos, texts[:, None], torch.tensor(7.0))

    wanted = (torch.nn.functional.cross_entropy(scores, own) + torch.nn.functional.cross_entropy(scores.T, own)) / 2
    assert float(loss) == pytest.approx(float(wanted), abs=1e-5)
