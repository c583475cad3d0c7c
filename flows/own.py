"""What the caller's own columns say of a photo: decorative, or a person's alt text that stands for the captioner's."""

import json
from collections.abc import Sequence
from typing import Any

from flows.records import Work
from flows.tables import column_named

ALT_COLUMNS = ("alt_text", "alt text", "alt", "existing_alt_text", "existing alt text")
"""Names of the column of a person's own alt text, which stands for the captioner's."""

_YES = frozenset({"1", "true", "yes", "y", "x", "t"})


def own_of(work: Work) -> str | None:
    """Return the caller's columns as JSON: of this run's table, else of the row that stands for the same bytes."""
    before = work.row_before
    if work.source.own is not None or before is None or before["sha256"] != work.sha256:
        return work.source.own
    kept: str | None = before["own"]
    return kept


def is_decorative(own: str | None) -> bool:
    """Return whether the caller's columns, as JSON, say that a photo is there for its looks alone."""
    return str(_value(own, ["decorative"]) or "").strip().lower() in _YES


def own_alt_text(own: str | None) -> str | None:
    """Return the alt text that the caller's columns, as JSON, give a photo; None where a captioner is to write it."""
    text = " ".join(str(_value(own, ALT_COLUMNS) or "").split())
    return text or None


def own_language(own: str | None) -> str | None:
    """Return the BCP 47 tag that the caller's columns give the alt text; None where they give none."""
    return str(_value(own, ["language", "lang"]) or "").strip() or None


def _value(own: str | None, names: Sequence[str]) -> Any:
    if own is None:
        return None
    row: dict[str, Any] = json.loads(own)
    column = column_named(row, names)
    return None if column is None else row[column]
