"""What a training run is told, and the command line that both phases share."""

import argparse
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch

from captioner.errors import DataError


@dataclass(frozen=True)
class Settings:
    """What a training run is told."""

    data: Path
    """Folder with photos and captions, in a layout of captioner.dataset."""
    out: Path
    """Folder of the run: state, log, model."""
    minutes: float = 60.0
    """How long to train; turned into a number of steps once the first steps were timed."""
    steps: int | None = None
    """Number of steps on photos, instead of minutes."""
    language_steps: int = 0
    """Steps before those on photos: the words alone learn from caption text (captioner.language)."""
    device: str = "cpu"
    """`cpu` or `cuda`."""
    batch_photos: int = 48
    """B."""
    versions: tuple[str, ...] = ("plain", "flip", "crop1", "crop2")
    """Versions of each photo to draw from (captioner.feature_cache)."""
    window: float = 1.0
    """Smallest share of a map's height and width that a batch shows (captioner.batches); 1: whole maps."""
    peak_rate: float = 6e-4
    """Highest learning rate of the network."""
    encoder_rate: float = 1e-4
    """Highest learning rate of the encoder's upper part; 0 leaves it as it is."""
    fixed_blocks: int | None = None
    """How many of the encoder's blocks, from the pixels up, stay as they are; None: as the encoder says."""
    tune_share: float = 0.25
    """Share of the steps on photos after which the encoder's upper part is trained too; 1: never."""
    warm_up_steps: int = 150
    """Steps over which the learning rate rises, and again over which the encoder's does."""
    average_keep: float = 0.998
    """Share of the running average that each step keeps."""
    min_count: int = 4
    """Words used less often in the training captions are unknown."""
    checkpoint_s: float = 150.0
    """Seconds between checkpoints."""
    score_s: float = 600.0
    """Seconds between scores on dev."""
    family: str = ""
    """Which of captioner.models to build; empty: as `start` has it, or `USUAL_FAMILY`."""
    encoder: str = ""
    """Name of the encoder (captioner.beginnings); empty: as `start` has it, or the family usually."""
    pretrained: bool = False
    """Whether torchvision may fetch the ImageNet weights of its CNNs."""
    options: tuple[str, ...] = ()
    """`name=value` settings of the family's configuration, such as `attention=hard`."""
    cache: Path | None = None
    """Folder of cached maps that several runs share; None: in `out`."""
    start: Path | None = None
    """Folder of a captioner to go on from, instead of ImageNet weights and a new Transformer."""
    name: str = "my-captioner"
    """What users will call the captioner."""
    licence: str = "unknown"
    """On what terms it may be used, in one line: it ends up in every manifest."""
    seed: int = 1
    """Everything random follows from it and the step's number."""


USUAL_FAMILY = "cnn_transformer"
"""The default captioner's."""
MAY_CHANGE = {"data", "out", "cache", "minutes", "device", "checkpoint_s", "score_s", "name", "licence"}
"""Settings that a run may be started again with otherwise than it was begun; the others change what is learned."""
HELP = {
    "data": "folder with photos and captions",
    "out": "folder for the state, the log and the model",
    "minutes": "how long to train",
    "steps": "how many steps to train on photos, instead of minutes",
    "language_steps": "steps before those: the words alone learn from captions, and from captions-text.txt.gz",
    "family": f"which network to build, usually {USUAL_FAMILY}: see narrate captioners",
    "encoder": "tf_efficientnet_lite0/1/2, boxes (on lite2), resnet18/50/101, mobilenet_v3_small/large, inception_v3, "
    "small (for drawings), patches, detector (of --start)",
    "pretrained": "let torchvision fetch the ImageNet weights of its CNN",
    "options": "settings of the family, name=value,name=value",
    "device": "cpu or cuda",
    "batch_photos": "photos a step",
    "versions": "of each photo: plain,flip,crop1,crop2,...",
    "window": "smallest share of a photo's height and width to show, cut from the cached map",
    "peak_rate": "highest learning rate of the network",
    "encoder_rate": "the same of the encoder's upper part; 0 leaves it as it is",
    "fixed_blocks": "encoder blocks that stay as they are; fewer: slower, more is learned",
    "checkpoint_s": "seconds between checkpoints",
    "score_s": "seconds between scores on dev",
    "start": "name or folder of a captioner to go on from",
    "name": "what users will call the captioner",
    "licence": "its terms of use, in one line",
    "seed": "another number, another run",
}
"""The settings that the command line takes, with their help."""
KINDS = {"steps": int, "fixed_blocks": int, "start": Path, "data": Path, "out": Path}


