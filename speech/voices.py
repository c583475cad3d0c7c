"""Find a voice by name or folder and say what it is; imports neither torch nor TTS.

A voice is a built-in name, a name of Coqui's catalogue (`tts_models/en/ljspeech/vits`), a folder of Coqui's or of ours,
or `espeak:LANGUAGE`. A folder of ours holds `config.json` (name, language, licence, sample rate, and the settings of
Coqui's two models), `model.safetensors` (acoustic model), `vocoder.safetensors` and `CARD.md`.
"""

import hashlib
import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from speech import catalogue, coqui_folder, espeak
from speech.errors import VoiceError
from speech.records import Voice
from speech.universal import universal_path

CONFIG, ACOUSTIC, VOCODER = "config.json", "model.safetensors", "vocoder.safetensors"
DATA_SUFFIXES = frozenset({".json", ".pth", ".tar", ".safetensors", ".npy", ".txt"})
QUALITIES = ("fast", "best")
REQUIRED_KEYS = ("name", "language", "licence", "sample_rate_hz", "acoustic", "vocoder")


def built_in_folder() -> Path:
    """Return where the built-in voices lie: `speech/data/voices` of an installation, `data/voices` of a checkout."""
    room = Path(__file__).resolve().parent
    installed = room / "data" / "voices"
    return installed if installed.is_dir() else room.parent / "data" / "voices"


def list_voices() -> list[Voice]:
    """Return the built-in voices in the order of their names."""
    folder = built_in_folder()
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [resolve_voice(str(path)) for path in found if (path / CONFIG).is_file()]


def resolve_voice(
    name_or_folder: str, speaker: str = "", language: str = "", accepted: str = "", quality: str = "fast"
) -> Voice:
    """Return the voice of a name or a local folder; raises `VoiceError` where there is none or it may not be used.

    `speaker` and `language` choose among those of a Coqui voice; `accepted` names, divided by commas, the licences that
    restrict use and were accepted; `quality` is one of `QUALITIES`.
    """
    voice = _resolve(name_or_folder, speaker, language, accepted)
    if quality not in QUALITIES:
        raise VoiceError("no such quality", where=quality, mend=f"choose {' or '.join(QUALITIES)}")
    if quality == "fast":
        return voice
    if voice.engine != "narrator":
        raise VoiceError("this voice has one quality", where=name_or_folder, mend="leave --quality out")
    digest = _digest((*(_stamp(voice.folder / name) for name in (CONFIG, ACOUSTIC)), _stamp(universal_path())))
    return replace(voice, quality=quality, digest=digest)


def _resolve(name_or_folder: str, speaker: str, language: str, accepted: str) -> Voice:
    if espeak.is_name(name_or_folder):
        return espeak.describe(name_or_folder, speaker)
    if catalogue.is_name(name_or_folder):
        return _catalogue_voice(name_or_folder, speaker, language, accepted)
    folder = _folder_of(name_or_folder)
    if _is_coqui(folder):
        return _coqui_voice(Voice(folder.name, "", "", 0, "", folder, "coqui", speaker, language), accepted)
    if speaker:
        raise VoiceError("the voice has one speaker", where=name_or_folder, mend="leave --speaker out")
    voice = _own_voice(folder)
    if language and language.partition("-")[0].lower() != voice.language.partition("-")[0].lower():
        said = f"the voice speaks {voice.language} alone"
        raise VoiceError(said, where=name_or_folder, mend="leave --language out, or choose another voice")
    return voice


def _own_voice(folder: Path) -> Voice:
    """Return the voice in a folder of ours."""
    config = read_config(folder)
    return Voice(
        name=config["name"],
        language=config["language"],
        licence=config["licence"],
        sample_rate_hz=config["sample_rate_hz"],
        digest=_digest(tuple(_stamp(folder / name) for name in (CONFIG, ACOUSTIC, VOCODER))),
        folder=folder,
    )


def _is_coqui(folder: Path) -> bool:
    """Return whether a folder's settings are in Coqui's own format."""
    path = folder / CONFIG
    return path.is_file() and coqui_folder.model_name(_read_lightly(path)) != ""


def _read_lightly(path: Path) -> dict[str, Any]:
    """Return the settings in `path`, empty where they cannot be read: what is at fault is said later."""
    try:
        return coqui_folder.read_json(path)
    except VoiceError:
        return {}


def _catalogue_voice(name: str, speaker: str, language: str, accepted: str) -> Voice:
    """Return a voice of the catalogue that was fetched before."""
    entry = catalogue.find(name)
    catalogue.check_accepted(name, entry.licence, accepted)
    folder = catalogue.require_folder(entry)
    vocoder = catalogue.require_folder(catalogue.find(entry.vocoder)) if entry.vocoder else None
    spoken = language or ("" if entry.language == "multilingual" else entry.language)
    bare = Voice(name, "", entry.licence, 0, "", folder, "coqui", speaker, spoken, vocoder)
    return _coqui_voice(bare, accepted)


