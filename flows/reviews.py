"""What people decided about rows: `OUT/reviews.jsonl`, one line a decision, only ever appended to.

A decision belongs to a photo's bytes and to its id: a renamed or copied photo keeps a person's words, and a replaced
photo does not get them. The latest decision of a photo holds.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import IO, Any, Literal, get_args

from filelock import FileLock, Timeout

from flows import paths
from flows.errors import FlowError
from flows.records import Row
from flows.storage import Folder, append, read_file

Action = Literal["approved", "rejected", "edited", "reopened"]
"""What a person can say of a row; `reopened` takes the last decision back."""

DECIDED = ("review", "reviewed_by", "reviewed_at")
"""The manifest's columns about a decision."""

LOCK_WAIT_S = 10.0
"""How long an answer waits for another writer's line."""


@dataclass(frozen=True)
class Decision:
    """One line of the file."""

    id: str
    """The row's id when it was decided."""
    sha256: str
    """The photo's identity."""
    action: Action
    """What was decided."""
    who: str
    """Name of the person, as given at the start of the review."""
    when: str
    """Time of the decision, ISO 8601, UTC."""
    old: str
    """The alt text that the person saw."""
    new: str
    """The alt text that holds from now on; the old one unless it was edited."""
    reason: str = ""
    """Why it was rejected, in the person's words."""

    @property
    def pins_words(self) -> bool:
        """Whether a person stands behind `new`, so that no model may write over it."""
        return self.action in ("approved", "edited")


class MovedOnError(Exception):
    """Somebody else decided about the row since it was shown."""

    def __init__(self, latest: Decision | None) -> None:
        """Keep what holds now."""
        super().__init__("the row was decided by someone else meanwhile")
        self.latest = latest


class Reviews:
    """The decisions of one output folder; several processes may read and append at once."""

    def __init__(self, out: Folder) -> None:
        """Read what is there."""
        self._path, self._lock_path = paths.reviews_path(out), paths.scratch_folder(out) / "reviews.lock"
        self._offset = 0
        self._by_row: dict[tuple[str, str], list[Decision]] = {}
        self._by_photo: dict[str, Decision] = {}
        self.unreadable = 0
        """Lines that are no decision, such as one torn by a crash; they stay where they are and count for nothing."""
        self.refresh()

    def __len__(self) -> int:
        return sum(len(decisions) for decisions in self._by_row.values())

    def latest(self, photo_id: str, sha256: str | None) -> Decision | None:
        """Return the decision that holds for a photo: its own, else the latest about the same bytes elsewhere."""
        if sha256 is None:
            return None
        own = self._by_row.get((photo_id, sha256))
        found = own[-1] if own else self._by_photo.get(sha256)
        return None if found is None or found.action == "reopened" else found

    def words(self, photo_id: str, sha256: str | None) -> Decision | None:
        """Return the decision whose words stand for a photo against any model; None where no person chose them."""
        latest = self.latest(photo_id, sha256)
        return latest if latest is not None and latest.pins_words else None

    def was_written(self, decision: Decision) -> bool:
        """Return whether the words of a decision are a reviewer's own, and not a captioner's that was approved."""
        about = self._by_row.get((decision.id, decision.sha256), ())
        return any(one.action == "edited" and one.new == decision.new for one in about)

    def about(self, photo_id: str, sha256: str | None) -> list[Decision]:
        """Return every decision about a photo, the oldest first: its own, else those about the same bytes elsewhere."""
        own = self._by_row.get((photo_id, sha256 or ""))
        last = self._by_photo.get(sha256 or "")
        return list(own or (self._by_row[last.id, last.sha256] if last is not None else ()))

    def changes(self, photo_id: str, sha256: str | None) -> list[tuple[str, str]]:
        """Return each edit of a photo's text, taken back or not: what it was and what it became, the oldest first."""
        return [(one.old, one.new) for one in self.about(photo_id, sha256) if one.action == "edited"]

    def standing(self, row: Row) -> Decision | None:
        """Return the decision that holds for a row: a rejection falls once the words that were rejected are gone."""
        decision = self.latest(row["id"], row["sha256"])
        if decision is not None and decision.action == "rejected" and decision.old != row["alt_text"]:
            return None
        return decision

    def columns(self, row: Row) -> Row:
        """Return what the manifest says of the decision about a row whose words are final."""
        decision = self.standing(row)
        if decision is None and row["review"] is not None and not self.seen(row["id"], row["sha256"]):
            return {name: row[name] for name in DECIDED}  # the file of decisions has been lost, not the decision
        if decision is None:
            return dict.fromkeys(DECIDED)
        told = {"review": decision.action, "reviewed_by": decision.who, "needs_review": not decision.pins_words}
        return told | {"reviewed_at": datetime.fromisoformat(decision.when)}

    def seen(self, photo_id: str, sha256: str | None) -> int:
        """Return how many decisions there are about a row: what `decide` compares."""
        return len(self._by_row.get((photo_id, sha256 or ""), ()))

    def refresh(self) -> None:
        """Take in whole lines that were appended since the last look."""
        with self._opened() as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # half a line: another writer is at it, or a crash tore it
                self._offset += len(line)
                self._take_in(line)

    def decide(self, decision: Decision, seen: int) -> None:
        """Append `decision`, synced to the disk before this returns.

        `seen` is the number of decisions about the row that the person knew of. Raises `MovedOnError` where there are
        more by now, FlowError where the file cannot be written.
        """
        with self._held():
            self.refresh()
            if self.seen(decision.id, decision.sha256) != seen:
                raise MovedOnError(self.latest(decision.id, decision.sha256))
            self._append(json.dumps(asdict(decision), ensure_ascii=False) + "\n")
            self.refresh()

    def _opened(self) -> IO[bytes]:
        """Open the file for reading; a store's file is fetched whole, and none is an empty one."""
        if isinstance(self._path, Path) and self._path.is_file():
            return self._path.open("rb")
        return BytesIO(b"" if isinstance(self._path, Path) else read_file(self._path) or b"")

    @contextmanager
    def _held(self) -> Iterator[None]:
        """Hold the file against other writers."""
        try:
            self._lock_path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self._lock_path, timeout=LOCK_WAIT_S):
                yield
        except (Timeout, OSError) as error:
            what = f"the decision cannot be written ({error})"
            raise FlowError(what, str(self._path), "check the disk and its permissions, then decide again") from error

    def _append(self, line: str) -> None:
        """Write one line at the end, after the end of a torn one."""
        if not isinstance(self._path, Path):
            append(self._path, line.encode())
            return
        with self._path.open("ab+") as file:
            size = file.seek(0, os.SEEK_END)
            if size:
                file.seek(size - 1)
                line = line if file.read(1) == b"\n" else "\n" + line
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())

    def _take_in(self, line: bytes) -> None:
        decision = parse(line)
        if decision is None:
            self.unreadable += bool(line.strip())
            return
        self._by_row.setdefault((decision.id, decision.sha256), []).append(decision)
        self._by_photo[decision.sha256] = decision


def parse(line: bytes) -> Decision | None:
    """Return the decision of one line; None where it is none."""
    try:
        values: Any = json.loads(line)
        known = {field.name: values[field.name] for field in fields(Decision)}
    except (ValueError, KeyError, TypeError):
        return None
    whole = all(isinstance(value, str) for value in known.values()) and known["action"] in get_args(Action)
    return Decision(**known) if whole else None


def now() -> str:
    """Return this moment as a decision keeps it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
