"""A captioner in memory with all that is stored of it; saved and loaded as safetensors in half precision and JSON."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from captioner.decoding import Search
from captioner.encoder_kinds import encoder_kind
from captioner.encoders import PhotoEncoder
from captioner.errors import ModelError
from captioner.models import MODELS, CaptionNetwork
from captioner.tokenizer import UNKNOWN, Tokenizer, split_words
from captioner.weights import FORMAT, check_files, read_config, replace_files


@dataclass
class Bundle:
    """Everything that makes a captioner."""

    name: str
    """What users call it."""
    encoder: PhotoEncoder
    """Pixels to regions."""
    model: CaptionNetwork
    """Regions to words."""
    tokenizer: Tokenizer
    """Ids to text."""
    licence: str = "unknown"
    """On what terms it may be used, in one short line."""
    language: str = "en"
    """BCP 47 tag of its captions."""
    search: Search = field(default_factory=Search)
    """How it is decoded, and was scored."""


def save_bundle(bundle: Bundle, folder: Path) -> None:
    """Write a captioner's folder: a kill leaves the old captioner, the new one, or one that does not load."""
    state = {f"encoder.{name}": tensor for name, tensor in bundle.encoder.state_dict().items()}
    state |= {f"model.{name}": tensor for name, tensor in bundle.model.state_dict().items()}
    halves = {name: tensor.detach().to("cpu", torch.float16).contiguous() for name, tensor in state.items()}
    contents = {"model.safetensors": save(halves), "tokenizer.json": bundle.tokenizer.to_json().encode()}
    config = {
        "format": FORMAT,
        "name": bundle.name,
        "licence": bundle.licence,
        "language": bundle.language,
        "encoder": {"kind": bundle.encoder.kind, **asdict(bundle.encoder.config)},
        "model": {"kind": bundle.model.kind, **asdict(bundle.model.config)},
        "search": search_settings(bundle.search, bundle.tokenizer),
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    }
    replace_files(folder, contents | {"config.json": (json.dumps(config, indent=2) + "\n").encode()})


def search_settings(search: Search, tokenizer: Tokenizer) -> dict[str, Any]:
    """Return the settings of a search as `config.json` has them: forbidden words as words."""
    return asdict(search) | {"forbidden": [tokenizer.words[number] for number in search.forbidden]}


def make_search(settings: Mapping[str, Any], tokenizer: Tokenizer) -> Search:
    """Turn the settings of `config.json` into a search; a forbidden word that is not in the vocabulary is never said.

    Raises ModelError, naming the setting, where it is unknown or out of its range.
    """
    words = settings.get("forbidden", ())
    wrong = [word for word in words if len(split_words(word)) != 1]
    if wrong:
        raise ModelError(f"forbidden: {wrong[0]!r} is not one word", "search", "give each word by itself")
    ids = sorted({number for word in words for number in tokenizer.encode(word) if number != UNKNOWN})
    try:
        return Search(**{**settings, "forbidden": tuple(ids)})
    except (TypeError, ValueError) as error:
        known = ", ".join(one.name for one in fields(Search))
        raise ModelError(f"a setting that cannot be used ({error})", "search", f"there are {known}") from error


def load_bundle(folder: Path) -> Bundle:
    """Load a captioner in float32, ready to run; raise ModelError where its parts are broken or do not fit."""
    config = read_config(folder)
    check_files(folder, config)
    try:
        encoder_settings, encoder_class = encoder_kind(config["encoder"].pop("kind", "efficientnet"))
        encoder = encoder_class(encoder_settings(**config["encoder"]))
        settings, kind = MODELS[config["model"].pop("kind")]
        model = kind(settings(**config["model"]))
    except (KeyError, TypeError, ValueError, RuntimeError, ModelError) as error:
        raise _unfit(folder / "config.json", error) from error
    tokenizer = Tokenizer.load(folder / "tokenizer.json")
    if len(tokenizer) != model.config.vocabulary:
        raise ModelError("the vocabulary and the network differ in size", str(folder), "fetch the model again")
    search = make_search(config["search"], tokenizer)
    _load_weights(folder / "model.safetensors", encoder, model)
    encoder.eval().requires_grad_(requires_grad=False)
    model.eval().requires_grad_(requires_grad=False)
    return Bundle(config["name"], encoder, model, tokenizer, config["licence"], config["language"], search)


def _load_weights(path: Path, encoder: PhotoEncoder, model: CaptionNetwork) -> None:
    try:
        state = load_file(path)
        encoder.load_state_dict(_part(state, "encoder."))
        model.load_state_dict(_part(state, "model."))
        if not all(bool(one.isfinite().all()) for one in state.values()):
            raise ValueError("some of its weights are no numbers")  # noqa: TRY301  told like the others
    except (OSError, SafetensorError, RuntimeError, ValueError) as error:
        raise _unfit(path, error) from error


def _part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): one.float() for name, one in state.items() if name.startswith(prefix)}


def _unfit(path: Path, error: Exception) -> ModelError:
    return ModelError(f"not a captioner this program can load ({error})", str(path), "fetch the model again")
