"""A run that knows when it may be wrong: confidence in the rows, hedged words, pictures that are not described."""

import shutil
from pathlib import Path

import pytest
from make_public_captioners import public_captioner
from narrating import Runs, make_photo, make_photos
from PIL import Image

from captioner.confidence import Calibration, Line, calibration_json
from captioner.errors import CaptionerError
from captioner.weights import describe
from flows.errors import FlowError
from flows.job import make_job

SAMPLES = Path(__file__).parents[2] / "data" / "samples"


def calibrated(captioner: Path, folder: Path) -> Path:
    """Return a copy of a captioner that is sure of every caption with a chance of one half."""
    shutil.copytree(captioner, folder)
    line, risk = Line({"mean_logprob": 0.0}, 0.0), ((0.8, 0.5, 0.1), (0.4, 1.0, 0.3))
    judge = Calibration(describe(folder).weights_digest, line, ((-1.0, 0.0), (1.0, 1.0)), risk=risk)
    (folder / "confidence.json").write_bytes(calibration_json(judge))
    return folder


def test_a_blank_picture_gets_a_row_a_clip_and_no_invented_words(runs: Runs):
    Image.new("RGB", (400, 300), "white").save(runs.photos / "blank.png")
    shutil.copy(SAMPLES / "chelsea.png", runs.photos)

    runs.run(captioner="narrator-lite")
    blank, cat = runs.rows().loc["blank.png"], runs.rows().loc["chelsea.png"]

    assert (blank["status"], blank["alt_text"]) == ("described", "No reliable description.")
    assert [flag["rule"] for flag in blank["alt_flags"]] == ["no-reliable-description"]
    assert blank["needs_review"]
    assert (runs.out / blank["audio_path"]).stat().st_size > 0
    assert blank["confidence"] < cat["confidence"] <= 1
    assert "cat" in cat["alt_text"]


def test_max_wrong_hedges_or_holds_back_and_captions_nothing_again(runs: Runs, tmp_path: Path):
    captioner = calibrated(Path(runs.settings["captioner"]), tmp_path / "calibrated")
    make_photos(runs.photos, 2)
    plain = runs.run(captioner=str(captioner))
    words = list(runs.rows()["alt_text"])

    hedged = runs.run(captioner=str(captioner), max_wrong="10%")
    assert [text.startswith("Possibly ") for text in runs.rows()["alt_text"]] == [True, True]
    assert runs.rows()["needs_review"].all()
    silent = runs.run(captioner=str(captioner), max_wrong="10%", unsure="abstain")
    assert set(runs.rows()["alt_text"]) == {"No reliable description."}
    runs.run(captioner=str(captioner), max_wrong="30%")

    assert list(runs.rows()["alt_text"]) == words
    assert list(runs.rows()["confidence"]) == [0.5, 0.5]
    assert (plain.captioned, hedged.captioned, silent.captioned) == (2, 0, 0)


def test_a_changed_calibration_describes_anew(runs: Runs, tmp_path: Path):
    make_photo(runs.photos / "a.png", 1)
    runs.run()
    before = runs.rows().loc["a.png", "captioner_digest"]

    summary = runs.run(captioner=str(calibrated(Path(runs.settings["captioner"]), tmp_path / "calibrated")))

    assert summary.captioned == 1
    assert runs.rows().loc["a.png", "captioner_digest"] != before


def test_max_wrong_without_a_calibration_says_what_to_do(runs: Runs):
    with pytest.raises(CaptionerError, match=r"not calibrated.*narrate calibrate"):
        runs.run(max_wrong="20%")


@pytest.mark.parametrize(("given", "kept"), [("20%", "20%"), ("20", "20%"), (0.29, "29%"), (5, "5%")])
def test_a_share_is_whole_per_cent_however_it_is_written(given: object, kept: str):
    assert make_job({"photos": "p", "out": "o", "max_wrong": given}).max_wrong == kept


@pytest.mark.parametrize("given", ["", "0%", "100%", "12.5%", "half"])
def test_what_is_no_share_is_refused(given: str):
    with pytest.raises(FlowError, match="a share of 1% to 99%"):
        make_job({"photos": "p", "out": "o", "max_wrong": given})


def test_a_public_captioner_narrates_from_its_folder(runs: Runs, tmp_path: Path):
    make_photos(runs.photos, 2)

    summary = runs.run(captioner=str(public_captioner("git", tmp_path / "git")))
    rows = runs.rows()

    assert summary.counts.described == 2
    assert set(rows["captioner_licence"]) == {"bsd-3-clause"}
    assert rows["confidence"].isna().all()
    assert runs.run(captioner=str(tmp_path / "git")).captioned == 0


def test_two_captioners_say_their_words_and_both_are_kept(runs: Runs, tmp_path: Path):
    make_photo(runs.photos / "a.png", 1)
    public = public_captioner("git", tmp_path / "git")

    runs.run(also=str(public))
    row = runs.rows().loc["a.png"]

    assert row["captioner"] == "tiny + git"
    assert row["captioner_licence"] == "MIT; bsd-3-clause"
    assert len(row["alternatives"]) >= 2
    assert row["alternatives"][0]["text"] != row["caption"]
