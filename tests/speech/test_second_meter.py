import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from speech.encoding import FORMATS, Delivery
from speech.records import Spoken, Waveform
from speech.speaking import Speaker

FFMPEG = shutil.which("ffmpeg")
pytestmark = pytest.mark.skipif(FFMPEG is None, reason="ffmpeg is the second meter")


def voice_like(seconds: float, seed: int) -> Spoken:
    """Noise with syllables and a few high peaks."""
    time = np.arange(round(seconds * 22050)) / 22050
    noise = np.random.default_rng(seed).laplace(size=len(time))
    return Spoken(Waveform((0.03 * noise * (1.1 + np.sin(8 * np.pi * time))).astype(np.float32), 22050))


@pytest.mark.parametrize("codec", FORMATS)
@pytest.mark.parametrize("profile", ["streaming", "ebu-r128"])
def test_a_second_meter_finds_the_same_loudness_and_peak_in_the_file(
    speaker: Speaker, tmp_path: Path, codec: str, profile: str
):
    clip = speaker.finish(voice_like(4.0, len(codec)), tmp_path / f"a.{codec}", "A dog.", Delivery(codec, profile))
    command = [FFMPEG, "-nostats", "-i", str(clip.path), "-af", "ebur128=peak=true", "-f", "null", "-"]
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stderr
    summary = told[told.rindex("Summary:") :]
    loudness, peak = (float(re.findall(rf"{name}:\s+(-?[\d.]+)", summary)[-1]) for name in ("I", "Peak"))
    assert clip.loudness_lufs == pytest.approx(loudness, abs=0.2)
    assert clip.true_peak_dbtp == pytest.approx(peak, abs=0.2)
    assert peak <= -0.9  # ffmpeg prints one digit
