"""`narrate calibrate`: a captioner of somebody else's is compared with what people wrote, and says how sure it is."""

from pathlib import Path

import numpy as np
import pytest
from make_public_captioners import public_captioner
from narrating import Runs, make_photos

from captioner.captioning import Wanted, load_captioner
from captioner.errors import DataError
from captioner.photos import open_photo
from captioner.records import Photo
from flows.commands import calibrate

WORDS = [
    "a",
    "boat",
    "lake",
    "tree",
    "bird",
    "bench",
    "river",
    "bridge",
    "cloud",
    "house",
    "road",
    "field",
    "stone",
    "boy",
    "girl",
    "horse",
    "under",
    "near",
    "behind",
]


@pytest.fixture(autouse=True)
def little_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = ("blank", "noise", "screen", "page")
    monkeypatch.setattr(
        "captioner.calibrate.DRAWN", {"fit": dict.fromkeys(kinds, 6), "report": dict.fromkeys(kinds, 2)}
    )
    monkeypatch.setattr("captioner.calibrate.OVERLAID", {"fit": 6, "report": 4})


def captioned(folder: Path, captioner: Path, count: int) -> Path:
    """Write photos with three captions each: of two in three about what the captioner says, of the others not."""
    files = make_photos(folder / "Images", count)
    opened = [one for one in map(open_photo, files) if isinstance(one, Photo)]
    loaded, random = load_captioner(str(captioner)), np.random.default_rng(1)
    said = [one.text for one in loaded.decode(loaded.encode(opened))]
    lines = ["image,caption"]
    for number, path in enumerate(files):
        words = said[number] if number % 3 else " ".join(random.choice(WORDS, 7))
        lines += [f"{path.name},{words} {' '.join(random.choice(WORDS, 2))}" for _ in range(3)]
    (folder / "captions.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def test_a_public_captioner_has_a_confidence_once_it_was_calibrated(
    runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    captioner = public_captioner("git", tmp_path / "git")
    data = captioned(tmp_path / "data", captioner, 120)
    make_photos(runs.photos, 3)
    before = runs.run(captioner=str(captioner))
    assert runs.rows()["confidence"].isna().all()

    assert calibrate(Wanted(str(captioner)), data, "cpu", tmp_path / "sheet.png") == 0
    after = runs.run(captioner=str(captioner), max_wrong="60%")

    told = capsys.readouterr().out
    assert "expected calibration error" in told
    assert str(captioner / "confidence.json") in told
    assert (captioner / "confidence.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")
    assert runs.rows()["confidence"].between(0, 1).all()
    assert (before.captioned, after.captioned) == (3, 3)


def test_too_few_photos_are_refused_before_anything_is_captioned(tmp_path: Path):
    captioner = public_captioner("git", tmp_path / "git")
    data = captioned(tmp_path / "data", captioner, 5)

    with pytest.raises(DataError, match=r"5 captioned photos are too few .* it takes 100"):
        calibrate(Wanted(str(captioner)), data, "cpu", None)
    assert not (captioner / "confidence.json").exists()
