import numpy as np
import pytest
from numpy.typing import NDArray

from speech.checks import check_speech, noise_tail_s
from speech.errors import BadAudioError

RATE = 22050


def speech_like(seconds: float = 2.0) -> NDArray[np.float32]:
    """Noise whose loudness rises and falls like syllables."""
    random = np.random.default_rng(0)
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.1 * random.standard_normal(len(time)) * (1.1 + np.sin(8 * np.pi * time))).astype(np.float32)


def test_speech_passes():
    check_speech(speech_like(), RATE, characters=30)


@pytest.mark.parametrize(
    ("sound", "why"),
    [
        (np.full(2 * RATE, np.nan, np.float32), "no numbers"),
        (np.zeros(2 * RATE, np.float32), "silence"),
        (np.full(2 * RATE, 0.5, np.float32), "silence"),
        (1e-4 * speech_like(), "silence"),
        (np.clip(50 * speech_like(), -1, 1), "clipped"),
        (0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE).astype(np.float32), "tone"),
    ],
)
def test_what_is_no_speech_is_refused_with_its_reason(sound: NDArray[np.float32], why: str):
    with pytest.raises(BadAudioError, match=why):
        check_speech(sound, RATE, characters=30)


@pytest.mark.parametrize("characters", [1, 200])
def test_a_length_that_does_not_fit_the_text_is_refused(characters: int):
    with pytest.raises(BadAudioError, match="expected"):
        check_speech(speech_like(3.0), RATE, characters)


def test_an_empty_waveform_is_refused():
    with pytest.raises(BadAudioError):
        check_speech(np.zeros(0, np.float32), RATE, characters=0)


def test_one_sample_that_is_no_number_is_found():
    sound = speech_like()
    sound[1234] = np.inf
    with pytest.raises(BadAudioError, match="no numbers"):
        check_speech(sound, RATE, characters=30)


def test_a_tail_of_steady_noise_is_refused_and_a_last_s_is_not():
    random = np.random.default_rng(2)
    voiced = (0.2 * np.sign(np.sin(2 * np.pi * 120 * np.arange(2 * RATE) / RATE))).astype(np.float32)
    voiced *= (1.1 + np.sin(6 * np.pi * np.arange(2 * RATE) / RATE)).astype(np.float32) / 2
    hiss = (0.03 * random.standard_normal(RATE)).astype(np.float32)
    check_speech(np.concatenate([voiced, hiss[: RATE // 5]]), RATE, characters=30)
    with pytest.raises(BadAudioError, match="steady noise"):
        check_speech(np.concatenate([voiced, hiss]), RATE, characters=30)
    assert noise_tail_s(np.concatenate([voiced, hiss]), RATE) == pytest.approx(1.0, abs=0.1)
