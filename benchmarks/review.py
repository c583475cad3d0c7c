"""How soon the next row is there in `narrate review` over 100,000 rows, in a real browser.

Makes a manifest of synthetic rows, serves it, approves rows by the key A, and measures in the page itself: from the key
to the next photo's name and text on the page (the answer of the disk and its sync included). Also how long the static
page takes to show its first 200 rows and to sort all of them. Writes review.csv beside this file.
"""

import argparse
import csv
import random
import shutil
import statistics
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import uvicorn
from playwright.sync_api import sync_playwright

from flows.manifest import Manifest
from flows.page import write_pages
from flows.records import Summary
from flows.review import Desk, _listen, make_app
from flows.schema import SCHEMA

NEXT = """async () => {
  const before = document.querySelector('#desk-title').textContent;
  const began = performance.now();
  document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'a', bubbles: true }));
  while (document.querySelector('#desk-title').textContent === before) await new Promise(requestAnimationFrame);
  return performance.now() - began;
}"""


def write_rows(out: Path, count: int) -> None:
    """Write a manifest of `count` synthetic rows in parts of 512."""
    chance = random.Random(1)
    (out / "manifest").mkdir(parents=True)
    for part, start in enumerate(range(0, count, 512)):
        rows = [
            dict.fromkeys(SCHEMA.names)
            | {"id": f"folder-{n % 97:02d}/photo-{n:06d}.jpg", "sha256": f"{n:064x}", "status": "described"}
            | {"alt_text": f"A dog runs over field number {n}.", "caption": f"a dog runs over field number {n}"}
            | {"alt_flags": [], "language": "en", "mean_logprob": -chance.random(), "confidence": chance.random()}
            | {"captioner": "c", "words_by": "captioner", "width_px": 400, "height_px": 300}
            for n in range(start, min(start + 512, count))
        ]
        pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), out / "manifest" / f"part-{part:06d}.parquet")


def measure_review(out: Path, browser: Any, steps: int) -> list[float]:
    """Return the milliseconds from the key to the next row, `steps` times."""
    listener = _listen("127.0.0.1", 0)
    host = f"127.0.0.1:{listener.getsockname()[1]}"
    app = make_app(Desk(out, "Ann"), "token", [host], is_open=False)
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    page = browser.new_page()
    page.goto(f"http://{host}/", timeout=120_000)
    page.wait_for_function("() => document.querySelector('#text')?.value", timeout=120_000)
    page.wait_for_timeout(1000)
    found = [float(page.evaluate(NEXT)) for _ in range(steps)]
    page.close()
    server.should_exit = True
    thread.join(20)
    return found


def measure_report(out: Path, browser: Any) -> tuple[float, float, float]:
    """Return seconds to write the static page, milliseconds to its first rows and to all rows sorted."""
    began = time.perf_counter()
    write_pages(out, Manifest(out), Summary("benchmark"))
    written = time.perf_counter() - began
    page = browser.new_page()
    began = time.perf_counter()
    page.goto((out / "report" / "index.html").as_uri())
    page.wait_for_selector(".row", timeout=120_000)
    shown = (time.perf_counter() - began) * 1000
    began = time.perf_counter()
    page.select_option("[name=sort]", "doubt")
    page.wait_for_function("() => page.sorted === 'doubt'", timeout=120_000)
    return written, shown, (time.perf_counter() - began) * 1000


def main() -> None:
    """Measure, print and write the figures."""
    parser = argparse.ArgumentParser(description="Measure the review page over many rows.")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--steps", type=int, default=50)
    options = parser.parse_args()
    out = Path(tempfile.mkdtemp(prefix="review-")) / "out"
    write_rows(out, options.rows)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        steps = measure_review(out, browser, options.steps)
        written, shown, ordered = measure_report(out, browser)
        browser.close()
    shutil.rmtree(out.parent)
    rows = [
        ("next row, median ms", statistics.median(steps)),
        ("next row, slowest of all ms", max(steps)),
        ("static page written, s", written),
        ("static page, first rows ms", shown),
        ("static page, sorted ms", ordered),
    ]
    with Path(__file__).with_suffix(".csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["rows", "what", "value"])
        for name, value in rows:
            writer.writerow([options.rows, name, round(value, 1)])
            print(f"{name}: {value:.1f}")


if __name__ == "__main__":
    main()
