"""The rules that every row of the manifest keeps, each by itself: closed lists, columns that belong together, alt text.

The rules of alt text are those of `captioner.alt_text` (WCAG 2.2 SC 1.1.1, IPTC): a text that keeps them is not changed
by being made again.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import PurePosixPath

from captioner.alt_text import POLICIES, make_alt_text, policy_digest
from captioner.hedging import NO_DESCRIPTION, UNSURE
from flows import paths
from flows.records import Row
from flows.schema import FAILURES, REASONS

STATUSES = ("described", "decorative", "refused", "failed")
"""Every value of the column `status`."""

_REFUSALS = tuple(reason for reason in REASONS if reason not in FAILURES)
_ALWAYS = ("id", "uri", "status", "needs_review", "run_id", "committed_at")
_OF_DESCRIBED = (
    *("sha256", "width_px", "height_px", "format", "alt_text", "words_by", "language", "voice", "voice_digest"),
    *("audio_path", "audio_sha256", "audio_digest", "duration_s", "sample_rate_hz", "loudness_reliable"),
    "true_peak_dbtp",
)
_OF_WORDS = ("caption", "alt_text", "language", "audio_path", "audio_sha256", "duration_s")
_LANGUAGE = re.compile(r"[a-zA-Z]{2,3}(-[a-zA-Z]{4})?(-([a-zA-Z]{2}|\d{3}))?(-[a-zA-Z0-9]{5,8})*")
_HASH = re.compile(r"[0-9a-f]{64}")
_RELIABLE_S = 3.0

_LEAST = {"size_bytes": 0, "width_px": 1, "height_px": 1, "sample_rate_hz": 1, "duration_s": 0.001, "attempts": 0}
_MOST = {"mean_logprob": 0.0, "confidence": 1.0}


def broken_rules(row: Row) -> Iterator[str]:
    """Yield what a row does not keep, each in a few words without a stop; nothing where it is whole."""
    missing = [name for name in _ALWAYS if row[name] is None]
    if missing:
        yield f"it has no {', '.join(missing)}"
    elif row["status"] not in STATUSES:
        yield f"its status {row['status']!r} is none of {', '.join(STATUSES)}"
    else:
        for rule in _RULES:
            yield from rule(row)


def is_clip_of(row: Row) -> bool:
    """Return whether a row's clip is where the clip of its id belongs."""
    path: str = row["audio_path"]
    return path == paths.clip_path(row["id"] or "", PurePosixPath(path).suffix.lstrip("."))


def _identity(row: Row) -> Iterator[str]:
    if not row["id"] or not unicodedata.is_normalized("NFC", row["id"]):
        yield "its id is empty or not in Unicode's normal form C"
    for name in ("sha256", "audio_sha256"):
        if row[name] is not None and not _HASH.fullmatch(row[name]):
            yield f"its {name} is no SHA-256"


def _reasons(row: Row) -> Iterator[str]:
    allowed = {"refused": _REFUSALS, "failed": FAILURES}.get(row["status"], (None, *FAILURES))
    if row["reason"] not in allowed:
        yield f"its reason {row['reason']!r} is none that a photo that is {row['status']} can have"
    if (row["reason"] is None) != (row["message"] is None):
        yield "it has a reason without a message, or a message without a reason"


def _belonging(row: Row) -> Iterator[str]:
    """Look at the columns that a status brings, and at those that it rules out."""
    if row["status"] == "described":
        missing = [name for name in _OF_DESCRIBED if row[name] is None]
        if missing:
            yield f"it is described and has no {', '.join(missing)}"
    elif row["status"] == "decorative":
        if row["alt_text"] != "" or row["audio_path"] is not None:
            yield "it is decorative, and its alt text is not empty or it has a clip"
    else:
        present = [name for name in _OF_WORDS if row[name] is not None]
        if present:
            yield f"it is {row['status']} and has {', '.join(present)}"
        if not row["needs_review"]:
            yield f"it is {row['status']} and nobody is asked to look"


def _numbers(row: Row) -> Iterator[str]:
    for name, least in _LEAST.items():
        if row[name] is not None and row[name] < least:
            yield f"its {name} is {row[name]}"
    for name, most in _MOST.items():
        if row[name] is not None and row[name] > most:
            yield f"its {name} is {row[name]}"
    if row["duration_s"] is not None and row["loudness_reliable"] != (row["duration_s"] >= _RELIABLE_S):
        yield "its loudness_reliable does not fit its duration_s"


def _place_of_clip(row: Row) -> Iterator[str]:
    """Let a clip's path follow from the id, so that no row can lead out of the folder."""
    if row["audio_path"] is not None and not is_clip_of(row):
        yield f"its audio_path {row['audio_path']!r} is not the one that belongs to its id"


def _words(row: Row) -> Iterator[str]:
    text = row["alt_text"]
    if row["status"] != "described" or text is None:
        return
    if not text.strip():
        yield "its alt text is empty, and it is not decorative"
    elif not unicodedata.is_normalized("NFC", text):
        yield "its alt text is not in Unicode's normal form C"
    elif text.strip(". ").casefold() == PurePosixPath(row["id"]).name.casefold():
        yield "its alt text is the photo's file name"
    elif row["words_by"] == "captioner":
        yield from _alt_text_rules(row)
    if row["language"] is not None and not _LANGUAGE.fullmatch(row["language"]):
        yield f"its language {row['language']!r} is no BCP 47 tag"


def _alt_text_rules(row: Row) -> Iterator[str]:
    """Make a caption's alt text again by its policy: it stays as it is. A person's words are not ours to judge."""
    if NO_DESCRIPTION in {flag["rule"] for flag in row["alt_flags"] or ()}:
        return
    policy, neutral = _policies().get(row["alt_text_digest"], ("wcag", False))
    again = make_alt_text(row["alt_text"], policy, row["language"] or "en", neutral=neutral)
    if again.text != row["alt_text"]:
        known = {flag["rule"] for flag in row["alt_flags"] or ()}
        broken = [flag.rule for flag in again.flags if flag.rule not in known] or ["capital, spaces or full stop"]
        yield f"its alt text does not keep the rules of {policy} ({', '.join(broken)})"


@cache
def _policies() -> dict[str, tuple[str, bool]]:
    """Return the policy of each digest, and whether it takes people's gender out of the words."""
    shares = [(None, "hedge"), *((share, unsure) for share in range(1, 100) for unsure in UNSURE)]
    return {
        policy_digest(name, neutral=neutral, most_wrong=share, unsure=unsure): (name, neutral)
        for name in POLICIES
        for neutral in (False, True)
        for share, unsure in shares
    }


_RULES: tuple[Callable[[Row], Iterator[str]], ...] = (
    *(_identity, _reasons, _belonging, _numbers, _place_of_clip, _words),
)
