"""Calibrations: what they say, how they are kept, and that the one that comes along knows a photo from a blank."""

import json
from pathlib import Path

import numpy as np
import pytest

from captioner.calibrate import as_photo
from captioner.captioning import Captioner
from captioner.confidence import Calibration, Line, calibration_json, load_calibration
from captioner.drawn_overlays import with_words
from captioner.drawn_pictures import KINDS, draw
from captioner.errors import ModelError
from captioner.logistic import aurc, auroc, expected_calibration_error, fit_logistic, risk_by_coverage
from captioner.photos import open_photo
from captioner.records import Photo

SAMPLES = Path(__file__).parents[2] / "data" / "samples"
NOTHING = np.empty(0, dtype=np.float16)
RISK = ((0.9, 0.3, 0.05), (0.7, 0.6, 0.1), (0.4, 1.0, 0.25))


def calibration(**parts: object) -> Calibration:
    """Return a small calibration over one signal."""
    return Calibration("abc", Line({"sure": 2.0}, 0.0), ((-4.0, 0.1), (4.0, 0.9)), risk=RISK, **parts)


def test_a_confidence_is_read_off_the_curve():
    assert calibration().doubt({"sure": 0.0}, NOTHING, NOTHING).confidence == 0.5
    assert calibration().doubt({"sure": 9.0}, NOTHING, NOTHING).confidence == 0.9


def test_a_picture_that_is_none_is_doubted_and_its_caption_not_believed():
    no_photo = calibration(picture=Line({}, -1.0, (3.0, 0.0))).doubt({"sure": 9.0}, np.array([-2.0, 1.0]), NOTHING)

    assert no_photo.flags == ("no-reliable-description",)
    assert no_photo.confidence < 0.01


def test_text_in_enough_regions_is_flagged():
    judge = calibration(text=Line({}, 0.0, (1.0,), bound=1.0), text_regions=2)

    assert judge.doubt({"sure": 0.0}, NOTHING, np.array([[2.0], [0.5], [3.0]])).flags == ("contains-text",)
    assert judge.doubt({"sure": 0.0}, NOTHING, np.array([[2.0], [0.5], [0.0]])).flags == ()


@pytest.mark.parametrize(
    ("most_wrong", "threshold", "coverage"), [(0.3, 0.4, 1.0), (0.1, 0.7, 0.6), (0.07, 0.9, 0.3), (0.01, 1.001, 0.0)]
)
def test_the_threshold_keeps_the_share_of_wrong_ones(most_wrong: float, threshold: float, coverage: float):
    assert (calibration().threshold(most_wrong), calibration().coverage(most_wrong)) == (threshold, coverage)


def test_a_calibration_is_kept_whole_and_speaks_for_its_own_weights_alone(tmp_path: Path):
    path = tmp_path / "confidence.json"
    whole = calibration(picture=Line({}, 1.0, (0.5, -0.25)), text_regions=2, figures={"ece": 0.03})
    path.write_bytes(calibration_json(whole))

    kept = load_calibration(path, "abc")

    assert kept is not None
    assert (kept.right, kept.picture, kept.text, kept.text_regions) == (whole.right, whole.picture, None, 2)
    assert kept.threshold(0.1) == 0.7
    assert load_calibration(path, "other") is None
    assert load_calibration(tmp_path / "none.json", "abc") is None


def test_a_broken_calibration_is_named_with_its_mend(tmp_path: Path):
    path = tmp_path / "confidence.json"
    path.write_text(json.dumps({"format": 1, "captioner": "abc"}), encoding="utf-8")

    with pytest.raises(ModelError, match=r"confidence.json: not a calibration .*narrate calibrate"):
        load_calibration(path, "abc")


def test_a_regression_finds_the_line_that_made_the_answers():
    random = np.random.default_rng(0)
    inputs = random.normal(3.0, 2.0, (4000, 2))
    wanted = random.random(4000) < 1 / (1 + np.exp(-(inputs @ [1.5, 0.0] - 4.0)))

    weights, bias = fit_logistic(inputs, wanted, decay=0.1)

    assert weights == pytest.approx([1.5, 0.0], abs=0.15)
    assert bias == pytest.approx(-4.0, abs=0.4)


def test_the_measures_are_those_of_a_case_done_by_hand():
    confidence, right = np.array([0.95, 0.85, 0.15, 0.05]), np.array([True, False, True, False])

    assert list(risk_by_coverage(confidence, right)) == [0, 1 / 2, 1 / 3, 1 / 2]
    assert aurc(confidence, right) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert auroc(confidence, right) == 0.75
    assert expected_calibration_error(confidence, right) == pytest.approx((0.05 + 0.85 + 0.85 + 0.05) / 4)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_number_draws_the_same_picture_and_the_two_sets_differ(kind: str):
    assert np.array_equal(draw(kind, 3, "fit"), draw(kind, 3, "fit"))
    assert not np.array_equal(draw(kind, 3, "fit"), draw(kind, 3, "report"))


@pytest.fixture(scope="module")
def built_in() -> Captioner:
    return Captioner.load()


@pytest.mark.parametrize("kind", KINDS)
def test_the_built_in_captioner_describes_no_blank_no_noise_no_screen_and_no_page(built_in: Captioner, kind: str):
    pictures = [as_photo(draw(kind, number, "report")) for number in range(5)]

    captions = built_in.decode(built_in.encode(pictures))

    assert all("no-reliable-description" in one.doubts for one in captions)
    assert all(one.confidence is not None and one.confidence < 0.5 for one in captions)


def test_the_built_in_captioner_describes_photos_and_sees_words_laid_over_them(built_in: Captioner):
    opened = [open_photo(SAMPLES / name) for name in ("chelsea.png", "coffee.jpg", "astronaut.jpg", "moose.webp")]
    photos = [one for one in opened if isinstance(one, Photo)]
    worded = [as_photo(with_words(one.pixels, 3 * number + 1, "fit")[0]) for number, one in enumerate(photos)]

    plain, lettered = (built_in.decode(built_in.encode(some)) for some in (photos, worded))

    assert not any("no-reliable-description" in one.doubts for one in plain)
    assert all(one.confidence is not None and 0 < one.confidence <= 1 for one in plain)
    assert not any("contains-text" in one.doubts for one in plain)
    assert sum("contains-text" in one.doubts for one in lettered) > len(photos) // 2


def test_a_confidence_does_not_depend_on_the_neighbours(built_in: Captioner):
    opened = [open_photo(path) for path in sorted(SAMPLES.iterdir()) if path.suffix != ".md"][:6]
    photos = [one for one in opened if isinstance(one, Photo)]

    together = built_in.decode(built_in.encode(photos))
    alone = [built_in.decode(built_in.encode([photo]))[0] for photo in photos]

    assert [one.confidence for one in alone] == pytest.approx([one.confidence for one in together], abs=0.002)


def test_the_bars_of_the_card_hold_for_the_calibration_that_comes_along(built_in: Captioner):
    assert built_in.calibration is not None
    figures = built_in.calibration.figures

    assert figures["ece"] <= 0.05
    assert figures["aurc"]["confidence"] < figures["aurc"]["logprob"]
    assert sum(figures["abstains"][kind][0] for kind in ("blank", "noise")) >= 95
    assert min(figures["abstains"][kind][0] for kind in ("screen", "page")) >= 16
    for way in ("abstains", "abstains_by_pixels"):
        assert figures[way]["photo"][0] < 0.05 * figures[way]["photo"][1]
