"""What the faults share: runs that can be killed, in memory rather than on a disk, and captions of one or two words."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "flows"))

from killing import Forks
from narrating import Runs
from stores import s3_endpoint, store

__all__ = ["curt_captioner", "forks", "runs", "s3_endpoint", "store", "workplace"]


@pytest.fixture(scope="session")
def forks() -> Forks:
    """Return the forks of one warm process, which computes with one thread: what is small is slower with more."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    return Forks()


@pytest.fixture
def workplace() -> Iterator[Path]:
    """Return a folder in memory where the system has one: no kill loses what was written, and a hundred are quick."""
    memory = Path("/dev/shm")  # noqa: S108 - the folder made in it is ours alone
    folder = Path(tempfile.mkdtemp(prefix="narrate-faults-", dir=memory if memory.is_dir() else None))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="session")
def curt_captioner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a captioner that says one or two words, so that there is little to speak."""
    from make_tiny_captioner import tiny_bundle

    from captioner.bundle import save_bundle
    from captioner.decoding import Search

    folder = tmp_path_factory.mktemp("curt-captioner")
    save_bundle(replace(tiny_bundle(), search=Search(beams=1, longest=3, shortest=1)), folder)
    return folder


@pytest.fixture
def runs(tmp_path: Path, tiny_captioner: Path, tiny_voice: Path) -> Runs:
    """Return runs over an empty folder of photos."""
    return Runs(tmp_path, tiny_captioner, tiny_voice)
