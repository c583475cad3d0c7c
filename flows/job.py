"""All settings of a run in one model: the command line, job files and Prefect's form are made from it."""

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationError, WithJsonSchema
from pydantic_core import PydanticCustomError

from flows.addresses import anywhere, refuse_secrets
from flows.errors import FlowError
from flows.storage import Folder, folder_at

Format = Literal["mp3", "wav", "flac", "ogg", "opus"]


def _not_empty(value: object) -> object:
    """Refuse an empty path: it comes of an unset variable, and would mean the current folder."""
    if value == "":
        raise PydanticCustomError("empty", "the path is empty")
    return value


def _photos(value: object) -> object:
    """Refuse an empty path, and an address with a secret in it."""
    if isinstance(value, str):
        refuse_secrets(value)
    return _not_empty(value)


def _out(value: object) -> object:
    """Return the folder of a path or an address."""
    _not_empty(value)
    return folder_at(value) if isinstance(value, str) else value


def _percent(value: object) -> object:
    """Return a share as whole per cent: `20%` for 20, "20%" and 0.2."""
    if value is None:
        return None
    text = str(value).strip()
    try:
        number = float(text.removesuffix("%"))
    except ValueError:
        number = 0.0
    number = round(number * 100, 6) if 0 < number < 1 and not text.endswith("%") else number
    if not 1 <= number <= 99 or number != round(number):  # noqa: PLR2004  of a hundred
        raise PydanticCustomError("percent", "it is a share of 1% to 99%, whole per cent, such as 20%")
    return f"{number:.0f}%"


_OUT = (
    BeforeValidator(_out),
    PlainSerializer(str),
    WithJsonSchema({"type": "string"}),
)


