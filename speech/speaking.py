"""THE ROOM'S PATH: texts to waveforms (`Speaker.speak`), a waveform to a finished clip (`Speaker.finish`)."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from speech import mastering
from speech.checks import check_speech
from speech.encoding import FORMATS, Delivery, Labels, write_clip
from speech.engines import Engine, load_engine
from speech.errors import SpeechError
from speech.mastering import PROFILES
from speech.records import Clip, Spoken, Voice, Waveform
from speech.text import normalise, sentences
from speech.voices import resolve_voice

__all__ = ["FORMATS", "PROFILES", "Delivery", "Speaker", "resolve_voice"]

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
    def load(cls, voice: Voice | str = "narrator", device: str = "cpu") -> "Speaker":
        """Load a voice, or the one of a name or folder; raises `VoiceError` where there is none or it is damaged."""
        voice = resolve_voice(voice) if isinstance(voice, str) else voice
        return cls(voice, load_engine(voice, device))

    def speak(self, texts: Sequence[str]) -> list[Spoken | SpeechError]:
        """Return for each text, in order, its waveform or the error that says why it cannot be spoken.

        All sentences of all texts go through the models together, in batches of like length.
        """
        plans = [self._plan(text) for text in texts]
        spoken = iter(self._engine.speak([tokens for plan in plans for tokens in plan.sentences]))
        results: list[Spoken | SpeechError] = []
        for plan in plans:
            parts = [(tokens, Waveform(next(spoken), self.voice.sample_rate_hz)) for tokens in plan.sentences]
            results.append(plan.error or _checked_and_joined(parts))
        return results

    def finish(self, spoken: Spoken, path: Path, text: str, delivery: Delivery) -> Clip:
        """Master a text's sound, write it to `path` with its tags, and return what was written.

        Raises `SpeechError` for an unknown format, profile or rate and for silence, `OSError` as the file system does.
        """
        delivery.check()
        profile = mastering.profile_named(delivery.profile)
        trimmed = mastering.trim(spoken.waveform, profile.head_s, profile.tail_s)
        rate = delivery.sample_rate_hz or profile.sample_rate_hz or spoken.waveform.sample_rate_hz
        mastered = mastering.level(mastering.resample(trimmed, rate), profile)
        clip = write_clip(mastered, path, Labels(normalise(text), self.voice), delivery)
        return replace(clip, flags=spoken.flags + clip.flags, attempts=spoken.attempts, asr_wer=spoken.asr_wer)

    def _plan(self, text: str) -> _Plan:
        """Return the sentences of a text as character numbers, or its error."""
        try:
            return _Plan([self._engine.tokens(sentence) for sentence in sentences(text)])
        except SpeechError as error:
            return _Plan(error=error)


def _checked_and_joined(parts: list[tuple[list[int], Waveform]]) -> Spoken | SpeechError:
    """Return the sentences of one text as one waveform, or the error of the first that is not speech."""
    try:
        for tokens, waveform in parts:
            check_speech(waveform.samples, waveform.sample_rate_hz, len(tokens))
        return Spoken(
            parts[0][1]
            if len(parts) == 1
            else mastering.join([waveform for _, waveform in parts], [PAUSE_S] * (len(parts) - 1))
        )
    except SpeechError as error:
        return error
