"""A mastered waveform to a tagged audio file: encoded in memory, written under a temporary name, synced, renamed.

The same sound, text and voice give the same bytes: nothing in a file comes from the clock, from chance or from its
name. Loudness and true peak are measured on what a player decodes.
"""

import contextlib
import hashlib
import io
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import mutagen
import mutagen.id3
import mutagen.ogg
import numpy as np
import soundfile
import soxr

from speech.errors import SpeechError
from speech.mastering import Profile, amplify, loudness_lufs, true_peak_dbtp
from speech.records import Clip, Voice, Waveform

# mutagen says that it is typed, but its functions are not: strict checking wants that said once.
ID3: Any = mutagen.id3
OGG: Any = mutagen.ogg

SOFTWARE = "image-narrator"
SYNTHETIC = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
"""IPTC's digital source type of media made by a trained model."""
RELIABLE_S = 3.0
TITLE_CHARACTERS = 80
OPUS_RATES_HZ = (8000, 12000, 16000, 24000, 48000)
MARGIN_DB = 0.1
"""How far under the ceiling a clip is brought that passed it."""
TOLERANCE_DB = 0.1
ATTEMPTS = 4


@dataclass(frozen=True)
class Codec:
    """How libsndfile writes a format."""

    container: str
    """libsndfile's major format."""
    subtype: str
    """libsndfile's subtype."""
    options: dict[str, Any]
    """Further settings of `soundfile.write`."""


CODECS: dict[str, Codec] = {
    "wav": Codec("WAV", "PCM_16", {}),
    "flac": Codec("FLAC", "PCM_16", {}),
    # Half way down libsndfile's scale: 80 kbit/s at 22.05 kHz (measured), 64 at the least for any rate from 16 kHz.
    "mp3": Codec("MP3", "MPEG_LAYER_III", {"bitrate_mode": "CONSTANT", "compression_level": 0.5}),
    "ogg": Codec("OGG", "VORBIS", {"compression_level": 0.4}),
    "opus": Codec("OGG", "OPUS", {"compression_level": 0.4}),
}
FORMATS = tuple(CODECS)


@dataclass(frozen=True)
class Labels:
    """What is written into a file beside its sound."""

    text: str
    """The spoken text, the photo's alt text."""
    voice: Voice
    """The voice that speaks it."""

    @property
    def title(self) -> str:
        """The text, cut at a word where it is long."""
        if len(self.text) <= TITLE_CHARACTERS:
            return self.text
        return self.text[: TITLE_CHARACTERS - 1].rsplit(" ", 1)[0] + "\u2026"

    @property
    def digest(self) -> bytes:
        """32 bytes that come from the text and the voice alone."""
        return hashlib.sha256(f"{self.voice.digest}\n{self.text}".encode()).digest()


