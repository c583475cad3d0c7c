"""Fixtures of the run's tests."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from narrating import Runs


@pytest.fixture
def runs(tmp_path: Path, tiny_captioner: Path, tiny_voice: Path) -> Runs:
    """Return runs over an empty folder of photos."""
    return Runs(tmp_path, tiny_captioner, tiny_voice)
