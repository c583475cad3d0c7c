"""A waveform as a listener should get it: trimmed to a fixed head and tail, no click, an even loudness.

Loudness is ITU-R BS.1770-4 (integrated, LUFS), true peak oversampled to at least 192 kHz (dBTP). One linear gain is all
that is done to the sound: no compressor, no limiter.
Letters: N samples.
"""

import math
import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyloudnorm
import soxr
from numpy.typing import NDArray

from speech.errors import SpeechError
from speech.records import Waveform

HEAD_S = 0.10
TAIL_S = 0.20
FADE_S = 0.005
BLOCK_S = 0.4
"""The meter's block: a shorter clip is measured as one block, filled up with silence."""
FRAME_S = 0.01
SPEECH_BELOW_PEAK_DB = 42.0
"""A frame is speech down to this far under the loudest one."""
METERED_RATE_HZ = 192_000
"""True peaks are looked for at this rate at the least, where what lies between two values is under 0.2 dB."""
DIGITAL_SILENCE_DB = -90.0
"""The level of one step of 16 bits."""


@dataclass(frozen=True)
class Profile:
    """How loud a clip is made, and what else its takers ask for."""

    target_db: float | None
    """Loudness that the one gain aims at, in the unit of `measure`; None where the level is left as it is."""
    ceiling_dbtp: float
    """No true peak above this."""
    measure: Literal["lufs", "rms"] = "lufs"
    """What `target_db` counts: integrated loudness in LUFS, or the root mean square of the whole file in dB."""
    tolerance_db: float = 0.5
    """A clip this far under the target still meets the profile."""
    floor_db: float | None = None
    """The noise floor (dB RMS) that no clip should pass; None where nobody asks."""
    head_s: float = HEAD_S
    """Silence before the speech, in seconds."""
    tail_s: float = TAIL_S
    """Silence after the speech, in seconds."""
    sample_rate_hz: int | None = None
    """The rate that the profile asks for; None for the voice's own."""
    mp3_level: float = 0.5
    """libsndfile's compression level for mp3 at a constant rate: 0.5 is 80 kbit/s at 22.05 kHz, 0.4 192 at 44.1."""


PROFILES: dict[str, Profile] = {
    "streaming": Profile(-16.0, -1.0),
    "ebu-r128": Profile(-23.0, -1.0),
    # ACX's audio submission requirements: RMS -23 to -18 dB, peaks to -3 dB, floor to -60 dB, 44.1 kHz, mp3 from
    # 192 kbit/s at a constant rate, half a second to one before and one to five after.
    "acx": Profile(-20.5, -3.0, "rms", 2.5, -60.0, head_s=0.5, tail_s=1.0, sample_rate_hz=44100, mp3_level=0.4),
    "none": Profile(None, -1.0),
}


def trim(waveform: Waveform, head_s: float = HEAD_S, tail_s: float = TAIL_S) -> Waveform:
    """Return the speech with exactly `head_s` before and `tail_s` after it, faded at both ends.

    What the waveform holds of that silence is kept (a voice's own room is less of a break than digital silence); what
    it lacks is filled with zeros. Raises `SpeechError` where there is only silence.
    """
    rate = waveform.sample_rate_hz
    first, last = speech_bounds(waveform)
    head, tail = round(head_s * rate), round(tail_s * rate)
    kept = waveform.samples[max(first - head, 0) : last + tail]  # (N of speech and its own edges,)
    kept = _fade(kept, round(FADE_S * rate))
    before, after = max(head - first, 0), max(last + tail - len(waveform.samples), 0)
    return Waveform(np.pad(kept, (before, after)).astype(np.float32), rate)


def join(parts: list[Waveform], pauses_s: list[float]) -> Waveform:
    """Return sentences one after another, `pauses_s` of silence between the speech of each and the next."""
    edges = [0.0, *pauses_s, 0.0]
    trimmed = [trim(part, before / 2, after / 2) for part, before, after in zip(parts, edges, edges[1:], strict=False)]
    return Waveform(np.concatenate([part.samples for part in trimmed]), parts[0].sample_rate_hz)  # (N of all,)


def resample(waveform: Waveform, sample_rate_hz: int) -> Waveform:
    """Return the waveform at another rate."""
    if waveform.sample_rate_hz == sample_rate_hz:
        return waveform
    samples = soxr.resample(waveform.samples, waveform.sample_rate_hz, sample_rate_hz, "VHQ")  # (N at the new rate,)
    return Waveform(samples.astype(np.float32), sample_rate_hz)


def speech_bounds(waveform: Waveform) -> tuple[int, int]:
    """Return the first sample of speech and the one after the last; raises `SpeechError` where all is silence."""
    loud = np.flatnonzero(speech_frames(waveform))
    if not len(loud):
        raise SpeechError("silence: there is nothing to keep", mend="speak it anew")
    frame = round(FRAME_S * waveform.sample_rate_hz)
    return int(loud[0]) * frame, min((int(loud[-1]) + 1) * frame, len(waveform.samples))


