"""Coqui's catalogue of voices: their names, licences and where they lie once fetched; imports neither torch nor TTS.

Nothing here touches the network but `fetch`, which `narrate voices --fetch NAME` calls.
"""

import contextlib
import importlib.util
import json
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from speech.errors import VoiceError

KIND = "tts_models"
"""What the names of all its voices begin with; its vocoders' begin with `vocoder_models`."""
NAME_PARTS = 4
TIMEOUT_S = 30
"""How long the far end may stay silent while a voice is fetched."""
SPDX = {
    "apache 2.0": "Apache-2.0",
    "bsd-3-clause": "BSD-3-Clause",
    "cc by-nc-nd 4.0": "CC-BY-NC-ND-4.0",
    "cc by-nc 4.0": "CC-BY-NC-4.0",
    "cc-by-sa 4.0": "CC-BY-SA-4.0",
    "cc-by-4.0": "CC-BY-4.0",
}
"""The catalogue's words for a licence, in lower case, and its SPDX identifier."""
RESTRICTS_USE = re.compile(r"CPML|(?<![A-Z])NC(?![A-Z])|openrail|custom", re.IGNORECASE)
"""Licences that forbid some uses, or that only their text can say: they are accepted by name or not used."""


@dataclass(frozen=True)
class Entry:
    """A voice or vocoder of the catalogue."""

    name: str
    """Such as `tts_models/en/ljspeech/vits`."""
    language: str
    """Its second part: a language, or `multilingual`."""
    licence: str
    """SPDX identifier where there is one; `unknown` where the catalogue has none."""
    vocoder: str
    """Name of the vocoder that belongs to it; empty where it needs none."""
    repository: str
    """Hugging Face repository that it is fetched from; empty for a plain address."""


def restricts_use(licence: str) -> bool:
    """Return whether a licence must be accepted by name before its voice is used."""
    return RESTRICTS_USE.search(licence) is not None


def is_name(text: str) -> bool:
    """Return whether `text` looks like a voice of the catalogue."""
    return text.startswith(f"{KIND}/") and text.count("/") == NAME_PARTS - 1


def entries(models_file: Path | None = None) -> list[Entry]:
    """Return every voice of the catalogue that the installed library carries, in its order."""
    return [
        _entry(f"{KIND}/{language}/{data}/{model}", item)
        for language, sets in _read(models_file or _models_file()).get(KIND, {}).items()
        for data, models in sets.items()
        for model, item in models.items()
    ]


def find(name: str, models_file: Path | None = None) -> Entry:
    """Return the voice or vocoder `name`; raises `VoiceError` with the nearest names where there is none."""
    item: Any = _read(models_file or _models_file())
    if re.fullmatch(rf"{KIND}/[a-z]{{3}}[\w-]*/fairseq/vits", name):
        return Entry(name, name.split("/")[1], "CC-BY-NC-4.0", "", "")
    for part in name.split("/"):
        item = item.get(part) if isinstance(item, dict) else None
    if not isinstance(item, dict) or "license" not in item:
        raise VoiceError("Coqui's catalogue has no such voice", where=name, mend="see narrate voices --all")
    return _entry(name, item)


def cache_folder() -> Path:
    """Return where the library keeps what it fetched, as the library itself decides."""
    for variable in ("TTS_HOME", "XDG_DATA_HOME"):
        if os.environ.get(variable):
            return Path(os.environ[variable]).expanduser() / "tts"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "tts"
    return Path.home() / ".local" / "share" / "tts"


def fetched_folder(entry: Entry) -> Path | None:
    """Return where the voice lies on this disk, None where it was not fetched; touches no network."""
    folder = cache_folder() / entry.name.replace("/", "--")
    if folder.is_dir() and any(folder.iterdir()):
        return folder
    return _hugging_face_folder(entry.repository) if entry.repository else None


def require_folder(entry: Entry) -> Path:
    """Return where the voice lies; raises `VoiceError` with the command that fetches it."""
    folder = fetched_folder(entry)
    if folder is None:
        raise VoiceError(
            "this voice is not on this machine",
            where=entry.name,
            mend=f"run: narrate voices --fetch {entry.name}{_acceptance(entry)}",
        )
    return folder