def _coqui_voice(bare: Voice, accepted: str) -> Voice:
    """Return `bare` with what the files in its folder say: licence, language, sample rate and digest."""
    files = coqui_folder.find_files(bare.folder, bare.vocoder_folder)
    config = coqui_folder.read_json(files.config)
    licence = bare.licence or _licence(bare.folder, config)
    catalogue.check_accepted(bare.name, licence, accepted)
    spoken = _language(bare, config)
    read = sorted(path for path in {files.config.parent, *_vocoder_files(files)} for path in _data_files(path))
    digest = _digest(tuple(_stamp(path) for path in read), f"{bare.speaker} {spoken}")
    name = f"{bare.name} ({bare.speaker})" if bare.speaker else bare.name
    described = replace(bare, name=name, language=coqui_folder.tag(spoken), licence=licence, digest=digest)
    return replace(described, sample_rate_hz=coqui_folder.sample_rate_hz(files), spoken_as=spoken)


def _licence(folder: Path, config: dict[str, Any]) -> str:
    """Return the licence of a local Coqui voice: what it says, its catalogue name's, or `unknown`."""
    if config.get("licence") or config.get("license"):
        return str(config.get("licence") or config["license"])
    if folder.name.startswith(f"{catalogue.KIND}--"):
        return catalogue.find(folder.name.replace("--", "/")).licence
    return {"xtts": "CPML", "fairseq": "CC-BY-NC-4.0"}.get(coqui_folder.model_name(config), "unknown")


def _language(bare: Voice, config: dict[str, Any]) -> str:
    """Return the model's name of the language that is to be spoken; raises `VoiceError` where none is known."""
    known = coqui_folder.languages(bare.folder, config)
    if len(known) > 1 and bare.spoken_as not in known:
        said = f"it does not speak {bare.spoken_as}" if bare.spoken_as else "it speaks several languages"
        raise VoiceError(said, where=bare.name, mend=f"choose by --language: {', '.join(known)}")
    if not known and not bare.spoken_as:
        mend = "say it, such as --language en"
        raise VoiceError("its settings do not say which language it speaks", where=bare.name, mend=mend)
    return known[0] if len(known) == 1 else bare.spoken_as


def _vocoder_files(files: coqui_folder.CoquiFiles) -> list[Path]:
    return [files.vocoder_config.parent] if files.vocoder_config else []


def _data_files(folder: Path) -> list[Path]:
    """Return the files of a folder that change what a voice says."""
    return [path for path in folder.iterdir() if path.suffix in DATA_SUFFIXES]


def _folder_of(name_or_folder: str) -> Path:
    """Return the folder of a name or a path: a built-in name wins, so that a folder beside it cannot take its place."""
    built_in = built_in_folder() / name_or_folder
    is_name = Path(name_or_folder).name == name_or_folder and name_or_folder not in {"", ".", ".."}
    if is_name and (built_in / CONFIG).is_file():
        return built_in
    folder = Path(name_or_folder).expanduser()
    if name_or_folder and folder.is_dir():
        return folder.resolve()
    names = sorted(path.parent.name for path in built_in_folder().glob(f"*/{CONFIG}"))
    raise VoiceError(
        "no such voice",
        where=name_or_folder or "(empty name)",
        mend=f"use {', '.join(names) or 'a name'}, a folder that holds one, or a name that narrate voices --all lists",
    )


def read_config(folder: Path) -> dict[str, Any]:
    """Return the voice's settings; raises `VoiceError` where a file is missing or `config.json` is not a voice's."""
    for name in (CONFIG, ACOUSTIC, VOCODER):
        if not (folder / name).is_file():
            raise VoiceError(f"the voice has no {name}", where=str(folder), mend="take the whole folder of the voice")
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise VoiceError(f"not JSON: {error}", where=str(folder / CONFIG), mend="restore the file") from error
    missing = [key for key in REQUIRED_KEYS if not isinstance(config, dict) or key not in config]
    if missing:
        raise VoiceError(
            f"not a voice's settings: no {', '.join(missing)}", where=str(folder / CONFIG), mend="restore the file"
        )
    return dict(config)


def _stamp(path: Path) -> tuple[Path, int, int]:
    """Return what changes when a file does: its size and time."""
    stat = path.stat()
    return path, stat.st_size, stat.st_mtime_ns


@lru_cache(maxsize=16)
def _digest(stamps: tuple[tuple[Path, int, int], ...], choice: str = "") -> str:
    """Return 16 hex digits of the SHA-256 over the voice's files, read once as long as they do not change."""
    whole = hashlib.sha256(choice.encode())
    for path, _, _ in stamps:
        with path.open("rb") as stream:
            whole.update(hashlib.file_digest(stream, "sha256").digest())
    return whole.hexdigest()[:16]
