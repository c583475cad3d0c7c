"""Alt text that a photo carries itself: IPTC's `AltTextAccessibility` in its XMP, by language.

Only that field: captions, titles and credits are other people's words about other things (IPTC Photo Metadata 2021.1).
"""

from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

_IPTC = "{http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/}"
_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
_LANGUAGE = "{http://www.w3.org/XML/1998/namespace}lang"
_LONGEST_PACKET = 1_000_000
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
    texts: dict[str, str] = {}
    for field in root.iter(f"{_IPTC}AltTextAccessibility"):
        for item in field.iter(f"{_RDF}li"):
            _take_in(texts, item)
    return texts


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
