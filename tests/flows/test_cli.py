"""The command line as a stranger meets it: quick help, plain words, the promised exit statuses."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import pytest
from narrating import BROKEN, Runs, make_photos

from captioner.alt_text import POLICIES
from flows.job import Job
from speech.speaking import FORMATS, PAUSES, PROFILES

HEAVY = ("torch", "TTS", "prefect", "pandas", "transformers")


def narrate(*words: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "flows", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("words", [("--help",), ("run", "--help"), ("samples", "--help"), ("doctor", "--help")])
def test_help_imports_nothing_heavy(words: tuple[str, ...]):
    code = f"""
import sys
sys.argv = ["narrate", *{words!r}]
from flows.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
print("heavy:", [name for name in {HEAVY!r} if name in sys.modules])
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)

    assert result.stdout.endswith("heavy: []\n")


def test_help_comes_within_a_second():
    """The best of five, so that a busy machine does not fail it."""
    times = []
    for _ in range(5):
        began = time.perf_counter()
        assert narrate("run", "--help").returncode == 0
        times.append(time.perf_counter() - began)

    assert min(times) < 1.0


def test_help_describes_every_setting():
    text = narrate("run", "--help").stdout

    for name in (
        "--format",
        "--captioner",
        "--voice",
        "--policy",
        "--profile",
        "--device",
        "--engine",
        "--limit",
        "--job",
    ):
        assert name in text


@pytest.mark.parametrize(
    ("setting", "known"), [("policy", POLICIES), ("profile", PROFILES), ("pause", PAUSES), ("format", FORMATS)]
)
def test_the_choices_of_a_setting_are_those_that_the_rooms_know(setting: str, known: Iterable[str]):
    assert set(get_args(Job.model_fields[setting].annotation)) == set(known)


def test_a_run_prints_its_counts_last_and_nothing_of_the_libraries(runs: Runs):
    make_photos(runs.photos, 2)
    (runs.photos / "broken.jpg").write_bytes(b"")

    result = runs.spawn()

    assert result.returncode == 0
    assert result.stdout.splitlines()[-1] == "3 photos: 2 described, 0 taken over from before, 1 refused, 0 failed"
    assert "Reasons: 1 empty" in result.stdout
    assert result.stderr.splitlines() == ["Narrating 3 photos; loading the captioner and the voice ..."]


def test_a_second_run_says_that_all_is_taken_over(runs: Runs):
    make_photos(runs.photos, 2)
    runs.spawn()

    assert runs.spawn().stdout.endswith("2 photos: 0 described, 2 taken over from before, 0 refused, 0 failed\n")


def test_a_failed_photo_ends_with_status_one(runs: Runs, tmp_path: Path):
    (tmp_path / "list.txt").write_text("photos/nowhere.jpg\n")

    result = runs.spawn(photos=tmp_path / "list.txt")

    assert result.returncode == 1
    assert "1 vanished" in result.stdout


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (
            {"photos": "no/such/folder"},
            "narrate: no/such/folder: there is no such folder, file or glob; name a folder of photos",
        ),
        ({"captioner": "no-such-captioner"}, "no-such-captioner"),
        ({"voice": "no-such-voice"}, "no-such-voice"),
        ({"device": "cuda:99"}, "--device cuda:99"),
        ({"device": "toaster"}, "setting device"),
        ({"out": "/dev/null/out"}, "/dev/null/out"),
        ({"photos": ""}, "setting photos: the path is empty"),
        ({"out": ""}, "setting out: the path is empty"),
    ],
)
def test_a_run_that_cannot_start_says_why_in_one_line_and_ends_with_two(
    runs: Runs, settings: dict[str, str], says: str
):
    make_photos(runs.photos, 1)

    result = runs.spawn(**settings)

    assert result.returncode == 2
    assert says in result.stderr
    assert "Traceback" not in result.stderr
    assert len([line for line in result.stderr.splitlines() if line.startswith("narrate: ")]) == 1


def test_a_misspelt_option_is_refused_with_a_hint(runs: Runs):
    result = runs.spawn("--formt", "wav")

    assert result.returncode == 2
    assert "--format" in result.stderr


@pytest.mark.parametrize(("option", "there_is"), [("--policy", "short-125"), ("--profile", "acx"), ("--pause", "long")])
def test_a_choice_that_there_is_not_is_refused_with_those_that_there_are(runs: Runs, option: str, there_is: str):
    result = runs.spawn(option, "no-such-choice")

    assert result.returncode == 2
    said = result.stderr.strip().splitlines()[-1]
    assert option in said
    assert "no-such-choice" in said
    assert there_is in said


