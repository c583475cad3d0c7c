import importlib.util
import os
import sys
from pathlib import Path

import pytest
import torch

from speech.speaking import Speaker

FAKES = Path(__file__).parent.parent / "fakes"


@pytest.fixture(scope="session", autouse=True)
def threads():
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))


@pytest.fixture(scope="session")
def tiny_voice_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    spec = importlib.util.spec_from_file_location("make_tiny_voice", FAKES / "make_tiny_voice.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["make_tiny_voice"] = module
    spec.loader.exec_module(module)
    return module.tiny_voice(tmp_path_factory.mktemp("voices") / "tiny")


@pytest.fixture(scope="session")
def speaker(tiny_voice_folder: Path) -> Speaker:
    return Speaker.load(str(tiny_voice_folder))
