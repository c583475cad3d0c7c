"""A photo's way through the stages as the row that is committed."""

from datetime import datetime

from captioner.hedging import doubts_in
from captioner.records import Caption
from flows import paths
from flows.neighbours import with_flag
from flows.own import own_of
from flows.records import Row, Work
from flows.reviews import DECIDED
from flows.rooms import Rooms
from flows.schema import COLUMNS
from flows.storage import EPOCH

_PHOTO = ("width_px", "height_px", "format")
_WORDS = ("caption", "alternatives", "alt_text", "words_by", "burst_of", "language", "alt_flags", "attention",
          "mean_logprob", "confidence", "needs_review", "captioner", "captioner_digest", "captioner_licence",
          "alt_text_digest")  # fmt: skip
_MODELS_OWN = ("caption", "alternatives", "attention", "mean_logprob", "confidence", "captioner", "captioner_digest",
               "captioner_licence")  # fmt: skip
_CLIP = ("voice", "voice_digest", "voice_licence", "audio_sha256", "audio_digest", "duration_s", "sample_rate_hz",
         "loudness_lufs", "loudness_reliable", "true_peak_dbtp", "clip_flags", "attempts", "asr_wer")  # fmt: skip
_SECONDS = {"ingest": "seconds_ingest", "features": "seconds_features", "captions": "seconds_captions",
            "speech": "seconds_speech", "master and encode": "seconds_encode"}  # fmt: skip


def make_row(work: Work, rooms: Rooms, run_id: str, time: datetime) -> Row:
    """Return the row of `work`: every column of the manifest, those that do not apply None."""
    told = work if work.twin is None else work.twin
    if told.failure is not None and work.row_before is not None and work.row_before["status"] == "described":
        return _kept_row(work.row_before, told.failure, run_id, time)
    row: Row = dict.fromkeys(COLUMNS)
    row |= {"id": work.source.id, "uri": work.source.uri, "size_bytes": work.source.size_bytes}
    row |= {"mtime": None if work.source.mtime == EPOCH else work.source.mtime, "etag": work.source.etag}
    row |= {"own": own_of(work), "sha256": work.sha256, "run_id": run_id, "committed_at": time}
    row |= {column: work.seconds.get(stage) for stage, column in _SECONDS.items()}
    if told.refusal is not None:
        return row | _trouble("refused", told.refusal.reason, told.refusal.message)
    row |= _photo_columns(work if work.photo is not None else told)
    row |= {"taken_at": work.photo and work.photo.taken_at, "picture_hash": work.picture_hash}
    if told.failure is not None:
        return row | _known_columns(told, rooms) | _trouble("failed", *told.failure)
    if work.is_decorative:
        return row | {"status": "decorative", "alt_text": "", "words_by": "table", "needs_review": False}
    audio_path = paths.clip_path(work.source.id, rooms.job.format)
    row |= {"status": "described", "audio_path": audio_path} | _of_burst(work, _word_columns(told, rooms))
    row = with_flag(work, row)
    if work.row_before is not None and work.row_before["sha256"] == work.sha256:
        row |= {name: work.row_before[name] for name in DECIDED}
    return row | _clip_columns(told, rooms) | _doubt_about_sound(told) | rooms.reviews.columns(row)


def _doubt_about_sound(work: Work) -> Row:
    """Return that a person should listen, where a check doubts the clip that this run made."""
    doubtful = work.clip is not None and any(flag.doubtful for flag in work.clip.flags)
    return {"needs_review": True} if doubtful else {}


def _kept_row(row: Row, failure: tuple[str, str], run_id: str, time: datetime) -> Row:
    """Return the row that stands, with why it could not be made anew: good words and sound are not lost to a bad disk.

    Size, time and digests stay as they were, so the next run tries again.
    """
    reason, message = failure
    gone = {"missing_since": row["missing_since"] or time} if reason == "vanished" else {}
    return row | {"reason": reason, "message": message, "run_id": run_id, "committed_at": time} | gone


def _trouble(status: str, reason: str, message: str) -> Row:
    return {"status": status, "reason": reason, "message": message, "needs_review": True}


def _known_columns(work: Work, rooms: Rooms) -> Row:
    """Return the words of a photo that failed later, and what was to speak them: the next try begins there."""
    if work.reused is None and work.alt_text is None:
        return {}
    tried = {"voice_digest": rooms.digests.voice, "audio_digest": rooms.digests.audio}
    return _word_columns(work, rooms) | tried


