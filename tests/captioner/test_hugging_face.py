"""Other people's captioners: transformers' own classes with tiny random weights, saved by it and loaded by us."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from make_public_captioners import KINDS, public_captioner

from captioner.calibrate import as_photo
from captioner.captioning import load_captioner
from captioner.drawn_pictures import draw
from captioner.errors import ModelError
from captioner.photos import open_photo
from captioner.records import Photo
from captioner.weights import describe

SAMPLES = Path(__file__).parents[2] / "data" / "samples"


def photos(count: int) -> list[Photo]:
    """Return photos of noise in two shapes."""
    random = np.random.default_rng(0)
    small = [random.integers(0, 256, (6 + number % 2 * 5, 8, 3), dtype=np.uint8) for number in range(count)]
    pixels = [one.repeat(10, 0).repeat(10, 1) for one in small]
    return [Photo(f"{n:064x}", one, one.shape[1], one.shape[0], "png") for n, one in enumerate(pixels)]


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return public_captioner(request.param, tmp_path_factory.mktemp(request.param))


def test_each_class_says_the_same_alone_and_beside_others(folder: Path):
    captioner, given = load_captioner(str(folder)), photos(5)

    together = captioner.decode(captioner.encode(given))
    alone = [captioner.decode(captioner.encode([photo]))[0] for photo in given]

    assert [one.text for one in together] == [one.text for one in alone]
    assert [one.mean_logprob for one in together] == pytest.approx([one.mean_logprob for one in alone], abs=1e-4)
    assert all(one.text and one.mean_logprob < 0 and one.confidence is None for one in together)
    assert together[0].captioner_digest == describe(str(folder)).digest


def test_a_blank_is_known_by_its_pixels_before_it_was_calibrated(tmp_path: Path):
    captioner = load_captioner(str(public_captioner("git", tmp_path / "git")))
    blank, page = (as_photo(one) for one in (np.full((300, 400, 3), 255, np.uint8), draw("page", 1, "report")))
    cat = open_photo(SAMPLES / "chelsea.png")
    assert isinstance(cat, Photo)

    captions = captioner.decode(captioner.encode([blank, cat, page]))

    assert [one.doubts for one in captions] == [("no-reliable-description",), (), ("no-reliable-description",)]
    assert [one.confidence for one in captions] == [None, None, None]


def test_its_licence_and_language_are_its_cards(folder: Path):
    found = describe(str(folder))

    assert (found.licence, found.language) == ("bsd-3-clause", "en")


@pytest.fixture
def blip(tmp_path: Path) -> Path:
    return public_captioner("blip", tmp_path / "blip")


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_the_digest_covers_weights_and_processor(blip: Path, tmp_path: Path, name: str):
    shutil.copytree(blip, tmp_path / "other")
    with (tmp_path / "other" / name).open("ab") as stream:
        stream.write(b" ")

    assert describe(str(tmp_path / "other")).digest != describe(str(blip)).digest
    assert describe(str(blip), "a photo").digest != describe(str(blip)).digest


def test_a_prompt_begins_the_caption_of_blip(blip: Path):
    captioner = load_captioner(str(blip), prompt="a photo")

    assert captioner.decode(captioner.encode(photos(1)))[0].text.startswith("a photo ")


def test_a_captioner_that_takes_no_prompt_says_so(tmp_path: Path):
    with pytest.raises(ModelError, match=r"takes no prompt; leave --prompt away"):
        load_captioner(str(public_captioner("vit-gpt2", tmp_path / "vit")), prompt="a photo")
    with pytest.raises(ModelError, match=r"narrator-lite: this captioner takes no prompt"):
        load_captioner("narrator-lite", prompt="a photo")


def test_a_name_that_is_not_here_is_answered_with_the_command_that_fetches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))

    with pytest.raises(ModelError, match=r"not on this machine; .*narrate captioners --fetch hf:nobody/no-captioner"):
        describe("hf:nobody/no-captioner")
    with pytest.raises(ModelError, match=r"write hf:ORG/NAME"):
        describe("hf:nobody")


def test_code_beside_the_weights_is_not_run_unasked(tmp_path: Path):
    (tmp_path / "config.json").write_text(
        '{"model_type": "own", "auto_map": {"AutoConfig": "own.Config"}}', encoding="utf-8"
    )
    (tmp_path / "own.py").write_text("raise SystemExit('it ran')", encoding="utf-8")

    with pytest.raises(ModelError, match=r"needs code of its own.*--trust-remote-code"):
        load_captioner(str(tmp_path))


def test_a_folder_that_transformers_cannot_load_is_named_in_one_line(tmp_path: Path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")

    with pytest.raises(ModelError, match="transformers cannot load it") as caught:
        load_captioner(str(tmp_path))

    assert "\n" not in str(caught.value)
