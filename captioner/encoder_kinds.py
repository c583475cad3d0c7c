"""The encoders by the name that `config.json` gives; each is imported when it is asked for.

Detectors and other CNNs bring torchvision, whose import takes seconds that a run with the usual encoder does not need.
"""

from importlib import import_module
from typing import Any

from captioner.encoders import PhotoEncoder

_PLACES = {
    "efficientnet": ("captioner.encoders", "EncoderConfig", "captioner.encoders", "Encoder"),
    "boxes": ("captioner.encoders", "EncoderConfig", "captioner.boxes", "BoxEncoder"),
    "detector": ("captioner.boxes", "DetectorConfig", "captioner.boxes", "DetectorEncoder"),
    "patches": ("captioner.patches", "PatchConfig", "captioner.patches", "PatchEncoder"),
    "trunk": ("captioner.trunks", "TrunkConfig", "captioner.trunks", "TrunkEncoder"),
}
"""Name to where its settings and its class are."""


def encoder_kind(name: str) -> tuple[type[Any], type[PhotoEncoder]]:
    """Return the settings and the class of an encoder; raises KeyError where there is none of that name."""
    settings_module, settings, module, kind = _PLACES[name]
    return getattr(import_module(settings_module), settings), getattr(import_module(module), kind)
