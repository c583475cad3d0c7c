"""A captioner in memory with all that is stored of it; saved and loaded as safetensors in half precision and JSON."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from captioner.decoding import Search
from captioner.encoders import Encoder, EncoderConfig
from captioner.errors import ModelError
from captioner.models import MODELS, TransformerCaptioner
from captioner.tokenizer import Tokenizer
from captioner.weights import FORMAT, read_config


@dataclass
class Bundle:
    """Everything that makes a captioner."""

    name: str
    """What users call it."""
    encoder: Encoder
    """Pixels to regions."""
    model: TransformerCaptioner
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
    """Write a captioner's folder, each file complete or absent, the configuration last."""
    folder.mkdir(parents=True, exist_ok=True)
    state = {f"encoder.{name}": tensor for name, tensor in bundle.encoder.state_dict().items()}
    state |= {f"model.{name}": tensor for name, tensor in bundle.model.state_dict().items()}
    halves = {name: tensor.detach().to("cpu", torch.float16).contiguous() for name, tensor in state.items()}
    temporary = folder / "model.safetensors.part"
    save_file(halves, temporary)
    temporary.chmod(0o644)
    temporary.replace(folder / "model.safetensors")
    bundle.tokenizer.save(folder / "tokenizer.json")
    config = {
        "format": FORMAT,
        "name": bundle.name,
        "licence": bundle.licence,
        "language": bundle.language,
        "encoder": asdict(bundle.encoder.config),
        "model": {"kind": "transformer", **asdict(bundle.model.config)},
        "search": asdict(bundle.search),
    }
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def load_bundle(folder: Path) -> Bundle:
    """Load a captioner in float32, ready to run; raise ModelError where its parts are broken or do not fit."""
    config = read_config(folder)
    try:
        encoder = Encoder(EncoderConfig(**config["encoder"]))
        settings, kind = MODELS[config["model"].pop("kind")]
        model = kind(settings(**config["model"]))
        search = Search(**config["search"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _unfit(folder / "config.json", error) from error
    tokenizer = Tokenizer.load(folder / "tokenizer.json")
    if len(tokenizer) != model.config.vocabulary:
        raise ModelError("the vocabulary and the network differ in size", str(folder), "fetch the model again")
    _load_weights(folder / "model.safetensors", encoder, model)
    encoder.eval().requires_grad_(requires_grad=False)
    model.eval().requires_grad_(requires_grad=False)
    return Bundle(config["name"], encoder, model, tokenizer, config["licence"], config["language"], search)


def _load_weights(path: Path, encoder: Encoder, model: TransformerCaptioner) -> None:
    try:
        state = load_file(path)
        encoder.load_state_dict(_part(state, "encoder."))
        model.load_state_dict(_part(state, "model."))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise _unfit(path, error) from error


def _part(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): one.float() for name, one in state.items() if name.startswith(prefix)}


def _unfit(path: Path, error: Exception) -> ModelError:
    return ModelError(f"not a captioner this program can load ({error})", str(path), "fetch the model again")
