"""`narrate export`: tables, pages and subtitles, each opened by a reader that is not ours."""

import base64
import itertools
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from exporting import ODD, Exported
from hypothesis import given, settings
from hypothesis import strategies as st

from flows.corrections import sounds, unknown_sounds, without_sounds, words_of_sounds
from flows.errors import FlowError
from flows.exports.tables import plain_cell, safe_cell

TABLES = ("parquet", "csv", "jsonl")
READERS = {
    "parquet": pd.read_parquet,
    "csv": lambda path: pd.read_csv(path, keep_default_na=False),
    "jsonl": lambda path: pd.read_json(path, lines=True),
}


def read(exported: Exported, to: str, **told: Any) -> pd.DataFrame:
    place, _ = exported.write(to, **told)
    return READERS[to](place).set_index("id")


@pytest.mark.parametrize("to", TABLES)
def test_pandas_reads_each_row_with_its_words_hash_and_maker(exported: Exported, to: str):
    rows, table = exported.rows(), read(exported, to)

    assert table.loc["a.png", "alt_text"] == rows["a.png"]["alt_text"]
    assert table.loc["a.png", "text_made_by"] == "trained model tiny"
    assert table.loc["b.png", "text_made_by"] == "given in the owner's table"
    assert table.loc[ODD, "sha256"] == rows[ODD]["sha256"]
    assert table.loc["line.png", "alt_text"] == ""
    assert table.index.is_unique


@pytest.mark.parametrize("to", ["csv", "jsonl", "html", "vtt"])
def test_rows_without_words_are_left_out_and_counted(exported: Exported, to: str):
    place, tally = exported.write(to)
    pages = place.rglob("*.html") if place.is_dir() else [place]

    assert tally.left_out["refused, so without words"] == 1
    assert all("broken.jpg" not in page.read_text(encoding="utf-8") for page in pages)


def test_parquet_is_the_whole_manifest_in_one_file(exported: Exported):
    table = read(exported, "parquet")

    assert table.loc["broken.jpg", "status"] == "refused"
    assert set(table.index) == set(exported.rows())
    assert set(exported.rows()["a.png"]) - {"id"} < set(table.columns)


@pytest.mark.parametrize("to", TABLES)
def test_approved_only_means_what_a_person_approved_or_edited(exported: Exported, to: str):
    exported.decide("a.png", "approved")
    exported.decide(ODD, "edited", "A quay at night.")
    exported.decide("town/c.png", "rejected", reason="no")
    table = read(exported, to, approved=True)

    assert set(table.index) == {"a.png", ODD}
    assert table.loc["a.png", "text_made_by"] == "trained model tiny"
    assert table.loc[ODD, "text_made_by"] == "edited by a person"
    assert table.loc[ODD, "alt_text"] == "A quay at night."
    assert table["reviewed_by" if to != "jsonl" else "review"].astype(str).str.contains("Ann").all()


def test_words_that_a_reviewer_rejected_are_published_nowhere_but_in_the_manifest(exported: Exported):
    exported.decide("a.png", "rejected", reason="that is a bridge")

    assert "a.png" not in read(exported, "csv").index
    assert "a.png" in read(exported, "parquet").index


def test_words_edited_since_the_last_run_come_without_the_sound_of_the_old_ones(exported: Exported):
    exported.decide("a.png", "edited", "A heron.")
    exported.write("html")
    page = (exported.out / "exports/html/index.html").read_text(encoding="utf-8")
    _, tally = exported.write("vtt")

    assert pd.isna(read(exported, "jsonl").loc["a.png", "audio"])
    assert 'alt="A heron."' in page
    assert page.count("<audio") == 3
    assert any("narrate run" in why for why in tally.left_out)


def test_sounds_that_a_reviewer_wrote_are_not_published_as_words(exported: Exported):
    exported.change("a.png", alt_text="A view of MoMA at night.")
    exported.decide("a.png", "edited", "A view of [[moʊmə]] at night.")

    assert read(exported, "csv").loc["a.png", "alt_text"] == "A view of MoMA at night."


@pytest.mark.parametrize("to", ["csv", "html", "jsonl", "xmp"])
def test_sounds_in_no_words_place_are_published_nowhere_and_their_row_is_counted(exported: Exported, to: str):
    exported.change("a.png", alt_text="A panda.")
    exported.decide("a.png", "edited", "Panda at [[moʊmə]]")
    place, tally = exported.write(to, into=exported.out.parent / f"in {to}")
    files = [path for path in [place, *place.rglob("*")] if path.is_file()]

    assert [why for why in tally.left_out if "sounds in place of a word" in why]
    assert files
    assert not any("moʊmə".encode() in path.read_bytes() for path in files)
    assert read(exported, "parquet").loc["a.png", "alt_text"] == "Panda at"


