"""`narrate export` where names, places and wishes are odd: it says so in a line, or takes them as they are."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from defusedxml import ElementTree
from exporting import Exported
from narrating import Runs, make_photo, make_photos

from flows.errors import FlowError
from flows.exports.formats import FORMATS

ODD = 'café\n"two" lines, <b>&amp; 🦊 \'=1+1.png'
WEB = "https://example.org/photos"


@pytest.fixture(scope="module")
def oddly_named(tmp_path_factory: pytest.TempPathFactory, tiny_captioner: Path, tiny_voice: Path) -> Exported:
    """Return an export of one photo whose name holds what breaks tables, pages and XML; no test changes its rows."""
    folder = tmp_path_factory.mktemp("odd")
    runs = Runs(folder, tiny_captioner, tiny_voice)
    make_photo(runs.photos / ODD, 1)
    runs.run()
    return Exported(runs.out, runs.photos)


@pytest.mark.parametrize("to", FORMATS)
def test_a_name_with_quotes_line_ends_and_emoji_goes_into_every_format(oddly_named: Exported, to: str):
    place, tally = oddly_named.write(to, web=WEB, title=f"{ODD}\nagain")

    assert tally.written == 1
    assert not tally.faults
    if to == "xmp":
        assert (oddly_named.photos / f"{ODD}.xmp").is_file()
    elif to == "csv":
        assert list(pd.read_csv(place)["id"]) == [ODD]
    elif to == "jsonl":
        assert [json.loads(line)["id"] for line in place.read_text(encoding="utf-8").splitlines()] == [ODD]
    elif to == "podcast":
        assert "🦊" in ElementTree.fromstring((place / "feed.xml").read_bytes()).findtext("channel/title")


def test_a_browser_shows_an_odd_name_as_it_is(oddly_named: Exported, tab: Any):
    place, _ = oddly_named.write("html")
    tab.goto((place / "index.html").as_uri())

    assert tab.locator("figure").evaluate("figure => figure.dataset.id") == ODD
    assert tab.locator("figcaption").inner_text().strip() == " ".join(Path(ODD).stem.split())


def test_a_sidecar_whose_name_would_be_too_long_is_counted_and_the_others_are_written(exported: Exported):
    name = "ä" * 124 + ".png"
    (exported.photos / "a.png").rename(exported.photos / name)
    exported.change("a.png", uri=(exported.photos / name).as_uri())
    _, tally = exported.write("xmp")

    assert tally.written == 3
    assert tally.left_out["whose name is too long for a file beside it"] == 1


def test_a_photo_behind_a_link_is_written_and_the_link_stays(exported: Exported):
    photo, real = exported.photos / "a.png", exported.photos.parent / "kept.png"
    photo.rename(real)
    photo.symlink_to(real)
    before = real.read_bytes()
    exported.decide("a.png", "approved")
    _, tally = exported.write("xmp", in_place=True, approved=True)

    assert tally.written == 1
    assert photo.is_symlink()
    assert real.read_bytes() != before
    assert real.with_name("kept.png.before-narrate").read_bytes() == before


@pytest.mark.parametrize(
    ("to", "into"),
    [
        ("parquet", "manifest"),
        ("csv", "audio/a.csv"),
        ("html", "report/mine"),
        ("xmp", "."),
        ("jsonl", "reviews.jsonl"),
    ],
)
def test_an_export_never_lands_among_the_files_of_the_run(exported: Exported, to: str, into: str):
    with pytest.raises(FlowError, match="among the files of the run"):
        exported.write(to, into=exported.out / into)


def test_below_the_folder_of_exports_there_is_room(exported: Exported):
    place, _ = exported.write("html", into=exported.out / "exports" / "for Ann")

    assert (place / "index.html").is_file()


def test_a_file_of_another_kind_is_not_replaced(exported: Exported, tmp_path: Path):
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"a photo")
    with pytest.raises(FlowError, match=r"not a \.csv file"):
        exported.write("csv", into=photo)

    assert photo.read_bytes() == b"a photo"


def test_the_current_folder_is_no_export_and_stays(exported: Exported, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(exported.photos)
    with pytest.raises(FlowError, match="no export of ours"):
        exported.write("html", into=Path())
    place, _ = exported.write("csv", into=Path())

    assert place == exported.photos / "alt-text.csv"
    assert (exported.photos / "a.png").is_file()


@pytest.mark.parametrize("to", ["csv", "html", "xmp"])
def test_a_place_that_cannot_be_written_is_named_in_one_line(exported: Exported, tmp_path: Path, to: str):
    (tmp_path / "file").write_text("x", encoding="utf-8")
    said = exported.command("export", str(exported.out), "--to", to, "--into", str(tmp_path / "file" / "below"))

    assert said.returncode == 2
    assert said.stderr.startswith(f"narrate: {tmp_path / 'file' / 'below'}: this cannot be written")
    assert said.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("told", "what"),
    [
        ({"to": "iiif", "web": "https://"}, "needs the address"),
        ({"to": "iiif", "web": "https://example.org/my photos"}, "needs the address"),
        ({"to": "html", "title": "  "}, "a title is needed"),
        ({"to": "xmp", "in_place": True, "into": Path("elsewhere")}, "--in-place and --into"),
        ({"to": "csv", "in_place": True}, "only xmp"),
    ],
)
def test_wishes_that_cannot_be_met_are_said_to_be(exported: Exported, told: dict[str, Any], what: str):
    with pytest.raises(FlowError, match=what):
        exported.write(**told)


def test_a_digest_of_a_run_that_made_nothing_new_says_so(runs: Runs):
    make_photos(runs.photos, 1)
    runs.run()
    runs.run()
    with pytest.raises(FlowError, match="the last run made nothing new"):
        Exported(runs.out, runs.photos).write("digest")


def test_decorative_photos_alone_make_a_silent_book_and_page(exported: Exported):
    for photo_id in exported.rows():
        exported.change(photo_id, status="decorative", alt_text=None, audio_path=None, duration_s=None)
    book, tally = exported.write("epub")

    assert book.is_file()
    assert tally.written == 5
    with pytest.raises(FlowError, match="no row can be written as vtt"):
        exported.write("vtt")


def test_a_long_export_shows_how_far_it_is(exported: Exported):
    shown, terminal = pty.openpty()
    command = [sys.executable, "-m", "flows", "export", str(exported.out), "--to", "html"]
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120"}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=terminal, env=environment)
    os.close(terminal)
    seen = b""
    while True:
        try:
            more = os.read(shown, 65536)
        except OSError:  # the other end is closed
            break
        if not more:
            break
        seen += more
    said, _ = process.communicate(timeout=120)

    assert process.returncode == 0
    assert b"writing html" in seen
    assert b"/6" in seen
    assert said.endswith(f"5 rows: {exported.out / 'exports' / 'html'}\n".encode())


def test_an_export_that_is_interrupted_ends_with_130_and_leaves_the_old_one(exported: Exported):
    place, _ = exported.write("csv")
    before = place.read_bytes()
    code = f"""
import os, signal, sys
from flows.exports import tables
safe = tables.safe_cell
tables.safe_cell = lambda value: os.kill(os.getpid(), signal.SIGINT) or safe(value)
sys.argv = ["narrate", "export", {str(exported.out)!r}, "--to", "csv"]
from flows.cli import main
main()
"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False)

    assert ended.returncode == 128 + signal.SIGINT
    assert place.read_bytes() == before
    assert "Traceback" not in ended.stderr
    assert not list(place.parent.glob(".*"))
