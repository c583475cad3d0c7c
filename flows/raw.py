"""Raw sound kept by what was said and by whom, so that another loudness or format is mastered and not spoken again.

A raw clip is a lossless FLAC of 24 bits. What is spoken is rounded to 24 bits before it is mastered, kept or not, so
that a clip made of kept sound has the bytes of one that was just spoken.
"""

import hashlib
import json
from dataclasses import asdict, replace
from pathlib import Path
from secrets import token_hex

import numpy as np
import soundfile

from speech.records import ClipFlag, Spoken, Waveform

_STEPS = 1 << 23
"""Steps from silence to full scale in 24 bits."""


class RawClips:
    """The raw clips of one voice in a folder that only grows; it may be removed at any time."""

    def __init__(self, folder: Path, voice_digest: str) -> None:
        """Name the folder; it is made with the first clip."""
        self._folder, self._voice_digest = folder, voice_digest

    def path(self, text: str) -> Path:
        """Return the file of `text` in this voice."""
        name = hashlib.sha256(f"{self._voice_digest}\n{text}".encode()).hexdigest()
        return self._folder / name[:2] / f"{name}.flac"

    def load(self, text: str) -> Spoken | None:
        """Return what was kept of `text`; None where nothing was, or it cannot be read."""
        try:
            with soundfile.SoundFile(self.path(text)) as file:
                whole = file.read(dtype="int32") >> 8
                told = json.loads(file.comment)
                sound = Waveform((whole / _STEPS).astype(np.float32), file.samplerate)
        except (OSError, ValueError, soundfile.SoundFileError):
            return None
        flags = tuple(ClipFlag(**flag) for flag in told["flags"])
        return Spoken(sound, told["attempts"], told["asr_wer"], flags)

    def save(self, text: str, spoken: Spoken) -> None:
        """Keep what was spoken, as `rounded` gives it; raises OSError where the disk refuses."""
        path = self.path(text)
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{token_hex(4)}.tmp")  # two workers may be at it
        sound, told = spoken.waveform, asdict(replace(spoken, waveform=None))  # type: ignore[arg-type]
        del told["waveform"]
        with soundfile.SoundFile(temporary, "w", sound.sample_rate_hz, 1, "PCM_24", format="FLAC") as file:
            file.comment = json.dumps(told)
            file.write((sound.samples * _STEPS).astype(np.int32) << 8)
        temporary.replace(path)


def rounded(spoken: Spoken) -> Spoken:
    """Return the sound in steps of 24 bits, below full scale."""
    sound = spoken.waveform
    steps = np.clip(np.round(sound.samples * _STEPS), 1 - _STEPS, _STEPS - 1)
    return replace(spoken, waveform=Waveform((steps / _STEPS).astype(np.float32), sound.sample_rate_hz))
