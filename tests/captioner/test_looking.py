"""Where a captioner looked, as pictures."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from captioner.errors import ModelError
from captioner.looking import draw_attention, lit, main
from captioner.records import Caption, Photo

PIXELS = np.full((40, 60, 3), 200, np.uint8)


def test_a_photo_is_bright_where_it_was_looked_at_and_dark_elsewhere():
    shown = lit(PIXELS, bytes([255, 0, 0, 0]))

    assert shown.shape == PIXELS.shape
    assert shown[2, 2, 0] > 190
    assert shown[38, 58, 0] < 50


def test_a_picture_is_drawn_for_each_photo_and_the_caption_is_told(
    tiny_captioner: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for name in ("one", "two"):
        Image.fromarray(PIXELS).save(tmp_path / f"{name}.png")
    (tmp_path / "broken.jpg").write_bytes(b"no photo")
    photos = [str(tmp_path / name) for name in ("one.png", "broken.jpg", "two.png")]

    status = main([*photos, "--model", str(tiny_captioner), "--out", str(tmp_path / "looks")])

    said = capsys.readouterr().out.splitlines()
    assert status == 1
    assert len(said) == 3
    assert "broken.jpg" in said[1]
    for name in ("one", "two"):
        with Image.open(tmp_path / "looks" / f"{name}.png") as picture:
            assert picture.width > 300


def test_photos_of_one_name_in_two_folders_get_a_picture_each(tiny_captioner: Path, tmp_path: Path):
    photos = [tmp_path / folder / "one.png" for folder in ("first", "second")]
    for photo in photos:
        photo.parent.mkdir()
        Image.fromarray(PIXELS).save(photo)

    assert main([*map(str, photos), "--model", str(tiny_captioner), "--out", str(tmp_path / "looks")]) == 0

    assert {one.name for one in (tmp_path / "looks").iterdir()} == {"one.png", "one-2.png"}


def test_a_photo_that_there_is_not_is_an_error_in_a_line(
    tiny_captioner: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main([str(tmp_path / "one.png"), "--model", str(tiny_captioner), "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().out.startswith("error: ")


def test_a_captioner_that_looks_nowhere_is_told_so(tmp_path: Path):
    photo = Photo("0" * 64, PIXELS, 60, 40, "png")

    with pytest.raises(ModelError, match="says nothing of where it looks"):
        draw_attention(photo, Caption("a dog", -1.0, "digest"), tmp_path / "one.png")


def test_a_captioner_that_there_is_not_is_an_error_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(tmp_path / "one.png"), "--model", str(tmp_path / "none"), "--out", str(tmp_path)]) == 2
    assert capsys.readouterr().out.startswith("error: ")
