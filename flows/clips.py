"""Finished clips to the place where their rows name them, and out of it once no row does."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import PurePosixPath

from flows import paths
from flows.manifest import Manifest
from flows.records import Row, Work
from flows.storage import (
    Folder,
    is_remote,
    is_same_place,
    link_or_copy,
    names_in,
    read_file,
    remove,
    rename,
    size_of,
    write_json,
)

Results = Sequence[tuple[Work, Row]]
"""The photos of a shard, each with the row that is about to be committed."""


def publish(out: Folder, results: Results) -> None:
    """Give each described row its clip: this run's own, a twin's, or one that an earlier row has for the same bytes.

    All clips are gathered under names of their own before the first is brought to its place, so that photos that
    swapped names keep their own sound. On a disk photos with the same bytes share one file by a hard link where the
    system can. Raises OSError where the disk or the store refuses.
    """
    staged = []
    for work, row in results:
        origin = _origin(out, work, row)
        if origin is not None:
            final = out / row["audio_path"]
            staged.append((_stage(origin, final, out), final))
    for temporary, final in staged:
        if temporary is not None:
            rename(temporary, final)
    for work, _ in results:
        if work.clip is not None:
            work.clip.path.unlink(missing_ok=True)


def _origin(out: Folder, work: Work, row: Row) -> Folder | None:
    """Return the file that holds the row's sound; None where the row names no clip, or keeps the one it has."""
    told = work.twin or work
    if row["audio_path"] is None or told.failure is not None:
        return None
    if told.clip is not None:
        return told.clip.path
    return out / told.reused["audio_path"] if told.reused else None


def _stage(origin: Folder, final: Folder, out: Folder) -> Folder | None:
    """Return a new name for `origin`'s file, or a copy of it; None where it is in its place already."""
    if is_same_place(origin, final):
        return None
    name = f"link-{hashlib.sha256(str(final).encode(errors='surrogateescape')).hexdigest()[:16]}.tmp"
    temporary = (paths.scratch_folder(out) if not is_remote(origin) else paths.state_folder(out)) / name
    remove(temporary)
    link_or_copy(origin, temporary)
    return temporary


def remove_superseded(out: Folder, results: Results) -> None:
    """Remove the clips that rows named before and no longer do: another format, or a photo that is broken now."""
    for path in _superseded(results):
        remove(out / path)


def keep_replaced(out: Folder, results: Results) -> list[Row]:
    """Return the rows that another photo is about to take, with their clips put aside under names of their own.

    Numbered photos that all moved up by one would otherwise lose what the first of the next shard needs.
    """
    kept = []
    for work, row in results:
        before = work.row_before
        if before is not None and before["audio_path"] is not None and before["sha256"] != row["sha256"]:
            name = f"past-{before['sha256']}{PurePosixPath(before['audio_path']).suffix}"
            aside = paths.state_folder(out) / name
            if size_of(aside) is None and size_of(out / before["audio_path"]) is not None:
                link_or_copy(out / before["audio_path"], aside)
            kept.append(before | {"audio_path": f"{paths.state_folder(out).name}/{name}"})
    return kept


def note_publishing(out: Folder, results: Results) -> None:
    """Write down which clips are about to change, so that a kill before the rows are in can be healed.

    The old clip of a row that stands gets a second name first: until the new row is in, heal can bring it back.
    """
    changing = {row["audio_path"] for work, row in results if _origin(out, work, row) is not None}
    standing = {work.row_before["audio_path"] for work, _ in results if work.row_before is not None}
    for path in sorted(changing & standing):
        aside = paths.replaced_path(out, path)
        if size_of(aside) is None and size_of(out / path) is not None:
            link_or_copy(out / path, aside)
    write_json(paths.journal_path(out), sorted(changing | _superseded(results)), paths.scratch_folder(out))


def forget_publishing(out: Folder) -> None:
    """Remove the journal, now that clips and rows agree, and then the old clips that were kept for heal."""
    remove(paths.journal_path(out))
    for name in names_in(paths.state_folder(out)):
        if name.startswith(paths.REPLACED):
            remove(paths.state_folder(out) / name)


def heal(out: Folder, manifest: Manifest) -> None:
    """Undo what a killed run did to clips whose rows it did not commit: the old clip comes back, a new one goes."""
    journal = read_file(paths.journal_path(out))
    noted = set(json.loads(journal or b"[]"))
    rows = (row for _, row in manifest.read(("audio_path", "audio_sha256"))) if noted else ()
    expected = {row["audio_path"]: row["audio_sha256"] for row in rows if row["audio_path"] in noted}
    for path in sorted(noted):
        data = read_file(out / path)  # where a store cannot be asked, nothing is removed
        if data is not None and hashlib.sha256(data).hexdigest() == expected.get(path):
            continue
        aside = paths.replaced_path(out, path)
        if path in expected and hash_of(aside) == expected[path]:
            rename(aside, out / path)
        else:
            remove(out / path)
    forget_publishing(out)


def hash_of(clip: Folder) -> str | None:
    """Return the SHA-256 of a clip's bytes; None where there is no such file, or it cannot be read."""
    try:
        data = read_file(clip)
    except OSError:
        return None
    return None if data is None else hashlib.sha256(data).hexdigest()


def _superseded(results: Results) -> set[str]:
    before = {work.row_before["audio_path"]: row["audio_path"] for work, row in results if work.row_before}
    return {old for old, new in before.items() if old is not None and old != new}
