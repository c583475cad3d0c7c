"""The records that the speech room's stages hand to each other: frozen, with each field's meaning, unit and range."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Voice:
    """A speech model that can be loaded."""

    name: str
    """Short name, such as `narrator`."""
    language: str
    """BCP 47 tag of the language that it speaks, such as `en-US`."""
    licence: str
    """Licence of the weights, an SPDX identifier where there is one."""
    sample_rate_hz: int
    """Samples a second of its waveforms."""
    digest: str
    """Digest of its weights and settings, 16 hex digits."""
    folder: Path
    """Where its files lie."""
    engine: str = "narrator"
    """What speaks it: `narrator` (our own folders), `coqui` (Coqui's) or `espeak`."""
    speaker: str = ""
    """Who speaks, of a voice with several speakers."""
    spoken_as: str = ""
    """The engine's own name of the language."""
    vocoder_folder: Path | None = None
    """Where the vocoder lies that the catalogue gives the voice."""
    quality: str = "fast"
    """Which vocoder a voice of ours speaks with: `fast`, its own, or `best`, the large one it learnt from."""


@dataclass(frozen=True, eq=False)
class Waveform:
    """Sound in memory, mono."""

    samples: NDArray[np.float32]
    """(N,) in -1..1."""
    sample_rate_hz: int
    """Samples a second."""

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate_hz


@dataclass(frozen=True)
class ClipFlag:
    """Something about a clip that its row should say."""

    rule: str
    """Short name of the rule, such as `loudness-limited`."""
    reason: str
    """What was found, in words."""
    doubtful: bool = True
    """Whether a person should listen to the clip for it."""


@dataclass(frozen=True)
class Spoken:
    """A text as sound, before it is mastered."""

    waveform: Waveform
    """All its sentences, one after another."""
    attempts: int = 1
    """Times that its most difficult sentence was spoken, >= 1."""
    asr_wer: float | None = None
    """Word error rate of the recogniser that listened to it, >= 0; None where none did."""
    flags: tuple[ClipFlag, ...] = ()
    """What was doubtful."""


@dataclass(frozen=True)
class Clip:
    """A spoken file as it lies on the disk; the loudness is measured on the encoded file."""

    path: Path
    """The finished file."""
    duration_s: float
    """Length in seconds, > 0."""
    sample_rate_hz: int
    """Samples a second of the encoded file."""
    loudness_lufs: float | None
    """Integrated loudness by ITU-R BS.1770 in LUFS; None where the clip is shorter than one 400 ms block."""
    loudness_reliable: bool
    """Whether the clip lasts the 3 s that a loudness figure needs to be trusted."""
    true_peak_dbtp: float
    """True peak, four times oversampled, in dB relative to full scale."""
    codec: str
    """`wav`, `flac`, `mp3`, `ogg` (Vorbis) or `opus`."""
    sha256: str
    """SHA-256 of the file's bytes."""
    flags: tuple[ClipFlag, ...] = ()
    """What its row should say of it."""
    attempts: int = 1
    """Times that its most difficult sentence was spoken, >= 1."""
    asr_wer: float | None = None
    """Word error rate of the recogniser that listened to it, >= 0; None where none did."""
