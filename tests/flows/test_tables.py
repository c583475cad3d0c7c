"""The caller's own tables: as the input, beside a folder, and what they say against any captioner."""

import json
from pathlib import Path

import pandas as pd
import pytest
from narrating import Runs, make_photo, make_photos

from flows.errors import FlowError
from flows.inputs import list_photos
from flows.tables import read_table


def sources(place: Path, column: str | None = None) -> dict[str, str | None]:
    return {source.id: source.own for source in list_photos(str(place), column).sources(Path("nowhere"))}


def test_a_csv_with_an_image_column_is_a_list_that_brings_its_columns(tmp_path: Path):
    make_photos(tmp_path / "photos", 2)
    table = tmp_path / "catalogue.csv"
    table.write_text("\ufeffImage;Title;Number\nphotos/000.png;Bridge, at dusk;007\nphotos/001.png;;008\n")

    found = sources(table)

    assert {name: json.loads(own or "") for name, own in found.items()} == {
        "000.png": {"Image": "photos/000.png", "Title": "Bridge, at dusk", "Number": "007"},
        "001.png": {"Image": "photos/001.png", "Number": "008"},
    }


def test_a_parquet_table_keeps_its_types_and_names_photos_by_its_own_ids(tmp_path: Path):
    make_photos(tmp_path, 2)
    frame = pd.DataFrame({"id": ["1923.14", "../up"], "path": ["000.png", "001.png"], "year": [1923, 1924]})
    frame.to_parquet(tmp_path / "catalogue.parquet")

    found = sources(tmp_path / "catalogue.parquet")

    assert list(found) == ["1923.14", "../up"]
    assert json.loads(found["1923.14"] or "")["year"] == 1923


def test_a_table_without_an_image_column_says_which_columns_it_has(tmp_path: Path):
    (tmp_path / "t.csv").write_text("Bild,Titel\na.jpg,x\n")

    with pytest.raises(FlowError, match=r"no column image \(it has Bild, Titel\); name the column .* --image-column"):
        list_photos(str(tmp_path / "t.csv"))
    assert list(sources(tmp_path / "t.csv", "bild")) == ["a.jpg"]


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"image\n\xff\xfe.jpg\n", "cannot be read"), (b"image,a\nb.jpg,c,d\n", "line 2 has more values")],
)
def test_a_table_that_is_none_is_named(tmp_path: Path, data: bytes, words: str):
    (tmp_path / "t.csv").write_bytes(data)

    with pytest.raises(FlowError, match=words):
        list(read_table(str(tmp_path / "t.csv")))


def test_own_columns_decorative_rows_and_a_persons_words_reach_the_manifest(runs: Runs, tmp_path: Path):
    make_photos(runs.photos, 4)
    table = tmp_path / "own.csv"
    table.write_text(
        "id,title,decorative,alt_text\n000.png,Frieze,yes,\n001.png,Bridge,no,The  bridge at dusk\n"
        "002.png,Harbour,,\nstranger.png,x,,\n"
    )

    summary = runs.run(table=str(table))
    rows = runs.rows()

    assert list(rows["status"]) == ["decorative", "described", "described", "described"]
    assert rows.loc["000.png", "alt_text"] == ""
    assert pd.isna(rows.loc["000.png", "audio_path"])
    assert rows.loc["001.png", "alt_text"] == "The bridge at dusk"
    assert list(rows["words_by"]) == ["table", "table", "captioner", "captioner"]
    assert json.loads(rows.loc["002.png", "own"]) == {"id": "002.png", "title": "Harbour"}
    assert pd.isna(rows.loc["003.png", "own"])
    assert (summary.captioned, summary.spoken) == (2, 3)
    assert summary.counts.decorative == 1


def test_a_table_stands_until_it_changes_and_then_only_what_it_changes_is_done(runs: Runs, tmp_path: Path):
    make_photos(runs.photos, 3)
    table = tmp_path / "own.csv"
    table.write_text("id,alt_text\n000.png,A bridge.\n001.png,A boat.\n")
    runs.run(table=str(table))

    unchanged = runs.run(table=str(table))
    without = runs.run()
    table.write_text("id,alt_text\n000.png,A bridge.\n001.png,Two boats.\n")
    changed = runs.run(table=str(table))

    assert unchanged.counts.taken_over == without.counts.taken_over == 3
    assert (changed.counts.taken_over, changed.captioned, changed.spoken) == (2, 0, 1)
    assert runs.rows().loc["001.png", "alt_text"] == "Two boats."


def test_a_copy_of_a_photo_with_a_persons_words_is_captioned_on_its_own(runs: Runs, tmp_path: Path):
    path = make_photo(runs.photos / "a.png", 1)
    (runs.photos / "b.png").write_bytes(path.read_bytes())
    table = tmp_path / "own.csv"
    table.write_text("id,alt_text\na.png,My own words.\n")

    runs.run(table=str(table))
    rows = runs.rows()

    assert rows.loc["a.png", "alt_text"] == "My own words."
    assert rows.loc["b.png", "words_by"] == "captioner"
    assert rows.loc["b.png", "alt_text"] != "My own words."
