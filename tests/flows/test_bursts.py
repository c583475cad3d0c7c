"""Bursts: one frame is described, the others take its words and say so; only time and likeness together count."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from narrating import Runs
from PIL import ExifTags, Image, ImageFilter


def make_frame(path: Path, scene: int, taken: str | None, shift: int = 0) -> Path:
    """Write a smooth picture that follows from `scene`, moved by `shift` pixels, with EXIF's time of taking."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(scene).integers(0, 256, (9, 12, 3), dtype=np.uint8)
    whole = Image.fromarray(pixels).resize((264, 198)).filter(ImageFilter.GaussianBlur(4))
    photo = whole.crop((shift, 0, 240 + shift, 180))
    exif = Image.Exif()
    if taken is not None:
        exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = taken
    photo.save(path, exif=exif, quality=90)
    return path


@pytest.fixture
def frames(runs: Runs) -> Runs:
    """Return runs over three frames of one burst and three photos that are none of it."""
    for number, shift in enumerate((0, 1, 2)):
        make_frame(runs.photos / f"{number}.jpg", 1, f"2026:11:21 10:00:0{number}", shift)
    make_frame(runs.photos / "3-same-hours-later.jpg", 1, "2026:11:21 14:00:00", 1)
    make_frame(runs.photos / "4-other-at-once.jpg", 2, "2026:11:21 10:00:03")
    make_frame(runs.photos / "5-same-without-time.jpg", 1, None, 1)
    return runs


@pytest.mark.parametrize("shard_size", [1, 64])
def test_frames_taken_at_once_that_look_alike_are_described_once_and_say_so(frames: Runs, shard_size: int):
    summary = frames.run(bursts=True, shard_size=shard_size)
    rows = frames.rows()

    assert (summary.captioned, summary.spoken, summary.bursts) == (4, 4, 2)
    assert summary.counts.described == 6
    assert dict(rows["burst_of"].dropna()) == {"1.jpg": "0.jpg", "2.jpg": "0.jpg"}
    assert rows.loc["1.jpg", "alt_text"] == rows.loc["0.jpg", "alt_text"]
    assert rows.loc["1.jpg", "sha256"] != rows.loc["0.jpg", "sha256"]
    assert rows.loc["2.jpg", "alt_flags"][0]["rule"] == "burst"
    assert "the words of 0.jpg" in rows.loc["2.jpg", "alt_flags"][0]["reason"]
    assert (rows["width_px"] == 240).all()
    assert rows.loc["1.jpg", "taken_at"] == pd.Timestamp("2026-11-21 10:00:01")
    assert all((frames.out / path).is_file() for path in rows["audio_path"])


def test_bursts_are_off_unless_asked_for_and_turning_them_off_describes_each_frame(frames: Runs):
    frames.run(bursts=True)

    stands, off = frames.run(bursts=True), frames.run()

    assert stands.counts.taken_over == 6
    assert (off.captioned, off.bursts) == (2, 0)
    assert frames.rows()["burst_of"].isna().all()
    assert frames.run().counts.taken_over == 6


def test_a_frame_of_a_burst_keeps_its_words_under_another_name(frames: Runs):
    frames.run(bursts=True)
    (frames.photos / "1.jpg").rename(frames.photos / "moved.jpg")

    summary = frames.run(bursts=True)

    assert (summary.captioned, summary.spoken) == (0, 0)
    assert frames.rows().loc["moved.jpg", "burst_of"] == "0.jpg"
