"""Find captioners and say what they are, without loading one: names, folders, digests.

A captioner is a folder: `model.safetensors` (encoder and Transformer, half precision), `config.json`,
`tokenizer.json`, `CARD.md`. Only data is ever loaded from it, never code. captioner.bundle loads and saves.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioner.errors import ModelError

FILES = ("model.safetensors", "config.json", "tokenizer.json")
"""What a captioner cannot be without; its digest is taken over these, in this order, and over `CALIBRATION`."""
CALIBRATION = "confidence.json"
"""How its confidence is found, where it was calibrated (captioner.confidence)."""
FORMAT = 1
"""Version of the folder's layout."""


@dataclass(frozen=True)
class Description:
    """What a captioner is, known before it is loaded."""

    name: str
    """What users call it."""
    folder: Path
    """Where it lies."""
    digest: str
    """16 hex digits of the SHA-256 over weights, settings and vocabulary."""
    licence: str
    """On what terms it may be used, in one line."""
    language: str
    """BCP 47 tag of its captions."""
    weights_digest: str
    """As `digest`, but for the calibration, which is fitted for weights that this digest names."""
    calibration: Path
    """Where its calibration lies, or is to be written."""


def model_folders() -> list[Path]:
    """Return the folders that hold captioners: beside the packages in a checkout, inside in an installation."""
    package = Path(__file__).parent
    return [place for place in (package / "data" / "models", package.parent / "data" / "models") if place.is_dir()]


def model_names() -> list[str]:
    """Return the names of the captioners that came along, sorted."""
    found = {path.parent.name for place in model_folders() for path in place.glob("*/config.json")}
    return sorted(found)


def model_folder(name_or_folder: str | Path) -> Path:
    """Return a captioner's folder by its name or path; raise ModelError, with the names there are, where none is."""
    given = Path(name_or_folder)  # a name means a built-in captioner, whatever lies in the current folder
    for folder in [*(place / given.name for place in model_folders() if given.name == str(name_or_folder)), given]:
        if (folder / "config.json").is_file():
            return folder
    names = ", ".join(model_names()) or "none came along"
    raise ModelError("no such captioner", str(name_or_folder), f"name one of these or a folder: {names}")


def read_config(folder: Path) -> dict[str, Any]:
    """Read `config.json`; raise ModelError where it is broken or of a later layout."""
    path = folder / "config.json"
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        version = config["format"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"not a captioner's configuration ({error})", str(path), "fetch the model again") from error
    if version != FORMAT:
        raise ModelError(f"layout {version}, and this program reads {FORMAT}", str(path), "update image-narrator")
    return config


def replace_files(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Write files so that a kill leaves each one whole, old or new: all under other names first, then renamed in order.

    What must fit together is told apart by the hashes in the last of them (see `check_files`).
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        with (folder / f"{name}.part").open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
    for name in contents:
        (folder / f"{name}.part").replace(folder / name)


def check_files(folder: Path, config: Mapping[str, Any]) -> None:
    """Raise ModelError where a file is not the one that `config.json` was written with: a kill came between two."""
    for name, wanted in config.get("sha256", {}).items():
        try:
            found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        except OSError as error:
            raise ModelError("a file of the captioner is missing", str(folder / name), "fetch it again") from error
        if found != wanted:
            mend = "go on with its training, or fetch it again"
            raise ModelError("not the file that config.json was written with", str(folder / name), mend)


def digest_folder(folder: Path) -> str:
    """Return 16 hex digits of the SHA-256 over the captioner's files; raise ModelError where one is missing.

    The calibration is left out.
    """
    total = hashlib.sha256()
    for name in FILES:
        try:
            total.update(f"{name}\n".encode() + (folder / name).read_bytes())
        except OSError as error:
            raise ModelError("a file of the captioner is missing", str(folder / name), "fetch it again") from error
    return total.hexdigest()[:16]


def describe(name_or_folder: str | Path, prompt: str = "") -> Description:
    """Say what a captioner is without loading it (takes milliseconds); raise ModelError where there is none.

    `prompt` is what one of other people's (captioner.public) is asked.
    """
    from captioner.public import describe_public, is_public

    if is_public(name_or_folder):
        return describe_public(str(name_or_folder), prompt)
    folder = model_folder(name_or_folder)
    config = read_config(folder)
    licence, language = str(config.get("licence", "unknown")), str(config.get("language", "en"))
    weights = digest_folder(folder)
    calibration = folder / CALIBRATION
    digest = with_calibration(weights, calibration)
    return Description(str(config.get("name", folder.name)), folder, digest, licence, language, weights, calibration)


def user_calibration(weights: str) -> Path:
    """Return where the calibration lies of what has no folder of its own, by the digest of its weights."""
    home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return home / "image-narrator" / "confidence" / f"{weights}.json"


def with_calibration(weights: str, calibration: Path) -> str:
    """Return a captioner's digest once its calibration counts: that of its weights where there is none."""
    if not calibration.exists():
        return weights
    return hashlib.sha256(f"{weights} ".encode() + calibration.read_bytes()).hexdigest()[:16]
