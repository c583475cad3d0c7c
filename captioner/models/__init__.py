"""The table of captioner networks: one file a family, the same calls for all (captioner.models.network)."""

from captioner.models.bottom_up import BottomUp, BottomUpConfig
from captioner.models.cnn_transformer import TransformerCaptioner, TransformerConfig
from captioner.models.coca import Coca, CocaConfig
from captioner.models.fusion import Fusion, FusionConfig
from captioner.models.network import CaptionNetwork, ContrastiveNetwork, NetworkConfig
from captioner.models.show_attend_tell import ShowAttendTell, ShowAttendTellConfig
from captioner.models.show_tell import ShowTell, ShowTellConfig
from captioner.models.vit_transformer import VitConfig, VitTransformer

FAMILIES: dict[str, tuple[type[NetworkConfig], type[CaptionNetwork]]] = {
    "cnn_transformer": (TransformerConfig, TransformerCaptioner),
    "show_tell": (ShowTellConfig, ShowTell),
    "show_attend_tell": (ShowAttendTellConfig, ShowAttendTell),
    "vit_transformer": (VitConfig, VitTransformer),
    "coca": (CocaConfig, Coca),
    "bottom_up": (BottomUpConfig, BottomUp),
    "fusion": (FusionConfig, Fusion),
}
"""Name to its configuration and its class, as the command line has them."""
MODELS = {**FAMILIES, "transformer": FAMILIES["cnn_transformer"]}
"""The same by the name that `config.json` gives; captioners of before there were families say `transformer`."""

__all__ = [
    "FAMILIES",
    "MODELS",
    "CaptionNetwork",
    "ContrastiveNetwork",
    "NetworkConfig",
    "TransformerCaptioner",
    "TransformerConfig",
]
