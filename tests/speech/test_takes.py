from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from speech.errors import BadAudioError
from speech.records import Spoken, Waveform
from speech.speaking import Manner, Speaker
from speech.takes import CARRIER, Director, carrier_end, spoken_characters
from speech.voices import resolve_voice

RATE = 22050


def voice_like(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    """Noise whose loudness rises and falls like syllables."""
    time = np.arange(round(seconds * RATE)) / RATE
    noise = np.random.default_rng(seed).standard_normal(len(time))
    return (0.1 * noise * (1.05 + np.sin(8 * np.pi * time))).astype(np.float32)


BAD = 0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE).astype(np.float32)
GOOD = voice_like(2.0)


class Voice:
    """An engine that hands out prepared sounds; `heard` follows what it was asked."""

    def __init__(self, by_attempt: dict[int, NDArray[np.float32]]) -> None:
        self.by_attempt, self.asked = by_attempt, []

    def tokens(self, sentence: str) -> list[int]:
        return [1] * max(20, len(sentence))

    def speak(self, texts: Sequence[Sequence[int]], attempt: int = 0, pace: float = 1.0) -> list[NDArray[np.float32]]:
        self.asked.append((attempt, pace))
        return [self.by_attempt[attempt]] * len(texts)


def best(voice: Voice):
    return Director(voice, RATE).best_take("A dog runs.", [1] * 20, voice.by_attempt[0])


def test_a_good_first_take_is_used_and_nothing_else_is_spoken():
    voice = Voice({0: GOOD})
    take = best(voice)
    assert (take.attempts, take.problem, voice.asked) == (1, None, [])


def test_a_bad_take_is_spoken_again_with_other_noise():
    take = best(Voice({0: BAD, 1: GOOD}))
    assert (take.attempts, take.problem) == (2, None)
    assert np.array_equal(take.waveform.samples, GOOD)


def test_a_voice_without_noise_is_slowed_down_and_the_same_sound_is_not_judged_twice():
    voice = Voice({0: BAD, 1: BAD, 2: GOOD})
    take = best(voice)
    assert (take.attempts, take.problem) == (2, None)
    assert voice.asked == [(1, 1.0), (2, 0.85)]


def test_where_every_take_fails_the_reason_is_kept():
    take = best(Voice({0: BAD, 1: BAD, 2: 0.9 * BAD}))
    assert take.attempts == 2
    assert "tone" in str(take.problem)


def test_a_take_without_any_sound_is_never_used():
    silent = np.zeros(2 * RATE, np.float32)
    assert np.array_equal(best(Voice({0: silent, 1: GOOD})).waveform.samples, GOOD)
    with pytest.raises(BadAudioError, match="silence"):
        best(Voice({0: silent, 1: silent, 2: silent}))


@pytest.mark.parametrize("bad", [BAD, np.full(2 * RATE, np.nan, np.float32)])
def test_a_clip_that_fails_every_take_is_flagged_or_failed_by_choice(tiny_voice_folder: Path, bad: NDArray[np.float32]):
    voice, engine = resolve_voice(str(tiny_voice_folder)), Voice({0: bad, 1: bad, 2: bad})
    flagged = Speaker(voice, engine).speak(["A dog runs."])[0]
    failed = Speaker(voice, engine, Manner(bad_clips="fail")).speak(["A dog runs."])[0]
    assert isinstance(failed, BadAudioError)
    if np.isfinite(bad).all():
        assert isinstance(flagged, Spoken)
        assert [flag.rule for flag in flagged.flags] == ["bad-audio"]
        assert "1 times" in str(failed)
    else:
        assert isinstance(flagged, BadAudioError)


def test_a_sentence_is_cut_out_from_behind_its_carrier():
    carrier, sentence = voice_like(0.9, 1), voice_like(1.5, 2)
    quiet = np.zeros(round(0.2 * RATE), np.float32)
    cut = carrier_end(Waveform(np.concatenate([carrier, quiet, sentence]), RATE))
    assert cut is not None
    assert 0.9 < cut / RATE < 1.1
    assert carrier_end(Waveform(np.concatenate([carrier, sentence]), RATE)) is None
    assert CARRIER.endswith(".")


@pytest.mark.parametrize(
    ("tokens", "spoken"),
    [([0, 5, 0, 6, 0, 5, 0], 3), ([5, 6, 5, 7, 5], 2), ([5, 6, 7], 3), ([5], 1), ([], 0), ([0, 0, 0], 3)],
)
def test_the_blanks_between_the_characters_of_a_vits_take_no_time_of_their_own(tokens: list[int], spoken: int):
    assert spoken_characters(tokens) == spoken