def _acceptance(entry: Entry) -> str:
    return f" --accept-licence {entry.licence}" if restricts_use(entry.licence) else ""


def check_accepted(name: str, licence: str, accepted: str) -> None:
    """Raise `VoiceError` where a licence restricts use and is not among those accepted, divided by commas."""
    if restricts_use(licence) and licence.lower() not in {part.strip().lower() for part in accepted.split(",")}:
        raise VoiceError(
            f"its licence, {licence}, restricts what it may be used for",
            where=name,
            mend=f"read it, and if it allows your use: --accept-licence {licence}",
        )


def fetch(name: str, accepted: str = "", models_file: Path | None = None) -> Path:
    """Fetch a voice and its vocoder from where the catalogue says, and return the voice's folder.

    The one function that touches the network. Raises `VoiceError` where the licence was not accepted, the voice is
    unknown or the far end does not answer.
    """
    entry = find(name, models_file)
    check_accepted(name, entry.licence, accepted)
    for wanted in (entry, *([find(entry.vocoder, models_file)] if entry.vocoder else [])):
        if fetched_folder(wanted) is None:
            _fetch_one(wanted, models_file)
    return require_folder(entry)


def _fetch_one(entry: Entry, models_file: Path | None) -> None:
    """Let the library fetch into a folder beside its cache, then move the whole into place."""
    from speech.quiet import quiet_imports

    with quiet_imports():
        from TTS.utils.manage import ModelManager

    cache = cache_folder()
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".fetching-") as scratch, _bounded(entry), quiet_imports():
        manager = ModelManager(models_file or _models_file(), output_prefix=scratch, progress_bar=sys.stderr.isatty())
        try:
            manager.download_model(entry.name)
        except Exception as error:
            raise VoiceError(
                f"it could not be fetched: {(str(error).splitlines() or [type(error).__name__])[0][:200]}",
                where=entry.name,
                mend="check the network and run the command again",
            ) from error
        made = Path(scratch) / "tts" / entry.name.replace("/", "--")
        if not entry.repository and made.is_dir():
            shutil.move(made, cache / made.name)
            manager._update_paths(cache / made.name, cache / made.name / "config.json")  # noqa: SLF001 - for the library's own use


@contextlib.contextmanager
def _bounded(entry: Entry) -> Iterator[None]:
    """Give the library's requests, which would wait for ever, a limit, and answer its question about terms.

    The question was answered before: `fetch` asks for `--accept-licence`.
    """
    import requests

    plain, told = requests.Session.send, os.environ.get("COQUI_TOS_AGREED")

    def send(session: requests.Session, request: Any, **options: Any) -> Any:
        options["timeout"] = options.get("timeout") or TIMEOUT_S
        response = plain(session, request, **options)
        response.raise_for_status()
        return response

    requests.Session.send = send  # type: ignore[method-assign, assignment]  # for the length of one call
    if entry.licence == "CPML":
        os.environ["COQUI_TOS_AGREED"] = "1"
    try:
        yield
    finally:
        requests.Session.send = plain  # type: ignore[method-assign]
        if told is None:
            os.environ.pop("COQUI_TOS_AGREED", None)


def _hugging_face_folder(repository: str) -> Path | None:
    """Return the snapshot of `repository` in Hugging Face's cache on this disk."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repository, local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def _entry(name: str, item: dict[str, Any]) -> Entry:
    words = (item.get("license") or "unknown").split(" - ")[0].strip()
    licence = SPDX.get(words.lower(), words)
    return Entry(name, name.split("/")[1], licence, item.get("default_vocoder") or "", item.get("repo_id") or "")


def _models_file() -> Path:
    """Return the catalogue inside the installed library, which is found and not imported."""
    found = importlib.util.find_spec("TTS")
    if found is None or not found.submodule_search_locations:
        raise VoiceError("coqui-tts is not installed", mend="pip install coqui-tts")
    return Path(found.submodule_search_locations[0]) / ".models.json"


@lru_cache(maxsize=4)
def _read(path: Path) -> dict[str, Any]:
    return dict(json.loads(path.read_text(encoding="utf-8")))
