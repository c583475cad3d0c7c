"""THE ROOM'S PATH: texts to waveforms (`Speaker.speak`), a waveform to a finished clip (`Speaker.finish`)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speech import mastering
from speech.encoding import FORMATS, Delivery, Labels, write_clip
from speech.engines import Engine, load_engine
from speech.errors import BadAudioError, SpeechError
from speech.lexicon import INLINE
from speech.manner import Manner
from speech.mastering import PROFILES
from speech.read_back import Listener
from speech.records import Clip, ClipFlag, Spoken, Voice, Waveform
from speech.takes import Director, Take
from speech.text import PAUSES, Script, Sentence, normalise, script
from speech.voices import resolve_voice

__all__ = ["FORMATS", "PAUSES", "PROFILES", "Delivery", "Manner", "Speaker", "resolve_voice"]

Plan = tuple[Script, list[list[int]]]
"""A text's sentences, and each as the engine's character numbers."""


class Speaker:
    """A voice in memory; may be shared between threads."""

    def __init__(self, voice: Voice, engine: Engine, manner: Manner | None = None) -> None:
        """Keep the voice, the engine that speaks it and the manner; `Speaker.load` makes all three.

        Raises `SpeechError` where the manner does not fit the voice.
        """
        self.voice, self.engine = voice, engine
        self.manner = manner or Manner()
        self.manner.check(voice.language)
        listener, pronounce = (Listener(), _phonemizer()) if self.manner.read_back else (None, None)
        self._director = Director(engine, voice.sample_rate_hz, listener, pronounce)

    @classmethod
    def load(cls, voice: Voice | str = "narrator", device: str = "cpu", manner: Manner | None = None) -> "Speaker":
        """Load a voice, or the one of a name or folder; raises `VoiceError` where there is none or it is damaged."""
        voice = resolve_voice(voice) if isinstance(voice, str) else voice
        return cls(voice, load_engine(voice, device), manner)

    def speak(self, texts: Sequence[str]) -> list[Spoken | SpeechError]:
        """Return for each text, in order, its sound or the error that says why it cannot be spoken.

        All sentences of all texts go through the models together, in batches of like length; those that fail a check
        are then spoken again, one by one.
        """
        plans = [self._plan(text) for text in texts]
        tokens = [one for plan in plans if not isinstance(plan, SpeechError) for one in plan[1]]
        waves = iter(self.engine.speak(tokens))
        return [plan if isinstance(plan, SpeechError) else self._assemble(plan, waves) for plan in plans]

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

    def _plan(self, text: str) -> Plan | SpeechError:
        """Return the sentences of a text and their character numbers, or its error."""
        try:
            said = script(text, self.voice.language, self.manner.lexicon, with_phonemes=self._takes_phonemes)
            return said, [self.engine.tokens(sentence.text) for sentence in said.sentences]
        except SpeechError as error:
            return error

    @property
    def _takes_phonemes(self) -> bool:
        """Whether the voice can be told sounds: those with our own phonemizer can."""
        return self.voice.engine == "narrator"

    def _assemble(self, plan: Plan, waves: Iterator[NDArray[np.float32]]) -> Spoken | SpeechError:
        """Return the sentences of one text as one sound, or the error of the first that cannot be used."""
        said, tokens = plan
        firsts = [next(waves) for _ in tokens]
        try:
            takes = [
                self._director.best_take(sentence.text, numbers, first)
                for sentence, numbers, first in zip(said.sentences, tokens, firsts, strict=True)
            ]
        except BadAudioError as error:
            return error
        problem = next((take.problem for take in takes if take.problem is not None), None)
        if problem is not None and self.manner.bad_clips == "fail":
            tries = max(take.attempts for take in takes)
            return BadAudioError(f"{problem.what}, spoken {tries} times", where=problem.where, mend=problem.mend)
        return Spoken(
            waveform=_joined(said.sentences, takes, self.manner),
            attempts=max(take.attempts for take in takes),
            asr_wer=_error_rate(takes),
            flags=(*said.flags, *_flags(said.sentences, takes)),
        )


def _phonemizer() -> Callable[[str], str]:
    """Return what turns English words into phonemes."""
    from speech.phonemes import Phonemizer

    return Phonemizer()


def _joined(sentences: Sequence[Sentence], takes: Sequence[Take], manner: Manner) -> Waveform:
    """Return all sentences as one sound, the manner's pauses between them."""
    if len(takes) == 1:
        return takes[0].waveform
    pauses = [PAUSES[manner.pauses].after(sentence.end) for sentence in sentences[:-1]]
    return mastering.join([take.waveform for take in takes], pauses)


def _error_rate(takes: Sequence[Take]) -> float | None:
    """Return the words heard otherwise over the words to be said; None where nobody listened or could judge."""
    found = [take.read_back for take in takes if take.read_back is not None and take.read_back.judged]
    words = sum(one.words for one in found)
    return round(sum(one.wrong for one in found) / words, 4) if words else None


def _flags(sentences: Sequence[Sentence], takes: Sequence[Take]) -> Iterator[ClipFlag]:
    """Yield what is doubtful about the sounds of a text."""
    inline = [sounds for sentence in sentences for sounds in INLINE.findall(sentence.text)]
    if inline:
        from speech.phonemes import english_sounds

        for change in (change for sounds in inline for change in english_sounds(sounds)[1]):
            yield ClipFlag("unknown-sound", change)
    for take in takes:
        if take.problem is not None:
            rule = "misread" if take.read_back is not None else "bad-audio"
            yield ClipFlag(rule, str(take.problem))
