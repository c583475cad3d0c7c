"""The table of captioner networks by the name that `config.json` gives."""

from captioner.models.transformer import TransformerCaptioner, TransformerConfig

MODELS = {"transformer": (TransformerConfig, TransformerCaptioner)}
"""Name to its configuration and its class."""

__all__ = ["MODELS", "TransformerCaptioner", "TransformerConfig"]
