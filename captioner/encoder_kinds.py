"""The table of encoders by the name that `config.json` gives."""

from typing import Any

from captioner.boxes import BoxEncoder, DetectorConfig, DetectorEncoder
from captioner.encoders import Encoder, EncoderConfig, PhotoEncoder
from captioner.patches import PatchConfig, PatchEncoder
from captioner.trunks import TrunkConfig, TrunkEncoder

ENCODERS: dict[str, tuple[type[Any], type[PhotoEncoder]]] = {
    "efficientnet": (EncoderConfig, Encoder),
    "boxes": (EncoderConfig, BoxEncoder),
    "detector": (DetectorConfig, DetectorEncoder),
    "patches": (PatchConfig, PatchEncoder),
    "trunk": (TrunkConfig, TrunkEncoder),
}
"""Name to its settings and its class; a captioner that names none has an `efficientnet`."""
