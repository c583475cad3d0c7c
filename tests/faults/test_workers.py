"""A worker process that is killed, and photos that change while they are read: one row each, each of one picture."""

import hashlib
import os
import signal
import threading
from pathlib import Path

import pytest
from killing import open_or_die
from narrating import Runs, make_photo, make_photos

from captioner.records import Photo
from flows import run as runs_module
from flows.workers import Workers

pytestmark = pytest.mark.faults


def test_a_worker_that_is_killed_takes_one_photo_with_it_and_no_other(tmp_path: Path):
    paths = [*make_photos(tmp_path, 5), make_photo(tmp_path / "poison.png", 9)]
    with Workers(2) as workers:
        outcomes = workers.map(open_or_die, [str(path) for path in paths], [64] * 6)
        again = workers.map(open_or_die, [str(paths[0])], [64])

    assert [type(outcome) for outcome in outcomes] == [Photo] * 5 + [MemoryError]
    assert isinstance(again[0], Photo)


def test_a_run_whose_workers_are_killed_describes_every_photo(runs: Runs, monkeypatch: pytest.MonkeyPatch):
    make_photos(runs.photos, 40)
    killed: list[int] = []
    monkeypatch.setattr(runs_module, "decoders", lambda _device: Murdered(2, killed))

    summary = runs.run(shard_size=8)

    assert len(killed) == 3
    assert (summary.counts.described, summary.counts.failed) == (40, 0)


class Murdered(Workers):
    """Workers of which one is killed while it works, three times."""

    def __init__(self, count: int, killed: list[int]) -> None:
        super().__init__(count)
        self.killed = killed

    def map(self, function, *iterables):  # noqa: ANN001, ANN002
        calls = list(zip(*iterables, strict=True))
        if len(self.killed) < 3 and calls:
            self._pool.submit(os.getpid).result()  # now there are workers
            victim = next(iter(self._pool._processes))
            self.killed.append(victim)
            os.kill(victim, signal.SIGKILL)
        return super().map(function, *zip(*calls, strict=True))


def test_photos_that_change_while_they_are_read_get_one_row_each_of_one_picture(runs: Runs, tmp_path: Path):
    """A writer replaces their bytes in place all the while; what a row says is of the bytes that it has the hash of."""
    pictures = [make_photo(tmp_path / f"version-{seed}.png", seed).read_bytes() for seed in (1, 2)]
    targets = make_photos(runs.photos, 12)
    done = threading.Event()

    def rewrite() -> None:
        turn = 0
        while not done.is_set():
            for path in targets:
                path.write_bytes(pictures[turn % 2])
            turn += 1

    writer = threading.Thread(target=rewrite)
    writer.start()
    try:
        runs.run(shard_size=4)
    finally:
        done.set()
        writer.join()
    seen = runs.rows()
    for path in targets:
        path.write_bytes(pictures[0])
    runs.run()
    settled = runs.rows()
    last = hashlib.sha256(pictures[0]).hexdigest()

    assert len(seen) == len(settled) == 12
    described = seen[seen["status"] == "described"]
    assert (described.groupby("sha256")["alt_text"].nunique() == 1).all()
    assert set(settled["sha256"]) == {last}
    assert set(settled["status"]) == {"described"}
    assert settled["alt_text"].nunique() == 1
