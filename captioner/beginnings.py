"""What training begins with: a captioner to go on from, or a family with its encoder and new weights."""

from collections.abc import Sequence
from dataclasses import Field, fields, replace
from typing import Any

import torch

from captioner.boxes import BoxEncoder, DetectorConfig, DetectorEncoder
from captioner.bundle import Bundle, load_bundle
from captioner.dataset import Data
from captioner.encoders import LITES, EncoderConfig, PhotoEncoder, load_imagenet
from captioner.errors import DataError, ModelError
from captioner.models import FAMILIES, CaptionNetwork, NetworkConfig
from captioner.patches import PatchConfig, PatchEncoder
from captioner.tokenizer import SPECIAL, UNKNOWN, Tokenizer, split_words
from captioner.train_settings import USUAL_FAMILY, Settings
from captioner.training_log import say
from captioner.trunks import TRUNKS, new_trunk
from captioner.weights import model_folder

ENCODER_NAMES = (*LITES, *TRUNKS, "patches", "boxes", "detector")
"""What `--encoder` takes."""


def new_bundle(data: Data, settings: Settings) -> Bundle:
    """Return what training begins with.

    Raises DataError where there is nothing to learn from, ModelError where what it begins with cannot be had.
    """
    if not data.train:
        raise DataError("no photos to learn from", str(settings.data), "give captions of a train split")
    if settings.device.startswith("cuda") and not torch.cuda.is_available():
        raise ModelError("there is no such device", settings.device, "use --device cpu")
    if settings.start is not None:
        begun = _gone_on_from(load_bundle(model_folder(settings.start)), settings)
        _assert_asked(begun, data, settings)
        return begun
    if settings.encoder == "detector":
        mend = "go on from a captioner that has one (--start), or take --encoder boxes"
        raise ModelError("a detector learns from boxes, never from captions", "--encoder detector", mend)
    tokenizer = Tokenizer.count((c for one in data.train for c in one.captions), settings.min_count)
    if len(tokenizer) == len(SPECIAL):
        mend = "train on more captions"
        raise DataError(f"no word is used {settings.min_count} times or more", str(settings.data), mend)
    name = settings.family or USUAL_FAMILY
    torch.manual_seed(settings.seed)  # a run that goes on must find the same random encoder, and its cached maps
    encoder = make_encoder(settings.encoder or default_encoder(name), pretrained=settings.pretrained)
    if encoder.kind == "trunk" and encoder.config.lower_blocks and not settings.pretrained:
        say(f"{settings.encoder} begins with random weights, and its lower stages keep them: --pretrained has better")
    torch.manual_seed(settings.seed)
    model = make_network(name, encoder, tokenizer, settings.options)
    if model.frozen() and not settings.language_steps:
        mend = "add --language-steps 2000, or --start one that has learned its words"
        raise DataError("the way flamingo keeps its words as they are before photos", name, mend)
    begun = Bundle(settings.name, encoder, model, tokenizer, settings.licence)
    _assert_asked(begun, data, settings)
    return begun


def _gone_on_from(start: Bundle, settings: Settings) -> Bundle:
    """Return a captioner to go on from: what comes of it keeps its name and terms unless others are named."""
    named = settings.name if settings.name != Settings.name else start.name
    terms = settings.licence if settings.licence != Settings.licence else start.licence
    model = start.model
    for option, wanted, there in (
        ("--family", settings.family, model.kind),
        ("--encoder", settings.encoder, _name_of(start.encoder)),
    ):
        if wanted not in ("", there):
            mend = f"leave {option} out, or leave --start out to begin anew"
            raise ModelError(f"{settings.start} has {there}", f"{option} {wanted}", mend)
    if settings.options:
        model = with_options(model, settings.options, start.tokenizer, settings.seed)
    return replace(start, model=model, name=named, licence=terms)


def _name_of(encoder: PhotoEncoder) -> str:
    """Return the name that `make_encoder` builds an encoder by."""
    return encoder.kind if encoder.kind in ENCODER_NAMES else str(getattr(encoder.config, "network", encoder.kind))


def _assert_asked(begun: Bundle, data: Data, settings: Settings) -> None:
    """Raise DataError where a network shall learn to answer questions, and no caption is a question."""
    config = begun.model.config
    if not getattr(config, "asks", False):
        return
    word = begun.tokenizer.words[config.separator]
    if not any(word in split_words(text) for one in data.train for text in one.captions):
        mend = f"write captions as QUESTION {word} ANSWER, as python -m captioner.drawings DIR --questions does"
        raise DataError(f"no caption is a question with {word!r} before its answer", str(settings.data), mend)


