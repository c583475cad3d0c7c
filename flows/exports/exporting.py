"""The way of an export: choose the rows, write them under a temporary name, put the whole in its place."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from flows import paths
from flows.errors import FlowError
from flows.exports.formats import FORMATS, Format
from flows.exports.places import assert_of_kind, assert_ours, assert_writable
from flows.exports.published import (
    NOT_APPROVED,
    NOT_RELIABLE,
    PHOTO_CHANGED,
    Choice,
    Published,
    Tally,
    last_run,
    published,
)
from flows.exports.replacing import whole_file, whole_folder
from flows.exports.settings import Export
from flows.exports.target import Target
from flows.manifest import Manifest
from flows.reviews import Reviews


def export(
    told: Export, counted: Callable[[int], None] = lambda _rows: None, tally: Tally | None = None
) -> tuple[Path, Tally]:
    """Write one export; return where it is and what became of the rows. `counted` is told how many more are done.

    A `tally` that is handed in is the one that is filled, so that it can be told where there is no export too.

    Raises FlowError where it cannot begin, OSError where the disk refuses; the export of before stands then.
    """
    manifest, kind = opened(told.out), FORMATS[told.to]
    told = _checked(told, kind)
    target, tally = place_of(told, kind), Tally() if tally is None else tally
    run_id = last_run(told.out) if kind.last_run else None
    choice = Choice(told.approved, wordless=kind.whole, heavy=kind.whole, run_id=run_id, doubtful=kind.doubtful)
    with _alone(told):
        rows = published(manifest, Reviews(told.out), choice, tally)
        with _replacing(target, kind, told) as place:
            writer(kind)(rows, Target(place, told, tally, counted))
            if not tally.written:
                raise FlowError(f"no row can be written as {told.to}", str(told.out), _mend(kind, tally))
    return target, tally


def _mend(kind: Format, tally: Tally) -> str:
    """Return what to do where every row was left out, by the reasons: those that were not approved say least."""
    reasons = set(tally.left_out)
    if PHOTO_CHANGED in reasons:
        return "narrate run takes in what changed, and what was decided holds; then export again"
    if reasons == {NOT_APPROVED}:
        return "approve some first, or leave --approved out"
    if NOT_RELIABLE in reasons:
        return "approve or edit what is right in narrate review"
    if reasons and not kind.last_run:
        return "what was left out, and why, is said above"
    return "the last run made nothing new" if kind.last_run else "narrate some photos first"


def _checked(told: Export, kind: Format) -> Export:
    """Return the export with its place in full and its address without the last slash.

    Raises FlowError where its wishes do not go together.
    """
    if told.in_place and not kind.beside:
        raise FlowError("only xmp can be written into photos", "--in-place", "give --to xmp")
    if told.in_place and told.into is not None:
        raise FlowError("photos are written where they are", "--in-place and --into", "give one of the two")
    if not told.title.strip():
        raise FlowError("a title is needed", "--title", "give one, or leave --title out")
    address = urlsplit(told.web)
    is_web = address.scheme in ("http", "https") and address.netloc and not re.search(r"\s", told.web)
    if kind.needs_web and not is_web:
        what = f"{told.to} needs the address at which it will be served"
        raise FlowError(what, "--web", "give one such as https://example.org/photos")
    into = None if told.into is None else Path(os.path.abspath(told.into.expanduser()))  # noqa: PTH100 - links stay
    return replace(told, web=told.web.rstrip("/"), into=into)


def opened(out: Any) -> Manifest:
    """Return the manifest of an output folder; raises FlowError where there is none."""
    manifest = Manifest(out)
    if not manifest.parts:
        raise FlowError("there is no manifest here", str(out), "name the output folder of a run")
    return manifest


def writer(kind: Format) -> Callable[[Iterator[Published], Target], None]:
    """Import the function that writes a format."""
    module, _, name = kind.writer.partition(":")
    found: Callable[[Iterator[Published], Target], None] = getattr(import_module(f"flows.exports.{module}"), name)
    return found


def place_of(told: Export, kind: Format) -> Path:
    """Return the file or folder to write; raises FlowError where that would be in a store, or cannot be written."""
    if kind.beside and told.into is None:
        return Path()
    if told.into is not None:
        into = told.into
    elif isinstance(told.out, Path):
        into = told.out / "exports" / kind.name
    else:
        raise FlowError("an export is written to a disk of this machine", str(told.out), "name a place by --into")
    place = into / kind.name if not kind.is_folder and not kind.beside and into.is_dir() else into
    assert_ours(place, told.out)
    if not kind.is_folder and not kind.beside:
        assert_of_kind(place, PurePosixPath(kind.name).suffix)
    assert_writable(place if kind.beside else place.parent, place)
    return place


@contextmanager
def _replacing(target: Path, kind: Format, told: Export) -> Iterator[Path]:
    if kind.beside:
        yield target
    elif not kind.is_folder:
        with whole_file(target) as place:
            yield place
    else:
        yield from _replacing_folder(target, told)


def _replacing_folder(target: Path, told: Export) -> Iterator[Path]:
    about = {"made_by": "image-narrator", "format": told.to, "title": told.title, "approved_only": told.approved}
    with whole_folder(target, about) as place:
        yield place


@contextmanager
def _alone(told: Export) -> Iterator[None]:
    """Keep a second export of the same output folder out of the block; an archive that is read-only needs no lock."""
    folder = paths.scratch_folder(told.out)
    lock = FileLock(folder / "export.lock", timeout=0)
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire()
        except Timeout as error:
            what = "another export of this output folder is at work"
            raise FlowError(what, str(told.out), "wait for it") from error
    try:
        yield
    finally:
        lock.release()
