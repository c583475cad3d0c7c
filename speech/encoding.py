"""A mastered waveform to a tagged audio file: encoded in memory, written under a temporary name, synced, renamed.

The same sound, text and voice give the same bytes: nothing in a file comes from the clock, from chance or from its
name. Loudness and true peak are measured on what a player decodes.
"""

import contextlib
import hashlib
import io
import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import langcodes
import mutagen
import mutagen.id3
import mutagen.ogg
import numpy as np
import soundfile

from speech.errors import SpeechError
from speech.mastering import (
    Profile,
    amplify,
    loudness_lufs,
    missing_db,
    noise_floor_db,
    profile_named,
    resample,
    true_peak_dbtp,
)
from speech.records import Clip, ClipFlag, Voice, Waveform
from speech.signing import Signature

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
"""Encodings in search of the loudness; after them a clip is only made quieter, until its peak is under the ceiling."""
SAMPLE_RATES_HZ = (16000, 22050, 24000, 44100, 48000)
"""Rates to choose from: all formats but Opus have them all, and Opus takes its next one."""


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
    "mp3": Codec("MP3", "MPEG_LAYER_III", {"bitrate_mode": "CONSTANT"}),  # its rate comes from the profile
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


@dataclass(frozen=True)
class Delivery:
    """What a finished clip is to be."""

    codec: str = "mp3"
    """`mp3`, `wav`, `flac`, `ogg` (Vorbis) or `opus`."""
    profile: str = "streaming"
    """Name of the loudness profile."""
    sample_rate_hz: int | None = None
    """Samples a second; None for the profile's choice, or else the voice's own."""
    signature: Signature | None = None
    """Certificate to sign with by C2PA (wav and mp3); None for no signature."""

    def check(self) -> None:
        """Raise `SpeechError` for a format, profile or rate that there is not."""
        profile_named(self.profile)
        if self.codec not in CODECS:
            raise SpeechError("no such audio format", where=self.codec, mend=f"use one of {', '.join(FORMATS)}")
        if self.sample_rate_hz not in (None, *SAMPLE_RATES_HZ):
            rates = ", ".join(map(str, SAMPLE_RATES_HZ))
            raise SpeechError("no such sample rate", where=f"{self.sample_rate_hz} Hz", mend=f"use one of {rates}")
        if self.signature is not None:
            self.signature.check(self.codec)


def write_clip(waveform: Waveform, path: Path, labels: Labels, delivery: Delivery) -> Clip:
    """Write a mastered waveform (N,) to `path` and return what was written.

    A lossy codec moves peaks and loudness a little: where the decoded sound misses the profile it is encoded anew, the
    one gain put right. Raises `SpeechError` for a choice that there is not, and `OSError` as the file system does, with
    no file left.
    """
    delivery.check()
    profile = profile_named(delivery.profile)
    data, decoded, peak_dbtp = _encode_to_profile(waveform, labels, delivery.codec, profile)
    if delivery.signature is not None:
        data = delivery.signature.sign(data, delivery.codec, labels.title, SOFTWARE, SYNTHETIC)
    write_atomically(data, path)
    return Clip(
        path=path,
        duration_s=decoded.duration_s,
        sample_rate_hz=decoded.sample_rate_hz,
        loudness_lufs=loudness_lufs(decoded),
        loudness_reliable=decoded.duration_s >= RELIABLE_S,
        true_peak_dbtp=peak_dbtp,
        codec=delivery.codec,
        sha256=hashlib.sha256(data).hexdigest(),
        flags=tuple(_flags(decoded, profile)),
    )


def _encode_to_profile(
    waveform: Waveform, labels: Labels, codec: str, profile: Profile
) -> tuple[bytes, Waveform, float]:
    """Return the file, what a player decodes of it and the true peak of that: under the ceiling, at the loudness."""
    attempt = 1
    while True:
        data = encode(waveform, labels, codec, profile)
        decoded = decode(data)
        peak_dbtp = true_peak_dbtp(decoded)
        room_db = profile.ceiling_dbtp - peak_dbtp
        correction_db = _correction_db(room_db, missing_db(decoded, profile))
        if room_db >= 0 and (abs(correction_db) < TOLERANCE_DB or attempt >= ATTEMPTS):
            return data, decoded, peak_dbtp
        waveform = amplify(waveform, correction_db if attempt < ATTEMPTS else min(correction_db, 0.0))
        attempt += 1


def _correction_db(room_db: float, missing: float) -> float:
    """Return by how much the decoded sound should be louder: down under the ceiling first, then to the loudness."""
    if room_db < 0:
        return room_db - MARGIN_DB
    return min(missing, max(room_db - MARGIN_DB, 0.0))


def _flags(decoded: Waveform, profile: Profile) -> Iterator[ClipFlag]:
    """Yield where the encoded file misses what the profile asks for."""
    missing = missing_db(decoded, profile)
    if missing > profile.tolerance_db:
        reason = f"{missing:.1f} dB under the profile: peaks at {profile.ceiling_dbtp:g} dBTP hold the one gain back"
        yield ClipFlag("loudness-limited", reason, doubtful=False)
    floor_db = noise_floor_db(decoded)
    if profile.floor_db is not None and floor_db > profile.floor_db:
        yield ClipFlag("noise-floor", f"between the words it is at {floor_db:.0f} dB, asked for {profile.floor_db:g}")


def encode(waveform: Waveform, labels: Labels, codec: str, profile: Profile) -> bytes:
    """Return the whole tagged file."""
    chosen = CODECS[codec]
    options = chosen.options | ({"compression_level": profile.mp3_level} if codec == "mp3" else {})
    if codec == "opus":
        waveform = resample(waveform, _opus_rate_hz(waveform.sample_rate_hz))
    stream = io.BytesIO()
    soundfile.write(
        stream,
        np.clip(waveform.samples, -1.0, 1.0),
        waveform.sample_rate_hz,
        format=chosen.container,
        subtype=chosen.subtype,
        **options,
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
    scratch = path.parent / f".clip-{secrets.token_hex(8)}.part"
    try:
        # Opened with the rights that any new file gets: the mask of the process is applied by the system.
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        scratch.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            scratch.unlink()
        raise


def _opus_rate_hz(sample_rate_hz: int) -> int:
    """Return the next rate that Opus has, 48 kHz at most."""
    return next((rate for rate in OPUS_RATES_HZ if rate >= sample_rate_hz), OPUS_RATES_HZ[-1])


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
    """Return the three letters that ID3 wants for a BCP 47 tag; `und` for a language that has none."""
    try:
        return langcodes.get(language).to_alpha3()
    except LookupError:  # langcodes' errors for tags that are none, and for languages without a code
        return "und"


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
