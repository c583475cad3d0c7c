"""Alt text that a photo carries itself: IPTC's `AltTextAccessibility` in its XMP, by language.

Only that field: captions, titles and credits are other people's words about other things (IPTC Photo Metadata 2021.1).
"""

import hashlib
from collections.abc import Iterator
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

FIELDS = ("AltTextAccessibility", "ExtDescrAccessibility")
"""IPTC's fields for readers who do not see, both language alternatives."""
_IPTC = "{http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/}"
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_LONGEST_PACKET = 1_000_000
OURS = "urn:image-narrator:xmp:1.0:"
"""Namespace in which an export says who or what wrote the words."""
TRAINED = "trained model"
"""How `TextMadeBy` begins where a captioner wrote them."""
_KEYS = ("xmp", "XML:com.adobe.xmp", b"XML:com.adobe.xmp")


def alt_texts(info: dict[Any, Any]) -> dict[str, str]:
    """Return language tag (or `x-default`) to alt text, from what Pillow found beside the pixels; empty where none.

    A packet that is no XML, too long or not safe to read is as good as none.
    """
    packet = next((info[key] for key in _KEYS if info.get(key)), None)
    if not packet or len(packet) > _LONGEST_PACKET:
        return {}
    try:
        root = fromstring(packet.strip(b"\x00") if isinstance(packet, bytes) else packet)
    except (ParseError, DefusedXmlException, ValueError):
        return {}
    if _is_a_models(root):
        return {}
    texts: dict[str, str] = {}
    for field in root.iter(f"{_IPTC}AltTextAccessibility"):
        for item in field.iter(f"{_RDF}li"):
            _take_in(texts, item)
    return texts


def text_hash(*texts: str) -> str:
    """Return what tells words that were written by an export from words that somebody changed since."""
    return hashlib.sha256("\n".join(" ".join(text.split()) for text in texts).encode()).hexdigest()


def default_text(root: Any, name: str) -> str:
    """Return the default text of an IPTC field of that name; empty where there is none."""
    for field in root.iter(f"{_IPTC}{name}"):
        items = {item.get(_LANGUAGE, "x-default"): item.text or "" for item in field.iter(f"{_RDF}li")}
        return items.get("x-default") or next(iter(items.values()), field.text or "")
    return next(simple_values(root, f"{_IPTC}{name}"), "")


def simple_values(root: Any, tag: str) -> Iterator[str]:
    """Yield the values of a simple property, written as an element or as an attribute."""
    for element in root.iter():
        if element.tag == tag and element.text:
            yield element.text
        elif tag in element.attrib:
            yield element.attrib[tag]


def _is_a_models(root: Any) -> bool:
    """Return whether the words are a captioner's own, which an export put there and nobody changed: no person's."""
    made_by = next(simple_values(root, f"{{{OURS}}}TextMadeBy"), "")
    told = next(simple_values(root, f"{{{OURS}}}TextSHA256"), "")
    return made_by.startswith(TRAINED) and told == text_hash(*(default_text(root, name) for name in FIELDS))


def _take_in(texts: dict[str, str], item: Element) -> None:
    words = " ".join((item.text or "").split())
    if any(character.isalnum() for character in words):
        texts.setdefault(item.get(_LANGUAGE, "x-default"), words)


def in_language(texts: dict[str, str], language: str) -> str | None:
    """Return the text for a BCP 47 tag: of its very tag, else of its main language, else the default, else None.

    The default serves every language only where no text names its language: otherwise it is a copy of one of these.
    """
    main = language.partition("-")[0].lower()
    exact = [text for tag, text in texts.items() if tag.lower() == language.lower()]
    alike = [text for tag, text in texts.items() if tag.partition("-")[0].lower() == main]
    default = [texts["x-default"]] if set(texts) == {"x-default"} else []
    return next(iter(exact + alike + default), None)