def speech_frames(waveform: Waveform) -> NDArray[np.bool_]:
    """Return for each 10 ms whether it is speech."""
    power = _frame_power(waveform)
    loudest = float(power.max(initial=0.0))
    return (power > loudest * 10 ** (-SPEECH_BELOW_PEAK_DB / 10)) & (loudest > 0)


def _frame_power(waveform: Waveform) -> NDArray[np.float64]:
    """Return the mean square of each 10 ms."""
    frame = round(FRAME_S * waveform.sample_rate_hz)
    count = -(-len(waveform.samples) // frame)
    frames = np.pad(waveform.samples, (0, count * frame - len(waveform.samples))).reshape(count, frame)
    return np.asarray(np.mean(frames.astype(np.float64) ** 2, axis=1))  # (10 ms frames,)


def _fade(samples: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    """Return a copy that rises from zero at the start and falls to zero at the end, half a cosine each."""
    length = min(length, len(samples) // 2)
    faded = samples.copy()
    ramp = (0.5 - 0.5 * np.cos(np.pi * np.arange(length) / max(length, 1))).astype(np.float32)
    faded[:length] *= ramp
    faded[len(faded) - length :] *= ramp[::-1]
    return faded


def loudness_lufs(waveform: Waveform) -> float | None:
    """Return the integrated loudness, None for a clip under one 400 ms block or under the meter's -70 LUFS gate."""
    return _integrated(waveform) if waveform.duration_s >= BLOCK_S else None


def _integrated(waveform: Waveform) -> float | None:
    """Return the integrated loudness of a clip of any length, or None under the gate.

    One that is shorter than a block is filled up with silence to one block: its energy then counts as it would inside a
    longer clip, so a lone letter is not made louder than the same letter in a word.
    """
    missing = max(round(BLOCK_S * waveform.sample_rate_hz) + 1 - len(waveform.samples), 0)
    samples = np.pad(waveform.samples, (0, missing)).astype(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # the logarithm of a silent block
        measured = float(pyloudnorm.Meter(waveform.sample_rate_hz, block_size=BLOCK_S).integrated_loudness(samples))
    return measured if np.isfinite(measured) else None


def rms_db(samples: NDArray[np.float32]) -> float:
    """Return the root mean square in dB of full scale; -inf for silence."""
    power = float(np.mean(samples.astype(np.float64) ** 2)) if len(samples) else 0.0
    return 10 * math.log10(power) if power > 0 else float("-inf")


def noise_floor_db(waveform: Waveform) -> float:
    """Return the level in dB RMS of what lies between the words and is neither speech nor digital silence; or -inf.

    Digital silence (under one step of 16 bits) does not count: it would hide what a voice's own room is like.
    """
    levels = 10 * np.log10(np.maximum(_frame_power(waveform), 1e-12))  # (10 ms frames,)
    room = levels[(levels > DIGITAL_SILENCE_DB) & (levels <= levels.max() - SPEECH_BELOW_PEAK_DB)]
    return float(10 * np.log10(np.mean(10 ** (room / 10)))) if len(room) else float("-inf")


def true_peak_dbtp(waveform: Waveform) -> float:
    """Return the true peak in dB of full scale, oversampled to at least 192 kHz; -inf for silence."""
    rate = waveform.sample_rate_hz
    factor = max(-(-METERED_RATE_HZ // rate), 4)
    padded = np.pad(waveform.samples, 64).astype(np.float64)
    peak = float(np.max(np.abs(soxr.resample(padded, rate, rate * factor, "HQ")), initial=0.0))
    peak = max(peak, float(np.max(np.abs(waveform.samples), initial=0.0)))
    return 20 * math.log10(peak) if peak > 0 else float("-inf")


def missing_db(waveform: Waveform, profile: Profile) -> float:
    """Return by how many dB the clip is under the profile's loudness, negative where it is over; 0 where none is asked.

    A clip shorter than the meter's block counts as one block filled up with silence; one under the gate counts as met.
    """
    if profile.target_db is None:
        return 0.0
    measured = _integrated(waveform) if profile.measure == "lufs" else rms_db(waveform.samples)
    return 0.0 if measured is None or not math.isfinite(measured) else profile.target_db - measured


def level(waveform: Waveform, profile: Profile) -> Waveform:
    """Return the waveform at the profile's loudness by one linear gain, lower where the ceiling holds it back."""
    room_db = profile.ceiling_dbtp - true_peak_dbtp(waveform)
    return amplify(waveform, min(missing_db(waveform, profile), room_db))


def amplify(waveform: Waveform, gain_db: float) -> Waveform:
    """Return the waveform louder by `gain_db`."""
    return Waveform((waveform.samples * 10 ** (gain_db / 20)).astype(np.float32), waveform.sample_rate_hz)


def profile_named(name: str) -> Profile:
    """Return the profile of a name; raises `SpeechError` for one that is not in the table."""
    if name not in PROFILES:
        raise SpeechError("no such loudness profile", where=name, mend=f"use one of {', '.join(PROFILES)}")
    return PROFILES[name]
