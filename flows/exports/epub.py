"""EPUB 3: a figure a photo, read aloud by its clip (media overlays), with accessibility metadata.

https://www.w3.org/TR/epub-33/ and https://www.w3.org/TR/epub-a11y-11/. Photos, clips and sections go into the archive
as they come; the lists that name them are kept in files until the end.
"""

import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import PurePosixPath
from tempfile import SpooledTemporaryFile
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from flows.exports.markup import xml_text
from flows.exports.published import Published
from flows.exports.target import Target
from flows.storage import EPOCH

FIGURES_A_SECTION = 25
"""A section is one page of text with one overlay."""

CONTAINER = """<?xml version="1.0" encoding="utf-8"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container">
<rootfiles><rootfile full-path="book/package.opf" media-type="application/oebps-package+xml"/></rootfiles>
</container>
"""
STYLE = """body { font-family: sans-serif; margin: 1em; }
figure { margin: 0 0 2em 0; padding: .25em; page-break-inside: avoid; break-inside: avoid; }
img { max-width: 100%; max-height: 80vh; width: auto; height: auto; }
figcaption { margin-top: .5em; }
.-epub-media-overlay-active { background-color: #ffe9a8; color: #000; }
"""
_PAGE = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops" lang="en" xml:lang="en">
<head><meta charset="utf-8"/><title>{title}</title><link rel="stylesheet" type="text/css" href="{style}"/></head>
<body>
{body}</body>
</html>
"""
_SMIL = """<?xml version="1.0" encoding="utf-8"?>
<smil xmlns="http://www.w3.org/ns/SMIL" xmlns:epub="http://www.idpf.org/2007/ops" version="3.0">
<body><seq id="all" epub:textref="../text/{name}.xhtml#photos">
{pars}</seq></body>
</smil>
"""


def _file() -> IO[str]:
    return SpooledTemporaryFile(max_size=1_000_000, mode="w+", encoding="utf-8")  # closed when it is collected


@dataclass
class _Lists:
    """What the package says of all sections; long lists lie in files."""

    items: IO[str] = field(default_factory=_file)
    spine: IO[str] = field(default_factory=_file)
    contents: IO[str] = field(default_factory=_file)
    durations: IO[str] = field(default_factory=_file)
    seen: set[str] = field(default_factory=set)
    """Hashes of photos and clips that are in the archive."""
    total_s: float = 0.0
    figures: int = 0
    makers: Counter[str] = field(default_factory=Counter)
    voices: set[str] = field(default_factory=set)
    languages: Counter[str] = field(default_factory=Counter)
    newest: datetime = EPOCH
    identity: str = ""


def write_epub(rows: Iterator[Published], target: Target) -> None:
    """Write the book; rows whose photo is gone are left out, rows without a clip are shown in silence."""
    lists, number = _Lists(), 0
    with ZipFile(target.place, "w") as book:
        _put(book, "mimetype", b"application/epub+zip", ZIP_STORED)
        _put(book, "META-INF/container.xml", CONTAINER.encode())
        _put(book, "book/style.css", STYLE.encode())
        while batch := list(islice(rows, FIGURES_A_SECTION)):
            number += _write_section(book, number + 1, batch, lists, target)
        title = xml_text(target.told.title)
        contents = f'<nav epub:type="toc" id="toc" aria-labelledby="t"><h1 id="t">{title}</h1>\n<ol>\n'
        page = _PAGE.format(title=title, style="style.css", body=f"{contents}{_all(lists.contents)}</ol></nav>\n")
        _put(book, "book/nav.xhtml", page.encode())
        _put(book, "book/package.opf", _package(title, lists).encode())


def _write_section(book: ZipFile, number: int, rows: list[Published], lists: _Lists, target: Target) -> bool:
    """Write a page of figures and its overlay; return whether there was anything to write."""
    name, figures, pars, links = f"section-{number:04d}", [], [], []
    silent_s, first = lists.total_s, lists.figures + 1
    for place, one in enumerate(rows, start=1):
        picture = target.picture(one)
        if picture is None:
            continue
        data, width, height = picture
        photo = _store(book, f"photos/{one.sha256}.jpg", data, "image/jpeg", lists)
        figures.append(_figure(one, f"f{place}", photo, width, height))
        links.append(f'<li><a href="text/{name}.xhtml#f{place}">{xml_text(one.title)}</a></li>\n')
        if not one.is_decorative:
            pars.append(_par(book, one, f"f{place}", name, lists, target))
        _note(one, lists)
        target.advance(1)
    if not figures:
        return False
    label = f"Photos {first} to {lists.figures}" if len(figures) > 1 else f"Photo {first}"
    heading = f'<h1 id="heading">{label}</h1>\n{"".join(figures)}'
    body = f'<section id="photos" epub:type="chapter" aria-labelledby="heading">\n{heading}</section>\n'
    title = xml_text(f"{target.told.title}, {number}")
    _put(book, f"book/text/{name}.xhtml", _PAGE.format(title=title, style="../style.css", body=body).encode())
    lists.contents.write(f'<li><a href="text/{name}.xhtml">{label}</a>\n<ol>\n{"".join(links)}</ol></li>\n')
    lists.spine.write(f'<itemref idref="{name}"/>\n')
    _close_section(book, name, "".join(pars), lists, lists.total_s - silent_s)
    return True


def _close_section(book: ZipFile, name: str, pars: str, lists: _Lists, duration_s: float) -> None:
    """List a section's page, with its overlay where anything in it is spoken."""
    overlay = f' media-overlay="{name}-overlay"' if pars else ""
    page = f'<item id="{name}" href="text/{name}.xhtml" media-type="application/xhtml+xml"{overlay}/>\n'
    lists.items.write(page)
    if pars:
        _put(book, f"book/smil/{name}.smil", _SMIL.format(name=name, pars=pars).encode())
        lists.items.write(f'<item id="{name}-overlay" href="smil/{name}.smil" media-type="application/smil+xml"/>\n')
        lists.durations.write(f'<meta property="media:duration" refines="#{name}-overlay">{duration_s:.3f}s</meta>\n')


