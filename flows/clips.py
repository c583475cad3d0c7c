"""Finished clips to the place where their rows name them, and out of it once no row does."""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from flows import paths
from flows.manifest import Manifest, replace_durably, write_json
from flows.records import Row, Work

Results = Sequence[tuple[Work, Row]]
"""The photos of a shard, each with the row that is about to be committed."""


def publish(out: Path, results: Results) -> None:
    """Give each described row its clip: this run's own, a twin's, or one that an earlier row has for the same bytes.

    All clips are gathered under names of their own before the first is renamed into place, so that photos that swapped
    names keep their own sound. Photos with the same bytes share one file by a hard link where the system can.
    Raises OSError where the disk refuses.
    """
    staged = []
    for work, row in results:
        origin = _origin(out, work, row)
        if origin is not None:
            final = out / row["audio_path"]
            staged.append((_stage(origin, final, paths.scratch_folder(out)), final))
    for temporary, final in staged:
        if temporary is not None:
            final.parent.mkdir(parents=True, exist_ok=True)
            replace_durably(temporary, final)
    for work, _ in results:
        if work.clip is not None:
            work.clip.path.unlink(missing_ok=True)


def _origin(out: Path, work: Work, row: Row) -> Path | None:
    """Return the file that holds the row's sound; None where the row names no clip, or keeps the one it has."""
    told = work.twin or work
    if row["audio_path"] is None or told.failure is not None:
        return None
    if told.clip is not None:
        return told.clip.path
    return out / told.reused["audio_path"] if told.reused else None


def _stage(origin: Path, final: Path, scratch: Path) -> Path | None:
    """Return a new name for `origin`'s file, or a copy of it; None where it is in its place already."""
    if final.exists() and final.samefile(origin):
        return None
    temporary = scratch / f"link-{hashlib.sha256(os.fsencode(final)).hexdigest()[:16]}.tmp"
    temporary.unlink(missing_ok=True)
    _link_or_copy(origin, temporary)
    return temporary


def _link_or_copy(origin: Path, other: Path) -> None:
    try:
        os.link(origin, other)
    except OSError:  # a file system without hard links, or too many of them
        shutil.copyfile(origin, other)


def remove_superseded(out: Path, results: Results) -> None:
    """Remove the clips that rows named before and no longer do: another format, or a photo that is broken now."""
    for path in _superseded(results):
        (out / path).unlink(missing_ok=True)


def keep_replaced(out: Path, results: Results) -> list[Row]:
    """Return the rows that another photo is about to take, with their clips put aside under names of their own.

    Numbered photos that all moved up by one would otherwise lose what the first of the next shard needs.
    """
    kept = []
    for work, row in results:
        before = work.row_before
        if before is not None and before["audio_path"] is not None and before["sha256"] != row["sha256"]:
            aside = paths.scratch_folder(out) / f"past-{before['sha256']}{Path(before['audio_path']).suffix}"
            if not aside.exists() and (out / before["audio_path"]).is_file():
                _link_or_copy(out / before["audio_path"], aside)
            kept.append(before | {"audio_path": aside.relative_to(out).as_posix()})
    return kept


def note_publishing(out: Path, results: Results) -> None:
    """Write down which clips are about to change, so that a kill before the rows are in can be healed."""
    changing = {row["audio_path"] for work, row in results if _origin(out, work, row) is not None}
    write_json(paths.journal_path(out), sorted(changing | _superseded(results)), paths.scratch_folder(out))


def heal(out: Path, manifest: Manifest) -> None:
    """Remove the clips that a killed run put in place without their rows; those photos are spoken again."""
    journal = paths.journal_path(out)
    if not journal.is_file():
        return
    noted = set(json.loads(journal.read_text(encoding="utf-8")))
    rows = (row for _, row in manifest.read(("audio_path", "audio_sha256")))
    expected = {row["audio_path"]: row["audio_sha256"] for row in rows if row["audio_path"] in noted}
    for path in sorted(noted):
        clip = out / path
        if hash_of(clip) != expected.get(path):
            clip.unlink(missing_ok=True)
    journal.unlink()


def hash_of(clip: Path) -> str | None:
    """Return the SHA-256 of a clip's bytes; None where there is no such file."""
    try:
        return hashlib.sha256(clip.read_bytes()).hexdigest()
    except OSError:
        return None


def _superseded(results: Results) -> set[str]:
    before = {work.row_before["audio_path"]: row["audio_path"] for work, row in results if work.row_before}
    return {old for old, new in before.items() if old is not None and old != new}