class Job(BaseModel):
    """What to narrate, where to put it, and how."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    photos: Annotated[str, BeforeValidator(_photos)] = Field(
        description="Folder of photos, a glob such as 'photos/**/*.jpg', a list (a text file with one path a line, or "
        "a CSV or Parquet table), or an address: s3://BUCKET/FOLDER, or a list at https://."
    )
    out: Annotated[Folder, *_OUT] = Field(
        description="Folder for the manifest, the clips and the report, made where it is missing; or s3://BUCKET/FOLDER."
    )
    table: str | None = Field(
        None,
        description="CSV or Parquet of your own columns, carried to the manifest by id (the path below the folder).",
    )
    image_column: str | None = Field(None, description="Column of a table that says where the photo is.")
    format: Format = Field("mp3", description="File format of the clips.")
    captioner: str = Field(
        "narrator-lite", description="Name or folder of the captioner, or hf:ORG/NAME; see narrate captioners."
    )
    also: str = Field("", description="A second captioner: the surer one's words are published, both are kept.")
    prompt: str = Field("", description="What a captioner of other people's is asked, where it takes a prompt.")
    trust_remote_code: bool = Field(False, description="Let code that lies beside such a captioner's weights run.")
    voice: str = Field("narrator", description="Name or folder of the voice, or espeak:LANGUAGE; see narrate voices.")
    quality: Literal["fast", "best"] = Field(
        "fast", description="Vocoder of the built-in voice: fast, or best: larger, slower, needs the extra best-voice."
    )
    speaker: str = Field("", description="Who speaks, of a voice with several speakers.")
    language: str = Field("", description="What is spoken, of a voice with several languages, by its own name.")
    accept_licence: str = Field("", description="Restrictive licences of voices that you accept, divided by commas.")
    policy: Literal["wcag", "short-125", "plain"] = Field(
        "wcag", description="How alt text is made from a caption: wcag, short-125 or plain."
    )
    neutral_people: bool = Field(
        False, description="Name people without their gender: 'a person', not 'a man' or 'a woman'."
    )
    max_wrong: Annotated[str | None, BeforeValidator(_percent)] = Field(
        None, description="The share of wrong captions that may be published as sure, such as 20%; see --unsure."
    )
    unsure: Literal["hedge", "abstain"] = Field(
        "hedge", description="What becomes of the others: 'Possibly ...', or 'No reliable description.'"
    )
    profile: Literal["streaming", "ebu-r128", "acx", "none"] = Field(
        "streaming", description="Loudness of the clips: streaming (-16 LUFS), ebu-r128 (-23 LUFS), acx or none."
    )
    sample_rate: int | None = Field(None, description="Samples a second of the clips, in Hz; else the voice's own.")
    lexicon: Path | None = Field(None, description="How your own words are said: a PLS or CSV file.")
    pause: Literal["short", "natural", "long"] = Field(
        "natural", description="Silence between sentences: short, natural or long."
    )
    check_speech: bool = Field(False, description="Let a recogniser listen to each clip; needs the extra asr.")
    bad_clips: Literal["flag", "fail"] = Field(
        "flag", description="What becomes of a clip that fails its checks in every take."
    )
    sign_certificate: Path | None = Field(
        None, description="Certificates (PEM) to sign the clips with by C2PA; wav and mp3, needs the extra c2pa."
    )
    sign_key: Path | None = Field(None, description="Private key (PEM) of the signing certificate.")
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
        description="Where the models run: auto, cpu, cuda, cuda:N or mps.",
    )
    engine: Literal["prefect", "none"] = Field(
        "prefect", description="Watch the run in Prefect, or call the stages directly."
    )
    runner: Literal["threads", "dask", "ray"] = Field(
        "threads",
        description="Who does the shards: threads of this process, or the workers of a Dask or Ray cluster.",
    )
    address: str | None = Field(
        None,
        description="Address of the cluster, such as tcp://HOST:8786 or ray://HOST:10001; else one is started here.",
    )
    workers: int | None = Field(
        None, ge=1, description="Worker processes of a cluster that is started here; else one a GPU, or half the cores."
    )
    max_failed: str = Field(
        "1%",
        pattern=r"^\d+(\.\d+)?%?$",
        description="How many photos may fail, as a share or a number, before the whole run counts as failed.",
    )
    shard_size: int = Field(64, ge=1, le=512, description="Photos that walk through the stages together.")
    limit: int | None = Field(None, ge=1, description="Narrate no more than this many photos, for a trial.")
    bursts: bool = Field(
        False, description="Describe one of the photos taken seconds apart that look alike; the others take its words."
    )
    keep_raw: bool = Field(
        False,
        description="Keep each clip as it was spoken (100 kB), so that another loudness speaks nothing again.",
    )
    overlap: bool = Field(True, description="Caption the next photos while one shard is spoken.")
    retry: str | None = Field(
        None, description="Try again what was refused or failed for this reason, or all: what is remembered is not."
    )
    rehash: bool = Field(False, description="Read every photo again instead of trusting its size and time of change.")

    @property
    def most_wrong(self) -> int | None:
        """`max_wrong` in per cent."""
        return int(self.max_wrong.rstrip("%")) if self.max_wrong else None


def placed(settings: dict[str, Any]) -> dict[str, Any]:
    """Return settings, as JSON has them, that mean the same to a process that starts in another folder."""
    places = ("photos", "out", "table", "lexicon", "sign_certificate", "sign_key")
    folders = (name for name in ("captioner", "voice") if Path(settings.get(name, "")).is_dir())
    return settings | {name: anywhere(settings[name]) for name in (*places, *folders) if settings.get(name)}


def load_settings(path: Path) -> dict[str, Any]:
    """Return the settings in a TOML or JSON job file; a run's own `OUT/runs/RUN_ID.json` will do.

    Raises FlowError where the file cannot be read or is neither.
    """
    try:
        text = path.read_text(encoding="utf-8")
        settings = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise FlowError(
            f"the job file cannot be read ({error})", str(path), "give a TOML or JSON file of settings"
        ) from error
    if isinstance(settings, dict) and isinstance(settings.get("job"), dict):
        settings = settings["job"]
    if not isinstance(settings, dict):
        raise FlowError("the job file holds no table of settings", str(path), 'write lines such as format = "mp3"')
    return settings


def make_job(settings: dict[str, Any]) -> Job:
    """Return the Job of `settings`; raises FlowError that names the first setting that does not fit."""
    try:
        return Job.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "string_pattern_mismatch":
            first["msg"] = f"{first['input']!r} is none of its values"
        name = ".".join(str(part) for part in first["loc"]) or "job"
        mend = (
            f"the settings are {', '.join(Job.model_fields)}"
            if first["type"] == "extra_forbidden"
            else "see narrate run --help"
        )
        raise FlowError(first["msg"][0].lower() + first["msg"][1:], f"setting {name}", mend) from error
