"""A waveform as a listener should get it: trimmed to a fixed head and tail, no click, an even loudness.

Loudness is ITU-R BS.1770-4 (integrated, LUFS), true peak four times oversampled (dBTP). One linear gain is all that is
done to the sound: no compressor, no limiter.
Letters: N samples.
"""

import warnings
from dataclasses import dataclass

import numpy as np
import pyloudnorm
import soxr
from numpy.typing import NDArray

from speech.errors import SpeechError
from speech.records import Waveform


@dataclass(frozen=True)
class Profile:
    """How loud a clip is made."""

    loudness_lufs: float | None
    """Target, None where the level is left as it is."""
    ceiling_dbtp: float
    """No true peak above this."""


PROFILES: dict[str, Profile] = {
    "streaming": Profile(-16.0, -1.0),
    "ebu-r128": Profile(-23.0, -1.0),
    "none": Profile(None, -1.0),
}

HEAD_S = 0.10
TAIL_S = 0.20
FADE_S = 0.005
BLOCK_S = 0.4
"""The meter's block: a shorter clip is measured as one block, filled up with silence."""
SPEECH_BELOW_PEAK_DB = 42.0
"""A 10 ms frame is speech down to this far under the loudest one."""
OVERSAMPLING = 4


def trim(waveform: Waveform, head_s: float = HEAD_S, tail_s: float = TAIL_S) -> Waveform:
    """Return the speech with exactly `head_s` before and `tail_s` after it, faded at both ends.

    What the waveform holds of that silence is kept (a voice's own room is less of a break than digital silence); what
    it lacks is filled with zeros. Raises `SpeechError` where there is only silence.
    """
    rate = waveform.sample_rate_hz
    first, last = _speech_bounds(waveform.samples, rate)
    head, tail = round(head_s * rate), round(tail_s * rate)
    kept = waveform.samples[max(first - head, 0) : last + tail]  # (N of speech and its own edges,)
    kept = _fade(kept, round(FADE_S * rate))
    before, after = max(head - first, 0), max(last + tail - len(waveform.samples), 0)
    return Waveform(np.pad(kept, (before, after)).astype(np.float32), rate)


def join(parts: list[Waveform], pause_s: float) -> Waveform:
    """Return sentences one after another with `pause_s` of silence between the speech of each."""
    trimmed = [trim(part, head_s=pause_s / 2, tail_s=pause_s / 2) for part in parts]
    return Waveform(np.concatenate([part.samples for part in trimmed]), parts[0].sample_rate_hz)  # (N of all,)


def _speech_bounds(samples: NDArray[np.float32], rate: int) -> tuple[int, int]:
    """Return the first sample of speech and the one after the last."""
    frame = round(0.01 * rate)
    count = -(-len(samples) // frame)
    frames = np.pad(samples, (0, count * frame - len(samples))).reshape(count, frame)
    power = np.mean(frames.astype(np.float64) ** 2, axis=1)
    if not len(power) or power.max() <= 0:
        raise SpeechError("silence: there is nothing to keep", mend="speak it anew")
    loud = np.flatnonzero(power > power.max() * 10 ** (-SPEECH_BELOW_PEAK_DB / 10))
    return int(loud[0]) * frame, min((int(loud[-1]) + 1) * frame, len(samples))


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


def true_peak_dbtp(waveform: Waveform) -> float:
    """Return the true peak in dB of full scale, four times oversampled; -inf for silence."""
    rate = waveform.sample_rate_hz
    padded = np.pad(waveform.samples, 64).astype(np.float64)
    peak = float(np.max(np.abs(soxr.resample(padded, rate, rate * OVERSAMPLING, "HQ")), initial=0.0))
    peak = max(peak, float(np.max(np.abs(waveform.samples), initial=0.0)))
    return 20 * float(np.log10(peak)) if peak > 0 else float("-inf")


def level(waveform: Waveform, profile: Profile) -> Waveform:
    """Return the waveform at the profile's loudness by one linear gain, lower where the ceiling holds it back."""
    room_db = profile.ceiling_dbtp - true_peak_dbtp(waveform)
    measured = _integrated(waveform)
    wanted_db = 0.0 if profile.loudness_lufs is None or measured is None else profile.loudness_lufs - measured
    return amplify(waveform, min(wanted_db, room_db))


def amplify(waveform: Waveform, gain_db: float) -> Waveform:
    """Return the waveform louder by `gain_db`."""
    return Waveform((waveform.samples * 10 ** (gain_db / 20)).astype(np.float32), waveform.sample_rate_hz)


def profile_named(name: str) -> Profile:
    """Return the profile of a name; raises `SpeechError` for one that is not in the table."""
    if name not in PROFILES:
        raise SpeechError("no such loudness profile", where=name, mend=f"use one of {', '.join(PROFILES)}")
    return PROFILES[name]
