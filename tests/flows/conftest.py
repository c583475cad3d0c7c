"""Fixtures of the run's tests."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from exporting import Exported, narrate_every_kind, own_copy
from narrating import Runs
from servers import real_server
from stores import gate, s3_endpoint, store

__all__ = ["gate", "runs", "s3_endpoint", "store"]


@pytest.fixture
def runs(tmp_path: Path, tiny_captioner: Path, tiny_voice: Path) -> Runs:
    """Return runs over an empty folder of photos."""
    return Runs(tmp_path, tiny_captioner, tiny_voice)


@pytest.fixture(scope="session")
def every_kind(tmp_path_factory: pytest.TempPathFactory, tiny_captioner: Path, tiny_voice: Path) -> Runs:
    """Return a narrated folder with every kind of row; no test changes it."""
    return narrate_every_kind(tmp_path_factory.mktemp("every-kind") / "narrated", tiny_captioner, tiny_voice)


@pytest.fixture
def exported(every_kind: Runs, tmp_path: Path) -> Exported:
    """Return a copy of that folder, to be exported."""
    return own_copy(every_kind, tmp_path)


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a real server that lives as long as the tests."""
    with real_server(tmp_path_factory.mktemp("prefect")) as (url, _):
        yield url


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """Return the system's Chromium without a window."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium is installed: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium: Any) -> Iterator[Any]:
    """Return a page of the browser that fails the test where the page's own scripts fail, or reach elsewhere."""
    page = chromium.new_page()
    troubles: list[str] = []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on(
        "console", lambda line: troubles.append(line.text) if line.type == "error" and "409" not in line.text else None
    )
    page.on("request", lambda request: troubles.append(request.url) if _leads_elsewhere(request.url) else None)
    yield page
    page.close()
    assert not troubles


def _leads_elsewhere(url: str) -> bool:
    return not url.startswith(("file:", "data:", "blob:", "http://127.0.0.1:"))
