"""The room's path: photos to features to captions, whatever the batches; and the captioner that comes along."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from captioner.captioning import Captioner, in_batches
from captioner.errors import ModelError, OutOfMemoryError
from captioner.photos import open_photo
from captioner.records import Caption, Photo
from captioner.weights import FILES, describe, model_folder, model_names

SAMPLES = Path(__file__).parents[2] / "data" / "samples"


def photos(count: int) -> list[Photo]:
    """Return photos of noise in several sizes."""
    random = np.random.default_rng(0)
    sizes = [(40 + 13 * number, 90 - 5 * number) for number in range(count)]
    pictures = [random.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8) for height, width in sizes]
    pictures = [picture.repeat(8, 0).repeat(8, 1) for picture in pictures]
    return [Photo(f"{n:064x}", one, one.shape[1], one.shape[0], "png") for n, one in enumerate(pictures)]


def texts(captions: Sequence[Caption]) -> list[str]:
    """Return the captions' words."""
    return [caption.text for caption in captions]


@pytest.fixture(scope="module")
def tiny(tiny_captioner: Path) -> Captioner:
    return Captioner.load(str(tiny_captioner))


@pytest.mark.parametrize("batch", [1, 2, 3, 16])
def test_the_size_of_a_batch_changes_no_word(tiny_captioner: Path, batch: int):
    given = photos(9)
    whole, cut = (
        Captioner.load(str(tiny_captioner), batch_photos=9),
        Captioner.load(str(tiny_captioner), batch_photos=batch),
    )

    assert texts(cut.decode(cut.encode(given))) == texts(whole.decode(whole.encode(given)))


def test_the_order_of_photos_changes_no_word(tiny: Captioner):
    given = photos(9)

    assert texts(tiny.decode(tiny.encode(given[::-1])))[::-1] == texts(tiny.decode(tiny.encode(given)))


def test_features_and_captions_say_whose_they_are(tiny: Captioner):
    features = tiny.encode(photos(2))
    captions = tiny.decode(features)

    assert [one.sha256 for one in features] == [f"{number:064x}" for number in range(2)]
    assert features[0].regions.shape == (4, features[0].pooled.shape[0])
    assert features[0].regions.dtype == np.float16
    assert features[0].encoder_digest == tiny.encoder_digest
    assert captions[0].captioner_digest == tiny.digest
    assert captions[0].mean_logprob < 0
    assert len(captions[0].alternatives) == 1


def test_nothing_in_gives_nothing_out(tiny: Captioner):
    assert tiny.encode([]) == []
    assert tiny.decode([]) == []


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 3000, 3), (700, 2, 3)])
def test_photos_of_extreme_shapes_are_captioned(tiny: Captioner, shape: tuple[int, int, int]):
    photo = Photo("0" * 64, np.full(shape, 77, dtype=np.uint8), shape[1], shape[0], "png")

    assert tiny.decode(tiny.encode([photo]))[0].text


def test_features_of_another_encoder_are_refused(tiny: Captioner, tmp_path: Path):
    from make_tiny_captioner import tiny_bundle

    from captioner.bundle import save_bundle

    save_bundle(tiny_bundle(seed=1), tmp_path)

    with pytest.raises(ModelError, match="features of another encoder"):
        tiny.decode(Captioner.load(str(tmp_path)).encode(photos(1)))


def test_a_batch_that_does_not_fit_is_halved_until_it_does_and_keeps_its_order():
    sizes = []

    def work(batch: Sequence[int]) -> list[int]:
        sizes.append(len(batch))
        if len(batch) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [number * 10 for number in batch]

    assert in_batches(work, range(7), 7, str) == [0, 10, 20, 30, 40, 50, 60]
    assert sizes == [7, 3, 1, 1, 1, 1, 1, 1, 1]


def test_one_photo_that_does_not_fit_is_named():
    def work(batch: Sequence[str]) -> list[str]:
        if "huge" in batch:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:124] . DefaultCPUAllocator: can't allocate memory")
        return list(batch)

    with pytest.raises(OutOfMemoryError, match="huge: does not fit into memory; close other programs"):
        in_batches(work, ["small", "huge", "small"], 3, str)


def test_other_faults_are_not_taken_for_a_lack_of_memory():
    def work(_: Sequence[int]) -> list[int]:
        raise RuntimeError("shapes do not match")

    with pytest.raises(RuntimeError, match="shapes do not match"):
        in_batches(work, [1, 2], 2, str)