def _figure(one: Published, anchor: str, photo: str, width: int, height: int) -> str:
    alt = xml_text(one.alt_text)
    language = f' lang="{one.language}" xml:lang="{one.language}"' if alt else ""
    made = f' data-text-made-by="{xml_text(one.made_by)}"' if one.made_by else ' role="presentation"'
    image = f'<img src="../{photo}" alt="{alt}" width="{width}" height="{height}"{language}/>'
    caption = "" if one.is_decorative else f"<figcaption>{xml_text(one.title)}</figcaption>"
    return f'<figure id="{anchor}" data-sha256="{one.sha256}"{made}>{image}{caption}</figure>\n'


def _par(book: ZipFile, one: Published, anchor: str, name: str, lists: _Lists, target: Target) -> str:
    """Store a row's clip and return the overlay's line for it; nothing where there is no clip."""
    data = target.clip_bytes(one)
    if data is None or one.clip is None:
        return ""
    from speech.joining import as_mp3

    duration_s = one.duration_s
    if PurePosixPath(one.clip).suffix != ".mp3":
        data, duration_s = as_mp3(data)
    clip = _store(book, f"audio/{one.row['audio_sha256']}.mp3", data, "audio/mpeg", lists)
    lists.total_s += round(duration_s, 3)
    lists.voices.add(str(one.row["voice"]))
    text = f'<text src="../text/{name}.xhtml#{anchor}"/>'
    sound = f'<audio src="../{clip}" clipBegin="0s" clipEnd="{duration_s:.3f}s"/>'
    return f'<par id="p-{anchor}">{text}{sound}</par>\n'


def _store(book: ZipFile, path: str, data: bytes, kind: str, lists: _Lists) -> str:
    """Put a photo or a clip into the book once, listed; return its path."""
    key = path.rpartition("/")[2]
    if key not in lists.seen:
        lists.seen.add(key)
        _put(book, f"book/{path}", data, ZIP_STORED)
        lists.items.write(f'<item id="i-{key.replace(".", "-")}" href="{path}" media-type="{kind}"/>\n')
    return path


def _note(one: Published, lists: _Lists) -> None:
    lists.figures += 1
    if one.made_by:
        lists.makers[one.made_by] += 1
        lists.languages[one.language] += 1
    times = [one.row["committed_at"] or EPOCH, one.reviewed_at or EPOCH, lists.newest]
    lists.newest = max(times)
    lists.identity = lists.identity or one.sha256


def _package(title: str, lists: _Lists) -> str:
    language = lists.languages.most_common(1)[0][0] if lists.languages else "en"
    makers = ", ".join(f"{xml_text(maker)} ({count})" for maker, count in lists.makers.most_common())
    has_sound = lists.total_s > 0
    features = ["alternativeText", "tableOfContents", "structuralNavigation", "readingOrder"]
    features += ["synchronizedAudioText"] if has_sound else []
    modes = ["visual", "textual", *(["auditory"] if has_sound else [])]
    summary = f"Each photo has alternative text; how it was made: {makers or 'all photos are decorative'}."
    summary += " A synthetic voice reads it aloud." if has_sound else ""
    changed = f"{lists.newest.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    metas = [
        f'<meta property="dcterms:modified">{changed}</meta>',
        *(f'<meta property="schema:accessMode">{mode}</meta>' for mode in modes),
        '<meta property="schema:accessModeSufficient">textual</meta>',
        *(f'<meta property="schema:accessibilityFeature">{feature}</meta>' for feature in features),
        '<meta property="schema:accessibilityHazard">none</meta>',
        f'<meta property="schema:accessibilitySummary">{summary}</meta>',
    ]
    if has_sound:
        voices = xml_text(", ".join(sorted(lists.voices)))
        metas += [
            f'<meta property="media:duration">{lists.total_s:.3f}s</meta>',
            f'<meta property="media:narrator">{voices} (synthetic)</meta>',
            '<meta property="media:active-class">-epub-media-overlay-active</meta>',
        ]
    name = uuid.uuid5(uuid.NAMESPACE_URL, f"{title} {lists.identity}")
    head = "\n".join(metas)
    return f"""<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id" xml:lang="en">
<metadata xmlns:dc="http://purl.org/dc/elements/1.1/">
<dc:identifier id="id">urn:uuid:{name}</dc:identifier>
<dc:title>{title}</dc:title>
<dc:language>{language}</dc:language>
{head}
{_all(lists.durations)}</metadata>
<manifest>
<item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
<item id="style" href="style.css" media-type="text/css"/>
{_all(lists.items)}</manifest>
<spine>
{_all(lists.spine)}</spine>
</package>
"""


def _all(file: IO[Any]) -> str:
    file.seek(0)
    return str(file.read())


def _put(book: ZipFile, name: str, data: bytes, method: int = ZIP_DEFLATED) -> None:
    """Put a file into the archive without the time of day, so that the same rows give the same book."""
    info = ZipInfo(name)
    info.compress_type, info.external_attr = method, 0o644 << 16
    book.writestr(info, data)
