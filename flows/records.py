"""The records of a run: where a photo is, what is to be done with it, and what came of the whole."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from captioner.records import AltText, Caption, Features, Photo, Refusal
    from flows.words import Words
    from speech.errors import SpeechError
    from speech.records import Clip, Spoken


@dataclass(frozen=True)
class Source:
    """Where a photo is, as the listing found it."""

    id: str
    """Path below the folder of photos, `/`-separated, NFC; unique in a manifest."""
    uri: str
    """`file://` address of the file, percent-encoded, so that any file name survives; `s3://` and kin in a store."""
    size_bytes: int
    """Length of the file in bytes, >= 0."""
    mtime: datetime
    """Time of the last change, UTC, cut to microseconds; `flows.storage.EPOCH` where nobody says."""
    etag: str | None = None
    """What the store calls this version of the file; None on a disk."""
    address: str | None = None
    """Address to fetch it by where that holds a secret, which `uri` does not; never kept and never shown."""
    own: str | None = None
    """The caller's own columns as a JSON object; None where no table came with the photos."""

    @property
    def fetched_by(self) -> str:
        """The address that leads to the bytes."""
        return self.address or self.uri


Row = dict[str, Any]
"""One row of the manifest, by column name; `flows.manifest.COLUMNS` says what each column means."""


@dataclass(eq=False)
class Work:
    """One photo on its way through the stages; a stage fills in what the next one needs."""

    source: Source
    """Where it is."""
    row_before: Row | None = None
    """The row that an earlier run committed for this id."""
    sha256: str | None = None
    """Identity of the photo, once its bytes were read or are known to be unchanged."""
    photo: "Photo | None" = None
    """The decoded photo; dropped as soon as its features are there."""
    refusal: "Refusal | None" = None
    """Why the file is at fault."""
    failure: tuple[str, str] | None = None
    """Our own fault: its reason from `flows.manifest.REASONS` and a message."""
    twin: "Work | None" = None
    """An earlier photo with the same bytes, or of the same burst: its results are this one's too."""
    burst_of: str | None = None
    """Id of the photo of the same burst whose words these are."""
    picture_hash: str | None = None
    """Perceptual hash, 16 hex digits; made where bursts are looked for."""
    reused: Row | None = None
    """Words and sound that a committed row has for the same bytes and settings; None where nothing fits."""
    reuses_caption: bool = False
    """Whether `reused` holds for the caption."""
    reuses_clip: bool = False
    """Whether `reused` holds for the clip too."""
    reuses_raw: bool = False
    """Whether the sound was kept by an earlier run and is only mastered."""
    same_as: str | None = None
    """Id of the photo before it in the same folder, where other bytes have the same words."""
    words: "Words | None" = None
    """What a person wrote or approved for the photo: it stands against any model's words."""
    features: "Features | None" = None
    """What the encoder made of it; dropped once it is captioned."""
    caption: "Caption | None" = None
    """What the model said."""
    alt_text: "AltText | None" = None
    """What is published and spoken."""
    spoken: "Spoken | SpeechError | None" = None
    """The raw sound, or why there is none; dropped once it is encoded."""
    clip: "Clip | None" = None
    """The finished file."""
    is_decorative: bool = False
    """Whether the caller's columns say so: it gets a row, and neither words nor sound."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Its share of the time that each stage took for its batch."""

    @property
    def is_open(self) -> bool:
        """Whether the stages have something to do: neither refused, failed nor a twin of another photo."""
        closed = self.refusal is not None or self.failure is not None or self.twin is not None
        return not closed and not self.is_decorative


@dataclass(eq=False)
class Shard:
    """Photos that walk through the stages together."""

    number: int
    """Place in the run, from 1."""
    works: list[Work]
    """The photos, in the order of their ids."""


@dataclass
class Counts:
    """What became of the photos of one run; `found` is the sum of the others."""

    described: int = 0
    """Rows committed by this run with words and a clip."""
    decorative: int = 0
    """Rows committed by this run as decorative."""
    refused: int = 0
    """Rows committed by this run whose file is at fault."""
    failed: int = 0
    """Rows committed by this run that we could not finish."""
    taken_over: int = 0
    """Rows that stand from an earlier run."""
    left: int = 0
    """Photos left for another run, by `--limit` or an interruption."""

    @property
    def committed(self) -> int:
        """Rows that this run committed."""
        return self.described + self.decorative + self.refused + self.failed

    @property
    def found(self) -> int:
        """Photos found."""
        return self.committed + self.taken_over + self.left


@dataclass
class Summary:
    """The run in numbers."""

    run_id: str
    """Time of the start and four random hex digits."""
    counts: Counts = field(default_factory=Counts)
    """What became of the photos."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Rows refused or failed by this run, by reason."""
    first: dict[str, str] = field(default_factory=dict)
    """Id of the first photo refused or failed for each reason."""
    captioned: int = 0
    """Photos that were really captioned, not taken from a row."""
    spoken: int = 0
    """Texts that were really spoken and encoded, not taken from a row."""
    remastered: int = 0
    """Clips made of raw sound that an earlier run kept."""
    bursts: int = 0
    """Photos that took the words of another frame of their burst."""
    stage_seconds: dict[str, float] = field(default_factory=dict)
    """Seconds spent in each stage."""
    workers: dict[str, tuple[int, int]] = field(default_factory=dict)
    """By host and process, the shards that a worker of a cluster made and how often it loaded the models."""
    called_s: float = 0.0
    """Seconds from the calls of stages to their returns, all shards together."""
    audio_s: float = 0.0
    """Seconds of sound that this run made."""
    wall_s: float = 0.0
    """Seconds from the first shard's start to the last one's end."""

    @property
    def orchestration_s(self) -> float:
        """Seconds that the calls of stages took beside the stages themselves."""
        return self.called_s - sum(self.stage_seconds.values())

    missing: int = 0
    """Rows whose photo is gone."""
    noted: int = 0
    """Rows that were only marked as gone, or as there again."""
    interrupted: str | None = None
    """`SIGINT` or `SIGTERM` where the run was stopped."""
    prefect_is_away: bool = False
    """Whether Prefect's server went away in mid-run."""
    orchestration: str = "none"
    """Who called the stages: `none`, or the Prefect API that watched."""
