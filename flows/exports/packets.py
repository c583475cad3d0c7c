"""XMP packets: ours merged into what is there, and nothing else of it changed.

IPTC Photo Metadata 2021.1 has two fields for readers who do not see: `AltTextAccessibility` and
`ExtDescrAccessibility`, language alternatives with an `x-default`. Who or what wrote them stands in a namespace of our
own; `DigitalSourceType` speaks of the pixels and is left alone.
"""

from io import BytesIO
from typing import Any
from xml.etree import ElementTree as ET

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser, iterparse

from captioner.embedded import FIELDS, OURS, default_text, simple_values, text_hash
from flows.exports.markup import in_xml
from flows.exports.published import Published

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
IPTC = "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/"
META = "adobe:ns:meta/"
LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"

_PREFIXES = {"x": META, "rdf": RDF, "Iptc4xmpCore": IPTC, "narrate": OURS}
_BEGIN = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>\n'
_END = '\n<?xpacket end="w"?>'


class UnreadableError(Exception):
    """This is no XMP that we could keep while we write into it."""


class SomebodyElsesError(Exception):
    """The packet has alt text that a person, or another program, wrote: it stands."""


def merged(packet: bytes | None, one: Published) -> bytes:
    """Return the packet with a row's words in it, everything else kept; None begins a new one.

    Raises SomebodyElsesError where its alt text is not what we last wrote, UnreadableError where it is no XMP.
    """
    root = _parsed(packet) if packet and packet.strip(b"\0 \r\n\t") else _empty()
    rdf = root if root.tag == f"{{{RDF}}}RDF" else root.find(f".//{{{RDF}}}RDF")
    if rdf is None:
        raise UnreadableError
    if has_others_words(rdf):
        raise SomebodyElsesError
    _take_out(rdf)
    about = _about(rdf)
    for name, text in zip(FIELDS, _texts(one), strict=True):
        if text:
            about.append(_alternatives(f"{{{IPTC}}}{name}", text, one.language))
    for name, value in provenance(one).items():
        if value:
            ET.SubElement(about, f"{{{OURS}}}{name}").text = value
    for prefix, address in _PREFIXES.items():
        ET.register_namespace(prefix, address)
    body = ET.tostring(root, encoding="unicode")
    return f"{_BEGIN}{body}{_END}".encode()


def provenance(one: Published) -> dict[str, str]:
    """Return what our own namespace says of a row's words."""
    return {
        "TextMadeBy": one.made_by,
        "TextReview": one.review,
        "TextSHA256": text_hash(*_texts(one)),
        "PhotoSHA256": one.sha256,
        "CaptionerDigest": str(one.row["captioner_digest"] or ""),
    }


def _texts(one: Published) -> tuple[str, str]:
    return in_xml(one.alt_text), in_xml(one.long_text)


def has_others_words(rdf: Any) -> bool:
    """Return whether a packet has words for readers who do not see that are not, or no longer, ours."""
    texts = [default_text(rdf, name) for name in FIELDS]
    ours = next(simple_values(rdf, f"{{{OURS}}}TextSHA256"), "")
    return any(text.strip() for text in texts) and ours != text_hash(*texts)


def _parsed(packet: bytes) -> Any:
    """Return the root, with comments kept and the packet's own prefixes remembered for writing it again."""
    data = packet.strip(b"\0 \r\n\t")
    try:
        for _, (prefix, address) in iterparse(BytesIO(data), events=("start-ns",), forbid_dtd=True):
            if prefix and not prefix.startswith("ns"):
                ET.register_namespace(prefix, address)
        builder = ET.TreeBuilder(insert_comments=True, insert_pis=True)
        parser = DefusedXMLParser(target=builder, forbid_dtd=True)
        parser.feed(data)
        root: Any = parser.close()
    except (ET.ParseError, DefusedXmlException, ValueError) as error:
        raise UnreadableError from error
    return root


def _empty() -> Any:
    root = ET.Element(f"{{{META}}}xmpmeta")
    ET.SubElement(root, f"{{{RDF}}}RDF")
    return root


def _about(rdf: Any) -> Any:
    """Return a description of the photo to write into: ours is one of its own, so that nobody else's is touched."""
    first = rdf.find(f"{{{RDF}}}Description")
    about = first.get(f"{{{RDF}}}about", "") if first is not None else ""
    return ET.SubElement(rdf, f"{{{RDF}}}Description", {f"{{{RDF}}}about": about})


def _take_out(rdf: Any) -> None:
    """Remove our fields and the two of IPTC, wherever they stand, and descriptions that are empty then."""
    gone = {f"{{{IPTC}}}{name}" for name in FIELDS}
    for description in list(rdf.findall(f"{{{RDF}}}Description")):
        had = len(description) + len(description.attrib)
        for child in list(description):
            if child.tag in gone or str(child.tag).startswith(f"{{{OURS}}}"):
                description.remove(child)
        for name in [name for name in description.attrib if name in gone or name.startswith(f"{{{OURS}}}")]:
            del description.attrib[name]
        is_bare = not len(description) and set(description.attrib) <= {f"{{{RDF}}}about"}
        if is_bare and had != len(description) + len(description.attrib):
            rdf.remove(description)


def _alternatives(tag: str, text: str, language: str) -> Any:
    """Return a language alternative: the default first, and the same text under its own language."""
    field = ET.Element(tag)
    items = ET.SubElement(field, f"{{{RDF}}}Alt")
    for name in ("x-default", *([language] if language != "und" else [])):
        ET.SubElement(items, f"{{{RDF}}}li", {LANGUAGE: name}).text = text
    return field
