"""THE ROOM'S PATH: texts to waveforms (`Speaker.speak`), a waveform to a finished clip (`Speaker.finish`)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from speech import mastering
from speech.checks import check_speech
from speech.coqui import Engine
from speech.encoding import FORMATS, Labels, write_clip
from speech.errors import SpeechError
from speech.mastering import PROFILES
from speech.records import Clip, Voice, Waveform
from speech.text import normalise, sentences
from speech.voices import resolve_voice

__all__ = ["FORMATS", "PROFILES", "Speaker", "resolve_voice"]

PAUSE_S = 0.35
"""Silence between two sentences of one text."""


@dataclass
class _Plan:
    """What is to be spoken for one text: its sentences as character numbers, or why it cannot be spoken."""

    sentences: list[list[int]] = field(default_factory=list)
    error: SpeechError | None = None


class Speaker:
    """A voice in memory; may be shared between threads."""

    def __init__(self, voice: Voice, engine: Engine) -> None:
        """Keep the voice and the engine that speaks it; `Speaker.load` makes both."""
        self.voice = voice
        self._engine = engine

    @classmethod
    def load(cls, name_or_folder: str = "narrator", device: str = "cpu") -> "Speaker":
        """Load a built-in voice or a local folder; raises `VoiceError` where there is none or it is damaged."""
        voice = resolve_voice(name_or_folder)
        return cls(voice, Engine(voice.folder, device))

    def speak(self, texts: Sequence[str]) -> list[Waveform | SpeechError]:
        """Return for each text, in order, its waveform or the error that says why it cannot be spoken.

        All sentences of all texts go through the models together, in batches of like length.
        """
        plans = [self._plan(text) for text in texts]
        spoken = iter(self._engine.speak([tokens for plan in plans for tokens in plan.sentences]))
        results: list[Waveform | SpeechError] = []
        for plan in plans:
            parts = [(tokens, Waveform(next(spoken), self.voice.sample_rate_hz)) for tokens in plan.sentences]
            results.append(plan.error or _checked_and_joined(parts))
        return results

    def finish(self, waveform: Waveform, path: Path, text: str, codec: str = "mp3", profile: str = "streaming") -> Clip:
        """Master a waveform, write it to `path` with its tags, and return what was written.

        Raises `SpeechError` for an unknown codec or profile and for silence, `OSError` as the file system does.
        """
        chosen = mastering.profile_named(profile)
        mastered = mastering.level(mastering.trim(waveform), chosen)
        return write_clip(mastered, path, Labels(normalise(text), self.voice), codec, chosen)

    def _plan(self, text: str) -> _Plan:
        """Return the sentences of a text as character numbers, or its error."""
        try:
            return _Plan([self._engine.tokens(sentence) for sentence in sentences(text)])
        except SpeechError as error:
            return _Plan(error=error)


def _checked_and_joined(parts: list[tuple[list[int], Waveform]]) -> Waveform | SpeechError:
    """Return the sentences of one text as one waveform, or the error of the first that is not speech."""
    try:
        for tokens, waveform in parts:
            check_speech(waveform.samples, waveform.sample_rate_hz, len(tokens))
        return parts[0][1] if len(parts) == 1 else mastering.join([waveform for _, waveform in parts], PAUSE_S)
    except SpeechError as error:
        return error
