"""Other people's captioners by name, `hf:ORG/NAME` or a folder of the same layout: where they lie, what they are.

Nothing here touches the network but `fetch`, and nothing imports a model library. The layout is Hugging Face's: a
`config.json` with a `model_type`, weights, a tokenizer, a processor, and a card `README.md`.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from captioner.errors import ModelError
from captioner.weights import (
    CALIBRATION,
    Description,
    model_folders,
    model_names,
    user_calibration,
    with_calibration,
)

PREFIX = "hf:"
"""What the name of a captioner on the Hub begins with."""
BUILT_IN = "narrator-lite"
"""The captioner that comes along."""
VERSION = 1
"""Raised when the same weights and settings give other words here."""
_NAME = re.compile(r"hf:(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
_PATIENCE_S = 10.0
_COUNTED = (".json", ".txt", ".model", ".safetensors", ".bin", ".jinja", ".py")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def is_public(name: str | Path) -> bool:
    """Say whether a name means another people's captioner: on the Hub, or a folder in its layout."""
    if str(name).startswith(PREFIX):
        return True
    if str(name) in model_names() or not (Path(name) / "config.json").is_file():
        return False
    try:
        return "model_type" in _config(Path(name))
    except ModelError:
        return False


def _config(folder: Path) -> dict[str, Any]:
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        mend = "fetch the captioner again"
        raise ModelError(f"not a captioner's configuration ({error})", str(folder / "config.json"), mend) from error
    return config if isinstance(config, dict) else {}


def find(name: str) -> Path:
    """Return the folder of a public captioner on this machine; raise ModelError, with the mend, where it is not."""
    if not name.startswith(PREFIX):
        return Path(name)
    from huggingface_hub import try_to_load_from_cache

    repository, revision = _parts(name)
    found = try_to_load_from_cache(repository, "config.json", revision=revision)
    if not isinstance(found, str):
        mend = f"with a network, run: narrate captioners --fetch {name}"
        raise ModelError("this captioner is not on this machine", name, mend)
    return Path(found).parent


def _parts(name: str) -> tuple[str, str | None]:
    """Return the repository and the revision of a name on the Hub."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise ModelError("not a name on the Hugging Face Hub", name, "write hf:ORG/NAME, or hf:ORG/NAME@REVISION")
    return match["repository"], match["revision"]


def fetch(name: str) -> Path:
    """Fetch a captioner from the Hub into its own cache; the one function here that uses the network.

    Weights come as safetensors where the repository has them. Raises ModelError where it cannot be fetched.
    """
    from huggingface_hub import constants, get_session, list_repo_files, snapshot_download
    from huggingface_hub.utils import logging as their_logging

    logging: Any = their_logging
    repository, revision = _parts(name)
    logging.set_verbosity_error()  # it tells of each of its tries
    try:
        get_session().head(constants.ENDPOINT, timeout=_PATIENCE_S)  # or half a minute of tries comes first
        files = list_repo_files(repository, revision=revision)
        safe = any(file.endswith(".safetensors") for file in files)
        unwanted = ["*.msgpack", "*.h5", "*.onnx", "onnx/*", "*.ot", *(["*.bin", "*.pt", "*.pth"] if safe else [])]
        return Path(snapshot_download(repository, revision=revision, ignore_patterns=unwanted))
    except Exception as error:  # the Hub's client throws its own, httpx's and the system's
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ModelError(f"it cannot be fetched ({why})", name, "check the name and the network") from error


def describe_public(name: str, prompt: str = "") -> Description:
    """Say what a public captioner is without loading it; raise ModelError where it is not on this machine."""
    folder = find(name)
    _config(folder)
    card = _card(folder)
    weights = digest_public(folder, prompt)
    calibration = _calibration(name, folder, weights)
    licence = card.get("license_name") or card.get("license") or "unknown: its card names none"
    language = card.get("language", "en").split(",")[0].strip(" []'\"") or "en"
    digest = with_calibration(weights, calibration if calibration.exists() else common_calibration())
    title = name if name.startswith(PREFIX) else folder.resolve().name
    return Description(title, folder, digest, licence, language, weights, calibration)


def _card(folder: Path) -> dict[str, str]:
    """Return what the head of a model card says, a line each; of a list its first entry."""
    try:
        text = (folder / "README.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    head = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
    if head is None:
        return {}
    pairs = re.findall(r"^(\w+):[ \t]*(?:\n[ \t]*-[ \t]*)?(.+)$", head[1], re.MULTILINE)
    return {key: value.strip().strip("'\"") for key, value in pairs}


def _calibration(name: str, folder: Path, weights: str) -> Path:
    """Return where its calibration lies: in a folder of the user's, and apart for what lies in the Hub's cache."""
    return user_calibration(weights) if name.startswith(PREFIX) else folder / CALIBRATION


def common_calibration() -> Path:
    """Return where the built-in captioner's calibration lies, which knows a blank by its pixels for every captioner."""
    return next((place / BUILT_IN / CALIBRATION for place in model_folders()), Path(CALIBRATION))


def digest_public(folder: Path, prompt: str = "") -> str:
    """Return 16 hex digits over weights, configuration, tokenizer, processor and prompt."""
    total = hashlib.sha256(f"{VERSION} {prompt}\n".encode())
    for path in _files(folder):
        total.update(f"{path.name} {_hash(path)}\n".encode())
    return total.hexdigest()[:16]


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files that change what a captioner says, in order; where there are safetensors, no pickles."""
    found = sorted(path for path in folder.iterdir() if path.suffix in _COUNTED and path.name != CALIBRATION)
    safe = any(path.suffix == ".safetensors" for path in found)
    return (path for path in found if not (safe and path.suffix == ".bin"))


def _hash(path: Path) -> str:
    """Return a file's SHA-256; the Hub's cache has it as the name of what a link leads to."""
    target = path.resolve().name
    if path.is_symlink() and _SHA256.fullmatch(target):
        return target
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fetched() -> list[str]:
    """Return the names of the captioners in the Hub's cache: repositories whose model says that it reads pictures."""
    from huggingface_hub import constants

    found = []
    for config in sorted(Path(constants.HF_HUB_CACHE).glob("models--*--*/snapshots/*/config.json")):
        organisation, _, name = config.parents[2].name.removeprefix("models--").partition("--")
        if {"vision_config", "encoder"} & set(_config(config.parent)):
            found.append(f"{PREFIX}{organisation}/{name}")
    return list(dict.fromkeys(found))


def prompt_for(name: str, prompt: str) -> str:
    """Return the prompt that a second captioner gets: ours take none."""
    return prompt if is_public(name) else ""