def test_a_captioner_is_described_without_torch(tiny_captioner: Path):
    import subprocess
    import sys

    code = "import sys; from captioner.weights import describe; d = describe(sys.argv[1]);"
    code += "print(d.name, d.language, d.licence, d.digest, 'torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code, tiny_captioner], capture_output=True, text=True, check=True)

    assert said.stdout.split() == ["tiny", "en", "MIT", describe(tiny_captioner).digest, "False"]


def test_the_digest_is_the_loaded_captioners_and_changes_with_each_file(tiny_captioner: Path, tmp_path: Path):
    seen = {describe(tiny_captioner).digest}
    assert seen == {Captioner.load(str(tiny_captioner)).digest}
    for name in FILES:
        folder = tmp_path / name
        shutil.copytree(tiny_captioner, folder)
        with (folder / name).open("ab") as stream:
            stream.write(b" ")
        seen.add(describe(folder).digest)
    assert len(seen) == 4


def test_an_unknown_name_is_answered_with_the_names_there_are():
    with pytest.raises(ModelError, match=r"no-such: no such captioner; name one of these or a folder: .*narrator-lite"):
        describe("no-such")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", b"{"),
        ("config.json", b'{"format": 99}'),
        ("tokenizer.json", b'{"words": ["dog"]}'),
        ("model.safetensors", b"not weights"),
    ],
)
def test_a_broken_file_is_named(tiny_captioner: Path, tmp_path: Path, name: str, content: bytes):
    shutil.copytree(tiny_captioner, tmp_path / "broken")
    (tmp_path / "broken" / name).write_bytes(content)

    with pytest.raises(ModelError, match="broken"):
        Captioner.load(str(tmp_path / "broken"))


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(tiny_captioner: Path, tmp_path: Path, name: str):
    shutil.copytree(tiny_captioner, tmp_path / "broken")
    (tmp_path / "broken" / name).unlink()

    with pytest.raises(ModelError, match=f"broken|{name}"):
        Captioner.load(str(tmp_path / "broken"))


def test_a_configuration_that_does_not_fit_the_weights_is_refused(tiny_captioner: Path, tmp_path: Path):
    shutil.copytree(tiny_captioner, tmp_path / "broken")
    config = json.loads((tmp_path / "broken" / "config.json").read_text(encoding="utf-8"))
    config["model"]["width"] = 64
    (tmp_path / "broken" / "config.json").write_text(json.dumps(config), encoding="utf-8")

    with pytest.raises(ModelError, match=r"model.safetensors: not a captioner this program can load"):
        Captioner.load(str(tmp_path / "broken"))


def test_a_device_that_is_not_there_is_refused(tiny_captioner: Path):
    if torch.cuda.is_available():
        pytest.skip("this machine has the device")
    with pytest.raises(ModelError, match="cuda: the device cannot be used"):
        Captioner.load(str(tiny_captioner), device="cuda")


@pytest.fixture(scope="module")
def built_in() -> Captioner:
    return Captioner.load()


@pytest.fixture(scope="module")
def samples() -> dict[str, Photo]:
    opened = {path.stem: open_photo(path) for path in sorted(SAMPLES.iterdir()) if path.suffix != ".md"}
    return {name: photo for name, photo in opened.items() if isinstance(photo, Photo)}


def test_the_built_in_captioner_is_there_and_small():
    folder = model_folder("narrator-lite")

    assert "narrator-lite" in model_names()
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 40e6
    assert "Flickr8k" in describe("narrator-lite").licence


def test_the_built_in_captioner_says_the_same_in_any_batch(built_in: Captioner, samples: dict[str, Photo]):
    given = list(samples.values())
    together = built_in.decode(built_in.encode(given))
    alone = [built_in.decode(built_in.encode([photo]))[0] for photo in given]

    assert texts(alone) == texts(together)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("chelsea", {"cat"}),
        ("coffee", {"cup", "coffee", "plate", "food", "table", "bowl"}),
        ("astronaut", {"man", "woman", "person", "girl", "boy"}),
    ],
)
def test_the_built_in_captioner_sees_what_is_there(
    built_in: Captioner, samples: dict[str, Photo], name: str, words: set[str]
):
    caption = built_in.decode(built_in.encode([samples[name]]))[0].text

    assert words & set(caption.split()), caption


def test_the_built_in_captioners_scores_are_of_its_own_weights():
    folder = model_folder("narrator-lite")
    scores = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    card = (folder / "CARD.md").read_text(encoding="utf-8")

    assert scores["digest"] == describe("narrator-lite").weights_digest
    assert scores["digest"] in card
    assert f"{scores['scores']['CIDEr-D']:.4f}" in card
    assert scores["photos"] == 1000
