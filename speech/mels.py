"""Log-mel spectrograms exactly as the HiFi-GAN vocoder was trained on them (Kong, Kim and Bae, NeurIPS 2020).

Letters: N samples, T frames, M mel bands. Every number here is part of the contract between the acoustic model and the
vocoder: another window or logarithm and the vocoder hears another language.
"""

import math
from functools import lru_cache

import librosa
import numpy as np
import torch
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 22050
FFT_SIZE = 1024
HOP_LENGTH = 256
MEL_BANDS = 80
MEL_FLOOR = 1e-5
"""Magnitudes below this are raised to it before the logarithm; log(1e-5) is the vocoder's silence."""


@lru_cache(maxsize=1)
def _filters() -> torch.Tensor:
    """Return the Slaney mel filters, (M, FFT_SIZE / 2 + 1)."""
    bank = librosa.filters.mel(sr=SAMPLE_RATE_HZ, n_fft=FFT_SIZE, n_mels=MEL_BANDS, fmin=0, fmax=8000)
    return torch.from_numpy(bank).float()


def sharpen(mel: torch.Tensor, bands: float, frames: float) -> torch.Tensor:
    """Return a log-mel (M, T) that stands out more from the mean of five bands and of five frames, by two strengths.

    An acoustic model that learnt by distance gives the mean of what could be: its spectra are smoother than a
    recording's, which is heard as buzzing. An unsharp mask gives some of the difference back (LOG.md).
    """
    detail = bands * (mel - _smooth(mel.T).T) + frames * (mel - _smooth(mel))  # (M, T)
    return (mel + detail).clamp(min=math.log(MEL_FLOOR))


def _smooth(values: torch.Tensor) -> torch.Tensor:
    """Return the mean (R, T) of five neighbours along the last axis of (R, T), the ends held."""
    held = torch.nn.functional.pad(values[:, None], (2, 2), mode="replicate")  # (R, 1, T + 4)
    return torch.nn.functional.avg_pool1d(held, 5, stride=1)[:, 0]


def log_mel_of(sounds: torch.Tensor) -> torch.Tensor:
    """Return the natural-log mel spectrograms (B, M, T) of sounds (B, N) at 22,050 Hz, with T = N // 256."""
    edge = (FFT_SIZE - HOP_LENGTH) // 2
    padded = torch.nn.functional.pad(sounds[:, None], (edge, edge), mode="reflect")[:, 0]  # (B, N + 2 edge)
    window = torch.hann_window(FFT_SIZE)
    spectrum = torch.stft(padded, FFT_SIZE, HOP_LENGTH, window=window, center=False, return_complex=True)  # (B, F, T)
    magnitude = torch.sqrt(spectrum.real**2 + spectrum.imag**2 + 1e-9)
    return torch.log((_filters() @ magnitude).clamp(min=MEL_FLOOR))  # (B, M, T)


def log_mel(samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the natural-log mel spectrogram (T, M) of mono samples (N,) at 22,050 Hz, with T = N // 256."""
    return log_mel_of(torch.from_numpy(samples)[None])[0].T.contiguous().numpy()  # (T, M)
