"""A row as other systems take it: the words that hold now, who or what made them, and where photo and clip are."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from captioner.hedging import NO_DESCRIPTION
from captioner.wording import as_sentence
from flows import paths
from flows.console import amount
from flows.corrections import unknown_sounds, without_sounds, words_of_sounds
from flows.manifest import Manifest
from flows.records import Row
from flows.reviews import Decision, Reviews
from flows.schema import COLUMNS
from flows.storage import Folder, names_in, read_file
from flows.tables import column_named

EDITED = "edited by a person"
_WRITERS = {"person": EDITED, "table": "given in the owner's table", "photo": "carried in the photo's own metadata"}

PHOTO_CHANGED = "whose photo changed since the last run"
NOT_APPROVED = "not approved"
NOT_RELIABLE = "without a reliable description"
SOUNDS_ALONE = "with sounds in place of a word that is not known: narrate review writes the word"

_TITLES = ("title", "headline", "name")
_LONG_TEXTS = ("long_description", "long description", "extended_description", "ext_descr")

_SECOND = len("20260101T000000Z")

HEAVY = ("attention", "alternatives")
"""Columns that only a copy of the whole manifest needs."""


@dataclass(frozen=True)
class Published:
    """One row with words, or a decorative one."""

    row: Row
    """The manifest's row."""
    alt_text: str
    """What is published; empty for a decorative photo."""
    made_by: str
    """How the text was made: `trained model NAME`, `edited by a person`, ...; empty where there is none."""
    review: str
    """`approved`, `edited` or empty."""
    reviewed_by: str
    """Who decided."""
    reviewed_at: datetime | None
    """When it was decided."""
    is_pending: bool = False
    """Whether a person wrote other words since the clip was spoken."""
    has_gap: bool = False
    """Whether sounds were taken out of the text for which no word is known: IPA is never published."""

    @property
    def id(self) -> str:
        """The row's id."""
        return str(self.row["id"])

    @property
    def sha256(self) -> str:
        """The photo's identity."""
        return str(self.row["sha256"])

    @property
    def language(self) -> str:
        """BCP 47 tag of the words; `und` where there are none."""
        return str(self.row["language"] or "und")

    @property
    def is_decorative(self) -> bool:
        """Whether the photo is there for its looks alone."""
        return str(self.row["status"]) == "decorative"

    @property
    def is_gone(self) -> bool:
        """Whether the photo was gone at the last run."""
        return self.row["missing_since"] is not None

    @property
    def clip(self) -> str | None:
        """Path of the clip below the output folder; None where there is none that says these words."""
        return None if self.is_pending else self.row["audio_path"]

    @property
    def duration_s(self) -> float:
        """Length of the clip; 0 where there is none."""
        return float(self.row["duration_s"] or 0.0) if self.clip else 0.0

    @property
    def needs_review(self) -> bool:
        """Whether a person should look: a rule doubted the words, and nobody approved or edited them since."""
        return bool(self.row["needs_review"]) and self.review not in ("approved", "edited")

    @property
    def _is_rewritten(self) -> bool:
        return self.is_pending and self.made_by == EDITED

    @property
    def confidence(self) -> float | None:
        """Probability that the captioner's words are right; None for a person's, and until calibrated."""
        return None if self._is_rewritten else self.row["confidence"]

    @property
    def alt_flags(self) -> list[dict[str, str]]:
        """Rules that changed or doubted the words; none for those that a person wrote since."""
        return [] if self._is_rewritten else list(self.row["alt_flags"] or ())

    @cached_property
    def own(self) -> dict[str, Any]:
        """The caller's own columns."""
        return dict(json.loads(self.row["own"])) if self.row["own"] else {}

    @property
    def title(self) -> str:
        """The caller's title for the photo, else its file's name without the ending."""
        return self._own_text(_TITLES) or PurePosixPath(self.id).stem

    @property
    def long_text(self) -> str:
        """A longer description than the alt text, where there is one: the caller's, or the whole caption of a cut."""
        given = self._own_text(_LONG_TEXTS)
        was_cut = any(flag["rule"] == "too-long" for flag in self.row["alt_flags"] or ())
        return given or (as_sentence(self.row["caption"], self.language) if was_cut and not self.is_pending else "")

    def _own_text(self, names: tuple[str, ...]) -> str:
        column = column_named(self.own, names)
        return "" if column is None else " ".join(str(self.own[column]).split())


