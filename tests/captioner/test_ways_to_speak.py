"""What a captioner learned decides how it speaks: word by word, by unmasking, in answers, or not at all."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
from painted import painted

from captioner import self_critical
from captioner.answering import main
from captioner.beginnings import make_encoder, make_network
from captioner.bundle import Bundle, save_bundle
from captioner.captioning import Captioner, load_captioner
from captioner.comparing import photo_vectors, text_vector
from captioner.decoding import Search, search_captions
from captioner.drawings import ANSWER, KINDS, draw, drawings
from captioner.drawings import main as draw_all
from captioner.errors import ModelError
from captioner.records import Photo
from captioner.tokenizer import Tokenizer

WORDS = ["a", "on", "what", "shape", "is", "it", ANSWER, *KINDS, "red", "blue", "black", "small", "big"]
SIZES = ("width=16", "heads=2", "feed_forward=16", "decoder_layers=1", "longest=14")


def captioner(folder: Path, *options: str) -> Path:
    """Write a small captioner of the family fusion with random weights, learned by the objectives that are given."""
    torch.manual_seed(2)
    encoder, tokenizer = make_encoder("small"), Tokenizer(WORDS)
    network = make_network("fusion", encoder, tokenizer, [*SIZES, *options]).eval()
    save_bundle(Bundle(folder.name, encoder, network, tokenizer, "MIT"), folder)
    return folder


def photos() -> list[Photo]:
    return [Photo(f"{number:064x}", one.pixels, 32, 32, "png") for number, one in enumerate(drawings(5, seed=2))]


@pytest.fixture
def drawing(tmp_path: Path) -> Path:
    file = tmp_path / "drawing.png"
    Image.fromarray(draw(np.random.default_rng(0)).pixels).resize((64, 64)).save(file)
    return file


def test_what_learned_to_unmask_alone_captions_by_unmasking_the_same_in_any_batch(tmp_path: Path):
    unmasking = load_captioner(str(captioner(tmp_path / "mlm", "objectives=mlm")))
    assert isinstance(unmasking, Captioner)

    features = unmasking.encode(photos())
    together = unmasking.decode(features)

    assert [caption.text for caption in together] == [unmasking.decode([one])[0].text for one in features]
    for caption in together:
        assert 4 <= len(caption.text.split()) <= 12
        assert len(caption.alternatives) == unmasking.search.beams - 1
        assert caption.mean_logprob < 0


@torch.inference_mode()
def test_unmasking_keeps_to_the_length_and_the_words_of_its_search(tmp_path: Path):
    unmasking = Captioner.load(str(captioner(tmp_path / "mlm", "objectives=mlm")))
    regions = torch.randn(3, unmasking.model.config.regions, unmasking.model.config.region_width)
    free = search_captions(unmasking.model, regions, Search(beams=1, shortest=5, longest=6))

    forbidden = tuple({number for found in free for number in found[0].tokens})[:3]
    kept = search_captions(unmasking.model, regions, Search(beams=2, shortest=5, longest=7, forbidden=forbidden))

    assert all(len(found[0].tokens) == 5 for found in free)
    assert all({len(said.tokens) for said in found} == {5, 6} for found in kept)
    assert not {number for found in kept for said in found for number in said.tokens} & set(forbidden)


@pytest.mark.parametrize("objectives", ["itc+itm", "answer"])
def test_what_never_learned_to_caption_is_refused_and_serves_search_all_the_same(tmp_path: Path, objectives: str):
    folder = captioner(tmp_path / "other", f"objectives={objectives}", f"separator={ANSWER}")
    said = "other: this captioner never learned to say captions; train it with --start and --options objectives=lm"

    with pytest.raises(ModelError, match=said):
        load_captioner(str(folder))

    comparing = Captioner.load(str(folder))
    with pytest.raises(ModelError, match=said):
        comparing.decode(comparing.encode(photos()))
    assert len(photo_vectors(comparing, photos())) == 5
    if "itc" in objectives:
        assert text_vector(comparing, "a red ring").shape == (128,)


def test_a_question_is_answered_in_each_way_that_was_learned(
    tmp_path: Path, drawing: Path, capsys: pytest.CaptureFixture[str]
):
    answers = f"answers={'+'.join(KINDS)}"
    asked = captioner(tmp_path / "vqa", "objectives=answer+classify", f"separator={ANSWER}", answers)

    assert main([str(drawing), "what shape is it", "--model", str(asked)]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["said", "chosen"]
    assert lines[1].removeprefix("chosen: ") in KINDS


@pytest.mark.parametrize(
    ("objectives", "question", "said"),
    [
        ("lm", "what shape is it", "this captioner never learned to answer questions; train one of the family fusion"),
        ("answer", "?", "'?': no question that can be asked; ask in 1 to 11 words"),
        ("answer", "what " * 12, "no question that can be asked; ask in 1 to 11 words"),
    ],
)
def test_what_cannot_be_asked_is_said_in_one_line(
    tmp_path: Path, drawing: Path, capsys: pytest.CaptureFixture[str], objectives: str, question: str, said: str
):
    asked = captioner(tmp_path / "vqa", f"objectives={objectives}", f"separator={ANSWER}")

    assert main([str(drawing), question, "--model", str(asked)]) == 2
    assert said in capsys.readouterr().out


def test_a_broken_photo_cannot_be_asked_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    asked = captioner(tmp_path / "vqa", "objectives=answer", f"separator={ANSWER}")
    (tmp_path / "broken.jpg").write_bytes(b"no photo")

    assert main([str(tmp_path / "broken.jpg"), "what is it", "--model", str(asked)]) == 2
    assert capsys.readouterr().out.startswith(f"error: {tmp_path / 'broken.jpg'}: ")


def test_drawings_can_be_questions(tmp_path: Path):
    assert draw_all([str(tmp_path / "questions"), "--questions"]) == 0

    rows = (tmp_path / "questions" / "captions-train.tsv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 1 + 4 * 400
    assert all(f" {ANSWER} " in row for row in rows[1:])
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    assert draw_all([str(tmp_path / "file")]) == 2


def test_rewards_are_for_what_speaks_word_by_word(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    painted(tmp_path, "train", 12, seed=1)
    (tsv,) = tmp_path.glob("*.tsv")
    header, *rows = tsv.read_text(encoding="utf-8").splitlines()
    tsv.write_text("\n".join([header, *rows, *rows, ""]), encoding="utf-8")
    start = captioner(tmp_path / "mlm", "objectives=mlm")

    status = self_critical.main([f"--data={tmp_path}", f"--out={tmp_path / 'out'}", f"--start={start}", "--steps=1"])

    assert status == 2
    said = "never learned to say captions word by word; train it with --options objectives=lm first"
    assert said in capsys.readouterr().out
