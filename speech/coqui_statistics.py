"""Reads `scale_stats.npy`, the mels' mean and deviation of Coqui's older voices: a pickle, taken as data alone."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np

from speech.errors import VoiceError

DATA_ONLY = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    *((f"numpy.{core}.multiarray", name) for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
}
"""The only names that may stand in the pickle: those that rebuild arrays and numbers."""


class _DataUnpickler(pickle.Unpickler):
    """An unpickler that calls nothing but what rebuilds arrays."""

    def find_class(self, module: str, name: str) -> Any:
        """Return an array's builder; refuse any other name."""
        if (module, name) not in DATA_ONLY:
            raise pickle.UnpicklingError(f"{module}.{name} is not data")
        return super().find_class(module, name)


def read_statistics(path: Path) -> dict[str, Any]:
    """Return `mel_mean`, `mel_std`, `linear_mean` and `linear_std`; raises `VoiceError` where the file holds more."""
    try:
        with path.open("rb") as stream:
            version = np.lib.format.read_magic(stream)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            read(stream)
            held = _DataUnpickler(stream).load()
        statistics = held.item() if isinstance(held, np.ndarray) else held
        return {name: statistics[name] for name in ("mel_mean", "mel_std", "linear_mean", "linear_std")}
    except (pickle.UnpicklingError, ValueError, KeyError, EOFError, AttributeError, TypeError, IndexError) as error:
        mend = "take the file from where the voice comes from"
        raise VoiceError(f"its statistics cannot be read as data: {error}", where=str(path), mend=mend) from error
