"""What is left to do: sources against manifest against digests, in a scratch SQLite file so that memory stays flat."""

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from flows.addresses import is_local
from flows.digests import Digests
from flows.inputs import distinct_id
from flows.manifest import Manifest
from flows.records import Row, Source, Work
from flows.reviews import DECIDED, Reviews
from flows.schema import LASTING, MISSING_PLUGIN
from flows.storage import EPOCH, files_below, is_gone, is_same_file, size_of
from flows.words import FOLLOW, STAND, state_of

if TYPE_CHECKING:
    from upath import UPath

_TABLES = """
CREATE TABLE found (id TEXT PRIMARY KEY, uri TEXT, size_bytes INTEGER, mtime_us INTEGER, etag TEXT, address TEXT,
    own TEXT) WITHOUT ROWID;
CREATE TABLE done (id TEXT PRIMARY KEY, part INTEGER, sha256 TEXT, size_bytes INTEGER, mtime_us INTEGER, uri TEXT,
    status TEXT, reason TEXT, captioner_digest TEXT, alt_text_digest TEXT, voice_digest TEXT, audio_digest TEXT,
    audio_path TEXT, missing INTEGER, etag TEXT, own TEXT, words_by TEXT, burst_of TEXT,
    words INTEGER, is_told INTEGER) WITHOUT ROWID;
CREATE TABLE past (sha256 TEXT PRIMARY KEY, row TEXT) WITHOUT ROWID;
CREATE INDEX done_sha256 ON done (sha256);
CREATE INDEX done_place ON done (part, id);
"""

_TABLE_COLUMNS = ("id", "part", "sha256", "size_bytes", "mtime_us", "uri", "status", "reason", "captioner_digest",
                  "alt_text_digest", "voice_digest", "audio_digest", "audio_path", "missing", "etag", "own",
                  "words_by", "burst_of", "words", "is_told")  # fmt: skip

_DONE_COLUMNS = (
    *(
        "id",
        "sha256",
        "size_bytes",
        "mtime",
        "uri",
        "status",
        "reason",
        "audio_path",
        "missing_since",
        "etag",
        "own",
        "words_by",
        "burst_of",
    ),
    *("captioner_digest", "alt_text_digest", "voice_digest", "audio_digest"),
    *("alt_text", "review", "reviewed_by", "reviewed_at"),
)

_PLACES = ", ".join("?" * len(_TABLE_COLUMNS))

_LASTING = ", ".join(f"'{reason}'" for reason in LASTING)

_CURRENT = f"""((done.status = 'refused' AND NOT (done.reason = '{MISSING_PLUGIN}' AND :plugin))
    OR (done.status = 'failed' AND done.reason IN ({_LASTING}) AND (done.words = {STAND} OR (done.words = {FOLLOW}
    AND done.captioner_digest = :captioner AND done.alt_text_digest = :alt_text))
    AND done.voice_digest = :voice AND done.audio_digest = :audio)
    OR (done.status IN ('described', 'decorative') AND done.reason IS NULL AND (:bursts OR done.burst_of IS NULL)
    AND (done.words = {STAND} OR (done.words = {FOLLOW}
    AND done.captioner_digest = :captioner AND done.alt_text_digest = :alt_text))
    AND (done.status = 'decorative' OR (done.voice_digest = :voice AND done.audio_digest = :audio
    AND clip_exists(done.audio_path)))))"""

_GONE = "FROM done LEFT JOIN found USING (id) WHERE found.id IS NULL AND NOT missing"

_UNCHANGED = """done.size_bytes = found.size_bytes AND CASE WHEN done.etag IS NOT NULL OR found.etag IS NOT NULL
    THEN done.etag IS found.etag ELSE done.mtime_us = found.mtime_us
    AND (found.mtime_us != 0 OR found.uri LIKE 'file:%') END"""
"""A store's own name for the version decides where there is one; what nobody dates is read again."""

_TOLD = "(found.own IS NULL OR done.own IS found.own)"
"""The caller's columns stand in the row; what no table came with keeps those it had."""


@dataclass
class Amounts:
    """How many photos a plan found, by what is to become of them."""

    found: int
    """Sources listed."""
    to_do: int
    """Sources that have no row, or whose row no longer holds."""
    taken_over: int
    """Sources whose row stands."""
    gone: int
    """Rows whose photo was there at the last run and is not there now."""


