"""What the commands print, and what they end with."""

import os
import sys
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import click

from flows import paths
from flows.console import Console, amount, counting, duration, size
from flows.job import Job
from flows.records import Summary
from flows.report import count_line, has_failed, reason_line
from flows.stopping import EXIT_STATUS
from flows.storage import Folder

if TYPE_CHECKING:
    from captioner.captioning import Wanted
    from flows.exports.settings import Export
    from flows.search import Query

SHOWN_ROWS = 30
"""Rows of the table that `--show` prints."""


def run(job: Job, *, show: bool) -> int:
    """Run `job`, print its outcome and return the exit status."""
    from flows import run as runs

    summary = runs.run(job, Console())
    if show:
        print_rows(job.out)
    if summary.interrupted is None:
        click.echo(f"Clips: {job.out / 'audio'}  Manifest: {paths.manifest_folder(job.out)}")
        click.echo(f"Page: {paths.report_path(job.out)}")
    print_outcome(summary)
    status = EXIT_STATUS[summary.interrupted] if summary.interrupted else int(has_failed(job, summary.counts))
    if summary.prefect_is_away:  # it would try for minutes to send what it has left
        sys.stdout.flush()
        os._exit(status)
    return status


def print_outcome(summary: Summary) -> None:
    """Print the reasons, the photos gone, the pace, and the counts last."""
    if summary.reasons:
        click.echo(f"Reasons: {reason_line(summary)}")
    if summary.bursts:
        click.echo(
            f"Bursts: {summary.bursts} photos took the words of another one taken seconds apart that looks alike"
        )
    if summary.missing:
        click.echo(f"Gone: {summary.missing} rows have a photo that is no longer there; they and their clips are kept")
    if summary.spoken:
        pace = summary.counts.committed / max(summary.wall_s, 1e-3)
        made = f"{amount(summary.spoken, 'clip')}, {duration(summary.audio_s)} of speech"
        click.echo(f"Made: {made}, in {duration(summary.wall_s)} ({pace:.1f} photos/s)")
    click.echo(count_line(summary.counts))


def dry_run(job: Job) -> int:
    """Print what `job` would do; return the exit status."""
    from flows import run as runs

    amounts, expected = runs.dry_run(job)
    photos = min(amounts.to_do, job.limit or amounts.to_do)
    click.echo(f"{amount(amounts.found, 'photo')} found: {amounts.taken_over} stand from before, {amounts.to_do} to do")
    if amounts.gone:
        click.echo(f"{amounts.gone} rows have a photo that is no longer there; they would be kept and marked")
    basis = "by this folder's last run" if expected.measured else "by what two cores take"
    click.echo(f"This run would narrate {amount(photos, 'photo')} in about {duration(expected.seconds)} ({basis})")
    click.echo(f"and write about {size(expected.written_bytes)} to {job.out}. Nothing was written.")
    return 0


def calibrate(wanted: "Wanted", photos: Path, device: str, sheet: Path | None) -> int:
    """Calibrate a captioner on captioned photos, print what was measured and return the exit status."""
    from captioner.calibrating import calibrate as calibrate_on
    from captioner.calibrating import photos_to_calibrate_on
    from flows.devices import choose_device

    wanted.describe()
    examples = photos_to_calibrate_on(photos)
    with ExitStack() as stack:
        told = calibrate_on(
            wanted, examples, choose_device(device), sheet,
            lambda count: stack.enter_context(counting(count, "captioning")),
        )  # fmt: skip
    click.echo(told)
    click.echo(f"\nWritten to {wanted.describe().calibration}; rows are described again by the next run.")
    return 0


def verify(out: Folder, *, photos: bool) -> int:
    """Check an output folder, print what does not hold, one line each, and return the exit status."""
    from flows.verify import Verification

    check = Verification(out, with_photos=photos)
    with counting(check.count(), "checking rows") as advance:
        for finding in check.findings(advance):
            click.echo(str(finding))
    seen = f"{check.rows} rows and {check.clips} clips with {duration(check.audio_s)} of sound"
    click.echo(f"{seen}: {check.found} things do not hold" if check.found else f"{seen}: all of it holds")
    return int(check.found > 0)


def export(told: "Export") -> int:
    """Write an export, print where it is and which rows are not in it and why, and return the exit status."""
    from flows.exports import exporting
    from flows.exports.published import Tally

    tally = Tally()
    try:
        with counting(exporting.opened(told.out).count(), f"writing {told.to}") as advance:
            place, _ = exporting.export(told, advance, tally)
    finally:
        for line in tally.lines():
            click.echo(line, err=True)
    beside = "in the photos" if told.in_place else "beside the photos"
    click.echo(f"{amount(tally.written, 'row')}: {beside if place == Path() else place}")
    return int(tally.faults > 0)


def learn(out: Path, captioner: str, data: Path | None) -> int:
    """Learn from reviewers, print what came of it, and return the exit status."""
    from flows import learn as learning

    with counting(learning.COURSE.steps, "learning") as advance:
        found, lesson = learning.teach(out, captioner, data, advance)
    for line in learning.told(out, found, lesson):
        click.echo(line)
    return 0


def unlearn(out: Path) -> int:
    """Take the captioner that was learned last back, say which one is in use now, and return the exit status."""
    from flows.learned import undo

    now = undo(out)
    click.echo(f"The next run uses {paths.learned_folder(out) / now if now else 'the captioner that it names'}")
    return 0


def print_rows(out: Folder) -> None:
    """Print the manifest's first rows as a table of photo, alt text and length."""
    from rich.console import Console as RichConsole
    from rich.table import Table
    from rich.text import Text

    from flows.manifest import Manifest

    table = Table("photo", "alt text", "clip")
    manifest = Manifest(out)
    for _, row in islice(manifest.read(("id", "alt_text", "status", "message", "duration_s")), SHOWN_ROWS):
        told = (
            row["alt_text"]
            if row["status"] == "described"
            else ": ".join(filter(None, (row["status"], row["message"])))
        )
        table.add_row(Text(row["id"]), Text(told), f"{row['duration_s']:.1f} s" if row["duration_s"] else "")
    if (more := manifest.count() - SHOWN_ROWS) > 0:
        table.caption = f"and {more} more"
    RichConsole().print(table)


def index(out: str, captioner: str) -> str:
    """Keep the features of all photos that have none; return what was done, in a line."""
    from flows import search as searching

    return searching.index(out, captioner)


def search(query: "Query", *, as_json: bool) -> int:
    """Search, write the page, print what was found and return the exit status."""
    import json

    from flows import search as searching
    from flows.search_page import write_results

    hits = searching.search(query)
    page = write_results(query, hits)
    if as_json:
        click.echo(json.dumps(hits, indent=2, ensure_ascii=False))
        return 0
    for hit in hits:
        click.echo(f"{hit['score']:6.2f}  {hit['id']}  {hit['text']}")
    mend = "; try other words, or --by meaning" if query.goes_by == "words" else ""
    click.echo(f"{amount(len(hits), 'photo')}: {page}" if hits else f"nothing was found{mend}")
    return 0
