import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from speech.errors import SpeechError
from speech.mastering import (
    HEAD_S,
    PROFILES,
    TAIL_S,
    amplify,
    join,
    level,
    loudness_lufs,
    profile_named,
    trim,
    true_peak_dbtp,
)
from speech.records import Waveform

RATE = 22050


def noise(seconds: float, amplitude: float = 0.1) -> NDArray[np.float32]:
    return (amplitude * np.random.default_rng(1).standard_normal(round(seconds * RATE))).astype(np.float32)


def silence(seconds: float) -> NDArray[np.float32]:
    return np.zeros(round(seconds * RATE), np.float32)


@given(st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0.1, 1.0))
def test_head_and_tail_are_fixed_whatever_the_voice_left(before_s: float, after_s: float, spoken_s: float):
    sound = np.concatenate([silence(before_s), noise(spoken_s), silence(after_s)])
    trimmed = trim(Waveform(sound, RATE))
    assert trimmed.duration_s == pytest.approx(HEAD_S + spoken_s + TAIL_S, abs=0.021)


def test_both_ends_start_and_end_at_zero():
    trimmed = trim(Waveform(noise(1.0), RATE))
    assert trimmed.samples[0] == trimmed.samples[-1] == 0


def test_speech_that_starts_at_once_has_no_click():
    trimmed = trim(Waveform(np.full(RATE, 0.5, np.float32), RATE))
    assert np.abs(np.diff(trimmed.samples)).max() < 0.02


def test_silence_cannot_be_trimmed():
    with pytest.raises(SpeechError, match="silence"):
        trim(Waveform(silence(1.0), RATE))


@pytest.mark.parametrize(("profile", "target"), [("streaming", -16.0), ("ebu-r128", -23.0)])
@given(amplitude=st.floats(0.001, 0.15))
def test_a_clip_is_brought_to_the_profiles_loudness(profile: str, target: float, amplitude: float):
    levelled = level(Waveform(noise(3.5, amplitude), RATE), PROFILES[profile])
    measured = loudness_lufs(levelled)
    assert measured is not None
    if true_peak_dbtp(levelled) < -1.01:
        assert measured == pytest.approx(target, abs=0.1)
    else:
        assert measured <= target + 0.1


@given(amplitude=st.floats(0.001, 3.0), burst=st.floats(1.0, 30.0))
def test_no_true_peak_passes_the_ceiling(amplitude: float, burst: float):
    sound = noise(1.0, amplitude)
    sound[1000:1010] *= burst
    for profile in PROFILES.values():
        assert true_peak_dbtp(level(Waveform(sound, RATE), profile)) <= profile.ceiling_dbtp + 0.05


def test_the_gain_is_one_number():
    sound = noise(1.0)
    levelled = level(Waveform(sound, RATE), PROFILES["streaming"]).samples
    gains = levelled[np.abs(sound) > 0.01] / sound[np.abs(sound) > 0.01]
    assert gains.max() - gains.min() < 1e-4 * gains.mean()


def test_profile_none_changes_nothing_below_the_ceiling():
    quiet = Waveform(noise(1.0, 0.01), RATE)
    assert np.array_equal(level(quiet, PROFILES["none"]).samples, quiet.samples)


def test_a_clip_under_one_block_is_levelled_as_a_block_filled_with_silence():
    short = Waveform(noise(0.3, 0.05), RATE)
    filled = Waveform(np.concatenate([noise(0.3, 0.05), silence(0.1001)]), RATE)
    assert loudness_lufs(short) is None
    gain = np.abs(level(short, PROFILES["ebu-r128"]).samples).max() / np.abs(short.samples).max()
    gain_filled = np.abs(level(filled, PROFILES["ebu-r128"]).samples).max() / np.abs(filled.samples).max()
    assert gain == pytest.approx(gain_filled, rel=0.02)


def test_a_quieter_copy_is_as_many_decibels_lower():
    loud = Waveform(noise(2.0), RATE)
    first, second = loudness_lufs(loud), loudness_lufs(amplify(loud, -10.0))
    assert first is not None
    assert second is not None
    assert first - second == pytest.approx(10.0, abs=0.01)


def test_the_true_peak_between_samples_is_found():
    time = np.arange(RATE) / RATE
    sound = np.sin(2 * np.pi * (RATE / 4) * time + np.pi / 4).astype(np.float32)  # samples at 0.707, peaks at 1
    assert np.abs(sound).max() == pytest.approx(0.707, abs=0.01)
    assert true_peak_dbtp(Waveform(sound, RATE)) == pytest.approx(0.0, abs=0.3)


def test_joined_sentences_are_apart_by_the_pause():
    parts = [Waveform(noise(1.0), RATE), Waveform(noise(0.5), RATE)]
    assert join(parts, [0.4]).duration_s == pytest.approx(1.0 + 0.5 + 0.4, abs=0.05)


def test_an_unknown_profile_is_refused_with_the_known_ones():
    with pytest.raises(SpeechError, match="ebu-r128"):
        profile_named("loud")
