"""Helpers of the exports' tests: a small narrated folder with every kind of row, and decisions about it."""

import csv
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from narrating import BROKEN, Runs, make_photo

from flows.exports.exporting import export
from flows.exports.published import Tally
from flows.exports.settings import Export
from flows.manifest import Manifest
from flows.records import Row
from flows.reviews import Decision, Reviews, now

ODD = 'an <odd> & "quoted" name.png'


def narrate_every_kind(folder: Path, captioner: Path, voice: Path) -> Runs:
    """Narrate photos whose rows are described, by the table's words, decorative, and refused."""
    folder.mkdir(parents=True, exist_ok=True)
    runs = Runs(folder, captioner, voice)
    for seed, name in enumerate(("a.png", "b.png", "town/c.png", ODD, "line.png")):
        make_photo(runs.photos / name, seed)
    (runs.photos / "broken.jpg").write_bytes((BROKEN / "zeros.jpg").read_bytes())
    table = folder / "own.csv"
    with table.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [
                ["id", "title", "alt_text", "decorative", "sku"],
                ["b.png", "The bay", "=A bay, & two < three ships.", "", "-7"],
                ["line.png", "", "", "yes", ""],
            ]
        )
    runs.run(table=str(table), shard_size=8)
    return runs


@dataclass
class Exported:
    """An output folder of a test's own."""

    out: Path
    photos: Path

    def write(self, to: str, **told: Any) -> tuple[Path, Tally]:
        """Write one export."""
        return export(Export(self.out, to, **told))

    def rows(self) -> dict[str, Row]:
        """Return the manifest's rows by id."""
        return {row["id"]: row for _, row in Manifest(self.out).read(())}

    def change(self, photo_id: str, **columns: Any) -> None:
        """Change columns of one row."""
        manifest = Manifest(self.out)
        places = {row["id"]: part for part, row in manifest.read(("id",))}
        part = places[photo_id]
        manifest.commit({part: [manifest.row(part, photo_id) | columns]}, [])

    def decide(self, photo_id: str, action: str, new: str = "", reason: str = "") -> None:
        """Let Ann decide about a row."""
        row, reviews = self.rows()[photo_id], Reviews(self.out)
        old = row["alt_text"]
        told = Decision(photo_id, row["sha256"], action, "Ann", now(), old, new or old, reason)  # type: ignore[arg-type]
        reviews.decide(told, seen=reviews.seen(photo_id, row["sha256"]))

    def command(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run `narrate` in a process of its own."""
        command = [sys.executable, "-m", "flows", *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def own_copy(runs: Runs, folder: Path) -> Exported:
    """Copy a narrated folder, so that a test may change it; its rows name the copies of the photos."""
    copy = Exported(folder / "out", folder / "photos")
    shutil.copytree(runs.out, copy.out)
    shutil.copytree(runs.photos, copy.photos)
    manifest = Manifest(copy.out)
    for part in manifest.parts:
        rows = manifest.part(part).to_pylist()
        old, new = runs.photos.as_uri(), copy.photos.as_uri()
        manifest.commit({part: [row | {"uri": row["uri"].replace(old, new)} for row in rows]}, [])
    return copy
