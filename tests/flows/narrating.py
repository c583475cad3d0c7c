"""Helpers of the run's tests: photos to narrate, a run, and what came out."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from PIL import Image

from flows.console import Console
from flows.job import Job
from flows.records import Summary
from flows.run import run

BROKEN = Path(__file__).parents[1] / "photos"


def make_photo(path: Path, seed: int) -> Path:
    """Write a small photo whose picture follows from `seed`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((80, 60)).save(path)
    return path


def make_photos(folder: Path, count: int) -> list[Path]:
    """Write `count` different photos."""
    return [make_photo(folder / f"{number:03d}.png", number) for number in range(count)]


def settled_rows(out: Path) -> list[dict[str, Any]]:
    """Return the rows of a manifest without what differs from run to run."""
    table = pq.read_table(out / "manifest")
    passing = [name for name in table.column_names if name in ("run_id", "committed_at") or name.startswith("seconds_")]
    return table.drop_columns(passing).to_pylist()


class Runs:
    """Runs over one folder of photos into one output folder, with small models."""

    def __init__(self, folder: Path, captioner: Path, voice: Path) -> None:
        self.photos, self.out = folder / "photos", folder / "out"
        self.photos.mkdir()
        self.settings: dict[str, Any] = {"photos": str(self.photos), "out": self.out, "engine": "none"}
        self.settings |= {"captioner": str(captioner), "voice": str(voice)}

    def run(self, **settings: Any) -> Summary:
        """Run in this process."""
        return run(Job(**(self.settings | settings)), Console())

    def command(self, *options: str, **settings: Any) -> list[str]:
        """Return the command line of the same run."""
        whole = self.settings | settings
        given = [
            (f"--{name}".replace("_", "-"), str(value))
            for name, value in whole.items()
            if name not in ("photos", "out")
        ]
        words = [word for pair in given for word in pair]
        return [sys.executable, "-m", "flows", "run", str(whole["photos"]), str(whole["out"]), *words, *options]

    def spawn(
        self, *options: str, environment: dict[str, str] | None = None, **settings: Any
    ) -> "subprocess.CompletedProcess[str]":
        """Run the command in a process of its own and return what it said."""
        command = self.command(*options, **settings)
        return subprocess.run(
            command, capture_output=True, text=True, env=os.environ | (environment or {}), timeout=240, check=False
        )

    def rows(self) -> pd.DataFrame:
        """Return the manifest as a plain reader sees it, by id."""
        rows = pd.read_parquet(self.out / "manifest").set_index("id")
        assert rows.index.is_unique
        return rows

    def clips(self) -> dict[str, bytes]:
        """Return every file under `audio`, by path."""
        return {
            str(path.relative_to(self.out)): path.read_bytes() for path in self.out.glob("audio/**/*") if path.is_file()
        }
