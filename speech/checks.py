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
MEND = "say it in other words, or try another voice"


def check_speech(samples: NDArray[np.float32], sample_rate_hz: int, characters: int) -> None:
    """Raise `BadAudioError` unless `samples` (N,) can be the speech of so many phoneme characters."""
    _check_length(len(samples) / sample_rate_hz, characters)
    if not np.isfinite(samples).all():
        raise BadAudioError("the sound has values that are no numbers", mend=MEND)
    if loudest_dbfs(samples, sample_rate_hz) < SILENCE_DBFS:
        raise BadAudioError(f"silence: nothing above {SILENCE_DBFS:.0f} dB of full scale", mend=MEND)
    clipped = float(np.mean(np.abs(samples) >= 0.999))  # noqa: PLR2004 - one step of 16 bits under full scale
    if clipped > CLIPPED_SHARE:
        raise BadAudioError(f"clipped: {clipped:.1%} of the samples are at full scale", mend=MEND)
    if _tone_share(samples, sample_rate_hz) > TONE_SHARE:
        raise BadAudioError("a steady tone instead of speech", mend=MEND)


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
