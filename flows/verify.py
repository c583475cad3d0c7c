"""Is an output folder still what its manifest says: every hash, clip and row looked at again, each fault with its mend.

Nothing is changed. Memory holds one part of the manifest at a time; which ids and clips there were is kept in a file.
"""

import hashlib
import os
import re
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock, Timeout

from flows import paths
from flows.addresses import shown
from flows.errors import FlowError
from flows.lock import busy, held
from flows.manifest import Manifest
from flows.records import Row
from flows.row_rules import broken_rules, is_clip_of
from flows.storage import Folder, files_below, names_in, read, read_file, size_of
from speech.encoding import decode
from speech.mastering import loudness_lufs, true_peak_dbtp
from speech.records import Waveform

TOLERANCES = {"sample_rate_hz": 0.0, "duration_s": 0.002, "loudness_lufs": 0.1, "true_peak_dbtp": 0.1}
"""How far what is heard may be from what the row says: other processors round in another way."""

AGAIN = "run narrate run again"
SPEAK_AGAIN = f"remove it and {AGAIN}: it is spoken anew"

_TABLES = """CREATE TABLE named (id TEXT PRIMARY KEY, audio_path TEXT) WITHOUT ROWID;
CREATE UNIQUE INDEX by_clip ON named (audio_path);"""


_PART = re.compile(r"part-(\d{6,})\.parquet")


@dataclass(frozen=True)
class Finding:
    """One thing that does not hold."""

    where: str
    """The file, below the output folder; a photo's row by the part that holds it and its id."""
    what: str
    """What does not hold, without a final stop."""
    mend: str
    """What mends it."""

    def __str__(self) -> str:
        """Return the finding in one line."""
        return " ".join(f"{self.where}: {self.what}; {self.mend}".split())


@dataclass
class Verification:
    """The check of one output folder, and what it has seen so far."""

    out: Folder
    with_photos: bool
    """Whether the photos are read again too."""
    rows: int = 0
    """Rows checked so far."""
    clips: int = 0
    """Clips checked so far."""
    audio_s: float = 0.0
    """Seconds of sound in them."""
    found: int = 0
    """Findings so far."""
    _manifest: Manifest = field(init=False)

    def __post_init__(self) -> None:
        """Find the parts; raises FlowError where there is no manifest."""
        names = names_in(paths.manifest_folder(self.out))
        if not names:
            raise FlowError("there is no manifest here", str(self.out), "name the output folder of a run")
        self._strangers = [name for name in names if not _PART.fullmatch(name)]
        self._parts = [int(found[1]) for name in names if (found := _PART.fullmatch(name))]
        self._manifest = Manifest(self.out)

    def count(self) -> int:
        """Return how many rows there are to check, those of parts that cannot be read left aside."""
        total = 0
        for part in self._parts:
            with suppress(FlowError):
                total += self._manifest.size(part)
        return total

    def findings(self, advance: Callable[[int], None] = lambda _rows: None) -> Iterator[Finding]:
        """Check everything and yield what does not hold; `advance` is told how many more rows are checked.

        Raises FlowError where a run is at work in the folder.
        """
        with (
            _left_alone(self.out),
            tempfile.TemporaryDirectory(prefix="narrate-") as scratch,
            closing(sqlite3.connect(Path(scratch) / "named.sqlite", isolation_level=None)) as base,
        ):
            base.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _TABLES)
            for finding in self._all(base, advance):
                self.found += 1
                yield finding

    def _all(self, base: sqlite3.Connection, advance: Callable[[int], None]) -> Iterator[Finding]:
        for name in self._strangers:
            yield Finding(
                f"manifest/{name}", "this is no part of the manifest, and readers read it too", "move it away"
            )
        are_whole = True
        with ThreadPoolExecutor(min(4, os.cpu_count() or 1), thread_name_prefix="verify") as pool:
            for part in self._parts:
                try:
                    rows = self._manifest.part(part).to_pylist()
                except FlowError as error:
                    are_whole = False
                    yield Finding(_place(part), error.what, error.mend)
                else:
                    for row, of_files in zip(rows, pool.map(self._files, rows), strict=True):
                        yield from self._row(part, row, base)
                        yield from of_files
                        advance(1)
        if size_of(paths.journal_path(self.out)) is not None:
            yield Finding(
                ".narrate/publishing.json", "a run was killed while it committed", f"{AGAIN}: it is put right"
            )
        if are_whole:  # else the rows that could not be read may name them
            yield from self._unnamed(base)

    def _row(self, part: int, row: Row, base: sqlite3.Connection) -> Iterator[Finding]:
        self.rows += 1
        self.clips += row["audio_path"] is not None
        self.audio_s += row["duration_s"] or 0.0
        rules = list(broken_rules(row))
        named = base.execute("INSERT OR IGNORE INTO named VALUES (?, ?)", (row["id"], row["audio_path"]))
        if not named.rowcount:
            rules.append("another row has the same id or the same clip")
        mend = f"put back a copy of this part, or move it away and {AGAIN}"
        yield from (Finding(f"{_place(part)}, {row['id']}", rule, mend) for rule in rules)

    def _files(self, row: Row) -> list[Finding]:
        """Return what does not hold of a row's clip and photo; runs in a thread."""
        found = []
        if row["audio_path"] is not None and is_clip_of(row):
            found.append(_of_clip(self.out / row["audio_path"], row))
        if self.with_photos and row["sha256"] is not None and row["missing_since"] is None:
            found.append(_of_photo(row))
        return [Finding(*parts) for parts in found if parts is not None]

    def _unnamed(self, base: sqlite3.Connection) -> Iterator[Finding]:
        """Yield the files among the clips that no row names."""
        for path in _clips_in(self.out):
            if base.execute("SELECT 1 FROM named WHERE audio_path = ?", (path,)).fetchone() is None:
                yield Finding(path, "no row names this file", "remove it")


