"""Families side by side: a row for each, the same time for each, and a command that goes on where it was."""

import csv
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from drawn import drawn

from captioner import compare
from captioner.compare import Entry, main

OPTIONS = ("width=32", "heads=4", "feed_forward=64", "encoder_layers=1", "decoder_layers=1")
PAIR = (Entry("one", "vit_transformer", OPTIONS), Entry("two", "vit_transformer", (*OPTIONS, "dropout=0.3")))


def test_each_family_learns_in_turns_for_the_same_time_and_gets_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    drawn(tmp_path / "data", count=20)
    monkeypatch.setattr(compare, "ENTRIES", PAIR)
    monkeypatch.setattr(compare, "TURN_S", 0.2)
    monkeypatch.setattr(compare, "TIMED_PHOTOS", 2)
    wanted = ["--data", str(tmp_path / "data"), "--out", str(tmp_path / "runs"), "--csv", str(tmp_path / "table.csv")]
    wanted += ["--minutes", "0.01", "--batch-photos", "4"]

    assert main([*wanted, "--only", "one"]) == 0
    assert main([*wanted, "--curves", str(tmp_path / "curves.png")]) == 0

    with (tmp_path / "table.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["model"] for row in rows] == ["one", "two"]
    assert all(int(row["steps"]) > 0 and float(row["CIDEr-D"]) >= 0 and row["encoder"] == "patches" for row in rows)
    with (tmp_path / "curves.csv").open(newline="", encoding="utf-8") as stream:
        curves = list(csv.DictReader(stream))
    assert {row["run"] for row in curves} == {"one", "two"}
    assert all(float(row["dev_loss"]) > 0 for row in curves)
    assert (tmp_path / "curves.png").stat().st_size > 1000


@pytest.mark.parametrize("wrong", [["--only", "nothing"], ["--minutes", "0"], ["--batch-photos", "0"]])
def test_what_cannot_be_compared_is_an_error_in_a_line(
    wrong: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    wanted = ["--data", str(tmp_path), "--out", str(tmp_path / "runs"), "--csv", str(tmp_path / "table.csv")]

    assert main([*wanted, *wrong]) == 2
    said = capsys.readouterr().out
    assert said.startswith("error: ")
    assert wrong[0] in said


def test_a_folder_without_photos_is_an_error_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    status = main(["--data", str(tmp_path), "--out", str(tmp_path / "runs"), "--csv", str(tmp_path / "table.csv")])

    assert status == 2
    assert capsys.readouterr().out.startswith("error: ")