def test_words_approved_after_sounds_were_written_are_published_as_words(exported: Exported):
    exported.change("a.png", alt_text="A view of MoMA at night.")
    exported.decide("a.png", "edited", "A view of [[moʊmə]] at night.")
    exported.change("a.png", alt_text="A view of [[moʊmə]] at night.")
    exported.decide("a.png", "approved")

    assert read(exported, "csv").loc["a.png", "alt_text"] == "A view of MoMA at night."


@pytest.mark.parametrize("to", ["xmp", "vtt", "podcast", "digest"])
def test_no_reliable_description_goes_out_only_where_a_person_approved_it(exported: Exported, to: str):
    flags = [{"rule": "no-reliable-description", "reason": "a blank"}]
    for name in ("a.png", ODD):
        exported.change(name, alt_flags=flags, alt_text="No reliable description.")
    exported.decide(ODD, "approved")
    _, tally = exported.write(to, web="https://example.org")
    told = [line for line in tally.lines() if "reliable" in line]

    assert told == ["1 row left out: without a reliable description, the first a.png"]
    assert tally.written == 3


@pytest.mark.parametrize("to", TABLES)
def test_tables_tell_what_a_person_should_look_at(exported: Exported, to: str):
    flags = [{"rule": "unsure", "reason": "p"}]
    for name in ("a.png", ODD, "town/c.png"):
        exported.change(name, alt_flags=flags, needs_review=True, confidence=0.25)
    exported.decide(ODD, "approved")
    exported.decide("town/c.png", "edited", "A quay.")
    table = read(exported, to)
    names = ["a.png", ODD, "town/c.png"]

    assert [value in (True, "yes") for value in table.loc[names, "needs_review"]] == [True, False, False]
    assert pd.to_numeric(table.loc[names, "confidence"]).fillna(-1).tolist() == [0.25, 0.25, -1]
    assert ["unsure" in str(value) for value in table.loc[names, "alt_flags"]] == [True, True, False]


def test_no_cell_of_a_csv_file_is_a_formula_and_each_can_be_undone(exported: Exported):
    exported.change("a.png", alt_text='=HYPERLINK("http://evil","x")')
    table = read(exported, "csv")

    assert table.loc["a.png", "alt_text"].startswith("'=")
    assert plain_cell(table.loc["b.png", "alt_text"]) == "=A bay, & two < three ships."
    assert json.loads(table.loc["b.png", "own"])["sku"] == "-7"


@given(st.text())
@settings(deadline=None)
def test_a_safe_cell_never_begins_a_formula_and_gives_back_what_it_was(text: str):
    cell = safe_cell(text)

    assert not cell.lstrip(" \xa0").startswith((*"=+-@\t\r\n", "\uff1d", "\uff0b", "\uff0d", "\uff20"))
    assert plain_cell(cell) == text


def test_a_browser_reads_the_cues_in_order_and_as_long_as_the_clips(exported: Exported, tab: Any):
    exported.change("town/c.png", language="de", alt_text="Ein --> Kahn.")
    place, tally = exported.write("vtt")
    cues = cues_of(tab, place)
    rows = exported.rows()
    lengths = [row["duration_s"] for row in rows.values() if row["duration_s"]]

    assert len(cues) == tally.written == 4
    assert cues[0]["startTime"] == 0
    assert all(later["startTime"] == cue["endTime"] for cue, later in itertools.pairwise(cues))
    assert cues[-1]["endTime"] == pytest.approx(sum(lengths), abs=0.001 * len(lengths))
    assert {"=A bay, & two < three ships.", "Ein --> Kahn."} < {cue["heard"] for cue in cues}
    assert "<lang de>" in next(cue["text"] for cue in cues if "Kahn" in cue["text"])
    assert all(rows[name]["sha256"] in place.read_text(encoding="utf-8") for name in ("a.png", "b.png", "town/c.png"))


def cues_of(tab: Any, file: Path) -> list[dict[str, Any]]:
    """Return the cues that a browser finds in a WebVTT file; `heard` is the text as it is shown."""
    data = base64.b64encode(file.read_bytes()).decode()
    tab.set_content(f'<video><track default kind="descriptions" src="data:text/vtt;base64,{data}"></video>')
    tab.evaluate("document.querySelector('track').track.mode = 'hidden'")
    tab.wait_for_function("document.querySelector('track').readyState >= 2")
    read = "({id, startTime, endTime, text, heard: cue.getCueAsHTML().textContent})"
    script = "[...document.querySelector('track').track.cues].map(cue => { let {id, startTime, endTime, text} = cue;"
    found: list[dict[str, Any]] = tab.evaluate(f"{script} return {read} }})")
    return found


