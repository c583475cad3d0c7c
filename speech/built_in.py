"""Loads a voice folder of ours: Coqui's `ForwardTTS` and HiFi-GAN with our own phonemes."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from speech import acoustic, vocoder, weights
from speech.acoustic import IPAPhonemes
from speech.errors import UnspeakableError, VoiceError
from speech.hifigan import LIBRARY_PADDING, Hifigan
from speech.mels import sharpen
from speech.models import Model, Sound
from speech.phonemes import Phonemizer
from speech.records import Voice
from speech.voices import ACOUSTIC, VOCODER, read_config


def load(voice: Voice, device: torch.device) -> tuple[Model, Callable[[str], list[int]]]:
    """Return the model and what makes character numbers of a sentence; raises `VoiceError` where files do not fit."""
    config = read_config(voice.folder)
    try:
        model, characters = acoustic.build(config["acoustic"])
        model.load_state_dict(weights.load(voice.folder / ACOUSTIC))
        generator = vocoder.universal() if voice.quality == "best" else _own_vocoder(voice.folder, config["vocoder"])
    except (KeyError, TypeError, RuntimeError, ValueError, SafetensorError, NotImplementedError) as error:
        raise VoiceError(
            f"its weights and settings do not fit: {(str(error).splitlines() or [type(error).__name__])[0][:160]}",
            where=str(voice.folder),
            mend="take the whole folder of the voice anew",
        ) from error
    sound = Hifigan(generator, device, LIBRARY_PADDING, torch.float32 if voice.quality == "best" else None)
    clear = Sharpened(sound, **config.get("sharpness", {}))
    return acoustic.ForwardVoice(model.to(device).eval(), clear), Speller(characters)


class Sharpened:
    """A vocoder that hears mels with some of the detail that the acoustic model smooths away."""

    def __init__(self, sound: Sound, bands: float = 0.0, frames: float = 0.0) -> None:
        """Keep the vocoder and the two strengths of `sharpen`; with 0 nothing is changed."""
        self._sound, self._strengths, self.side_by_side = sound, (bands, frames), sound.side_by_side

    def __call__(self, mels: Sequence[torch.Tensor], seeds: Sequence[int]) -> list[torch.Tensor]:
        """Return a waveform (N,) for each mel (M, T)."""
        return self._sound([sharpen(mel, *self._strengths) for mel in mels] if any(self._strengths) else mels, seeds)


def _own_vocoder(folder: Path, settings: dict[str, Any]) -> vocoder.HifiganGenerator:
    """Return the vocoder that lies beside the acoustic model."""
    generator = vocoder.build(settings)
    generator.load_state_dict(weights.load(folder / VOCODER))
    return generator


class Speller:
    """A sentence to the character numbers that the voice was trained on."""

    def __init__(self, characters: IPAPhonemes) -> None:
        """Load the lexicon."""
        self._phonemizer, self._characters = Phonemizer(), characters

    def __call__(self, sentence: str) -> list[int]:
        """Return the character numbers (P,); raises `UnspeakableError` where the voice cannot say it."""
        phonemes = self._phonemizer(sentence)
        known = [c for c in phonemes if c in self._characters.vocab]
        if not any(c.isalpha() for c in known):
            raise UnspeakableError(
                "the voice knows none of its sounds", where=repr(sentence[:60]), mend="write it in English words"
            )
        unknown = sorted(set(phonemes) - set(known))
        if unknown:
            raise UnspeakableError(
                f"the voice does not know the sounds {' '.join(unknown)}",
                where=repr(sentence[:60]),
                mend="spell the word another way",
            )
        return acoustic.token_ids(phonemes, self._characters)
