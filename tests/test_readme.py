"""The README's promises: every shell block runs, every column stands there as the schema has it."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from flows.schema import COLUMNS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def run(line: str, folder: Path) -> str:
    """Run a shell line as a reader would, the checkout's `narrate` on the path; return what it prints."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    result = subprocess.run(
        ["bash", "-c", line], cwd=folder, env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    assert result.returncode == 0, f"{line}\n{result.stdout}{result.stderr}"
    assert "Traceback" not in result.stderr
    return result.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with `photos` in it, two of the samples."""
    (tmp_path / "photos").mkdir()
    for path in sorted((ROOT / "data" / "samples").glob("*.jpg"))[:2]:
        shutil.copy(path, tmp_path / "photos")
    return tmp_path


def test_the_first_command_is_the_main_job_and_it_works(tmp_path: Path):
    assert BLOCKS[0].strip() == "make demo"

    out = run(f"make --no-print-directory -C {ROOT} demo DEMO={tmp_path}/demo", ROOT)

    assert re.search(
        r"^\d+ photos: \d+ described, 0 taken over from before, 0 refused, 0 failed$", out.splitlines()[-1]
    )
    assert list((tmp_path / "demo" / "out" / "manifest").iterdir())


def test_every_other_shell_block_runs_line_by_line(folder: Path):
    for block in BLOCKS[1:]:
        for line in block.strip().splitlines():
            run(line, folder)

    assert (folder / "out" / "audio").is_dir()


def test_the_python_block_reads_the_manifest(folder: Path):
    run("narrate run photos out --engine none", folder)
    (block,) = re.findall(r"^```python\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    (folder / "block.py").write_text(block)

    assert "audio_path" in run("python block.py", folder)


@pytest.mark.parametrize("name", COLUMNS)
def test_every_column_stands_in_the_readme_with_its_type_and_meaning(name: str):
    kind, text = COLUMNS[name]

    assert f"| `{name}` | {_short(kind)} | {text} |" in README


def test_the_readme_names_no_column_that_is_not_there():
    section = README.split("\n## The manifest\n")[1].split("\n## ")[0]
    table = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)

    assert table == list(COLUMNS)


def _short(kind: pa.DataType) -> str:
    """Return a type as the table names it."""
    if kind == pa.list_(pa.binary()):
        return "list of bytes"
    if pa.types.is_list(kind):
        return "list of " + ", ".join(field.name for field in kind.value_type)
    return str(kind).replace("timestamp[us, tz=UTC]", "time, UTC").replace("timestamp[us]", "time")
