"""The static page of a run, opened from a disk in a real browser."""

import json
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from axe_playwright_python.sync_playwright import Axe
from narrating import BROKEN, Runs, make_photo, make_photos
from PIL import Image

from flows.manifest import Manifest
from flows.page import ROWS_A_FILE, write_pages
from flows.records import Summary
from flows.schema import SCHEMA


def opened(tab: Any, out: Path) -> Any:
    """Open the page of `out` and wait until its rows are there."""
    tab.goto((out / "report" / "index.html").as_uri())
    tab.wait_for_function("() => document.querySelector('#shown').textContent !== ''")
    return tab


def names(tab: Any) -> list[str]:
    return tab.locator("#photos h3").all_text_contents()


def synthetic(out: Path, count: int) -> None:
    """Write a manifest of `count` rows, without photos or clips."""
    rows = [
        dict.fromkeys(SCHEMA.names)
        | {
            "id": f"{n:06d}.jpg",
            "sha256": f"{n:064x}",
            "status": "described",
            "alt_text": f"Photo {n}.",
            "alt_flags": [],
        }
        | {"caption": f"photo {n}", "language": "en", "mean_logprob": -1.0, "confidence": (n * 37 % 100) / 100}
        | {"captioner": "c", "words_by": "captioner"}
        for n in range(count)
    ]
    (out / "manifest").mkdir(parents=True)
    for part, start in enumerate(range(0, count, 512)):
        table = pa.Table.from_pylist(rows[start : start + 512], schema=SCHEMA)
        pq.write_table(table, out / "manifest" / f"part-{part:06d}.parquet")


@pytest.fixture
def narrated(runs: Runs) -> Runs:
    make_photos(runs.photos, 3)
    make_photo(runs.photos / "<img src=x onerror=alert(1)>.png", 9)
    (runs.photos / "broken.jpg").write_bytes((BROKEN / "zeros.jpg").read_bytes())
    runs.run()
    return runs


def test_the_page_shows_each_photo_with_its_words_its_sound_and_its_trouble(narrated: Runs, tab: Any):
    opened(tab, narrated.out)
    rows = narrated.rows()

    assert sorted(names(tab)) == sorted(rows.index)
    assert tab.locator("#photos audio").count() == 4
    assert rows.loc["000.png", "alt_text"] in tab.locator("#photos").inner_text()
    assert rows.loc["broken.jpg", "message"] in tab.locator("#photos").inner_text()


def test_a_name_that_is_markup_is_shown_and_does_nothing(narrated: Runs, tab: Any):
    alarms: list[str] = []
    tab.on("dialog", lambda dialog: (alarms.append(dialog.message), dialog.dismiss()))
    opened(tab, narrated.out)

    assert "<img src=x onerror=alert(1)>.png" in names(tab)
    assert tab.locator("img[src=x]").count() == 0
    assert alarms == []


def test_thumbnails_hold_pixels_alone(runs: Runs):
    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (48.0, 12.0, 0.0)}
    exif[0x0110] = "camera"
    Image.new("RGB", (900, 300), "red").save(runs.photos / "a.jpg", exif=exif)
    runs.run()
    (thumbnail,) = (runs.out / "report" / "thumbnails").rglob("*.webp")
    image = Image.open(thumbnail)

    assert image.size == (384, 128)
    assert not dict(image.getexif())
    assert set(image.info) <= {"background", "loop", "timestamp", "duration"}


def test_rows_are_filtered_by_status_name_and_flag(narrated: Runs, tab: Any):
    opened(tab, narrated.out)
    tab.select_option("[name=status]", label="refused")

    assert names(tab) == ["broken.jpg"]

    tab.click("button[type=reset]")
    tab.wait_for_function("() => document.querySelectorAll('#photos h3').length === 5")
    tab.fill("[name=query]", "001")
    tab.wait_for_function("() => document.querySelectorAll('#photos h3').length === 1")

    assert names(tab) == ["001.png"]


def test_a_page_has_at_most_two_hundred_rows_and_sorts_all_of_them_by_confidence(tmp_path: Path, tab: Any):
    synthetic(tmp_path, 1100)
    write_pages(tmp_path, Manifest(tmp_path), Summary("run"))
    opened(tab, tmp_path)

    assert len(names(tab)) == 200
    assert "page 1 of 6" in tab.inner_text("#shown")

    tab.select_option("[name=sort]", "doubt")
    tab.wait_for_function("() => document.querySelectorAll('#photos h3')[1].textContent === '000100.jpg'")

    assert names(tab)[:3] == ["000000.jpg", "000100.jpg", "000200.jpg"]
    assert tab.locator("#histogram .bars span").count() == 10


def test_the_files_of_a_longer_report_before_are_removed(tmp_path: Path):
    synthetic(tmp_path, ROWS_A_FILE + 1)
    write_pages(tmp_path, Manifest(tmp_path), Summary("one"))
    (tmp_path / "manifest" / "part-000000.parquet").unlink()
    write_pages(tmp_path, Manifest(tmp_path), Summary("two"))

    assert not list((tmp_path / "report" / "data").glob("rows-*"))


def test_the_data_of_the_page_are_scripts_that_say_what_the_manifest_says(narrated: Runs):
    text = (narrated.out / "report" / "data" / "rows-00000.js").read_text(encoding="utf-8")
    rows = json.loads(re.fullmatch(r'narrated\.take\("rows 0",(.*)\);\n', text, re.DOTALL)[1])

    assert "<" not in text
    assert {row["id"]: row["alt_text"] or "" for row in rows} == narrated.rows()["alt_text"].fillna("").to_dict()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation_on_the_report(narrated: Runs, chromium: Any, scheme: str):
    page = opened(chromium.new_page(color_scheme=scheme), narrated.out)
    violations = Axe().run(page).response["violations"]
    page.close()

    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in violations] == []
