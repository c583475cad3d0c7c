"""The static page of a run, `OUT/report/index.html`: it opens from any disk or bucket, and fetches nothing.

An index of short columns for the filters, and files of 200 rows that the page takes as it needs them, so that 100,000
rows do not kill a browser. They are scripts, because a page that was opened from a disk may not fetch.
"""

import json
import re
from importlib.resources import files
from itertools import islice
from typing import Any

from flows import paths
from flows.manifest import Manifest
from flows.records import Row, Summary
from flows.report import count_line
from flows.reviews import Reviews
from flows.schema import COLUMNS
from flows.storage import Folder, is_remote, remove, size_of, write_text

QUIET = "loudness-limited"
"""A flag of most clips, and no doubt about what they say: it stays in the manifest."""

ROWS_A_FILE = 200
"""As in `web/page.js`."""

WEB = ("index.html", "page.css", "page.js", "review.js")
"""The page's own files, the same for every output folder."""

REVIEWS = ("", "approved", "edited", "rejected")
"""What the page knows of a row's review; the first is none."""

_INDEX_COLUMNS = ("id", "sha256", "status", "alt_text", "alt_flags", "confidence", "mean_logprob", "missing_since",
                  "words_by")  # fmt: skip
_CARD_COLUMNS = ("id", "status", "reason", "message", "caption", "alt_text", "language", "confidence", "width_px",
                 "height_px", "audio_path", "duration_s", "voice")  # fmt: skip


def write_pages(out: Folder, manifest: Manifest, summary: Summary) -> None:
    """Write the page and its data; each file is renamed into place whole, those of a longer report before are removed.

    Raises OSError where the disk refuses.
    """
    folder, scratch, reviews = paths.report_path(out).parent, paths.scratch_folder(out), Reviews(out)
    about = f"{count_line(summary.counts)}. Run {summary.run_id}."
    for name in WEB:
        write_text(folder / name, web_file(name), scratch)
    write_text(folder / "data" / "index.js", _script("index", index_of(manifest, reviews, about)), scratch)
    rows = (row for _, row in manifest.read(tuple(COLUMNS)))
    number = 0
    while cards := [card_of(row, reviews, out) for row in islice(rows, ROWS_A_FILE)]:
        write_text(_rows_file(folder, number), _script(f"rows {number}", cards), scratch)
        number += 1
    while size_of(stale := _rows_file(folder, number)) is not None:
        remove(stale)
        number += 1


def web_file(name: str) -> str:
    """Return the text of one of the page's own files."""
    return files("flows").joinpath("web", name).read_text(encoding="utf-8")


def index_of(manifest: Manifest, reviews: Reviews, about: str) -> dict[str, Any]:
    """Return one short value a row and column, in the manifest's order: what filters and sorting need.

    Flags and states are numbers into short lists; `confidence` is 0..100, or -1 where it is not known; `certainty` is
    what sorts: the confidence, else the mean log-probability, else what has no words first.
    """
    columns: dict[str, list[Any]] = {
        name: [] for name in ("names", "status", "review", "flags", "confidence", "certainty")
    }
    statuses = ["described", "decorative", "refused", "failed"]
    flag_sets: dict[tuple[str, ...], int] = {(): 0}
    for _, row in manifest.read(_INDEX_COLUMNS):
        decision = reviews.standing(row)
        rules = tuple(sorted({flag["rule"] for flag in row["alt_flags"] or []}))
        columns["names"].append(row["id"])
        columns["status"].append(statuses.index(row["status"]))
        columns["review"].append(REVIEWS.index(decision.action if decision else ""))
        columns["flags"].append(flag_sets.setdefault(rules, len(flag_sets)))
        columns["confidence"].append(-1 if row["confidence"] is None else round(row["confidence"] * 100))
        columns["certainty"].append(_certainty(row))
    lists = {"statuses": statuses, "reviews": list(REVIEWS), "flagSets": [list(rules) for rules in flag_sets]}
    return {"about": about} | columns | lists


def _certainty(row: Row) -> float:
    if row["confidence"] is not None:
        return round(float(row["confidence"]), 3)
    return round(float(row["mean_logprob"]), 2) if row["mean_logprob"] is not None else -99


def card_of(row: Row, reviews: Reviews, out: Folder) -> dict[str, Any]:
    """Return what the page shows of one row, the decision that holds for it included."""
    decision = reviews.standing(row)
    spoken, flags = row["alt_text"], row["alt_flags"] or []
    card = {name: row[name] for name in _CARD_COLUMNS}
    by_model = row["words_by"] in (None, "captioner")
    card |= {"alt_flags": flags, "thumbnail": _thumbnail(row, out), "spoken_text": spoken, "pending": False}
    card |= {"clip_flags": [flag for flag in row["clip_flags"] or [] if flag["rule"] != QUIET]}
    card |= {"missing_since": row["missing_since"].date().isoformat() if row["missing_since"] else None}
    card |= {"review": "", "reviewed_by": "", "review_reason": "", "seen": reviews.seen(row["id"], row["sha256"])}
    card |= {"by_model": by_model, "written_by": _writer(row), "attention": _attention(row)}
    if decision is not None:
        card |= {"review": decision.action, "reviewed_by": decision.who, "review_reason": decision.reason}
    if decision is not None and decision.pins_words and decision.new != spoken:
        card |= {"alt_text": decision.new, "pending": True, "alt_flags": []}
        card |= {"by_model": False, "written_by": f"written by {decision.who}"}
    return card


def _writer(row: Row) -> str:
    """Return who wrote the alt text, in words."""
    named = {"photo": "from the photo's own metadata", "table": "from your table"}
    if row["words_by"] == "person":
        return f"written by {row['reviewed_by']}"
    return named.get(row["words_by"] or "", f"by {row['captioner']}" if row["captioner"] else "no words")


def _thumbnail(row: Row, out: Folder) -> str | None:
    """Return the thumbnail's path from the page, where there is one."""
    path = paths.thumbnail_path(row["sha256"]) if row["sha256"] else None
    if path is None or is_remote(out):  # each photo that was decoded has one; a store is not asked for each alone
        return path if row["width_px"] else None
    return path if size_of(paths.report_path(out).parent / path) is not None else None


def _attention(row: Row) -> dict[str, Any] | None:
    """Return where the model looked for each word: the words, the side of the grid, and 0..255 a region."""
    if not row.get("attention") or row["words_by"] != "captioner":
        return None
    grid = int(len(row["attention"][0]) ** 0.5)
    words = row["caption"].split()[: len(row["attention"])]
    return {"words": words, "grid": grid, "weights": [list(one) for one in row["attention"]]}


def _rows_file(folder: Folder, number: int) -> Folder:
    return folder / "data" / f"rows-{number:05d}.js"


def _script(name: str, value: object) -> str:
    """Return a script that hands `value` to the page; U+2028 and `<` are escaped, so that it is a script anywhere."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    safe = re.sub("[<\u2028\u2029]", lambda match: f"\\u{ord(match[0]):04x}", text)
    return f"narrated.take({json.dumps(name)},{safe});\n"
