"""Maps weights, voices and sample photos into the wheel; an editable installation reads them from the checkout."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

DATA = {
    "data/models": "captioner/data/models",
    "data/voices": "speech/data/voices",
    "data/samples": "flows/data/samples",
}
"""Folder in the checkout to folder in the wheel: each lies inside the room that reads it."""


class DataHook(BuildHookInterface[Any]):
    """Hatchling's hook for this project."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Include the data in a real wheel alone."""
        if self.target_name == "wheel" and version == "standard":
            build_data["force_include"] |= DATA
