"""IIIF Presentation 3: a canvas a photo, its alt text and its sound as annotations; a collection above 1,000 photos.

https://iiif.io/api/presentation/3.0/
"""

import hashlib
import json
from collections.abc import Iterator
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from flows.exports.published import Published
from flows.exports.target import Target

CONTEXT = "http://iiif.io/api/presentation/3/context.json"
CANVASES_A_MANIFEST = 1000
MEDIA_TYPES = {".mp3": "audio/mpeg", ".wav": "audio/wav", ".flac": "audio/flac", ".ogg": "audio/ogg",
               ".opus": "audio/ogg"}  # fmt: skip

Json = dict[str, Any]


def write_iiif(rows: Iterator[Published], target: Target) -> None:
    """Write `manifest.json`, more of them and `collection.json` above 1,000 photos, and the photos and clips."""
    web, names = target.told.web, list[str]()
    batch = list(islice(rows, CANVASES_A_MANIFEST))
    while batch or not names:
        names.append("manifest.json" if not names else f"manifest-{len(names) + 1:04d}.json")
        _write_manifest(batch, f"{web}/{names[-1]}", names[-1], target)
        batch = list(islice(rows, CANVASES_A_MANIFEST))
    if len(names) > 1:
        parts = [{"id": f"{web}/{name}", "type": "Manifest", "label": _label(target, name)} for name in names]
        whole = _head(f"{web}/collection.json", "Collection", {"none": [target.told.title]}) | {"items": parts}
        (target.place / "collection.json").write_text(json.dumps(whole, ensure_ascii=False), encoding="utf-8")


def _write_manifest(rows: list[Published], address: str, name: str, target: Target) -> None:
    head = json.dumps(_head(address, "Manifest", _label(target, name)), ensure_ascii=False)
    with (target.place / name).open("w", encoding="utf-8") as file:
        file.write(f'{head[:-1]}, "items": [\n')
        mark = ""
        for one in rows:
            placed = target.copy_picture(one)
            if placed is not None:
                sound = None if one.is_decorative else target.copy_clip(one)
                file.write(mark + json.dumps(canvas(one, target.told.web, placed, sound), ensure_ascii=False))
                mark = ",\n"
                target.advance(1)
        file.write("\n]}\n")


def _head(address: str, kind: str, label: Json) -> Json:
    return {"@context": CONTEXT, "id": address, "type": kind, "label": label}


def _label(target: Target, name: str) -> Json:
    number = PurePosixPath(name).stem.partition("-")[2]
    return {"none": [f"{target.told.title}, {int(number)}" if number else target.told.title]}


def canvas(one: Published, web: str, picture: tuple[str, int, int], sound: str | None) -> Json:
    """Return a photo's canvas: the photo painted on it, words and sound as annotations that supplement it."""
    path, width, height = picture
    address = f"{web}/canvas/{hashlib.sha256(one.id.encode()).hexdigest()[:16]}"
    image = {"id": f"{web}/{path}", "type": "Image", "format": "image/jpeg", "width": width, "height": height}
    painting = _annotation(f"{address}/photo", "painting", image, address)
    told = _metadata("Photo", one.id) + _metadata("SHA-256 of the photo", one.sha256)
    told += _metadata("Text", one.made_by) + _metadata("Review", one.review)
    made = {
        "id": address,
        "type": "Canvas",
        "label": {"none": [one.title]},
        "width": one.row["width_px"],
        "height": one.row["height_px"],
        "metadata": told,
        "items": [_page(f"{address}/painted", [painting])],
    }
    notes = _notes(one, address, f"{web}/{sound}" if sound else None)
    return made | ({"annotations": [_page(f"{address}/notes", notes)]} if notes else {})


def _notes(one: Published, address: str, sound: str | None) -> list[Json]:
    """Return the annotations of words and sound; a decorative photo has none."""
    notes = []
    for name, text in (("alt-text", one.alt_text), ("long-description", one.long_text)):
        if text:
            body: Json = {"type": "TextualBody", "value": text, "language": one.language, "format": "text/plain"}
            notes.append(_annotation(f"{address}/{name}", "supplementing", body, address))
    if sound:
        kind = MEDIA_TYPES[PurePosixPath(sound).suffix]
        body = {"id": sound, "type": "Sound", "format": kind, "duration": round(one.duration_s, 3)}
        notes.append(_annotation(f"{address}/sound", "supplementing", body | {"language": one.language}, address))
    return notes


def _annotation(address: str, motivation: str, body: Json, about: str) -> Json:
    return {"id": address, "type": "Annotation", "motivation": motivation, "body": body, "target": about}


def _page(address: str, items: list[Json]) -> Json:
    return {"id": address, "type": "AnnotationPage", "items": items}


def _metadata(label: str, value: str) -> list[Json]:
    return [{"label": {"en": [label]}, "value": {"none": [value]}}] if value else []
