"""The static page of a run: photos, alt text and clips, at most 200 rows a page, so that it opens from any disk."""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from flows import paths
from flows.manifest import Manifest, write_text
from flows.records import Summary
from flows.report import count_line

if TYPE_CHECKING:
    from jinja2 import Template

ROWS_A_PAGE = 200
"""More would make a browser slow."""

_COLUMNS = ("id", "uri", "status", "message", "alt_text", "alt_flags", "language", "audio_path", "missing_since")


def write_pages(out: Path, manifest: Manifest, summary: Summary) -> None:
    """Write `OUT/report/index.html` and the pages after it; each is renamed into place whole."""
    first = paths.report_path(out)
    total = manifest.count()
    pages = max(1, -(-total // ROWS_A_PAGE))
    rows, template = (row for _, row in manifest.read(_COLUMNS)), _template()
    for number in range(1, pages + 1):
        batch = list(islice(rows, ROWS_A_PAGE))
        place = {"first": (number - 1) * ROWS_A_PAGE + bool(batch), "last": (number - 1) * ROWS_A_PAGE + len(batch)}
        whole = {"name": page_name, "pages": pages, "total": total, "counts": count_line(summary.counts)}
        text = template.render(rows=batch, number=number, run_id=summary.run_id, **place, **whole)
        write_text(first.with_name(page_name(number)), text, paths.scratch_folder(out))
    _remove_after(first.parent, pages)


def page_name(number: int) -> str:
    """Return the file name of page `number`, from 1."""
    return "index.html" if number == 1 else f"page-{number}.html"


def _remove_after(folder: Path, pages: int) -> None:
    """Remove pages of an earlier, longer report."""
    number = pages + 1
    while (stale := folder / page_name(number)).is_file():
        stale.unlink()
        number += 1


def _template() -> "Template":
    from jinja2 import Environment, PackageLoader

    return Environment(loader=PackageLoader("flows"), autoescape=True).get_template("report.html")