@dataclass
class Tally:
    """What became of the rows of one export."""

    written: int = 0
    """Rows in the export."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Rows that are not in it, by the reason in words."""
    notes: dict[str, int] = field(default_factory=dict)
    """Rows that are in it with something missing, by what, in words."""
    firsts: dict[str, str] = field(default_factory=dict)
    """Id of the first row of each reason and note."""
    faults: int = 0
    """Rows left out or cut short through a fault that `narrate verify` would name."""

    def leave_out(self, why: str, photo_id: str, *, is_fault: bool = False) -> None:
        """Count a row that is not in the export."""
        self.firsts.setdefault(why, photo_id)
        self.left_out[why] = self.left_out.get(why, 0) + 1
        self.faults += is_fault

    def note(self, what: str, photo_id: str, *, is_fault: bool = False) -> None:
        """Count a row that is in the export without something."""
        self.firsts.setdefault(what, photo_id)
        self.notes[what] = self.notes.get(what, 0) + 1
        self.faults += is_fault

    def lines(self) -> Iterator[str]:
        """Yield a line for each reason and note: how many rows, what, and the first of them."""
        for verb, told in (("left out", self.left_out), ("written", self.notes)):
            for what, rows in told.items():
                yield f"{amount(rows, 'row')} {verb}: {what}, the first {' '.join(self.firsts[what].split())}"


@dataclass(frozen=True)
class Choice:
    """Which rows an export takes."""

    approved: bool = False
    """Only those that a person approved or edited."""
    wordless: bool = False
    """Refused, failed and rejected rows too, as they stand."""
    heavy: bool = False
    """Every column of the manifest."""
    doubtful: bool = True
    """Rows too whose words say that there is no reliable description, and that no person approved or edited."""
    run_id: str | None = None
    """Only rows that this run committed."""


def published(manifest: Manifest, reviews: Reviews, choice: Choice, tally: Tally) -> Iterator[Published]:
    """Yield the chosen rows in the manifest's order, a part in memory at a time; `tally` counts what is left out."""
    columns = tuple(name for name in COLUMNS if choice.heavy or name not in HEAVY)
    for _, row in manifest.read(columns):
        if choice.run_id not in (None, row["run_id"]):
            continue
        decision = reviews.standing(row)
        why = _refused(row, decision.action if decision is not None else reviews.columns(row)["review"], choice)
        if why:
            tally.leave_out(why, row["id"])
        elif choice.run_id is None or _is_new(row, choice.run_id):
            one = publish(row, decision, reviews)
            if one.has_gap and not choice.wordless:
                tally.leave_out(SOUNDS_ALONE, one.id)
            else:
                yield one


def publish(row: Row, decision: Decision | None, reviews: Reviews) -> Published:
    """Return a row with the words that hold for it now: a person's decision stands before what was spoken."""
    spoken = row["alt_text"] or ""
    if decision is None or not decision.pins_words:
        told = reviews.columns(row)
        known = words_of_sounds([(row["caption"] or "", spoken)])
        by, who = _writer(row), told["reviewed_by"] or ""
        words, has_gap = without_sounds(spoken, known), bool(unknown_sounds(spoken, known))
        return Published(row, words, by, told["review"] or "", who, told["reviewed_at"], has_gap=has_gap)
    known = words_of_sounds(reviews.changes(row["id"], row["sha256"]))
    words, has_gap = without_sounds(decision.new, known), bool(unknown_sounds(decision.new, known))
    by = EDITED if reviews.was_written(decision) else _writer(row)
    time, is_pending = datetime.fromisoformat(decision.when), decision.new != spoken
    return Published(row, words, by, decision.action, decision.who, time, is_pending=is_pending, has_gap=has_gap)


def _refused(row: Row, review: str | None, choice: Choice) -> str:
    """Return why a row is not in the export, in words that follow a number; empty where it is."""
    if choice.approved and review not in ("approved", "edited"):
        return NOT_APPROVED
    if choice.wordless:
        return ""
    if row["status"] in ("refused", "failed"):
        return f"{row['status']}, so without words"
    if review == "rejected":
        return "rejected by a reviewer"
    rules = {flag["rule"] for flag in row["alt_flags"] or ()}
    is_doubtful = NO_DESCRIPTION in rules and review not in ("approved", "edited")
    return NOT_RELIABLE if is_doubtful and not choice.doubtful else ""


def _is_new(row: Row, run_id: str) -> bool:
    """Return whether a run made the clip of a row: it also commits rows anew that were moved, or approved."""
    made = row["run_id"] == run_id and row["seconds_encode"] is not None
    return made and row["missing_since"] is None and row["review"] != "approved"


def _writer(row: Row) -> str:
    if not row["alt_text"]:
        return ""
    by = row["words_by"] or "captioner"
    return _WRITERS.get(by) or f"trained model {row['captioner'] or 'of an unknown name'}"


def last_run(out: Folder) -> str | None:
    """Return the id of the newest run that left an account; ids begin with the second in which it began."""
    names = sorted(name for name in names_in(paths.run_path(out, "x").parent) if name.endswith(".json"))
    newest = [PurePosixPath(name).stem for name in names if name[:_SECOND] == names[-1][:_SECOND]]
    return max(newest, key=lambda run_id: _began(out, run_id)) if newest else None


def _began(out: Folder, run_id: str) -> str:
    data = read_file(paths.run_path(out, run_id))
    return str(json.loads(data).get("began", "")) if data else ""
