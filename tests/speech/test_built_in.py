import math
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from speech.mastering import trim
from speech.mels import MEL_FLOOR, sharpen
from speech.records import Spoken
from speech.speaking import Delivery, Speaker

CAPTION = "A brown dog runs over the green grass."


@pytest.fixture(scope="module")
def narrator() -> Speaker:
    return Speaker.load()


def test_a_caption_is_spoken_at_a_narrators_pace(narrator: Speaker):
    spoken = narrator.speak([CAPTION])[0]
    assert isinstance(spoken, Spoken)
    assert 1.5 < trim(spoken.waveform).duration_s < 5


@pytest.mark.parametrize("text", ["A", "I", "the", "Dog", "Snow.", "7", "Two girls.", "Really?"])
def test_the_shortest_texts_are_spoken_as_loud_as_the_profile_allows(narrator: Speaker, tmp_path: Path, text: str):
    spoken = narrator.speak([text])[0]
    assert isinstance(spoken, Spoken), spoken
    clip = narrator.finish(spoken, tmp_path / "clip.mp3", text, Delivery())
    assert 0.3 < clip.duration_s < 2
    assert clip.loudness_lufs is not None
    at_the_target, at_the_ceiling = clip.loudness_lufs > -16.5, clip.true_peak_dbtp > -1.5
    assert at_the_target or at_the_ceiling


def test_the_same_caption_gives_the_same_bytes_among_others(narrator: Speaker, tmp_path: Path):
    alone = narrator.speak([CAPTION])[0]
    among = narrator.speak(["Two girls in red coats sit on a bench beside the sea.", CAPTION, "A"])[1]
    assert isinstance(alone, Spoken)
    assert isinstance(among, Spoken)
    assert np.array_equal(alone.waveform.samples, among.waveform.samples)
    first = narrator.finish(alone, tmp_path / "one.mp3", CAPTION, Delivery())
    assert first.sha256 == narrator.finish(among, tmp_path / "other.mp3", CAPTION, Delivery()).sha256


def test_the_voice_is_light_enough_for_the_wheel(narrator: Speaker):
    assert sum(path.stat().st_size for path in narrator.voice.folder.iterdir()) <= 40e6


@pytest.mark.parametrize("text", ["Loch Ness.", "A croissant on a plate.", "A jalapeño.", "Music by Bach."])
def test_loans_with_foreign_sounds_are_spoken(narrator: Speaker, text: str):
    assert isinstance(narrator.speak([text])[0], Spoken)


strengths = st.floats(0, 1)


@given(mel=arrays(np.float32, (80, 7), elements=st.floats(-11, 2, width=32)), bands=strengths, frames=strengths)
def test_sharpening_never_goes_below_silence_and_changes_nothing_at_strength_0(
    mel: NDArray[np.float32], bands: float, frames: float
):
    sharpened = sharpen(torch.from_numpy(mel), bands, frames)
    assert sharpened.shape == (80, 7)
    assert sharpened.min() >= math.log(MEL_FLOOR) - 1e-6
    assert torch.equal(sharpen(torch.from_numpy(mel), 0.0, 0.0), torch.from_numpy(mel))


@given(level=st.floats(-9, 2), bands=strengths, frames=strengths)
def test_sharpening_keeps_what_is_flat_and_raises_what_stands_out(level: float, bands: float, frames: float):
    flat = torch.full((80, 9), level)
    assert torch.allclose(sharpen(flat, bands, frames), flat, atol=1e-5)
    peak = flat.clone()
    peak[40, 4] += 1
    assert float(sharpen(peak, bands, frames)[40, 4]) == pytest.approx(level + 1 + 0.8 * (bands + frames), abs=1e-4)
