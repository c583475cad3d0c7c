"""What Prefect shows of a run: a line and a step of the bar a shard, then a table of what came out and a summary."""

import logging
from collections.abc import Callable
from pathlib import PurePath, PurePosixPath
from typing import Any

from flows import paths
from flows.console import duration
from flows.job import Job
from flows.records import Summary
from flows.report import count_line, count_table
from flows.storage import Folder


class PrefectWatcher:
    """Keeps the flow run's log and its artifacts; what cannot be written ends no run."""

    def __init__(self, job: Job, say: Callable[[str], None]) -> None:
        """Make nothing yet: the first shard does. `say` is told, once, that Prefect is away."""
        from prefect.logging import get_run_logger

        logging.getLogger("prefect.task_runs").setLevel(logging.WARNING)  # a line a shard, not one more a stage
        self._job, self._log = job, get_run_logger()
        self._progress: Any = None
        self._shards = 0
        self._say, self.is_away = say, False

    def shard_done(self, summary: Summary, to_do: int) -> None:
        """Write one line and move the progress artifact."""
        from prefect.artifacts import create_progress_artifact, update_progress_artifact

        self._shards += 1
        counts = summary.counts
        told = f"{counts.committed} of {to_do} photos committed, {counts.refused} refused, {counts.failed} failed"
        self._try(self._log.info, f"shard {self._shards}: {told}")
        percent = 100.0 * counts.committed / max(1, to_do)
        if self._progress is None:
            description = f"Photos done, of {to_do}"
            self._progress = self._try(
                create_progress_artifact, percent, key="narrate-progress", description=description
            )
        else:
            self._try(update_progress_artifact, self._progress, progress=percent)

    def finished(self, summary: Summary) -> None:
        """Write the table of counts by status and reason, and the summary."""
        from prefect.artifacts import create_markdown_artifact, create_table_artifact

        line = trouble_first(summary)
        self._try(create_table_artifact, count_table(summary), key="narrate-results", description=line)
        self._try(create_markdown_artifact, in_markdown(self._job, summary), key="narrate-summary", description=line)

    def _try(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        if self.is_away:
            return None
        try:
            return function(*arguments, **options)
        except Exception as error:  # noqa: BLE001 - what is only watched must not fail
            self.is_away = True
            self._say(f"Prefect is away ({first_line(error)}); the run goes on.")
            return None


def run_name(photos: str, began: str) -> str:
    """Return what a run is called in the UI: the folder of its photos and when it began."""
    parts = [part for part in PurePath(photos).parts if not set(part) & set("*?[")]
    return f"{parts[-1] if parts else photos} {began}"


def trouble_first(summary: Summary) -> str:
    """Return the counts so that a card of Prefect's, which shows some 35 characters, shows what went wrong."""
    counts = summary.counts
    named = {"failed": counts.failed, "refused": counts.refused, "described": counts.described}
    named |= {"decorative": counts.decorative, "taken over": counts.taken_over, "left": counts.left}
    return ", ".join(f"{count} {name}" for name, count in named.items() if count) or "no photos"


def in_markdown(job: Job, summary: Summary) -> str:
    """Return the run as a page for Prefect's UI: what came out, how fast, and where the time went."""
    counts = summary.counts
    lines = [f"# {count_line(counts)}", "", f"Photos: `{job.photos}`  ", f"Output: `{job.out}`  "]
    if summary.interrupted:
        lines.append(f"**Stopped by {summary.interrupted}**: the next run does what is left.  ")
    if counts.committed:
        pace = f"{counts.committed / max(summary.wall_s, 1e-3):.2f} photos a second"
        made = f"{summary.captioned} captions, {summary.spoken} clips, {duration(summary.audio_s)} of speech"
        lines.append(f"**{pace}**: {counts.committed} photos in {duration(summary.wall_s)}; {made}  ")
    lines.append(f"Report: [{paths.report_path(job.out)}]({_link(paths.report_path(job.out))})  ")
    lines.append(f"Settings and numbers: [{summary.run_id}.json]({_link(paths.run_path(job.out, summary.run_id))})")
    return "\n".join([*lines, *_reasons(summary), *_time(summary)])


def _reasons(summary: Summary) -> list[str]:
    """Return the refused and failed photos by reason, with the first of each."""
    if not summary.reasons:
        return []
    rows = [
        f"| {row['status']} | {row['reason']} | {row['photos']} | `{row['first']}` |"
        for row in count_table(summary)
        if row["reason"]
    ]
    return ["", "## Refused and failed", "", "| status | reason | photos | the first |", "|---|---|--:|---|", *rows]


def _time(summary: Summary) -> list[str]:
    """Return the seconds of each stage, the longest first; stages of neighbouring shards run side by side."""
    seconds = dict(summary.stage_seconds)
    whole = sum(seconds.values())
    if whole <= 0:
        return []
    if summary.called_s > 0:
        seconds["Prefect"] = summary.orchestration_s
    rows = [
        f"| {name} | {spent:.1f} | {100 * spent / (whole + seconds.get('Prefect', 0.0)):.0f} % |"
        for name, spent in sorted(seconds.items(), key=lambda pair: -pair[1])
    ]
    return ["", "## Where the time went", "", "| stage | seconds | share |", "|---|--:|--:|", *rows]


def _link(place: Folder) -> str:
    """Return the address of a file; browsers open it from their address line, but by no link on a web page."""
    return PurePosixPath(place).as_uri() if isinstance(place, PurePath) and place.is_absolute() else str(place)


def first_line(error: BaseException | None) -> str:
    """Return the first line of an error's words, its kind where it has none."""
    return (str(error).splitlines() or [type(error).__name__])[0]
