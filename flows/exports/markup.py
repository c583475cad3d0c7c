"""Text in XML."""

import re
from xml.sax.saxutils import escape

_NEVER_IN_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def in_xml(text: str) -> str:
    """Return a text without the characters that XML cannot hold."""
    return _NEVER_IN_XML.sub("", text)


def xml_text(text: str) -> str:
    """Return a text as it stands in an element or between quotation marks; what XML cannot hold is left out."""
    return escape(in_xml(text), {'"': "&quot;"})
