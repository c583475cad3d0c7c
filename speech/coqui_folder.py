"""What lies in a folder of Coqui's: the names of its files and what its settings say; imports neither torch nor TTS.

A voice is `config.json` and its weights, as Coqui's trainer and catalogue leave them. A vocoder, where the voice needs
one, lies in the folder `vocoder` below, or beside it as `vocoder_config.json` and `vocoder.pth`.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from speech.errors import VoiceError

WEIGHTS = ("model.safetensors", "model_file.pth", "model_file.pth.tar", "model.pth", "checkpoint.pth", "best_model.pth")
VOCODER_WEIGHTS = ("vocoder.safetensors", "vocoder.pth", "vocoder.pth.tar")
NO_WEIGHTS = re.compile(r"speaker|language|_se\.pth|vocoder", re.IGNORECASE)
"""Checkpoints beside the weights that are something else."""
COMMENT = re.compile(r"(\"(?:[^\"\\]|\\.)*\")|(/\*(?:.|[\n\r])*?\*/)|(//.*)")
ISO_639_1 = {"eng": "en", "deu": "de", "fra": "fr", "spa": "es", "ita": "it", "por": "pt", "nld": "nl", "rus": "ru"}
"""Two letters for the commonest three-letter codes of fairseq's voices."""
WHOLE_FOLDER = frozenset({"xtts", "bark", "tortoise"})
"""Models that load themselves from a folder of several files."""


@dataclass(frozen=True)
class CoquiFiles:
    """The files of a voice."""

    config: Path
    """Its settings."""
    weights: Path
    """Its weights, safetensors or a checkpoint of Coqui's; the folder itself for a model of several files."""
    vocoder_config: Path | None = None
    """The settings of its vocoder."""
    vocoder_weights: Path | None = None
    """The weights of its vocoder."""


def find_files(folder: Path, vocoder_folder: Path | None = None) -> CoquiFiles:
    """Return the files of a voice; raises `VoiceError` where one is missing."""
    config = folder / "config.json"
    if not config.is_file():
        raise VoiceError("the voice has no config.json", where=str(folder), mend="take the whole folder of the voice")
    whole = model_name(read_json(config)) in WHOLE_FOLDER
    weights = folder if whole else _weights(folder, WEIGHTS)
    beside = folder / "vocoder_config.json"
    inside = vocoder_folder or folder / "vocoder"
    if inside.is_dir():
        return CoquiFiles(config, weights, inside / "config.json", _weights(inside, WEIGHTS + VOCODER_WEIGHTS))
    if beside.is_file():
        named = [folder / name for name in VOCODER_WEIGHTS if (folder / name).is_file()]
        if not named:
            raise VoiceError("the vocoder has no weights", str(folder), f"put {VOCODER_WEIGHTS[1]} beside its settings")
        return CoquiFiles(config, weights, beside, named[0])
    return CoquiFiles(config, weights)


def read_json(path: Path) -> dict[str, Any]:
    """Return the settings in `path`, which may hold comments as Coqui's older ones do; raises `VoiceError`."""
    try:
        text = path.read_text(encoding="utf-8")
        try:
            settings = json.loads(text)
        except json.JSONDecodeError:
            settings = json.loads(COMMENT.sub(lambda match: match.group(1) or "", text))
    except (OSError, ValueError) as error:
        raise VoiceError(f"its settings cannot be read: {error}", where=str(path), mend="restore the file") from error
    if not isinstance(settings, dict):
        raise VoiceError("not a voice's settings", where=str(path), mend="restore the file")
    return settings


def model_name(config: dict[str, Any]) -> str:
    """Return Coqui's name of a model's kind, such as `vits`; `fairseq` for Meta's; empty where it names none."""
    if "model" not in config and "training_files" in config.get("data", {}):
        return "fairseq"
    return str(config.get("model", "")).lower()


def sample_rate_hz(files: CoquiFiles) -> int:
    """Return the samples a second of what the voice, or else its vocoder, gives; raises `VoiceError`."""
    config = read_json(files.vocoder_config or files.config)
    audio = config.get("audio") or config.get("data") or {}
    for key in ("output_sample_rate", "sample_rate", "sampling_rate"):
        if audio.get(key):
            return int(audio[key])
    where = str(files.vocoder_config or files.config)
    raise VoiceError("the settings name no sample rate", where=where, mend="restore the file")


def languages(folder: Path, config: dict[str, Any]) -> list[str]:
    """Return the languages that the voice speaks, by its own names; none where its settings do not say."""
    arguments = config.get("model_args") or {}
    file = folder / Path(str(arguments.get("language_ids_file") or config.get("language_ids_file") or "-")).name
    if arguments.get("use_language_embedding") and file.is_file():
        return list(read_json(file))
    named = list(config.get("languages") or [])
    named = named or sorted({data["language"] for data in config.get("datasets") or [] if data.get("language")})
    phonemes = config.get("phoneme_language") if config.get("use_phonemes") else None
    return named or ([phonemes] if phonemes else [])


def tag(language: str) -> str:
    """Return the BCP 47 tag of a language by Coqui's name of it: `en-us` gives `en-US`, `eng` gives `en`."""
    first, *rest = language.replace("_", "-").split("-")
    return "-".join([ISO_639_1.get(first.lower(), first.lower()), *(part.upper() for part in rest if len(part) == 2)])  # noqa: PLR2004 - a region


def _weights(folder: Path, names: tuple[str, ...]) -> Path:
    """Return the weights in `folder`: by their usual names, or the one checkpoint there is."""
    for name in names:
        if (folder / name).is_file():
            return folder / name
    others = [
        path
        for pattern in ("*.safetensors", "*.pth", "*.pth.tar")
        for path in folder.glob(pattern)
        if not NO_WEIGHTS.search(path.name)
    ]
    if len(others) != 1:
        found = f"{len(others)} files that may be" if others else "no"
        raise VoiceError(f"there are {found} weights here", where=str(folder), mend=f"name the right one {names[3]}")
    return others[0]