@contextmanager
def _left_alone(out: Folder) -> Iterator[None]:
    """Hold the lock of `out` inside the block, where it has one that can be held, so that no run is at work."""
    with ExitStack() as stack:
        with suppress(OSError):  # an archive is read-only, and at rest
            if not isinstance(out, Path):
                stack.enter_context(held(out))
            elif paths.lock_path(out).is_file():
                stack.enter_context(_held_on_disk(out))
        yield


@contextmanager
def _held_on_disk(out: Path) -> Iterator[None]:
    """Hold the lock of a folder on a disk without leaving a trace, as a run would."""
    try:
        with FileLock(str(paths.lock_path(out)), timeout=0):
            yield
    except Timeout as error:
        raise busy(out, (read_file(paths.holder_path(out)) or b"another run").decode()) from error


def _clips_in(out: Folder) -> Iterator[str]:
    """Yield the path below `out` of every file among the clips."""
    if isinstance(out, Path):
        for folder, _, names in os.walk(out / "audio"):
            yield from ((Path(folder) / name).relative_to(out).as_posix() for name in names)
    else:
        yield from (f"audio/{name}" for name, _ in files_below(out / "audio"))


def _place(part: int) -> str:
    return f"manifest/part-{part:06d}.parquet"


def _of_clip(path: Folder, row: Row) -> tuple[str, str, str] | None:
    """Return where, what and the mend of the first thing that does not hold of a clip; None where it is whole."""
    name: str = row["audio_path"]
    try:
        data = read_file(path)
    except OSError as error:
        return name, f"this clip cannot be read ({error.strerror})", "check the disk and its permissions"
    if data is None:
        return name, "this clip is missing", f"{AGAIN}: it is spoken anew"
    if hashlib.sha256(data).hexdigest() != row["audio_sha256"]:
        return name, "its bytes are not those that were written", SPEAK_AGAIN
    try:
        heard = decode(data)
    except (RuntimeError, ValueError) as error:  # libsndfile's own is a RuntimeError
        return name, f"it cannot be played ({error})", SPEAK_AGAIN
    told = [f"{measure} {value} where its row has {row[measure]}" for measure, value in _differing(row, heard)]
    return (name, f"it has {', '.join(told)}", SPEAK_AGAIN) if told else None


def _differing(row: Row, heard: Waveform) -> Iterator[tuple[str, float | None]]:
    """Yield the measures of a clip that are not those of its row, with what was heard."""
    measured: dict[str, float | None] = {
        "sample_rate_hz": heard.sample_rate_hz,
        "duration_s": round(heard.duration_s, 3),
    }
    measured |= {"loudness_lufs": loudness_lufs(heard), "true_peak_dbtp": true_peak_dbtp(heard)}
    for name, tolerance in TOLERANCES.items():
        said, value = row[name], measured[name]
        if said is None or value is None:
            if said is not value:
                yield name, value
        elif abs(said - value) > tolerance:
            yield name, round(value, 3)


def _of_photo(row: Row) -> tuple[str, str, str] | None:
    """Return where, what and the mend where a photo's bytes are not those that were described."""
    where = shown(row["uri"])
    try:
        sha256 = hashlib.sha256(read(row["uri"])).hexdigest()
    except FileNotFoundError:
        return where, "this photo is gone", f"{AGAIN}: its row is marked"
    except OSError as error:
        return where, f"this photo cannot be read ({error.strerror})", "check the disk and its permissions"
    if sha256 == row["sha256"]:
        return None
    return where, "this photo is not the one that was described", f"{AGAIN}, with --rehash"
