"""XMP: a sidecar beside each photo, or, only where it is asked for, the photo itself with its old self kept.

The sidecar of `a.jpg` is `a.jpg.xmp`. A photo itself is written by exiftool: a copy is made, its pixels are compared
with the photo's, and only then it takes the photo's place.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

from captioner.photos import open_photo
from captioner.records import Photo
from flows.addresses import is_local, uri_path
from flows.errors import FlowError
from flows.exports.packets import SomebodyElsesError, UnreadableError, merged
from flows.exports.published import PHOTO_CHANGED, Published
from flows.exports.target import Target
from flows.reviews import Reviews
from flows.storage import link_or_copy, place

BACKUP = ".before-narrate"
"""Ending of a photo's copy from before its first writing."""
WORDS_STAND = "whose file has alt text of somebody else's, which stands"
UNREADABLE = "whose XMP cannot be read"
NAME_TOO_LONG = "whose name is too long for a file beside it"
LONGEST_NAME_BYTES = 255
"""What file systems of Linux, macOS and Windows take."""


def write_xmp(rows: Iterator[Published], target: Target) -> None:
    """Write a sidecar for each row with words; each one is renamed into place whole."""
    for one in rows:
        if one.is_decorative:
            target.leave_out("decorative, so without alt text to write", one)
        elif target.told.in_place:
            _count(_write_into(one, target), one, target)
        else:
            _count(_write_beside(one, target), one, target)


def _count(why: str | None, one: Published, target: Target) -> None:
    if why is None:
        target.advance(1)
    else:
        target.leave_out(why, one)


def _write_beside(one: Published, target: Target) -> str | None:
    """Write one sidecar; return why not, where it is left as it was."""
    photo = _photo_of(one)
    beside = photo.with_name(f"{photo.name}.xmp") if photo is not None else None
    into = target.told.into
    final = into / f"{_safe(one.id)}.xmp" if into is not None else beside
    if final is None:
        return "whose photo is gone, or in a store"
    if _is_too_long(final.name):
        return NAME_TOO_LONG
    known = next((path for path in (final, beside) if path is not None and path.is_file()), None)
    before = known.read_bytes() if known is not None else None
    try:
        after = merged(before, one)
    except SomebodyElsesError:
        return WORDS_STAND
    except UnreadableError:
        return UNREADABLE
    if after != before or known != final:
        final.parent.mkdir(parents=True, exist_ok=True)
        scratch = _scratch(final)
        scratch.write_bytes(after)
        place(scratch, final)
    return None


def _scratch(path: Path) -> Path:
    """Return a temporary name beside a file, short whatever the file's own is, with its ending."""
    return path.with_name(f".{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}.partial{path.suffix}")


def _is_too_long(name: str) -> bool:
    return len(os.fsencode(name)) > LONGEST_NAME_BYTES


def _safe(photo_id: str) -> PurePosixPath:
    """Return an id as a path that leads nowhere but down."""
    return PurePosixPath(*(f"_{part}" if part in (".", "..") else part for part in photo_id.split("/") if part))


def _photo_of(one: Published) -> Path | None:
    path = uri_path(one.row["uri"]) if is_local(one.row["uri"]) else None
    return path if path is not None and path.is_file() else None


def _write_into(one: Published, target: Target) -> str | None:
    """Write into one photo, its pixels compared and its old self kept; return why not, where it is left as it was."""
    photo = _photo_of(one)
    if photo is None:
        return "whose photo is gone, or in a store"
    photo = photo.resolve()  # a link to it stays a link
    if _is_too_long(photo.name + BACKUP):
        return NAME_TOO_LONG
    data = photo.read_bytes()
    if hashlib.sha256(data).hexdigest() != one.sha256:
        return PHOTO_CHANGED
    try:
        packet = merged(_packet_in(photo), one)
    except SomebodyElsesError:
        return WORDS_STAND
    except UnreadableError:
        return UNREADABLE
    scratch = _scratch(photo)
    scratch.unlink(missing_ok=True)
    try:
        why = _embed(packet, photo, scratch)
        if why is None:
            _keep(photo)
            shutil.copystat(photo, scratch)
            new = hashlib.sha256(scratch.read_bytes()).hexdigest()
            _carry_over(one, new, target)
            place(scratch, photo)
    finally:
        scratch.unlink(missing_ok=True)
    return why


def _packet_in(photo: Path) -> bytes | None:
    return _exiftool("-b", "-XMP", str(photo)).stdout or None


def _embed(packet: bytes, photo: Path, scratch: Path) -> str | None:
    """Let exiftool write a copy with the packet in it; return why not, where it cannot or pixels differ."""
    file = scratch.with_suffix(".packet")
    file.write_bytes(packet)
    try:
        said = _exiftool(f"-XMP<={file}", "-o", str(scratch), str(photo))
    finally:
        file.unlink(missing_ok=True)
    if said.returncode or not scratch.is_file():
        return "of a kind that exiftool does not write: a sidecar takes them"
    old, new = open_photo(photo, 10**6), open_photo(scratch, 10**6)
    same = isinstance(old, Photo) and isinstance(new, Photo) and old.pixels.tobytes() == new.pixels.tobytes()
    return None if same else "whose pixels would have changed"


def _exiftool(*words: str) -> "subprocess.CompletedProcess[bytes]":
    """Run exiftool; raises FlowError where it is not installed."""
    program = shutil.which("exiftool")
    if program is None:
        mend = "apt-get install libimage-exiftool-perl, or write sidecars without --in-place"
        raise FlowError("exiftool is not installed, and it writes into photos", "--in-place", mend)
    return subprocess.run([program, "-q", "-q", *words], capture_output=True, check=False)  # noqa: S603 - our own words


def _keep(photo: Path) -> None:
    """Give the photo as it was a second name, unless it has one from its first writing."""
    backup = photo.with_name(photo.name + BACKUP)
    if not backup.exists():
        link_or_copy(photo, backup)


def _carry_over(one: Published, sha256: str, target: Target) -> None:
    """Let what people decided of the photo hold for its new bytes; an approval alone does not say whose words it is."""
    reviews = Reviews(target.told.out)
    for decision in reviews.about(one.id, one.sha256):
        reviews.decide(replace(decision, id=one.id, sha256=sha256), reviews.seen(one.id, sha256))
