"""Scoring by its command: what it writes, says and draws."""

import json
import sys
from pathlib import Path

import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
from painted import painted

from captioner.evaluate import main, repeats_a_pair


@pytest.fixture
def scored(tiny_captioner: Path, tmp_path: Path) -> Path:
    """Return a folder with the captioner and ten photos to score on."""
    for path in tiny_captioner.iterdir():
        (tmp_path / "model").mkdir(exist_ok=True)
        (tmp_path / "model" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "photos").mkdir()
    painted(tmp_path / "photos", "dev", 10, seed=1)
    return tmp_path


@pytest.mark.parametrize(
    ("caption", "repeats"),
    [
        ("a man in a red shirt and a red hat", True),
        ("a football football player", True),
        ("a man in a in a boat", True),
        ("a man's dog and the man's hat", True),
        ("a dog and a cat and a bird", True),
        ("a man in a red shirt and the red hat", False),
        ("two dogs run on the beach", False),
        ("", False),
    ],
)
def test_a_pair_of_words_that_comes_twice_anywhere_is_seen(caption: str, repeats: bool):
    assert repeats_a_pair(caption) is repeats


def test_the_scores_say_where_the_time_went_and_how_the_search_was_set(scored: Path):
    assert main(["--data", str(scored / "photos"), "--model", str(scored / "model")]) == 0

    found = json.loads((scored / "model" / "scores.json").read_text(encoding="utf-8"))
    card = (scored / "model" / "CARD.md").read_text(encoding="utf-8")
    assert list(found["processor_ms_a_photo"]) == ["open", "encode", "search"]
    assert found["search"]["no_repeat"] == 2
    assert found["repeated_pair_share"] == 0
    assert len(found["captions"]) == 10
    assert "with a pair of words that comes twice: 0.00%. Processor time:" in card


def test_a_contact_sheet_shows_the_first_ten_photos(scored: Path):
    sheet = scored / "sheet.png"

    status = main(["--data", str(scored / "photos"), "--model", str(scored / "model"), "--contact-sheet", str(sheet)])

    assert status == 0
    with Image.open(sheet) as picture:
        assert picture.format == "PNG"
        assert picture.width > 2 * picture.height  # two rows of five
        assert len(set(picture.convert("RGB").get_flattened_data())) > 100


def test_learning_curves_are_drawn_from_a_trainings_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rows = [f"{step},{step},1e-3,{5 - step / 50:.2f},," for step in range(10, 110, 10)]
    log = tmp_path / "log.csv"
    log.write_text(
        "\n".join(["step,spent_s,rate,loss,dev_loss,dev_cider_d", *rows, "110,110,1e-3,,3.1,0.4\n"]), "utf-8"
    )

    assert main(["--curves", str(log)]) == 0

    assert capsys.readouterr().out.strip() == str(tmp_path / "log.png")
    with Image.open(tmp_path / "log.png") as picture:
        assert picture.format == "PNG"


@pytest.mark.parametrize("content", ["", "nothing,here\n1,2\n"])
def test_a_log_without_steps_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str):
    (tmp_path / "log.csv").write_text(content, encoding="utf-8")

    assert main(["--curves", str(tmp_path / "log.csv")]) == 2

    assert "log.csv: no steps in the training's log; give the log.csv" in capsys.readouterr().out


def test_nothing_to_score_on_is_said(scored: Path, capsys: pytest.CaptureFixture[str]):
    painted(scored / "photos", "train", 3, seed=2)
    for path in (scored / "photos").glob("*dev*"):
        path.unlink()

    assert main(["--data", str(scored / "photos"), "--model", str(scored / "model")]) == 2

    assert "error: --data: no dev photos to score on" in capsys.readouterr().out