def write_clip(waveform: Waveform, path: Path, labels: Labels, codec: str, profile: Profile) -> Clip:
    """Write a mastered waveform (N,) to `path` and return what was written.

    A lossy codec moves peaks and loudness a little: where the decoded sound misses the profile it is encoded anew, the
    one gain put right. Raises `SpeechError` for a codec that is not in the table, and `OSError` as the file system
    does, with no file left.
    """
    if codec not in CODECS:
        raise SpeechError("no such audio format", where=codec, mend=f"use one of {', '.join(FORMATS)}")
    for attempt in range(1, ATTEMPTS + 1):
        data = encode(waveform, labels, codec)
        decoded = decode(data)
        peak, loudness = true_peak_dbtp(decoded), loudness_lufs(decoded)
        correction_db = _correction_db(peak, loudness, profile)
        if abs(correction_db) < TOLERANCE_DB or attempt == ATTEMPTS:
            break
        waveform = amplify(waveform, correction_db)
    write_atomically(data, path)
    return Clip(
        path=path,
        duration_s=decoded.duration_s,
        sample_rate_hz=decoded.sample_rate_hz,
        loudness_lufs=loudness,
        loudness_reliable=decoded.duration_s >= RELIABLE_S,
        true_peak_dbtp=peak,
        codec=codec,
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _correction_db(peak_dbtp: float, loudness: float | None, profile: Profile) -> float:
    """Return by how much the decoded sound should be louder: down under the ceiling first, then to the loudness."""
    room_db = profile.ceiling_dbtp - peak_dbtp
    if room_db < 0:
        return room_db - MARGIN_DB
    if profile.loudness_lufs is None or loudness is None:
        return 0.0
    return min(profile.loudness_lufs - loudness, max(room_db - MARGIN_DB, 0.0))


def encode(waveform: Waveform, labels: Labels, codec: str) -> bytes:
    """Return the whole tagged file."""
    chosen = CODECS[codec]
    if codec == "opus":
        waveform = _at_opus_rate(waveform)
    stream = io.BytesIO()
    soundfile.write(
        stream,
        np.clip(waveform.samples, -1.0, 1.0),
        waveform.sample_rate_hz,
        format=chosen.container,
        subtype=chosen.subtype,
        **chosen.options,
    )
    stream.seek(0)
    _tag(stream, labels, codec)
    if chosen.container == "OGG":
        return _with_serial(stream, int.from_bytes(labels.digest[:4], "big"))
    return stream.getvalue()


def decode(data: bytes) -> Waveform:
    """Return the sound that a player hears."""
    samples, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    return Waveform(samples, rate)


def write_atomically(data: bytes, path: Path) -> None:
    """Write `data` to `path` so that there is the whole file or none; parent folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".clip-", suffix=".part", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(0o666 & ~_umask())  # a temporary file is the owner's alone
        Path(name).replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def _umask() -> int:
    """Return the process's file mode mask."""
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _at_opus_rate(waveform: Waveform) -> Waveform:
    """Return the waveform at the next rate that Opus has, 48 kHz at most."""
    rate = next((r for r in OPUS_RATES_HZ if r >= waveform.sample_rate_hz), OPUS_RATES_HZ[-1])
    samples = soxr.resample(waveform.samples, waveform.sample_rate_hz, rate, "VHQ").astype(np.float32)  # (N at rate,)
    return Waveform(samples, rate)


def _tag(stream: io.BytesIO, labels: Labels, codec: str) -> None:
    """Write title, language, alt text, software, voice, licence and the synthetic mark into the file in `stream`."""
    audio = mutagen.File(stream)
    if codec in {"wav", "mp3"}:
        if audio.tags is None:
            audio.add_tags()
        for frame in _id3_frames(labels):
            audio.tags.add(frame)
    else:
        audio.update(_vorbis_comments(labels))
    stream.seek(0)
    audio.save(stream)


def _id3_frames(labels: Labels) -> list[Any]:
    """Return the tags as ID3v2.4 frames."""
    custom = {"VOICE": labels.voice.name, "LICENSE": labels.voice.licence, "DIGITALSOURCETYPE": SYNTHETIC}
    return [
        ID3.TIT2(encoding=3, text=labels.title),
        ID3.TLAN(encoding=3, text=_iso_639_2(labels.voice.language)),
        ID3.COMM(encoding=3, lang=_iso_639_2(labels.voice.language), desc="", text=labels.text),
        ID3.TSSE(encoding=3, text=SOFTWARE),
        *(ID3.TXXX(encoding=3, desc=name, text=value) for name, value in custom.items()),
        ID3.TXXX(encoding=3, desc="LANGUAGE", text=labels.voice.language),
    ]


def _vorbis_comments(labels: Labels) -> dict[str, str]:
    """Return the tags as Vorbis comments (FLAC, Ogg Vorbis, Opus)."""
    return {
        "TITLE": labels.title,
        "LANGUAGE": labels.voice.language,
        "COMMENT": labels.text,
        "ENCODER": SOFTWARE,
        "VOICE": labels.voice.name,
        "LICENSE": labels.voice.licence,
        "DIGITALSOURCETYPE": SYNTHETIC,
    }


def _iso_639_2(language: str) -> str:
    """Return the three letters that ID3 wants for a BCP 47 tag; `und` for one that is not in the short table."""
    codes = {"en": "eng", "de": "deu", "fr": "fra", "es": "spa", "it": "ita", "pt": "por", "nl": "nld"}
    return codes.get(language.split("-", 1)[0].lower(), "und")


def _with_serial(stream: io.BytesIO, serial: int) -> bytes:
    """Return an Ogg file with every page's stream serial set: libsndfile draws it by chance."""
    stream.seek(0)
    pages = []
    with contextlib.suppress(EOFError):
        while True:
            page = OGG.OggPage(stream)
            page.serial = serial
            pages.append(page.write())
    return b"".join(pages)
