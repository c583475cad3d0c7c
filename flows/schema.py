"""The manifest's columns: names, types, meanings and version, and how the rows of older versions become these."""

from collections.abc import Callable

import pyarrow as pa

from captioner.photos import REASONS as REFUSALS

VERSION = 2
"""Version of the columns; kept in the schema's metadata under `image_narrator_version`."""

DEAD_LINK = "dead-link"
"""Reason of status `refused` for a symbolic link that leads nowhere."""

PASSING = ("unreadable", "vanished", "out-of-memory", "model-error")
"""Reasons of status `failed` that may pass by themselves: the photo is tried again at the next run."""

LASTING = ("unspeakable", "bad-audio")
"""Reasons of status `failed` that come again from the same words and voice: tried again once either has changed."""

FAILURES = PASSING + LASTING
"""Reasons of status `failed`: we, the disk or the models are at fault."""

MISSING_PLUGIN = "missing-plugin"
"""Reason of status `refused` for a photo that an extra can read: tried again once the extra is there."""

REASONS = (*REFUSALS, DEAD_LINK, *FAILURES)
"""Every value of the column `reason`: a closed list."""

_TIME = pa.timestamp("us", tz="UTC")
_FLAGS = pa.list_(pa.struct([("rule", pa.string()), ("reason", pa.string())]))
_WORDINGS = pa.list_(pa.struct([("text", pa.string()), ("mean_logprob", pa.float32())]))

COLUMNS: dict[str, tuple[pa.DataType, str]] = {
    "id": (pa.string(), "path below the folder of photos, `/`-separated, NFC; unique"),
    "uri": (pa.string(), "`file://` address of the photo when it was last found"),
    "sha256": (pa.string(), "hash of the photo's bytes: its identity"),
    "size_bytes": (pa.int64(), "length of the photo's file"),
    "mtime": (_TIME, "time of the file's last change; null where its store does not say"),
    "etag": (pa.string(), "what the photo's store (S3, a web server) calls this version of it; null on disks"),
    "width_px": (pa.int32(), "width of the upright photo"),
    "height_px": (pa.int32(), "height of the upright photo"),
    "format": (pa.string(), "`jpeg`, `png`, `webp`, ... by content"),
    "taken_at": (pa.timestamp("us"), "when its EXIF says it was taken, in the camera's own time; read by `--bursts`"),
    "picture_hash": (pa.string(), "perceptual hash of the picture, 16 hex digits; made by `--bursts`"),
    "status": (pa.string(), "`described`, `decorative`, `refused` (the file is at fault) or `failed` (we are)"),
    "reason": (pa.string(), "why it was refused or failed, from a closed list"),
    "message": (pa.string(), "the reason in words, with what mends it"),
    "caption": (pa.string(), "what the model said"),
    "alternatives": (_WORDINGS, "the next best captions of the search, best first"),
    "alt_text": (pa.string(), "what is published and spoken"),
    "words_by": (pa.string(), "who wrote the alt text: `captioner`, `table`, `photo` (its own metadata) or `person`"),
    "burst_of": (pa.string(), "id of the photo of the same burst whose words these are; null where it has its own"),
    "language": (pa.string(), "BCP 47 tag of the alt text"),
    "alt_flags": (_FLAGS, "rules that changed or doubted the alt text"),
    "attention": (pa.list_(pa.binary()), "0 to 255 for each region, row by row, for each word of the caption"),
    "mean_logprob": (pa.float32(), "mean log-probability of the caption's tokens"),
    "confidence": (pa.float32(), "probability that the caption is right; null until calibrated"),
    "needs_review": (pa.bool_(), "whether a person should look: a rule doubted the words, or there are none"),
    "review": (pa.string(), "`approved`, `edited` or `rejected` by a person; null where nobody has decided"),
    "reviewed_by": (pa.string(), "who decided"),
    "reviewed_at": (_TIME, "when it was decided"),
    "captioner": (pa.string(), "name of the captioner"),
    "captioner_digest": (pa.string(), "digest of its weights and settings"),
    "captioner_licence": (pa.string(), "licence and terms of its weights"),
    "alt_text_digest": (pa.string(), "digest of the policy that made the alt text"),
    "voice": (pa.string(), "name of the voice"),
    "voice_digest": (pa.string(), "digest of its weights and settings"),
    "voice_licence": (pa.string(), "licence of its weights"),
    "audio_path": (pa.string(), "the clip, relative to the output folder"),
    "audio_sha256": (pa.string(), "hash of the clip's bytes"),
    "audio_digest": (pa.string(), "digest of the settings that mastered and encoded the clip"),
    "duration_s": (pa.float64(), "length of the clip"),
    "sample_rate_hz": (pa.int32(), "samples a second of the clip"),
    "loudness_lufs": (pa.float64(), "integrated loudness, measured on the encoded file"),
    "loudness_reliable": (pa.bool_(), "false for clips under 3 s"),
    "true_peak_dbtp": (pa.float64(), "true peak, measured on the encoded file"),
    "clip_flags": (_FLAGS, "rules that doubted the clip, such as `loudness-limited`"),
    "attempts": (pa.int32(), "times that the text was spoken until its sound passed the checks"),
    "asr_wer": (pa.float32(), "word error rate of a recogniser that listened to the clip; null unless it was asked to"),
    "seconds_ingest": (pa.float32(), "seconds to read, hash and decode the photo; null where this run did not"),
    "seconds_features": (pa.float32(), "seconds to encode the picture; null where this run did not"),
    "seconds_captions": (pa.float32(), "seconds to find the caption; null where this run did not"),
    "seconds_speech": (pa.float32(), "seconds to speak the text; null where this run did not"),
    "seconds_encode": (pa.float32(), "seconds to master and encode the clip; null where this run did not"),
    "own": (pa.string(), "the columns that the caller gave with the photo, as a JSON object"),
    "missing_since": (_TIME, "when the photo was first found gone; null while it is there"),
    "run_id": (pa.string(), "the run that committed the row"),
    "committed_at": (_TIME, "when the row was committed"),
}
"""The columns, their types and their meanings, in order."""