class Plan:
    """Sources and committed rows side by side; a context manager that removes its scratch file."""

    def __init__(
        self,
        manifest: Manifest,
        digests: Digests,
        scratch: Path,
        reviews: Reviews,
        *,
        rehash: bool = False,
        retry: str | None = None,
        bursts: bool = False,
    ) -> None:
        """Read the manifest's keys, and what people decided, into a new scratch file in the folder `scratch`.

        `rehash` does every photo again, `retry` those whose row has that reason, or any where it is `all`. Without
        `bursts` no photo stands with the words of another one.
        """
        self.check_lock: Callable[[], None] = lambda: None
        """Called before each commit; raises FlowError where another run may be at work by now."""
        self.manifest, self.digests, self.reviews, self.rehash = manifest, digests, reviews, rehash
        scratch.mkdir(parents=True, exist_ok=True)
        self._file = scratch / f"plan-{os.getpid()}.sqlite"
        self._file.unlink(missing_ok=True)
        self._lock = threading.RLock()  # shards at different stages ask and commit side by side
        self._base = sqlite3.connect(self._file, check_same_thread=False, isolation_level=None)
        self._base.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _TABLES)
        self._base.create_function("clip_exists", 1, self._clip_exists)
        self._base.create_function("is_elsewhere", 2, _is_elsewhere)
        self._current = _CURRENT
        if not isinstance(manifest.out, Path):
            self._list_clips(manifest.out / "audio")
        self._settings = vars(digests) | {"rehash": rehash, "retry": retry, "bursts": bursts}
        self._settings["plugin"] = find_spec("pillow_heif") is not None
        self._base.execute("BEGIN")
        rows = manifest.read(_DONE_COLUMNS)
        self._base.executemany(f"INSERT INTO done VALUES ({_PLACES})", (self._done(part, row) for part, row in rows))
        self._base.execute("COMMIT")

    def _list_clips(self, folder: "UPath") -> None:
        """Ask a store for the names of its clips once, a page at a time, and not for each clip alone."""
        self._base.execute("CREATE TABLE clip (path TEXT PRIMARY KEY) WITHOUT ROWID")
        names = ((f"audio/{name}",) for name, size_bytes in files_below(folder) if size_bytes)
        self._base.execute("BEGIN")
        self._base.executemany("INSERT INTO clip VALUES (?)", names)
        self._base.execute("COMMIT")
        there = "EXISTS (SELECT 1 FROM clip WHERE clip.path = done.audio_path)"
        self._current = _CURRENT.replace("clip_exists(done.audio_path)", there)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the scratch file."""
        self._base.close()
        self._file.unlink(missing_ok=True)

    def add(self, sources: Iterable[Source]) -> None:
        """Take in what the listing found; names that are equal once normalised get distinct ids."""
        self._base.execute("BEGIN")
        for source in sources:
            if not self._insert(source.id, source):
                self._insert_namesake(source)
        self._base.execute("COMMIT")

    def _insert(self, name: str, source: Source) -> bool:
        looked = (source.size_bytes, _microseconds(source.mtime), source.etag)
        values = (name, source.uri, *looked, source.address, source.own)
        return self._base.execute("INSERT OR IGNORE INTO found VALUES (?, ?, ?, ?, ?, ?, ?)", values).rowcount > 0

    def annotate(self, told: Iterable[tuple[str, str]]) -> int:
        """Give the found photos the caller's own columns by id; return how many rows of the table fit no photo."""
        strangers = 0
        self._base.execute("BEGIN")
        for photo_id, own in told:
            fits = self._base.execute("UPDATE found SET own = ? WHERE id = ?", (own, photo_id)).rowcount
            strangers += fits == 0
        self._base.execute("COMMIT")
        return strangers

    def _insert_namesake(self, source: Source) -> None:
        """Take in a second file whose name is the same once normalised; the one that has the row keeps the name."""
        holder: str = self._base.execute("SELECT uri FROM found WHERE id = ?", (source.id,)).fetchone()[0]
        if holder == source.uri:
            return
        row = self._base.execute("SELECT uri FROM done WHERE id = ?", (source.id,)).fetchone()
        if row is None or row[0] != source.uri:
            self._insert(distinct_id(source.id, source.uri), source)
            return
        renamed = (distinct_id(source.id, holder), source.id)
        self._base.execute("UPDATE found SET id = ? WHERE id = ?", renamed)
        self._insert(source.id, source)

    def amounts(self) -> Amounts:
        """Return how many photos are found, to do, taken over and gone."""
        found = self._count("SELECT count(*) FROM found")
        to_do = self._count(f"SELECT count(*) FROM ({self._to_do()})")
        gone = self._count(
            "SELECT count(*) FROM done LEFT JOIN found USING (id) WHERE found.id IS NULL AND NOT missing"
        )
        return Amounts(found, to_do, found - to_do, gone)

    def foreign(self) -> tuple[str, str] | None:
        """Return the addresses of a photo to do and of another file, still there, that has the row of its id."""
        query = """SELECT done.uri, found.uri FROM chosen JOIN found USING (id) JOIN done USING (id)
            WHERE done.uri != found.uri AND is_elsewhere(done.uri, found.uri) LIMIT 1"""
        found: tuple[str, str] | None = self._base.execute(query).fetchone()
        return found

    def mark(self, limit: int | None) -> None:
        """Fix the list of what this run does: the first `limit` photos, in the order of their ids."""
        self._base.execute("CREATE TABLE chosen (id TEXT PRIMARY KEY, part INTEGER) WITHOUT ROWID")
        self._base.execute(
            f"INSERT INTO chosen {self._to_do()} ORDER BY found.id LIMIT :limit",
            self._settings | {"limit": -1 if limit is None else limit},
        )

    def works(self) -> Iterator[Work]:
        """Yield what this run does, in the order of the ids, with the row that stands for each."""
        last = ""
        query = """SELECT id, uri, size_bytes, mtime_us, etag, address, own, part FROM chosen JOIN found USING (id)
            WHERE id > ? ORDER BY id LIMIT 512"""
        while rows := self._rows(query, (last,)):
            for photo_id, uri, size_bytes, mtime_us, *told, part in rows:
                source = Source(photo_id, uri, size_bytes, EPOCH + timedelta(microseconds=mtime_us), *told)
                yield Work(source, None if part is None else self._row(part, photo_id))
            last = rows[-1][0]

    def is_unchanged(self, work: Work) -> bool:
        """Return whether size and time of change say that the bytes are those of the row that stands."""
        row = work.row_before
        if row is None or row["sha256"] is None or self.rehash:
            return False
        source, mtime = work.source, row["mtime"] or EPOCH
        if source.etag is not None or row["etag"] is not None:
            return (row["size_bytes"], row["etag"]) == (source.size_bytes, source.etag)
        is_dated = mtime != EPOCH or is_local(source.uri)
        return is_dated and (row["size_bytes"], mtime) == (source.size_bytes, source.mtime)

    def reusable(self, sha256: str, *, whoever_wrote: bool = False) -> Row | None:
        """Return the committed row for the same bytes that saves the most work: with its clip, or only its words.

        `whoever_wrote` looks for the clip of a person's words, which needs no caption.
        """
        query = """SELECT part, id, audio_path FROM done WHERE sha256 = :sha256
            AND (captioner_digest = :captioner OR :whoever) AND status IN ('described', 'failed')
            AND (:bursts OR burst_of IS NULL)
            ORDER BY (audio_path IS NOT NULL) DESC, (alt_text_digest = :alt_text) DESC,
            (voice_digest = :voice AND audio_digest = :audio) DESC, id LIMIT 8"""
        with self._lock:
            found = self._base.execute(query, self._settings | {"sha256": sha256, "whoever": whoever_wrote}).fetchall()
            best = next((place for place in found if self._clip_exists(place[2])), found[0] if found else None)
            return self.manifest.row(best[0], best[1]) if best else self._recall(sha256)

    def row_before(self, photo_id: str, after: str) -> Row | None:
        """Return the committed row of the last id before `photo_id`, where it comes after the id `after`."""
        found = self._rows("SELECT part, id FROM done WHERE id < ? ORDER BY id DESC LIMIT 1", (photo_id,))
        return self._row(*found[0]) if found and found[0][1] > after else None

    def remember(self, rows: Iterable[Row]) -> None:
        """Keep rows that this run replaces with another photo's: their own photo may come under another name."""
        kept = [(row["sha256"], json.dumps(row, default=_as_text)) for row in rows]
        with self._lock:
            self._base.executemany("INSERT OR REPLACE INTO past VALUES (?, ?)", kept)

    def _recall(self, sha256: str) -> Row | None:
        found = self._base.execute("SELECT row FROM past WHERE sha256 = ?", (sha256,)).fetchone()
        row: Row | None = json.loads(found[0]) if found else None
        if row is not None and row["attention"] is not None:
            row["attention"] = [one.encode("latin-1") for one in row["attention"]]
        return row if row is not None and self.digests.caption_holds(row) else None

    def found_again(self) -> Iterator[Row]:
        """Yield the rows that need no work but whose photo was gone, or has moved with its folder, as they are now."""
        query = """SELECT part, id, found.uri FROM done JOIN found USING (id)
            WHERE (part, id) > (?1, ?2) AND (missing OR done.uri != found.uri)
            AND NOT EXISTS (SELECT 1 FROM chosen WHERE chosen.id = done.id) ORDER BY part, id LIMIT 512"""
        for part, photo_id, uri in self._pages(query):
            yield self.manifest.row(part, photo_id) | {"uri": uri, "missing_since": None}

    def newly_decided(self) -> Iterator[Row]:
        """Yield the rows that need no work but about which a person decided something, as they are now."""
        query = """SELECT part, id, uri FROM done WHERE (part, id) > (?1, ?2) AND NOT is_told
            AND NOT EXISTS (SELECT 1 FROM chosen WHERE chosen.id = done.id) ORDER BY part, id LIMIT 512"""
        for part, photo_id, _ in self._pages(query):
            row = self._row(part, photo_id)
            yield row | self.reviews.columns(row)

    def gone(self, unreadable: list[str]) -> Iterator[Row]:
        """Yield the rows whose photo is gone now.

        What lies below a folder that could not be read is not gone; nor is a photo that is merely not listed this time.
        """
        query = f"""SELECT part, id, done.uri {_GONE} AND (part, id) > (?1, ?2) ORDER BY part, id LIMIT 512"""
        for part, photo_id, uri in self._pages(query):
            hidden = any(photo_id.startswith(folder + "/") for folder in unreadable)
            if not hidden and is_gone(uri):
                yield self.manifest.row(part, photo_id)

    def _pages(self, query: str) -> Iterator[tuple[int, str, str]]:
        """Yield the rows of a query that takes the last row's part and id and gives the next few."""
        part, photo_id = -1, ""
        while rows := self._base.execute(query, (part, photo_id)).fetchall():
            yield from rows
            part, photo_id = rows[-1][:2]

    def count_missing(self) -> int:
        """Return how many rows have a photo that is gone."""
        return self._count("SELECT count(*) FROM done WHERE missing")

    def count_rowless(self) -> int:
        """Return how many of the sources found have no row."""
        return self._count("SELECT count(*) FROM found LEFT JOIN done USING (id) WHERE done.id IS NULL")

    def commit(self, rows: list[Row]) -> None:
        """Commit `rows` to the manifest, each to the part it lives in or, where it is new, to the last one."""
        with self._lock:
            self._commit(rows)

    def _commit(self, rows: list[Row]) -> None:
        replaced: dict[int, list[Row]] = {}
        new = []
        for row in rows:
            home = self._base.execute("SELECT part FROM done WHERE id = ?", (row["id"],)).fetchone()
            if home is None:
                new.append(row)
            else:
                replaced.setdefault(home[0], []).append(row)
        homes = {row["id"]: part for part, group in replaced.items() for row in group}
        homes |= self.manifest.commit(replaced, new)
        done = [self._done(homes[row["id"]], row) for row in rows]
        self._base.executemany(f"INSERT OR REPLACE INTO done VALUES ({_PLACES})", done)

    def _rows(self, query: str, values: tuple[object, ...]) -> list[Any]:
        with self._lock:
            return self._base.execute(query, values).fetchall()

    def _row(self, part: int, photo_id: str) -> Row:
        with self._lock:
            return self.manifest.row(part, photo_id)

    def _to_do(self) -> str:
        return f"""SELECT found.id, done.part FROM found LEFT JOIN done USING (id)
            WHERE :rehash OR done.id IS NULL OR NOT ({_UNCHANGED}) OR NOT {_TOLD} OR NOT {self._current}
            OR done.reason = :retry OR (:retry = 'all' AND done.reason IS NOT NULL)"""

    def _count(self, query: str) -> int:
        count: int = self._base.execute(query, self._settings).fetchone()[0]
        return count

    def _clip_exists(self, audio_path: str | None) -> bool:
        return audio_path is not None and bool(size_of(self.manifest.out / audio_path))

    def _done(self, part: int, row: Row) -> tuple[object, ...]:
        """Return the values of `row` in the order of the table `done`."""
        decided = self.reviews.columns(row)
        keys = row | {
            "part": part,
            "mtime_us": _microseconds(row["mtime"] or EPOCH),
            "missing": row["missing_since"] is not None,
            "words": state_of(row, self.reviews),
            "is_told": all(row[name] == decided[name] for name in DECIDED),
        }
        return tuple(keys[name] for name in _TABLE_COLUMNS)


def _as_text(value: object) -> str:
    """Return bytes and times as JSON can keep them."""
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _is_elsewhere(uri: str, other: str) -> bool:
    """Return whether the file at `uri` is there and is not the one at `other` by another way."""
    try:
        return not is_same_file(uri, other) and not is_gone(uri)
    except OSError:
        return False


def _microseconds(time: datetime) -> int:
    return (time - EPOCH) // timedelta(microseconds=1)
