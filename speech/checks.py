"""Is this waveform speech? Cheap tests that each sentence passes before it is accepted.

Letters: N samples.
"""

import numpy as np
from numpy.typing import NDArray

from speech.errors import BadAudioError

SHORTEST_CHARACTER_S = 0.02
LONGEST_CHARACTER_S = 0.25
EDGES_S = 1.5
"""Silence at both ends that a sentence may have beside its characters' time."""
SILENCE_DBFS = -45.0
"""The loudest 50 ms of speech are above this; the voice's own lie near -15."""
CLIPPED_SHARE = 0.001
TONE_SHARE = 0.9
"""Share of the energy within `TONE_WIDTH_HZ` of one frequency that no speech reaches."""
TONE_WIDTH_HZ = 15.0
HISS_WINDOW_S = 0.05
HISS_FLATNESS = 0.2
"""Geometric over arithmetic mean of the spectrum: white noise has 0.56, vowels under 0.01."""
HISS_STEADY_DB = 3.0
HISS_BELOW_PEAK_DB = 35.0
LONGEST_HISS_S = 0.35
"""The longest last "s" of the built-in voice lasts 0.2 s."""
MEND = "say it in other words, or try another voice"


def check_speech(samples: NDArray[np.float32], sample_rate_hz: int, characters: int) -> None:
    """Raise `BadAudioError` unless `samples` (N,) can be the speech of so many phoneme characters."""
    _check_length(len(samples) / sample_rate_hz, characters)
    check_usable(samples, sample_rate_hz)
    clipped = float(np.mean(np.abs(samples) >= 0.999))  # noqa: PLR2004 - one step of 16 bits under full scale
    if clipped > CLIPPED_SHARE:
        raise BadAudioError(f"clipped: {clipped:.1%} of the samples are at full scale", mend=MEND)
    if _tone_share(samples, sample_rate_hz) > TONE_SHARE:
        raise BadAudioError("a steady tone instead of speech", mend=MEND)
    tail_s = noise_tail_s(samples, sample_rate_hz)
    if tail_s > LONGEST_HISS_S:
        raise BadAudioError(f"it ends in {tail_s:.1f} s of steady noise", mend=MEND)


def check_usable(samples: NDArray[np.float32], sample_rate_hz: int) -> None:
    """Raise `BadAudioError` where there is no sound that anybody could be handed: no numbers, or silence."""
    if not np.isfinite(samples).all():
        raise BadAudioError("the sound has values that are no numbers", mend=MEND)
    if not len(samples) or loudest_dbfs(samples, sample_rate_hz) < SILENCE_DBFS:
        raise BadAudioError(f"silence: nothing above {SILENCE_DBFS:.0f} dB of full scale", mend=MEND)


def noise_tail_s(samples: NDArray[np.float32], sample_rate_hz: int) -> float:
    """Return how many seconds of steady noise stand at the end: flat in its spectrum, even in its level, and audible.

    A last "s" is flat too, but it is short and dies away.
    """
    window = round(HISS_WINDOW_S * sample_rate_hz)
    count = len(samples) // window
    if not count:
        return 0.0
    frames = samples[len(samples) - count * window :].reshape(count, window).astype(np.float64)[::-1]  # last one first
    power = np.abs(np.fft.rfft(frames * np.hanning(window), axis=1)) ** 2 + 1e-20  # (windows, frequencies)
    flatness = np.exp(np.mean(np.log(power), axis=1)) / np.mean(power, axis=1)
    level_db = 10 * np.log10(np.mean(frames**2, axis=1) + 1e-20)
    audible = level_db > loudest_dbfs(samples, sample_rate_hz) - HISS_BELOW_PEAK_DB
    steady = (flatness > HISS_FLATNESS) & (np.abs(level_db - level_db[0]) < HISS_STEADY_DB) & audible
    return float(np.argmin([*steady, False])) * HISS_WINDOW_S


def _check_length(duration_s: float, characters: int) -> None:
    """Raise `BadAudioError` where the length cannot be that of so many characters."""
    least, most = characters * SHORTEST_CHARACTER_S, characters * LONGEST_CHARACTER_S + EDGES_S
    if not least <= duration_s <= most or duration_s == 0:
        raise BadAudioError(
            f"{duration_s:.2f} s for {characters} characters, expected {least:.2f} to {most:.2f} s", mend=MEND
        )


def loudest_dbfs(samples: NDArray[np.float32], sample_rate_hz: int) -> float:
    """Return the level of the loudest 50 ms in dB of full scale, a constant offset left out; -inf for silence."""
    block = max(min(round(0.05 * sample_rate_hz), len(samples)), 1)
    centred = np.asarray(samples, np.float64) - np.mean(samples, dtype=np.float64)
    sums = np.concatenate([[0.0], np.cumsum(centred**2)])  # (N + 1,)
    power = float(np.max(sums[block:] - sums[:-block])) / block
    return 10 * float(np.log10(power)) if power > 0 else float("-inf")


def _tone_share(samples: NDArray[np.float32], sample_rate_hz: int) -> float:
    """Return the share of the energy that lies around the strongest frequency."""
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples)))) ** 2
    around = max(round(TONE_WIDTH_HZ * len(samples) / sample_rate_hz), 2)
    peak = int(np.argmax(spectrum))
    return float(spectrum[max(peak - around, 0) : peak + around + 1].sum() / max(spectrum.sum(), 1e-30))
