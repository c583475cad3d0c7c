"""Alt text that a photo carries in its own metadata."""

import io
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from captioner.embedded import alt_texts, in_language
from captioner.photos import decode_photo, open_photo
from captioner.records import Photo

PACKET = """<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about=""
 xmlns:Iptc4xmpCore="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/" xmlns:dc="http://purl.org/dc/elements/1.1/">
 <dc:description><rdf:Alt><rdf:li xml:lang="x-default">Photo: Ann</rdf:li></rdf:Alt></dc:description>
 <Iptc4xmpCore:AltTextAccessibility><rdf:Alt>{items}</rdf:Alt></Iptc4xmpCore:AltTextAccessibility>
 </rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>"""


def packet(**texts: str) -> bytes:
    items = "".join(f'<rdf:li xml:lang="{tag.replace("_", "-")}">{text}</rdf:li>' for tag, text in texts.items())
    return PACKET.format(items=items).encode()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_photo_keeps_the_alt_text_of_its_own_metadata_and_no_credit(kind: str):
    file = io.BytesIO()
    words, text = packet(en="A red door."), PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", words.decode())
    given = {"PNG": {"pnginfo": text}, "TIFF": {"tiffinfo": {700: words}}}.get(kind, {"xmp": words})
    Image.new("RGB", (40, 30), "red").save(file, kind, **given)
    photo = decode_photo(file.getvalue(), "a")

    assert isinstance(photo, Photo)
    assert photo.alt_texts == {"en": "A red door."}


def test_what_exiftool_writes_is_read(tmp_path: Path):
    program = shutil.which("exiftool")
    if program is None:
        pytest.skip("exiftool is not installed: apt-get install libimage-exiftool-perl")
    path = tmp_path / "a.jpg"
    Image.new("RGB", (40, 30), "red").save(path)
    subprocess.run([program, "-q", "-XMP-iptcCore:AltTextAccessibility=A red door.", str(path)], check=True)
    photo = open_photo(path)

    assert isinstance(photo, Photo)
    assert in_language(photo.alt_texts, "en-US") == "A red door."


@pytest.mark.parametrize(
    ("texts", "wanted", "found"),
    [
        ({"en-GB": "A lift."}, "en-US", "A lift."),
        ({"en-GB": "A lift.", "en-US": "An elevator."}, "en-US", "An elevator."),
        ({"x-default": "A door."}, "en", "A door."),
        ({"x-default": "Eine Tür.", "de": "Eine Tür."}, "en", None),
        ({}, "en", None),
    ],
)
def test_the_text_of_the_language_that_is_spoken_is_taken(texts: dict[str, str], wanted: str, found: str | None):
    assert in_language(texts, wanted) == found


def test_an_empty_text_is_none():
    assert alt_texts({"xmp": packet(en=" ", de="...")}) == {}


def test_a_packet_that_would_grow_without_end_is_not_read():
    bomb = b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>' + packet(en="&b;")

    assert alt_texts({"xmp": bomb}) == {}


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200)))
def test_a_broken_packet_is_as_good_as_none(data: bytes | str):
    assert alt_texts({"xmp": data}) == {}
