"""What an output folder has learned from its reviewers: `OUT/learned`, and which captioner is in use.

`current.json` names the captioner in use and those before it; it is replaced whole, so that a kill leaves the old one.
"""

import json
from pathlib import Path
from typing import Any

from captioner.errors import CaptionerError
from captioner.weights import describe
from flows import paths
from flows.errors import FlowError
from flows.storage import Folder, read_file, write_json

_NONE: dict[str, Any] = {"current": None, "base": None, "before": []}


def captioner_of(out: Folder, name: str) -> str:
    """Return the captioner that a run uses: what the one called `name` became here by its reviewers, else itself.

    Raises FlowError where that is missing.
    """
    told = state(out) if isinstance(out, Path) else _NONE
    if told["current"] is None:
        return name
    try:
        if describe(name).weights_digest != told["base"]:
            return name  # the user names another one
    except CaptionerError:
        return name
    folder = paths.learned_folder(out) / told["current"]
    if not (folder / "config.json").is_file():
        what = "the captioner that was learned here is missing"
        raise FlowError(what, str(folder), f"put it back, or take it back: narrate learn {out} --undo")
    return str(folder)


def state(out: Folder) -> dict[str, Any]:
    """Return which captioner is in use, whose pupil it is, and which were before it; raises FlowError where torn."""
    path = paths.learned_folder(out) / "current.json"
    data = read_file(path)
    try:
        return _NONE | (json.loads(data) if data else {})
    except (ValueError, TypeError) as error:
        raise FlowError(f"this cannot be read ({error})", str(path), "put it back, or remove it") from error


def use(out: Path, captioner: str, base: str) -> None:
    """Put a captioner in `OUT/learned` to use from the next run on."""
    told = state(out)
    before = [*told["before"], {"captioner": told["current"], "base": told["base"]}]
    _write(out, {"current": captioner, "base": base, "before": before})


def undo(out: Path) -> str | None:
    """Take the captioner in use back; return the name of the one in use now, None for the one that the run names.

    Raises FlowError where there is nothing to take back.
    """
    told = state(out)
    if not told["before"]:
        raise FlowError("nothing was learned here that could be taken back", str(out), "see narrate learn --help")
    *before, last = told["before"]
    _write(out, {"current": last["captioner"], "base": last["base"], "before": before})
    current: str | None = last["captioner"]
    return current


def _write(out: Path, told: dict[str, Any]) -> None:
    write_json(paths.learned_folder(out) / "current.json", told, paths.scratch_folder(out))