def _photo_columns(work: Work) -> Row:
    if work.photo is not None:
        return {name: getattr(work.photo, name) for name in _PHOTO}
    known = work.reused or work.row_before or dict.fromkeys(_PHOTO)
    return {name: known[name] for name in _PHOTO}


def _word_columns(work: Work, rooms: Rooms) -> Row:
    if work.words is not None and work.alt_text is not None:
        said = {"alt_text": work.alt_text.text, "words_by": work.words.by, "language": work.alt_text.language}
        heard = {name: work.reused[name] for name in _MODELS_OWN} if work.reused is not None else {"alternatives": []}
        return dict.fromkeys(_WORDS) | heard | said | {"alt_flags": [], "needs_review": False}
    if work.alt_text is None and work.reused is not None:
        return {name: work.reused[name] for name in _WORDS}
    caption, alt_text, captioner = work.caption, work.alt_text, rooms.captioner_info
    if caption is None or alt_text is None:
        raise ValueError(f"{work.source.id} came to its row without words")
    return {
        "caption": caption.text,
        "alternatives": _alternatives(work),
        "attention": _attention(work),
        "alt_text": alt_text.text,
        "words_by": "captioner",
        "language": alt_text.language,
        "alt_flags": [{"rule": flag.rule, "reason": flag.reason} for flag in alt_text.flags],
        "mean_logprob": _rounded(caption.mean_logprob),
        "confidence": caption.confidence,
        "needs_review": bool(alt_text.flags),
        "captioner": captioner.name,
        "captioner_digest": captioner.digest,
        "captioner_licence": captioner.licence,
        "alt_text_digest": rooms.digests.alt_text,
    }


def caption_of(row: Row) -> Caption:
    """Return the caption that a row has, to be put into other words."""
    doubts = doubts_in([flag["rule"] for flag in row["alt_flags"] or ()])
    said = (row["caption"], row["mean_logprob"], row["captioner_digest"])
    confidence = None if row["confidence"] is None else round(row["confidence"], 3)  # as it was before it was a float32
    return Caption(*said, confidence=confidence, doubts=doubts)


def _of_burst(work: Work, words: Row) -> Row:
    """Return the words of a frame of a burst with where they come from."""
    if work.burst_of is None:
        return words
    flag = {"rule": "burst", "reason": f"these are the words of {work.burst_of}, taken seconds apart and looking alike"}
    return words | {"burst_of": work.burst_of, "alt_flags": [*words["alt_flags"], flag]}


def _alternatives(work: Work) -> list[Row]:
    """Return the search's other captions; for a caption taken from a row, those of that row."""
    if work.reuses_caption and work.reused is not None:
        kept: list[Row] = work.reused["alternatives"]
        return kept
    others = work.caption.alternatives if work.caption is not None else ()
    return [{"text": other.text, "mean_logprob": _rounded(other.mean_logprob)} for other in others]


def _attention(work: Work) -> list[bytes] | None:
    """Return where the model looked; for a caption taken from a row, what that row has."""
    if work.reuses_caption and work.reused is not None:
        kept: list[bytes] | None = work.reused["attention"]
        return kept
    return list(work.caption.attention) or None if work.caption is not None else None


def _rounded(mean_logprob: float) -> float:
    """Return three digits: finer ones depend on the neighbours in a batch."""
    return round(mean_logprob, 3)


def _clip_columns(work: Work, rooms: Rooms) -> Row:
    if work.reuses_clip and work.reused is not None:
        return {name: work.reused[name] for name in _CLIP}
    clip, voice = work.clip, rooms.voice
    if clip is None:
        raise ValueError(f"{work.source.id} came to its row without a clip")
    return {
        "voice": voice.name,
        "voice_digest": voice.digest,
        "voice_licence": voice.licence,
        "audio_sha256": clip.sha256,
        "audio_digest": rooms.digests.audio,
        "duration_s": clip.duration_s,
        "sample_rate_hz": clip.sample_rate_hz,
        "loudness_lufs": clip.loudness_lufs,
        "loudness_reliable": clip.loudness_reliable,
        "true_peak_dbtp": clip.true_peak_dbtp,
        "clip_flags": [{"rule": flag.rule, "reason": flag.reason} for flag in clip.flags],
        "attempts": clip.attempts,
        "asr_wer": clip.asr_wer,
    }
