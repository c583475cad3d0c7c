"""What every test shares: small real models, and a home of its own."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))
"""A busy machine fails no test, and the same commit gives the same verdict; HYPOTHESIS_PROFILE=explore draws anew."""

sys.path.insert(0, str(Path(__file__).parent / "fakes"))


@pytest.fixture(autouse=True, scope="session")
def home_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Keep the user's own Prefect settings out of the tests, and the tests out of the user's home."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        for name in [name for name in os.environ if name.startswith("PREFECT_")]:
            patch.delenv(name)
        yield home


@pytest.fixture(scope="session")
def tiny_captioner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small real captioner."""
    from make_tiny_captioner import tiny_captioner

    return tiny_captioner(tmp_path_factory.mktemp("tiny-captioner"))


@pytest.fixture(scope="session")
def tiny_voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a small real Coqui voice."""
    from make_tiny_voice import tiny_voice

    return tiny_voice(tmp_path_factory.mktemp("tiny-voice"))