SCHEMA = pa.schema(
    [pa.field(name, kind, metadata={"description": text}) for name, (kind, text) in COLUMNS.items()],
    metadata={"image_narrator_version": str(VERSION)},
)


def version_of(schema: pa.Schema) -> int:
    """Return the version in the metadata of a part's schema; 0 where it is no part of ours."""
    text = (schema.metadata or {}).get(b"image_narrator_version", b"0")
    return int(text) if text.isdigit() else 0


def migrated(table: pa.Table) -> pa.Table:
    """Return the whole table of a part as one of this version.

    Columns that the older version did not have are null where nothing follows from what it had. Columns that this
    version does not know are dropped.
    """
    rows = table.num_rows
    columns = {name: table.column(name) for name in table.column_names}
    for version in range(version_of(table.schema), VERSION):
        columns |= _STEPS[version](columns)
    whole = [columns[name] if name in columns else pa.nulls(rows, kind) for name, (kind, _) in COLUMNS.items()]
    return pa.table(whole, names=list(COLUMNS)).cast(SCHEMA)


def _from_1(columns: dict[str, pa.ChunkedArray]) -> dict[str, pa.Array]:
    """Every alt text of version 1 was the captioner's own, and a missing plug-in had no reason of its own."""
    writers = [None if text is None else "captioner" for text in columns["alt_text"].to_pylist()]
    told = zip(columns["reason"].to_pylist(), columns["message"].to_pylist(), strict=True)
    reasons = [MISSING_PLUGIN if "need a plug-in" in (message or "") else reason for reason, message in told]
    return {"words_by": pa.array(writers, pa.string()), "reason": pa.array(reasons, pa.string())}


_STEPS: dict[int, Callable[[dict[str, pa.ChunkedArray]], dict[str, pa.Array]]] = {1: _from_1}
"""What follows, for the next version's columns, from those of each older version."""
