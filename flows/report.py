"""The run in numbers."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from flows.addresses import anywhere
from flows.console import amount
from flows.job import Job
from flows.records import Counts, Row, Summary, Work
from flows.schema import FAILURES


def tally(summary: Summary, results: Sequence[tuple[Work, Row]]) -> None:
    """Add the committed rows of one shard to the run's numbers."""
    for work, row in results:
        status = "failed" if row["reason"] in FAILURES else row["status"]
        setattr(summary.counts, status, getattr(summary.counts, status) + 1)
        summary.counts.left -= 1
        if row["reason"] is not None:
            summary.reasons[row["reason"]] = summary.reasons.get(row["reason"], 0) + 1
            summary.first.setdefault(row["reason"], row["id"])
        summary.captioned += work.caption is not None and not work.reuses_caption
        summary.spoken += work.clip is not None and not work.reuses_raw
        summary.bursts += work.burst_of is not None
        summary.remastered += work.clip is not None and work.reuses_raw
        summary.audio_s += work.clip.duration_s if work.clip is not None else 0.0


def has_failed(job: Job, counts: Counts) -> bool:
    """Return whether more of the photos that a run committed failed than the job puts up with."""
    number = float(job.max_failed.removesuffix("%"))
    share = job.max_failed.endswith("%")
    return counts.failed > (number / 100 * counts.committed if share else number)


def count_line(counts: Counts) -> str:
    """Return the counts in one line for a person."""
    parts = [f"{counts.described} described", f"{counts.taken_over} taken over from before"]
    parts += [f"{counts.decorative} decorative"] if counts.decorative else []
    parts += [f"{counts.refused} refused", f"{counts.failed} failed"]
    parts += [f"{counts.left} left for another run"] if counts.left else []
    return f"{amount(counts.found, 'photo')}: " + ", ".join(parts)


def reason_line(summary: Summary) -> str:
    """Return the reasons of refused and failed photos in one line, the commonest first; empty where there are none."""
    ordered = sorted(summary.reasons.items(), key=lambda pair: (-pair[1], pair[0]))
    return ", ".join(f"{count} {reason}" for reason, count in ordered)


def count_table(summary: Summary) -> list[dict[str, str | int]]:
    """Return the counts by status and reason as a table's rows, failures first, with the first photo of each reason."""
    statuses = {"described": summary.counts.described, "taken over": summary.counts.taken_over}
    statuses |= {"decorative": summary.counts.decorative, "left": summary.counts.left}
    table: list[dict[str, str | int]] = []
    for reason, count in sorted(summary.reasons.items(), key=lambda pair: (pair[0] not in FAILURES, -pair[1], pair[0])):
        status, first = "failed" if reason in FAILURES else "refused", summary.first.get(reason, "")
        table.append({"status": status, "reason": reason, "photos": count, "first": first})
    table += [{"status": name, "reason": "", "photos": count, "first": ""} for name, count in statuses.items() if count]
    return table


def account(job: Job, summary: Summary, began: datetime) -> dict[str, object]:
    """Return what a run leaves of itself: its settings, which `narrate run --job` takes again, and its numbers."""
    numbers = asdict(summary)
    del numbers["run_id"], numbers["prefect_is_away"], numbers["called_s"]
    numbers["orchestration_s"] = summary.orchestration_s
    settings = job.model_dump(mode="json")
    settings |= {name: anywhere(settings[name]) for name in ("photos", "out")}
    return {"run_id": summary.run_id, "began": began.isoformat(), "job": settings} | numbers
