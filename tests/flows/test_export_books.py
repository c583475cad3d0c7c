"""`narrate export`: a IIIF manifest, a talking book, a podcast and the digest, each read by what is not ours."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any
from zipfile import ZIP_STORED, ZipFile

import mutagen.id3
import mutagen.mp3
import pytest
import soundfile
from defusedxml import ElementTree
from exporting import ODD, Exported
from narrating import Runs, make_photos

from flows.errors import FlowError
from flows.exports.digest import spread
from flows.exports.published import Published

WEB = "https://example.org/photos"
EPUBCHECK = Path("/usr/share/java/epubcheck.jar")
SPACE = "{http://www.idpf.org/2007/opf}"


def manifest_of(exported: Exported, **told: Any) -> dict[str, Any]:
    place, _ = exported.write("iiif", web=WEB + "/", **told)
    found: dict[str, Any] = json.loads((place / "manifest.json").read_text(encoding="utf-8"))
    return found


def faults(thing: Any, where: str = "manifest") -> list[str]:
    """Return what does not keep the rules of IIIF Presentation 3.0 that a manifest of ours has to do with."""
    if isinstance(thing, list):
        return [fault for number, one in enumerate(thing) for fault in faults(one, f"{where}[{number}]")]
    if not isinstance(thing, dict):
        return []
    kind, found = thing.get("type"), []
    if kind in REQUIRED:
        found += [f"{where} has no {name}" for name in REQUIRED[kind] if not thing.get(name)]
    if "id" in thing and not str(thing["id"]).startswith(("http://", "https://")):
        found.append(f"{where}: the id is no web address")
    for name in ("label", "summary"):
        value = thing.get(name)
        if value is not None and not all(isinstance(text, str) for texts in value.values() for text in texts):
            found.append(f"{where}: {name} is no language map")
    if kind == "Canvas":
        motivations = {note["motivation"] for page in thing["items"] for note in page["items"]}
        others = {note["motivation"] for page in thing.get("annotations", []) for note in page["items"]}
        found += [f"{where}: only painting belongs into items"] if motivations != {"painting"} else []
        found += [f"{where}: painting does not belong into annotations"] if "painting" in others else []
    if kind == "Sound" and thing.get("duration", 0) <= 0:
        found.append(f"{where}: a sound without a length")
    return found + [fault for name, value in thing.items() for fault in faults(value, f"{where}.{name}")]


REQUIRED = {
    "Manifest": ("@context", "id", "label", "items"),
    "Collection": ("@context", "id", "label", "items"),
    "Canvas": ("id", "width", "height", "items"),
    "AnnotationPage": ("id", "items"),
    "Annotation": ("id", "motivation", "body", "target"),
    "Image": ("id", "format", "width", "height"),
    "Sound": ("id", "format", "duration"),
    "TextualBody": ("value", "language", "format"),
}


def test_a_iiif_manifest_keeps_the_rules_of_the_standard(exported: Exported):
    found = manifest_of(exported)
    ids = [note["id"] for canvas in found["items"] for page in canvas.get("annotations", []) for note in page["items"]]

    assert found["@context"] == "http://iiif.io/api/presentation/3/context.json"
    assert faults(found) == []
    assert len(set(ids)) == len(ids)


def test_alt_text_and_sound_are_annotations_of_the_photos_canvas(exported: Exported):
    rows = exported.rows()
    canvases = {canvas["metadata"][0]["value"]["none"][0]: canvas for canvas in manifest_of(exported)["items"]}
    (page,) = canvases["b.png"]["annotations"]
    words, sound = (note["body"] for note in page["items"])
    place = exported.out / "exports/iiif"

    assert (words["value"], words["language"]) == ("=A bay, & two < three ships.", rows["b.png"]["language"])
    assert {note["target"] for note in page["items"]} == {canvases["b.png"]["id"]}
    assert sound["duration"] == pytest.approx(rows["b.png"]["duration_s"], abs=0.001)
    assert (place / sound["id"].removeprefix(f"{WEB}/")).read_bytes() == (
        exported.out / rows["b.png"]["audio_path"]
    ).read_bytes()
    assert {"none": [rows["b.png"]["sha256"]]} in [told["value"] for told in canvases["b.png"]["metadata"]]
    assert {"none": ["given in the owner's table"]} in [told["value"] for told in canvases["b.png"]["metadata"]]
    assert "annotations" not in canvases["line.png"]


def test_above_so_many_photos_a_collection_names_the_manifests(exported: Exported, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("flows.exports.iiif.CANVASES_A_MANIFEST", 2)
    first = manifest_of(exported)
    whole = json.loads((exported.out / "exports/iiif/collection.json").read_text(encoding="utf-8"))

    assert [len(first["items"]), len(whole["items"])] == [2, 3]
    assert whole["items"][2]["id"] == f"{WEB}/manifest-0003.json"
    assert faults(whole | {"items": []}) == ["manifest has no items"]


@pytest.mark.parametrize("to", ["iiif", "podcast"])
def test_what_holds_its_own_address_asks_for_it(exported: Exported, to: str):
    with pytest.raises(FlowError, match="needs the address at which it will be served"):
        exported.write(to)


def test_where_no_row_is_approved_the_export_of_before_stands(exported: Exported):
    place, _ = exported.write("epub")
    before = place.read_bytes()
    with pytest.raises(FlowError, match="no row can be written as epub; approve some first"):
        exported.write("epub", approved=True)

    assert place.read_bytes() == before


def test_epubcheck_finds_nothing_wrong_with_the_book(exported: Exported):
    java = shutil.which("java")
    if java is None or not EPUBCHECK.exists():
        pytest.skip("no epubcheck is installed: apt-get install epubcheck")
    exported.change("town/c.png", language="de", alt_text="Ein \x02 Kahn & <drei> Enten.")
    place, tally = exported.write("epub", title="Photos & <more>")
    command = [java, "-jar", str(EPUBCHECK), "--failonwarnings", str(place)]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)

    assert tally.written == 5
    assert (checked.returncode, checked.stderr) == (0, "")


def opened_book(exported: Exported, **told: Any) -> tuple[ZipFile, Any]:
    place, _ = exported.write("epub", **told)
    book = ZipFile(place)
    return book, ElementTree.fromstring(book.read("book/package.opf"))


def test_the_book_says_how_accessible_it_is_and_how_its_texts_were_made(exported: Exported):
    exported.decide("a.png", "edited", exported.rows()["a.png"]["alt_text"])
    _, package = opened_book(exported)
    told: dict[str, set[str]] = {}
    for meta in package.iter(f"{SPACE}meta"):
        told.setdefault(meta.get("property"), set()).add(meta.text)

    assert told["schema:accessMode"] == {"visual", "textual", "auditory"}
    assert {"alternativeText", "synchronizedAudioText"} < told["schema:accessibilityFeature"]
    assert told["schema:accessibilityHazard"] == {"none"}
    (summary,) = told["schema:accessibilitySummary"]
    assert {"edited by a person (1)", "trained model tiny (2)"} < set(summary.replace(": ", ", ").split(", ")) | {
        part.removesuffix(". A synthetic voice reads it aloud.") for part in summary.split(", ")
    }


def test_the_books_overlay_is_as_long_as_its_clips_and_points_at_the_figures(exported: Exported):
    book, package = opened_book(exported)
    total = next(
        meta.text
        for meta in package.iter(f"{SPACE}meta")
        if meta.get("property") == "media:duration" and not meta.get("refines")
    )
    overlay = ElementTree.fromstring(book.read("book/smil/section-0001.smil"))
    page = book.read("book/text/section-0001.xhtml").decode()
    rows = exported.rows().values()
    texts = [element.get("src").partition("#")[2] for element in overlay.iter() if element.tag.endswith("}text")]

    assert float(total.removesuffix("s")) == pytest.approx(sum(row["duration_s"] or 0 for row in rows), abs=0.01)
    assert len(texts) == 4
    assert all(f'<figure id="{anchor}"' in page for anchor in texts)
    assert 'alt="=A bay, &amp; two &lt; three ships."' in page
    assert 'role="presentation"><img' in page
    assert ">Photos 1 to 5</h1>" in page
    assert book.infolist()[0].filename == "mimetype"
    assert book.infolist()[0].compress_type == ZIP_STORED


def test_the_same_rows_give_the_same_book(exported: Exported):
    first, _ = exported.write("epub")
    before = first.read_bytes()
    exported.write("epub")

    assert first.read_bytes() == before


def test_clips_of_a_format_that_no_book_may_hold_go_into_it_as_mp3(runs: Runs):
    make_photos(runs.photos, 2)
    runs.run(format="flac")
    book, package = opened_book(Exported(runs.out, runs.photos))
    clips = [item for item in package.iter(f"{SPACE}item") if item.get("media-type") == "audio/mpeg"]

    assert len(clips) == 2
    for item in clips:
        with book.open(f"book/{item.get('href')}") as stream:
            assert mutagen.mp3.MP3(stream).info.length > 0


def chapters_of(file: Path) -> list[Any]:
    tags = mutagen.id3.ID3(file)
    return [tags[f"CHAP:{name}"] for name in tags["CTOC:toc"].child_element_ids]


def test_a_podcast_has_a_chapter_a_photo_in_the_feed_and_in_the_sound(exported: Exported):
    place, tally = exported.write("podcast", web=WEB)
    sound = soundfile.info(place / "episode-0001.mp3")
    chapters, rows = chapters_of(place / "episode-0001.mp3"), exported.rows()
    feed = ElementTree.fromstring((place / "feed.xml").read_bytes())
    listed = json.loads((place / "episode-0001.chapters.json").read_text(encoding="utf-8"))["chapters"]
    enclosure = feed.find(".//enclosure")

    assert tally.written == 4
    assert [chapter.sub_frames["TIT2"].text[0] for chapter in chapters] == [one["title"] for one in listed]
    assert "The bay" in [one["title"] for one in listed]
    assert [chapter.start_time for chapter in chapters] == [round(one["startTime"] * 1000) for one in listed]
    assert chapters[-1].end_time / 1000 < sound.duration
    assert {chapter.sub_frames["TXXX:PHOTO_SHA256"].text[0] for chapter in chapters} == {
        rows[name]["sha256"] for name in ("a.png", "b.png", "town/c.png", ODD)
    }
    assert int(enclosure.get("length")) == (place / "episode-0001.mp3").stat().st_size
    assert enclosure.get("url") == f"{WEB}/episode-0001.mp3"
    assert "trained model tiny (3)" in feed.findtext(".//item/description")


def test_ffprobe_finds_the_chapters_of_an_episode_where_they_are_heard(exported: Exported):
    program = shutil.which("ffprobe")
    if program is None:
        pytest.skip("no ffprobe is installed: apt-get install ffmpeg")
    place, _ = exported.write("podcast", web=WEB)
    command = [program, "-v", "error", "-show_chapters", "-show_format", "-of", "json", str(place / "episode-0001.mp3")]
    found = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)
    listed = json.loads((place / "episode-0001.chapters.json").read_text(encoding="utf-8"))["chapters"]

    assert [one["tags"]["title"] for one in found["chapters"]] == [one["title"] for one in listed]
    assert [float(one["start_time"]) for one in found["chapters"]] == pytest.approx(
        [one["startTime"] for one in listed], abs=0.002
    )
    assert found["format"]["tags"]["title"] == "Described photos, 1"


def test_the_digest_is_what_the_last_run_made(runs: Runs):
    make_photos(runs.photos, 2)
    runs.run()
    make_photos(runs.photos, 4)
    runs.run()
    exported = Exported(runs.out, runs.photos)
    place, _ = exported.write("digest")
    photos = [chapter.sub_frames["TXXX:PHOTO"].text[0] for chapter in chapters_of(place / "digest.mp3")]

    assert [name for name in photos if name] == ["002.png", "003.png"]
    assert soundfile.info(place / "digest.mp3").duration < 120


def test_of_more_news_than_fit_a_spread_is_taken(exported: Exported):
    row = exported.rows()["a.png"] | {"duration_s": 4.4}
    rows = [Published(row | {"id": str(number)}, "A.", "", "", "", None) for number in range(1000)]
    count, kept = spread(iter(rows), 110.0)

    assert count == 1000
    assert 11 <= len(kept) <= 22
    assert int(kept[-1].id) > 900