def test_a_browser_shows_each_figure_with_its_alt_text_language_and_sound(exported: Exported, tab: Any):
    place, _ = exported.write("html", title="The <best> & 1st")
    tab.goto((place / "index.html").as_uri())
    shown = tab.locator("figure:has(audio) img").first
    line = tab.locator('figure[data-id="line.png"] img')
    bay = tab.locator('figure[data-id="b.png"]')

    assert tab.title() == "The <best> & 1st"
    assert shown.get_attribute("lang") == "en"
    assert shown.evaluate("image => image.decode().then(() => image.naturalWidth)") == 80
    assert line.get_attribute("alt") == ""
    assert bay.locator("img").get_attribute("alt") == "=A bay, & two < three ships."
    assert bay.locator("figcaption").inner_text().strip() == "The bay"
    assert bay.get_attribute("data-text-made-by") == "given in the owner's table"
    assert bay.get_attribute("data-sha256") == exported.rows()["b.png"]["sha256"]
    assert tab.locator("audio").count() == 4
    found = Axe().run(tab, options={"preload": False})
    assert found.violations_count == 0, found.generate_report()


def test_long_exports_of_pages_are_cut_into_pages_that_lead_to_each_other(
    exported: Exported, monkeypatch: pytest.MonkeyPatch, tab: Any
):
    monkeypatch.setattr("flows.exports.pages.FIGURES_A_PAGE", 2)
    place, _ = exported.write("html")
    tab.goto((place / "index.html").as_uri())
    tab.click("text=Next page")
    tab.click("text=Next page")

    assert tab.locator("figure").count() == 1
    assert tab.locator("text=Next page").count() == 0


def test_a_clip_that_is_not_its_rows_is_named_and_ends_the_command_with_one(exported: Exported):
    (exported.out / exported.rows()["a.png"]["audio_path"]).write_bytes(b"other")
    said = exported.command("export", str(exported.out), "--to", "html")

    assert said.returncode == 1
    assert "narrate verify" in said.stderr
    assert said.stdout.endswith(f"5 rows: {exported.out / 'exports' / 'html'}\n")


def test_a_photo_that_changed_since_its_description_is_not_shown_with_it(exported: Exported):
    (exported.photos / "a.png").write_bytes((exported.photos / "b.png").read_bytes())
    place, tally = exported.write("html")

    assert tally.left_out["whose photo changed since the last run"] == 1
    assert 'data-id="a.png"' not in (place / "index.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("to", ["csv", "html"])
def test_an_export_that_is_killed_leaves_the_old_one_whole(exported: Exported, to: str):
    place, _ = exported.write(to)
    before = {path: path.read_bytes() for path in [place, *place.rglob("*")] if path.is_file()}
    told = f"Export(Path({str(exported.out)!r}), {to!r}, title='New')"
    code = f"""
import itertools, os, signal
from pathlib import Path
from flows.exports.exporting import export
from flows.exports.settings import Export
rows = itertools.count(1)
export({told}, lambda _: next(rows) == 3 and os.kill(os.getpid(), signal.SIGKILL))
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=120, check=False)
    after = {path: path.read_bytes() for path in [place, *place.rglob("*")] if path.is_file()}
    exported.write(to)

    assert ended.returncode == -signal.SIGKILL
    assert after == before
    assert not list(place.parent.glob(".*"))


def test_a_new_export_takes_the_place_of_the_old_one_whole(exported: Exported):
    place, _ = exported.write("html")
    exported.decide("a.png", "rejected", reason="no")
    exported.write("html")

    assert len(list((place / "photos").iterdir())) == 4
    assert not list(place.parent.glob(".*"))


def test_a_folder_that_is_no_export_is_never_replaced(exported: Exported, tmp_path: Path):
    letters = tmp_path / "letters"
    letters.mkdir()
    (letters / "dear.txt").write_text("Dear Ann", encoding="utf-8")
    with pytest.raises(FlowError, match="no export of ours"):
        exported.write("html", into=letters)

    assert [path.name for path in letters.iterdir()] == ["dear.txt"]


def test_a_folder_without_a_manifest_says_what_to_name(tmp_path: Path, exported: Exported):
    said = exported.command("export", str(tmp_path), "--to", "csv")

    assert said.returncode == 2
    assert said.stderr == f"narrate: {tmp_path}: there is no manifest here; name the output folder of a run\n"


def test_sounds_stand_for_the_words_that_they_took_the_place_of():
    old, new = "The Gauß-Haus, at night.", "The [[ʃaʊs haʊs]] at night."

    assert sounds(old, new) == {"Gauß-Haus": "ʃaʊs haʊs"}
    known = words_of_sounds([(old, new)])
    assert without_sounds(new, known) == "The Gauß-Haus at night."
    assert unknown_sounds("A [[kæt]].", known) == ["kæt"]


def test_sounds_written_anew_stand_for_the_word_and_never_for_sounds():
    texts = ["At the MoMA, Ann.", "At the [[moʊmə]], Ann.", "At the [[moʊma]], Ann."]
    edits = list(itertools.pairwise(texts))

    assert without_sounds(texts[-1], words_of_sounds(edits)) == "At the MoMA, Ann."
    assert unknown_sounds(texts[-1], words_of_sounds(edits[1:])) == ["moʊma"]
