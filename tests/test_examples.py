"""The examples: units that systemd takes, and commands in them that this program has."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from flows.cli import narrate

EXAMPLES = Path(__file__).parents[1] / "examples"


def commands(unit: str) -> list[list[str]]:
    """Return the command lines of a unit as systemd reads them."""
    text = (EXAMPLES / unit).read_text(encoding="utf-8")
    return [shlex.split(line) for line in re.findall(r"^ExecStart=(.*)$", text, re.MULTILINE)]


def test_systemd_takes_the_units(tmp_path: Path):
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("no systemd is here")
    for unit in ("narrate.service", "prefect.service"):
        text = (EXAMPLES / unit).read_text(encoding="utf-8")
        text = text.replace("/opt/narrate/bin", str(Path(sys.executable).parent)).replace("User=narrator", "User=root")
        (tmp_path / unit).write_text(text, encoding="utf-8")
    paths = [str(tmp_path / unit) for unit in ("narrate.service", "prefect.service")]

    result = subprocess.run([program, "verify", *paths], capture_output=True, text=True, timeout=120, check=False)

    assert (result.returncode, result.stderr) == (0, "")


def test_the_units_command_is_understood_and_stops_only_at_the_folder_that_is_not_here(monkeypatch: pytest.MonkeyPatch):
    """Up to the server: with an address that nobody answers at."""
    ((program, *words),) = commands("narrate.service")
    monkeypatch.setenv("PREFECT_API_URL", "")

    result = CliRunner().invoke(narrate, words)

    assert program == "/opt/narrate/bin/narrate"
    assert "a schedule needs a Prefect server, and none is set up" in str(result.exception)


def test_the_container_copies_what_the_package_is_built_from():
    text = (EXAMPLES / "Containerfile").read_text(encoding="utf-8")
    root = EXAMPLES.parent
    copied = [word for line in re.findall(r"^COPY (?!--from)(.*)$", text, re.MULTILINE) for word in line.split()[:-1]]

    assert {"captioner", "speech", "flows", "data", "pyproject.toml", "requirements.lock"} <= set(copied)
    assert [name for name in copied if not (root / name).exists()] == []
