"""Kills at drawn moments, what they leave behind, and what the run after them makes of it."""

import hashlib
import json
import random
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from killing import AUDIO_RENAME, OTHER, PART_RENAME, Aim, Fork, Forks, narrate
from narrating import settled_rows

BY_THE_CLOCK = "clock"
PHOTOS, SHARD_SIZE = 200, 8


@dataclass(frozen=True)
class Target:
    """One kill as it was drawn."""

    aim: str
    """`clock`, or the kind of write that it is aimed at."""
    progress: float
    """Where in the work of an undisturbed run it lies, 0 to 1."""
    after: bool = False
    """Whether the write that it is aimed at has been made."""


@dataclass(frozen=True)
class Kill:
    """One kill as it came about: a line of the CSV."""

    scenario: str
    trial: int
    """The output folder: kills of the same trial hit the runs that follow each other in one folder."""
    aim: str
    """What it was aimed at: the clock, or a kind of write before or after it was made."""
    drawn_progress: float
    """The moment that was drawn: share of an undisturbed run's work, from its first write to its last."""
    seconds: float
    """The last write that was begun, in seconds after this run's first one."""
    last_write: str
    """Its kind."""
    last_path: str
    """Its file below the output folder."""
    rows_committed: int
    """Rows that this and the runs before it had committed when it died."""
    rows_lost: int
    """Committed rows that are not there any more."""
    rows_doubled: int
    """Rows that are there twice, and committed rows that were made again."""
    clips_torn: int
    """Clips that are not the ones that their rows have the hash of, those in the journal left aside."""
    rows_wrong_at_end: int = 0
    """Rows, after one run to the end, that are not those of an undisturbed run."""
    clips_wrong_at_end: int = 0
    """Files under `audio`, after one run to the end, that are not those of an undisturbed run byte for byte."""

    @property
    def faults(self) -> int:
        """How much is wrong."""
        return self.rows_lost + self.rows_doubled + self.clips_torn + self.rows_wrong_at_end + self.clips_wrong_at_end


class Scenario:
    """Runs of one job into copies of one output folder, and what an undisturbed one makes and takes."""

    def __init__(self, name: str, forks: Forks, folder: Path, settings: dict[str, Any], start: Path | None) -> None:
        """Run undisturbed, once, in a copy of `start`; None starts from nothing."""
        self.name, self.forks, self.folder, self.settings, self.begun_from = name, forks, folder, settings, start
        self.before = set(committed_by(start).values()) if start else set[str]()
        self.undisturbed = self._new_folder(f"{name}-undisturbed")
        fork = self._start(self.undisturbed)
        assert fork.end() == 0, fork.said()
        writes = fork.writes()
        self.span_s = writes[-1].time_s - writes[0].time_s
        self.counts = Counter(write.kind for write in writes)
        assert len(self.done(self.undisturbed)) == PHOTOS

    def trial(self, number: int, targets: Sequence[Target]) -> list[Kill]:
        """Kill one run after the other in one folder at `targets`, run once to the end, and say what came of it."""
        out, kills, done = self._new_folder(f"{self.name}-{number}"), list[Kill](), dict[str, str]()
        for target in sorted(targets, key=lambda target: target.progress):
            fork = self._kill(out, target, len(done) / PHOTOS)
            if fork.end() == -9:
                kills.append(self._kill_of(number, target, fork, out, done))
            done = self.done(out)
        fork = self._start(out)
        assert fork.end() == 0, fork.said()
        again = made_again(done, self.done(out)) + (captioned_by_last_run(out) > PHOTOS - len(done))
        rows = different(settled(out), settled(self.undisturbed)) + again
        clips = different(clip_hashes(out), clip_hashes(self.undisturbed))
        assert {path.name for path in (out / ".narrate").iterdir()} <= {"lock"}
        shutil.rmtree(out)
        return [replace(kill, rows_wrong_at_end=rows, clips_wrong_at_end=clips) for kill in kills]

    def done(self, out: Path) -> dict[str, str]:
        """Return the id and run of each row that the runs of this scenario have committed."""
        return {photo: run for photo, run in committed_by(out).items() if run not in self.before}

    def _new_folder(self, name: str) -> Path:
        out = self.folder / name
        if self.begun_from:
            shutil.copytree(self.begun_from, out)
        return out

    def _start(self, out: Path, aim: Aim | None = None) -> Fork:
        return self.forks.start(out, self.folder / f"{out.name}.trace", narrate, self.settings | {"out": out}, aim=aim)

    def _kill(self, out: Path, target: Target, progress: float) -> Fork:
        """Start a run and kill it when the work in the folder, now at `progress`, is about at the target's."""
        left = max(0.0, target.progress - progress)
        if target.aim == BY_THE_CLOCK:
            fork = self._start(out)
            fork.kill_after(left * self.span_s)
            return fork
        return self._start(out, Aim(target.aim, max(1, round(left * self.counts[target.aim])), target.after))

    def _kill_of(self, number: int, target: Target, fork: Fork, out: Path, done: dict[str, str]) -> Kill:
        writes, now = fork.writes(), self.done(out)
        place = "" if target.aim == BY_THE_CLOCK else " made" if target.after else " begun"
        return Kill(
            scenario=self.name,
            trial=number,
            aim=target.aim + place,
            drawn_progress=round(target.progress, 3),
            seconds=round(writes[-1].time_s - writes[0].time_s, 3),
            last_write=writes[-1].kind,
            last_path=writes[-1].path,
            rows_committed=len(now),
            rows_lost=len(done.keys() - now.keys()),
            rows_doubled=made_again(done, now) + doubled(out),
            clips_torn=torn(out),
        )