def family(name: str) -> tuple[type[Any], type[CaptionNetwork]]:
    """Return a family's configuration and class; raise ModelError, with the names there are, where there is none."""
    if name not in FAMILIES:
        raise ModelError("no such family", name, f"there are {', '.join(FAMILIES)}")
    return FAMILIES[name]


def default_encoder(name: str) -> str:
    """Return the name of the encoder that a family takes where none is given."""
    return family(name)[1].usual_encoder


def make_encoder(name: str, *, pretrained: bool = False) -> PhotoEncoder:
    """Build an encoder by its name; `pretrained` lets torchvision fetch the ImageNet weights of its CNNs.

    Raises ModelError where the name is unknown or the weights cannot be had.
    """
    if name in LITES:
        return load_imagenet(EncoderConfig(name, input_size_px=LITES[name], grid=7))
    encoder: PhotoEncoder
    if name in TRUNKS:
        encoder = new_trunk(name, pretrained=pretrained)
    elif name == "boxes":
        return load_imagenet(EncoderConfig(grid=7), BoxEncoder)
    elif name in ("patches", "detector"):
        encoder = PatchEncoder(PatchConfig()) if name == "patches" else DetectorEncoder(DetectorConfig())
    else:
        raise ModelError("no such encoder", name, f"there are {', '.join(ENCODER_NAMES)}")
    return encoder.eval().requires_grad_(requires_grad=False)


def make_network(name: str, encoder: PhotoEncoder, tokenizer: Tokenizer, options: Sequence[str] = ()) -> CaptionNetwork:
    """Build a family's network for an encoder and a vocabulary, with new weights and options such as `width=256`."""
    settings, kind = family(name)
    sizes = {"vocabulary": len(tokenizer), "regions": encoder.region_count, "region_width": encoder.width}
    return kind(settings(**sizes, **read_options(settings, options, tokenizer)))


def with_options(model: CaptionNetwork, options: Sequence[str], tokenizer: Tokenizer, seed: int) -> CaptionNetwork:
    """Return a network with other options and the weights of the old one, where it has them in the same shape."""
    changed = replace(model.config, **read_options(type(model.config), options, tokenizer))
    torch.manual_seed(seed)
    made = type(model)(changed)
    shapes = {key: one.shape for key, one in made.state_dict().items()}
    kept = {key: one for key, one in model.state_dict().items() if shapes.get(key) == one.shape}
    made.load_state_dict(kept, strict=False)
    return made


def read_options(settings: type[Any], options: Sequence[str], tokenizer: Tokenizer) -> dict[str, Any]:
    """Read `name=value` pairs as a configuration's fields; words (`separator=answer`) are given as their ids.

    Raises ModelError, with the names there are, for one that is not a field or has no value of its kind. What the data
    and the encoder decide (the vocabulary, the regions) is no option.
    """
    decided = {one.name for one in fields(NetworkConfig)}
    known = {one.name: one for one in fields(settings) if one.name not in decided}
    read: dict[str, Any] = {}
    for option in options:
        name, _, text = option.partition("=")
        if name not in known:
            raise ModelError(f"no such option {name!r}", "--options", f"there are {', '.join(known)}")
        read[name] = _value(known[name], text, tokenizer)
    return read


def _value(option: Field[Any], text: str, tokenizer: Tokenizer) -> Any:
    """Return an option's value in the kind of its default; words stand for their ids where it holds words."""
    several = isinstance(option.default, tuple)
    parts: list[Any] = text.split("+") if several else [text]
    if option.metadata.get("words"):
        parts = [_id(part, option.name, tokenizer) for part in parts]
    if several:
        return tuple(parts)
    kind: Any = type(option.default)
    try:
        return kind(parts[0])
    except ValueError as error:
        what = f"{text!r} is no {'whole ' if kind is int else ''}number"
        raise ModelError(what, f"--options {option.name}", f"it is usually {option.default}") from error


def _id(word: str, option: str, tokenizer: Tokenizer) -> int:
    ids = tokenizer.encode(word)
    if len(ids) != 1 or ids[0] == UNKNOWN:
        mend = "name one that the training captions have often enough"
        raise ModelError(f"{word!r} is no word of its vocabulary", f"--options {option}", mend)
    return ids[0]