def test_a_folder_without_photos_says_so_and_is_no_error(runs: Runs):
    result = runs.spawn()

    assert result.returncode == 0
    assert "no file that looks like an image" in result.stderr


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(runs: Runs):
    make_photos(runs.photos, 3)

    result = runs.spawn("--dry-run", "--limit", "2")

    assert result.returncode == 0
    assert "3 photos found: 0 stand from before, 3 to do" in result.stdout
    assert "would narrate 2 photos in about" in result.stdout
    assert not runs.out.exists()


@pytest.mark.parametrize("suffix", ["toml", "json"])
def test_a_job_file_gives_the_settings_and_options_overrule_it(runs: Runs, suffix: str, tmp_path: Path):
    make_photos(runs.photos, 1)
    chosen = {name: str(value) for name, value in runs.settings.items()} | {"format": "flac", "profile": "none"}
    lines = "\n".join(f"{name} = {json.dumps(value)}" for name, value in chosen.items())
    (tmp_path / f"job.{suffix}").write_text(json.dumps(chosen) if suffix == "json" else lines)

    result = narrate("run", "--job", str(tmp_path / f"job.{suffix}"), "--format", "wav")

    assert result.returncode == 0, result.stderr
    assert list(runs.clips()) == ["audio/000.png.wav"]


def test_the_account_of_a_run_is_a_job_file_for_the_next(runs: Runs):
    make_photos(runs.photos, 1)
    summary = runs.run()

    result = narrate("run", "--job", str(runs.out / "runs" / f"{summary.run_id}.json"))

    assert result.returncode == 0, result.stderr
    assert "1 taken over from before" in result.stdout


def test_a_misspelt_setting_in_a_job_file_is_named(runs: Runs, tmp_path: Path):
    (tmp_path / "job.toml").write_text('fromat = "wav"')

    result = runs.spawn("--job", str(tmp_path / "job.toml"))

    assert result.returncode == 2
    assert "setting fromat" in result.stderr


def test_the_disk_is_looked_at_before_work(runs: Runs, monkeypatch: pytest.MonkeyPatch):
    """A disk that is nearly full is said before a model is loaded."""
    import shutil

    from flows.errors import FlowError

    make_photos(runs.photos, 2)
    monkeypatch.setattr(shutil, "disk_usage", lambda _place: type("Usage", (), {"free": 1_000_000}))

    with pytest.raises(FlowError, match="the disk has 1 MB free and this run writes about"):
        runs.run()


def test_the_table_shows_each_photo_with_its_words_or_its_reason(runs: Runs):
    make_photos(runs.photos, 1)
    (runs.photos / "paper.pdf").write_bytes((BROKEN / "paper.pdf").read_bytes())

    text = runs.spawn("--show").stdout

    assert "000.png" in text
    assert "refused:" in text


def test_doctor_names_what_it_finds_and_each_mend():
    result = narrate("doctor")

    assert "captioner: narrator-lite" in result.stdout
    assert "voice: narrator" in result.stdout
    assert "Prefect API: none set up" in result.stdout
    assert result.returncode == 0, result.stdout


def test_a_plain_environment_stays_plain(runs: Runs, tmp_path: Path):
    """Nothing is left in the user's home, and no variable of ours is needed."""
    make_photos(runs.photos, 1)
    command = runs.command(engine="prefect")
    environment = {"HOME": str(tmp_path / "home"), "PATH": os.environ["PATH"]}
    (tmp_path / "home").mkdir()
    result = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240, check=False)

    assert result.returncode == 0, result.stderr
    assert list((tmp_path / "home").glob(".prefect*")) == []


def test_a_terminal_sees_a_bar_with_the_pace_and_the_time_left(runs: Runs):
    make_photos(runs.photos, 6)
    ours, theirs = os.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "120"}
    command = runs.command(shard_size=2)
    with subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, env=environment) as process:
        os.close(theirs)
        seen = b""
        while chunk := _read(ours):
            seen += chunk

    assert process.returncode == 0
    assert b"6/6" in seen
    assert b"photos/s" in seen
    assert b"left" in seen


def _read(terminal: int) -> bytes:
    """Return what the terminal shows next; nothing once the other side is closed."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""
