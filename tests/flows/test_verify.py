"""`narrate verify`: each kind of damage is found, named in a line of its own, and what the line says mends it."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from filelock import FileLock
from narrating import BROKEN, Runs, make_photo, make_photos

from flows import paths
from flows.row_rules import broken_rules
from flows.verify import Verification


@pytest.fixture
def narrated(runs: Runs) -> Runs:
    """Return runs whose output folder holds three described photos and a refused one."""
    make_photos(runs.photos, 3)
    shutil.copy(BROKEN / "truncated.jpg", runs.photos)
    runs.run()
    return runs


def findings(runs: Runs, *, photos: bool = False) -> list[str]:
    return [str(finding) for finding in Verification(runs.out, with_photos=photos).findings()]


def verify(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "flows", "verify", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def change_row(out: Path, photo: str, **changes: Any) -> None:
    """Write other values into a row of the first part, as another program could."""
    path = paths.part_path(out, 0)
    table = pq.read_table(path, partitioning=None)
    rows = [row | changes if row["id"] == photo else row for row in table.to_pylist()]
    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)


def test_a_whole_folder_ends_with_zero_and_one_line_of_counts(narrated: Runs):
    result = verify(str(narrated.out), "--photos")

    assert (result.returncode, result.stderr) == (0, "")
    (line,) = result.stdout.splitlines()
    assert line.startswith("4 rows and 3 clips with ")
    assert line.endswith(": all of it holds")


def test_what_does_not_hold_is_a_line_each_and_ends_with_one(narrated: Runs):
    (narrated.out / "audio" / "000.png.mp3").unlink()
    (narrated.out / "audio" / "stray.mp3").write_bytes(b"sound")

    result = verify(str(narrated.out))

    assert result.returncode == 1
    assert result.stdout.splitlines()[:2] == [
        "audio/000.png.mp3: this clip is missing; run narrate run again: it is spoken anew",
        "audio/stray.mp3: no row names this file; remove it",
    ]
    assert result.stdout.splitlines()[2].endswith(": 2 things do not hold")


def test_nothing_is_written_by_looking(narrated: Runs):
    before = {path: path.stat().st_mtime_ns for path in narrated.out.rglob("*")}
    findings(narrated, photos=True)

    assert {path: path.stat().st_mtime_ns for path in narrated.out.rglob("*")} == before


def test_a_folder_without_a_manifest_is_said_in_one_line_and_ends_with_two(tmp_path: Path):
    result = verify(str(tmp_path))

    assert result.returncode == 2
    assert result.stderr == f"narrate: {tmp_path}: there is no manifest here; name the output folder of a run\n"


def test_a_folder_at_work_is_left_to_its_run(narrated: Runs):
    with FileLock(paths.lock_path(narrated.out)):
        result = verify(str(narrated.out))

    assert result.returncode == 2
    assert "at work in this output folder" in result.stderr


def lose_clip(runs: Runs) -> None:
    (runs.out / "audio" / "000.png.mp3").unlink()


def rot_clip(runs: Runs) -> None:
    path = runs.out / "audio" / "000.png.mp3"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def swap_clip(runs: Runs) -> None:
    shutil.copy(runs.out / "audio" / "001.png.mp3", runs.out / "audio" / "000.png.mp3")


def leave_clip(runs: Runs) -> None:
    shutil.copy(runs.out / "audio" / "001.png.mp3", runs.out / "audio" / "gone.png.mp3")


def cut_part(runs: Runs) -> None:
    path = paths.part_path(runs.out, 0)
    path.write_bytes(path.read_bytes()[:-100])


def add_foreign_part(runs: Runs) -> None:
    pq.write_table(pa.table({"id": ["a"]}), paths.part_path(runs.out, 1))


def double_part(runs: Runs) -> None:
    shutil.copy(paths.part_path(runs.out, 0), paths.part_path(runs.out, 1))


def add_stranger(runs: Runs) -> None:
    (runs.out / "manifest" / "notes.txt").write_text("hello")


def change_words(runs: Runs) -> None:
    change_row(runs.out, "000.png", alt_text="a picture of a dog")


def lie_about_length(runs: Runs) -> None:
    change_row(runs.out, "000.png", duration_s=2.5, loudness_reliable=False)


def lie_about_loudness(runs: Runs) -> None:
    change_row(runs.out, "000.png", loudness_lufs=-23.0)


def lead_out(runs: Runs) -> None:
    change_row(runs.out, "000.png", audio_path="../secret.mp3")


def remove(runs: Runs, place: str) -> None:
    (runs.out / place).unlink()


FIRST, SECOND = "manifest/part-000000.parquet", "manifest/part-000001.parquet"
DAMAGE: list[tuple[Callable[[Runs], None], str, str | None]] = [
    (lose_clip, "audio/000.png.mp3: this clip is missing", None),
    (rot_clip, "audio/000.png.mp3: its bytes are not those that were written; remove it", "audio/000.png.mp3"),
    (swap_clip, "audio/000.png.mp3: its bytes are not those that were written; remove it", "audio/000.png.mp3"),
    (leave_clip, "audio/gone.png.mp3: no row names this file; remove it", "audio/gone.png.mp3"),
    (cut_part, f"{FIRST}: this part of the manifest cannot be read", FIRST),
    (add_foreign_part, f"{SECOND}: this part of the manifest has version 0", SECOND),
    (double_part, f"{SECOND}, 000.png: another row has the same id", SECOND),
    (add_stranger, "manifest/notes.txt: this is no part of the manifest", "manifest/notes.txt"),
    (change_words, "000.png: its alt text does not keep the rules of wcag (starts-with-image-of)", FIRST),
    (lie_about_length, "audio/000.png.mp3: it has duration_s", FIRST),
    (lie_about_loudness, "audio/000.png.mp3: it has loudness_lufs", FIRST),
    (lead_out, "000.png: its audio_path '../secret.mp3' is not the one", FIRST),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "line", "removed"), DAMAGE, ids=lambda value: getattr(value, "__name__", ""))
def test_each_damage_is_found_and_what_is_said_mends_it(
    narrated: Runs, damage: Callable[[Runs], None], line: str, removed: str | None
):
    """What is removed is what the line names; the run after it makes the folder whole."""
    damage(narrated)
    found = findings(narrated)
    if removed:
        remove(narrated, removed)
    narrated.run()

    assert any(line in finding for finding in found), found
    assert findings(narrated) == []


def test_a_run_killed_while_it_committed_is_named_and_the_next_one_puts_it_right(narrated: Runs):
    paths.journal_path(narrated.out).write_text('["audio/000.png.mp3"]')
    assert findings(narrated) == [
        ".narrate/publishing.json: a run was killed while it committed; run narrate run again: it is put right"
    ]
    narrated.run()

    assert findings(narrated) == []


def test_photos_are_compared_with_their_hash_where_it_is_asked_for(narrated: Runs):
    make_photo(narrated.photos / "000.png", 77)
    (narrated.photos / "001.png").unlink()
    plain, whole = findings(narrated), findings(narrated, photos=True)
    narrated.run(rehash=True)

    assert plain == []
    changed = "this photo is not the one that was described; run narrate run again, with --rehash"
    assert whole == [
        f"{narrated.photos}/000.png: {changed}",
        f"{narrated.photos}/001.png: this photo is gone; run narrate run again: its row is marked",
    ]
    assert findings(narrated, photos=True) == []


RULES = [
    ({"status": "done"}, "status 'done'"),
    ({"run_id": None}, "it has no run_id"),
    ({"id": "e\u0301.png"}, "normal form C"),
    ({"sha256": "abc"}, "its sha256 is no SHA-256"),
    ({"reason": "truncated", "message": "m"}, "its reason 'truncated'"),
    ({"reason": "unreadable"}, "a reason without a message"),
    ({"caption": None, "alt_text": None}, "is described and has no alt_text"),
    ({"alt_text": " "}, "its alt text is empty"),
    ({"alt_text": "000.png"}, "file name"),
    ({"alt_text": "A dog. " * 40}, "rules of wcag (too-long"),
    ({"alt_text": "a dog runs."}, "rules of wcag (capital, spaces or full stop)"),
    ({"alt_text": "A dog runs \U0001f600."}, "rules of wcag (symbols)"),
    ({"language": "English"}, "BCP 47"),
    ({"width_px": 0}, "its width_px is 0"),
    ({"mean_logprob": 0.5}, "its mean_logprob is 0.5"),
    ({"confidence": 1.5}, "its confidence is 1.5"),
    ({"loudness_reliable": True, "duration_s": 1.0}, "loudness_reliable does not fit"),
    ({"status": "refused", "reason": "truncated", "message": "m"}, "it is refused and has caption"),
    ({"status": "decorative"}, "it is decorative, and its alt text is not empty"),
]


@pytest.mark.parametrize(("changes", "rule"), RULES, ids=[rule for _, rule in RULES])
def test_a_row_that_breaks_a_rule_is_told_so(narrated: Runs, changes: dict[str, Any], rule: str):
    (row,) = [row for row in pq.read_table(narrated.out / "manifest").to_pylist() if row["id"] == "000.png"]

    assert list(broken_rules(row)) == []
    assert any(rule in broken for broken in broken_rules(row | changes)), list(broken_rules(row | changes))


def test_words_of_a_person_are_not_judged_by_the_captioners_rules(narrated: Runs):
    (row, *_) = pq.read_table(narrated.out / "manifest").to_pylist()

    assert list(broken_rules(row | {"words_by": "table", "alt_text": "photo of my dog"})) == []
