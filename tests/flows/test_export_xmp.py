"""`narrate export --to xmp`: sidecars and photos, read back by exiftool."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exporting import Exported
from PIL import Image

from captioner.photos import open_photo
from captioner.records import Photo
from flows.reviews import Reviews

OTHERS = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Other 1.0">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about="" xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:other="http://example.org/other/"
    xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmp:Rating="4" other:Secret="kept &amp; whole"
    Iptc4xmpExt:DigitalSourceType="http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture">
   <other:Bag><rdf:Bag><rdf:li>one</rdf:li><rdf:li rdf:parseType="Resource"><other:deep>two</other:deep></rdf:li>
   </rdf:Bag></other:Bag>%s
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""
ALT = (
    "<Iptc4xmpCore:AltTextAccessibility xmlns:Iptc4xmpCore='http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/'><rdf:Alt>"
    "<rdf:li xml:lang='x-default'>Ann on her boat.</rdf:li></rdf:Alt></Iptc4xmpCore:AltTextAccessibility>"
)


def told_by_exiftool(file: Path) -> dict[str, Any]:
    """Return what exiftool reads of a file's XMP, with its groups."""
    program = shutil.which("exiftool")
    if program is None:
        pytest.skip("no exiftool is installed: apt-get install libimage-exiftool-perl")
    command = [program, "-json", "-G1", "-XMP:all", str(file)]
    found: list[dict[str, Any]] = json.loads(
        subprocess.run(command, capture_output=True, check=True, timeout=60).stdout
    )
    return {name.rpartition(":")[2]: value for name, value in found[0].items()}


def test_exiftool_reads_the_alt_text_back_and_who_made_it(exported: Exported):
    before = (exported.photos / "a.png").read_bytes()
    _, tally = exported.write("xmp")
    row, told = exported.rows()["a.png"], told_by_exiftool(exported.photos / "a.png.xmp")

    assert tally.written == 4
    assert told["AltTextAccessibility"] == row["alt_text"]
    assert told[f"AltTextAccessibility-{row['language']}"] == row["alt_text"]
    assert told["TextMadeBy"] == "trained model tiny"
    assert told["PhotoSHA256"] == row["sha256"] == hashlib.sha256(before).hexdigest()
    assert "DigitalSourceType" not in told
    assert (exported.photos / "a.png").read_bytes() == before
    assert not (exported.photos / "line.png.xmp").exists()


def test_a_text_too_long_for_alt_text_has_its_whole_beside_it(exported: Exported):
    caption = "a boat on a lake " * 20
    exported.change("a.png", caption=caption.strip(), alt_flags=[{"rule": "too-long", "reason": "cut"}])
    exported.write("xmp")
    told = told_by_exiftool(exported.photos / "a.png.xmp")

    assert told["ExtDescrAccessibility"].startswith("A boat on a lake a boat")
    assert len(told["ExtDescrAccessibility"]) > 300


def test_what_others_keep_in_a_sidecar_survives(exported: Exported):
    sidecar = exported.photos / "a.png.xmp"
    sidecar.write_text(OTHERS % "", encoding="utf-8")
    before = told_by_exiftool(sidecar)
    exported.write("xmp")
    after = told_by_exiftool(sidecar)

    assert {name: after.get(name) for name in before if name != "XMPToolkit"} == {
        name: value for name, value in before.items() if name != "XMPToolkit"
    }
    assert after["DigitalSourceType"].endswith("digitalCapture")
    assert after["AltTextAccessibility"] == exported.rows()["a.png"]["alt_text"]
    assert 'other:Secret="kept &amp; whole"' in sidecar.read_text(encoding="utf-8")


def test_somebody_elses_alt_text_stands_and_ours_is_brought_up_to_date(exported: Exported):
    (exported.photos / "a.png.xmp").write_text(OTHERS % ALT, encoding="utf-8")
    exported.write("xmp")
    exported.decide("b.png", "edited", "The bay at noon.")
    _, tally = exported.write("xmp")
    changed = exported.photos / "town/c.png.xmp"
    changed.write_text(
        changed.read_text(encoding="utf-8").replace(exported.rows()["town/c.png"]["alt_text"], "By hand."),
        encoding="utf-8",
    )
    _, again = exported.write("xmp")

    assert (exported.photos / "a.png.xmp").read_text(encoding="utf-8") == OTHERS % ALT
    assert tally.left_out["whose file has alt text of somebody else's, which stands"] == 1
    assert again.left_out["whose file has alt text of somebody else's, which stands"] == 2
    assert told_by_exiftool(exported.photos / "b.png.xmp")["AltTextAccessibility"] == "The bay at noon."
    assert told_by_exiftool(exported.photos / "b.png.xmp")["TextMadeBy"] == "edited by a person"
    assert told_by_exiftool(changed)["AltTextAccessibility"] == "By hand."