def parse(arguments: Sequence[str] | None, program: str, **phase: Any) -> Settings:
    """Read the command line; `phase` holds the settings that are other than usual where none are given."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description="Train a captioner.")
    usual = {one.name: phase.get(one.name, one.default) for one in fields(Settings)}
    for name, text in HELP.items():
        default, option = usual[name], f"--{name.replace('_', '-')}"
        if name in ("data", "out"):
            parser.add_argument(option, type=Path, required=True, help=text)
        elif name in ("versions", "options"):
            parser.add_argument(option, default=default, type=_names, help=text)
        elif name == "pretrained":
            parser.add_argument(option, action="store_true", help=text)
        else:
            kind = KINDS.get(name) or type(default)
            parser.add_argument(option, type=kind, default=default, help=text)
    parser.add_argument("--threads", type=int, default=0, help="processor threads; 0: as torch chooses")
    given = vars(parser.parse_args(arguments))
    threads = given.pop("threads")
    if threads < 0:
        parser.error("--threads: give 0 or more")
    if threads:
        torch.set_num_threads(threads)
    return Settings(**{**phase, **given})


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()


WHOLE = {"steps": 1, "batch_photos": 1, "language_steps": 0, "fixed_blocks": 0, "seed": 0}
"""The least that each whole number may be."""
BETWEEN = {"minutes": (0.0, math.inf), "peak_rate": (0.0, math.inf), "window": (0.0, 1.0)}
"""What each number must be above, and at most."""
NOT_BELOW_0 = ("encoder_rate", "checkpoint_s", "score_s")


def assert_usable(settings: Settings) -> None:
    """Raise DataError for a setting that nothing can be trained with, by its name on the command line."""
    for name, least in WHOLE.items():
        value = getattr(settings, name)
        _assert(value is None or value >= least, name, value, f"give {least} or more")
    for name, (above, most) in BETWEEN.items():
        value = getattr(settings, name)
        upper = "" if most == math.inf else f", {most:g} at most"
        counts = name != "minutes" or settings.steps is None
        usable = above < value <= most and math.isfinite(value)
        _assert(usable or not counts, name, value, f"give more than {above:g}{upper}")
    for name in NOT_BELOW_0:
        value = getattr(settings, name)
        usable = value >= 0 and (name != "encoder_rate" or math.isfinite(value))  # other than these seconds: never
        _assert(usable, name, value, "give 0 or more")
    wrong = [one for one in settings.versions if not re.fullmatch(r"plain|flip|crop\d+", one)]
    _assert(not wrong, "versions", ", ".join(wrong), "there are plain, flip, crop1, crop2, ...")
    _assert(settings.versions[:1] == ("plain",), "versions", ",".join(settings.versions), "begin with plain")
    try:
        torch.device(settings.device)
    except RuntimeError as error:
        raise DataError("no such device", f"--device {settings.device}", "give cpu or cuda") from error
    if settings.out.exists() and not settings.out.is_dir():
        raise DataError("a file, and no folder", f"--out {settings.out}", "name a folder, new or of the same run")


def _assert(usable: bool, name: str, value: object, mend: str) -> None:
    if not usable:
        raise DataError("cannot be trained with", f"--{name.replace('_', '-')} {value}", mend)


def told(settings: Settings) -> dict[str, Any]:
    """Return the settings that decide what is learned, as plain values that a checkpoint can hold."""
    settings = replace(settings, family=settings.family or USUAL_FAMILY)
    kept = {name: value for name, value in asdict(settings).items() if name not in MAY_CHANGE}
    return {name: str(value) if isinstance(value, Path) else value for name, value in kept.items()}


def assert_same(settings: Settings, begun: dict[str, Any], state_file: Path) -> None:
    """Raise DataError where a run was begun with other settings than it is now started again with."""
    now = told(settings)
    usual = told(Settings(settings.data, settings.out))  # of settings that came after the run was begun
    before = {name: begun.get(name, usual[name]) for name in now}
    other = [f"{name} {before[name]} and not {value}" for name, value in now.items() if before[name] != value]
    if other:
        mend = "start it with the same settings, or give a new --out"
        raise DataError(f"the run was begun with {', '.join(other)}", str(state_file), mend)