def draw(kills: int, seed: int) -> list[Target]:
    """Return `kills` targets at moments drawn over the whole of a run, in a drawn order: four of ten by the clock."""
    chance = random.Random(seed)
    kinds = [BY_THE_CLOCK, AUDIO_RENAME, PART_RENAME, BY_THE_CLOCK, AUDIO_RENAME, PART_RENAME, BY_THE_CLOCK, OTHER]
    targets = [Target(kinds[n % len(kinds)], chance.random(), bool(n // len(kinds) % 2)) for n in range(kills)]
    chance.shuffle(targets)
    return targets


def committed_by(out: Path) -> dict[str, str]:
    """Return the run of each row, as a plain reader of the folder sees it."""
    if not any((out / "manifest").glob("*")):
        return {}
    table = pq.read_table(out / "manifest", columns=["id", "run_id"])
    return dict(zip(*table.to_pydict().values(), strict=True))


def made_again(before: dict[str, str], now: dict[str, str]) -> int:
    """Return how many committed rows another run has committed again."""
    return sum(now.get(photo, run) != run for photo, run in before.items())


def doubled(out: Path) -> int:
    """Return how many rows there are beyond one for each id."""
    if not any((out / "manifest").glob("*")):
        return 0
    ids = pq.read_table(out / "manifest", columns=["id"]).column("id").to_pylist()
    return len(ids) - len(set(ids))


def torn(out: Path) -> int:
    """Return how many rows have not the clip that they have the hash of, nor stand in the journal of a commit."""
    if not any((out / "manifest").glob("*")):
        return 0
    journal = out / ".narrate" / "publishing.json"
    noted = set(json.loads(journal.read_text())) if journal.is_file() else set()
    rows = pq.read_table(out / "manifest", columns=["audio_path", "audio_sha256"]).to_pylist()
    clips = clip_hashes(out)
    named = {row["audio_path"]: row["audio_sha256"] for row in rows if row["audio_path"] not in {None, *noted}}
    return sum(clips.get(path) != sha256 for path, sha256 in named.items())


def clip_hashes(out: Path) -> dict[str, str]:
    """Return the hash of every file under `audio`, by path."""
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in out.glob("audio/**/*")
        if path.is_file()
    }


def settled(out: Path) -> dict[str, str]:
    """Return every row as text, by id, without what differs from run to run."""
    return {row["id"]: repr({**row, "attempts": None}) for row in settled_rows(out)}


def different(some: dict[str, str], others: dict[str, str]) -> int:
    """Return how many keys have not the same value in both."""
    return sum(some.get(key) != others.get(key) for key in some.keys() | others.keys())


def captioned_by_last_run(out: Path) -> int:
    """Return how many photos the last run of a folder put through the captioner."""
    account = max((out / "runs").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    captioned: int = json.loads(account.read_text())["captioned"]
    return captioned


def in_fours(targets: Sequence[Target]) -> list[Sequence[Target]]:
    """Return the targets four by four: the runs after a killed one are killed as well."""
    return [targets[start : start + 4] for start in range(0, len(targets), 4)]
