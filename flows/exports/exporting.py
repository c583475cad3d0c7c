"""The way of an export: choose the rows, write them under a temporary name, put the whole in its place."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from flows import paths
from flows.errors import FlowError
from flows.exports.formats import FORMATS, Format
from flows.exports.published import Choice, Published, Tally, last_run, published
from flows.exports.replacing import whole_file, whole_folder
from flows.exports.settings import Export
from flows.exports.target import Target
from flows.manifest import Manifest
from flows.reviews import Reviews


def export(told: Export, counted: Callable[[int], None] = lambda _rows: None) -> tuple[Path, Tally]:
    """Write one export; return where it is and what became of the rows. `counted` is told how many more are done.

    Raises FlowError where it cannot begin, OSError where the disk refuses; the export of before stands then.
    """
    manifest, kind = opened(told.out), FORMATS[told.to]
    told = _with_address(told, kind)
    if told.in_place and not kind.beside:
        raise FlowError("only xmp can be written into photos", "--in-place", "give --to xmp")
    target, tally = place_of(told, kind), Tally()
    run_id = last_run(told.out) if kind.last_run else None
    choice = Choice(told.approved, wordless=kind.whole, heavy=kind.whole, run_id=run_id)
    with _alone(told):
        rows = published(manifest, Reviews(told.out), choice, tally)
        with _replacing(target, kind, told) as place:
            writer(kind)(rows, Target(place, told, tally, counted))
            if not tally.written:
                mend = "approve some first, or leave --approved out" if told.approved else "narrate some photos first"
                raise FlowError(f"no row can be written as {told.to}", str(told.out), mend)
    return target, tally


def _with_address(told: Export, kind: Format) -> Export:
    """Return the export with the address that it will have, without the last slash; raises FlowError for none."""
    if kind.needs_web and urlsplit(told.web).scheme not in ("http", "https"):
        what = f"{told.to} needs the address at which it will be served"
        raise FlowError(what, "--web", "give one such as https://example.org/photos")
    return replace(told, web=told.web.rstrip("/"))


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
    """Return the file or folder to write; raises FlowError where a store would have to be written to."""
    if kind.beside:
        return told.into or Path()
    if told.into is None:
        if isinstance(told.out, Path):
            return told.out / "exports" / kind.name
        raise FlowError("an export is written to a disk of this machine", str(told.out), "name a place by --into")
    into = told.into.expanduser()
    return into / kind.name if not kind.is_folder and into.is_dir() else into


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
