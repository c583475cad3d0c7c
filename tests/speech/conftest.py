import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from speech.speaking import Speaker

FAKES = Path(__file__).parent.parent / "fakes"


@pytest.fixture(scope="session", autouse=True)
def threads():
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))


def fake(name: str) -> ModuleType:
    """Import a generator of tests/fakes, which is no package."""
    spec = importlib.util.spec_from_file_location(name, FAKES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def make_coqui() -> ModuleType:
    return fake("make_coqui_voices")


@pytest.fixture(scope="session")
def tiny_voice_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake("make_tiny_voice").tiny_voice(tmp_path_factory.mktemp("voices") / "tiny")


@pytest.fixture(scope="session")
def speaker(tiny_voice_folder: Path) -> Speaker:
    return Speaker.load(str(tiny_voice_folder))
