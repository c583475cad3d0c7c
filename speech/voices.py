"""Find a voice by name or folder and say what it is; imports neither torch nor TTS.

A voice folder holds `config.json` (name, language, licence, sample rate, and the settings of Coqui's two models),
`model.safetensors` (acoustic model), `vocoder.safetensors` and `CARD.md`.
"""

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from speech.errors import VoiceError
from speech.records import Voice

CONFIG, ACOUSTIC, VOCODER = "config.json", "model.safetensors", "vocoder.safetensors"
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


def resolve_voice(name_or_folder: str) -> Voice:
    """Return the voice of a built-in name or of a local folder; raises `VoiceError` where there is none."""
    folder = _folder_of(name_or_folder)
    config = read_config(folder)
    return Voice(
        name=config["name"],
        language=config["language"],
        licence=config["licence"],
        sample_rate_hz=config["sample_rate_hz"],
        digest=_digest(folder, tuple(_stamp(folder / name) for name in (CONFIG, ACOUSTIC, VOCODER))),
        folder=folder,
    )


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
        mend=f"use one of {', '.join(names) or 'no built-in voice is installed'}, or a folder that holds one",
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


def _stamp(path: Path) -> tuple[str, int, int]:
    """Return what changes when a file does: its name, size and time."""
    stat = path.stat()
    return path.name, stat.st_size, stat.st_mtime_ns


@lru_cache(maxsize=16)
def _digest(folder: Path, stamps: tuple[tuple[str, int, int], ...]) -> str:
    """Return 16 hex digits of the SHA-256 over the voice's files, read once as long as they do not change."""
    whole = hashlib.sha256()
    for name, _, _ in stamps:
        with (folder / name).open("rb") as stream:
            whole.update(hashlib.file_digest(stream, "sha256").digest())
    return whole.hexdigest()[:16]
