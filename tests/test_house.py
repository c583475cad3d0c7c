"""The plan of the tree as checks: imports go one way, functions and files stay small, every name in paths is ours."""

import ast
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("captioner", "speech", "flows")
FILES = sorted(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))
HEAVY = {"torch", "TTS", "prefect", "transformers", "pandas"}
FORBIDDEN: dict[str, set[str]] = {
    "captioner": {"speech", "flows"},
    "speech": {"captioner", "flows"},
    "flows": set(),
}
LIGHT = (
    *("captioner.records", "captioner.errors", "captioner.photos", "captioner.alt_text", "captioner.weights"),
    *("speech.records", "speech.errors", "speech.voices", "speech.text", "flows.cli", "flows.run", "flows.server"),
)


def imported(path: Path) -> set[str]:
    """Return the first part of every module that a file imports, inside functions too."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


def code_lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the length of a function in lines, its docstring left out."""
    lines = (node.end_lineno or 0) - node.lineno + 1
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= (first.end_lineno or 0) - first.lineno + 1
    return lines


def functions() -> dict[str, int]:
    """Return the length of every function of the three rooms by its place."""
    found = {}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                found[f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"] = code_lines(node)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path):
    room = path.relative_to(ROOT).parts[0]

    assert imported(path) & FORBIDDEN[room] == set()


def test_only_the_flows_know_prefect():
    assert [
        str(path) for path in FILES if "prefect" in imported(path) and path.relative_to(ROOT).parts[0] != "flows"
    ] == []


@pytest.mark.parametrize("part", ["records", "errors"])
@pytest.mark.parametrize("room", ["captioner", "speech"])
def test_records_and_errors_import_nothing_of_ours(room: str, part: str):
    assert imported(ROOT / room / f"{part}.py") & set(ROOMS) == set()


def test_no_function_is_over_sixty_lines():
    assert {place: lines for place, lines in functions().items() if lines > 60} == {}


def test_nine_functions_in_ten_are_under_forty_lines_and_half_of_them_under_ten():
    lengths = sorted(functions().values())

    assert lengths[int(len(lengths) * 0.9)] < 40
    assert statistics.median(lengths) < 10


def test_no_file_is_over_four_hundred_lines():
    assert [str(path) for path in FILES if len(path.read_text(encoding="utf-8").splitlines()) >= 400] == []


def test_the_main_path_is_under_one_hundred_and_twenty_lines():
    assert len((ROOT / "flows" / "narrate.py").read_text(encoding="utf-8").splitlines()) < 120


@pytest.mark.parametrize("module", LIGHT)
def test_importing_a_light_module_loads_no_model_library_and_prints_nothing(module: str):
    code = f"import sys, {module}; heavy = {HEAVY} & set(sys.modules); assert not heavy, heavy"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)

    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