def test_sidecars_written_twice_are_the_same_and_may_lie_elsewhere(exported: Exported, tmp_path: Path):
    exported.write("xmp")
    before = {path: path.read_bytes() for path in exported.photos.rglob("*.xmp")}
    exported.write("xmp")
    exported.write("xmp", into=tmp_path / "sidecars")

    assert {path: path.read_bytes() for path in exported.photos.rglob("*.xmp")} == before
    assert (tmp_path / "sidecars/town/c.png.xmp").is_file()


def test_into_a_photo_only_on_request_with_its_pixels_its_own_xmp_and_its_old_self_kept(exported: Exported):
    photo = exported.photos / "a.png"
    pixels = np.asarray(Image.open(photo))
    jpeg = exported.photos / "a.jpg"
    Image.fromarray(pixels).save(jpeg, "JPEG", xmp=(OTHERS % "").encode())
    before, kept = jpeg.read_bytes(), np.asarray(Image.open(jpeg))
    uri, sha256 = jpeg.as_uri(), hashlib.sha256(before).hexdigest()
    exported.change("a.png", uri=uri, sha256=sha256, format="jpeg")
    exported.decide("a.png", "approved")
    exported.write("xmp", in_place=True, approved=True)
    told, after = told_by_exiftool(jpeg), open_photo(jpeg)

    assert told["AltTextAccessibility"] == exported.rows()["a.png"]["alt_text"]
    assert (told["Rating"], told["Secret"]) == (4, "kept & whole")
    assert told["DigitalSourceType"].endswith("digitalCapture")
    assert np.array_equal(np.asarray(Image.open(jpeg)), kept)
    assert (exported.photos / "a.jpg.before-narrate").read_bytes() == before
    assert not (exported.photos / "b.png.before-narrate").exists()
    assert isinstance(after, Photo)
    assert after.alt_texts == {}, "a model's words in a photo are no person's"
    decided = Reviews(exported.out).latest("a.png", after.sha256)
    assert decided is not None
    assert decided.action == "approved"


def test_words_that_a_person_wrote_are_a_persons_in_the_photo_too(exported: Exported):
    exported.decide("a.png", "edited", "A kite over a field.")
    _, tally = exported.write("xmp", in_place=True, approved=True)
    after = open_photo(exported.photos / "a.png")

    assert tally.written == 1
    assert isinstance(after, Photo)
    assert set(after.alt_texts.values()) == {"A kite over a field."}


def test_words_edited_and_then_approved_stay_a_persons_once_they_are_in_the_photo(exported: Exported):
    exported.change("a.png", alt_text="A view of MoMA at night.")
    exported.decide("a.png", "edited", "A view of [[moʊmə]] at night.")
    exported.change("a.png", alt_text="A view of [[moʊmə]] at night.")
    exported.decide("a.png", "approved")
    exported.write("xmp", in_place=True, approved=True)
    new = hashlib.sha256((exported.photos / "a.png").read_bytes()).hexdigest()
    exported.change("a.png", sha256=new)
    place, _ = exported.write("csv", approved=True)
    table = place.read_text(encoding="utf-8")

    assert "A view of MoMA at night.,,en,edited by a person,approved,Ann" in table


def test_photos_written_twice_without_a_run_between_say_what_to_run(exported: Exported):
    exported.decide("a.png", "approved")
    command = ("export", str(exported.out), "--to", "xmp", "--in-place", "--approved")
    first, second = exported.command(*command), exported.command(*command)

    assert first.stdout == "1 row: in the photos\n"
    assert second.returncode == 2
    assert "1 row left out: whose photo changed since the last run, the first a.png\n" in second.stderr
    assert "no row can be written as xmp; narrate run" in second.stderr.splitlines()[-1]


def test_a_photo_that_exiftool_cannot_write_stays_as_it_is(exported: Exported):
    bitmap = exported.photos / "a.bmp"
    Image.open(exported.photos / "a.png").save(bitmap)
    before = bitmap.read_bytes()
    exported.change("a.png", uri=bitmap.as_uri(), sha256=hashlib.sha256(before).hexdigest())
    exported.decide("a.png", "approved")
    said = exported.command("export", str(exported.out), "--to", "xmp", "--in-place", "--approved")

    assert (said.returncode, bitmap.read_bytes()) == (2, before)
    assert "no row can be written as xmp" in said.stderr
    assert [path.name for path in exported.photos.iterdir() if "partial" in path.name or "before" in path.name] == []


@pytest.mark.parametrize("packet", [b"no xml", b"<a/>", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'])
def test_a_sidecar_that_cannot_be_read_is_named_and_left(exported: Exported, packet: bytes):
    sidecar = exported.photos / "a.png.xmp"
    sidecar.write_bytes(packet)
    _, tally = exported.write("xmp")

    assert "1 row left out: whose XMP cannot be read, the first a.png" in tally.lines()
    assert sidecar.read_bytes() == packet
