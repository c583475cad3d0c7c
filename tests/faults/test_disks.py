"""A disk that fills up in mid-run, and one that is read-only: said in a line, nothing torn, the next run finishes."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from killing import Forks, narrate
from narrating import Runs, make_photos, settled_rows
from trials import torn

from flows.verify import Verification


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Return a disk of 80 MB; skip where nothing can be mounted."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=80m", "tmpfs", str(place)]
    mounted = subprocess.run(command, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no small disk can be mounted here: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@pytest.fixture
def runs(disk: Path, tmp_path: Path, curt_captioner: Path, tiny_voice: Path) -> Runs:
    """Return quick runs whose output folder is on the small disk."""
    runs = Runs(tmp_path, curt_captioner, tiny_voice)
    runs.out = disk / "out"
    runs.settings |= {"format": "wav", "shard_size": 4, "out": runs.out}
    return runs


def fill(disk: Path) -> Path:
    """Write a file until there is no room, and return it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 16))
        except OSError:
            return ballast


def test_a_disk_that_fills_up_ends_the_run_in_a_line_and_the_next_run_finishes(runs: Runs, disk: Path, forks: Forks):
    make_photos(runs.photos, 60)
    process = forks.start(runs.out, disk.parent / "trace", narrate, runs.settings)
    while not (runs.out / "manifest").is_dir():
        assert process.process.is_alive(), process.said()
    os.killpg(process.process.pid, signal.SIGSTOP)
    ballast = fill(disk)
    os.killpg(process.process.pid, signal.SIGCONT)

    assert process.end() == 1
    assert "No space left on device" in process.said().splitlines()[-1]
    assert torn(runs.out) == 0
    ballast.unlink()
    assert runs.run().counts.taken_over > 0
    runs.run(out=disk.parent / "undisturbed")
    assert settled_rows(runs.out) == settled_rows(disk.parent / "undisturbed")
    assert list(Verification(runs.out, with_photos=True).findings()) == []


def test_a_read_only_disk_is_said_before_work_begins_and_can_be_verified(runs: Runs, disk: Path):
    make_photos(runs.photos, 2)
    runs.run()
    make_photos(runs.photos, 3)
    subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)

    result = runs.spawn()

    assert result.returncode == 2
    assert "the output folder cannot be written (Read-only file system)" in result.stderr
    assert list(Verification(runs.out, with_photos=True).findings()) == []
