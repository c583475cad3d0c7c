"""The acoustic model, characters to mel frames: Coqui's `ForwardTTS` (FastPitch, SpeedySpeech, FastSpeech2), batched.

The library's own `inference` treats the padding of a short text as text; here every text of a batch has its own length,
masks and frame count, and comes out as it would alone.
Letters: B texts, P phoneme characters with BOS and EOS, D channels, T frames, M mel bands.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from speech.models import Said, Sound, widened
from speech.padding import LengthAwarePad, make_batch_safe
from speech.quiet import quiet_imports

with quiet_imports():
    from TTS.tts.configs.fast_pitch_config import FastPitchConfig
    from TTS.tts.configs.forward_tts_config import ForwardTTSArgs
    from TTS.tts.configs.shared_configs import CharactersConfig
    from TTS.tts.models.forward_tts import ForwardTTS
    from TTS.tts.utils.text.characters import IPAPhonemes

__all__ = ["ForwardTTS", "ForwardVoice", "IPAPhonemes", "build", "predict_mels", "token_ids"]


class ForwardVoice:
    """A `ForwardTTS` with its vocoder and its speaker."""

    batches = True
    frames_a_character = 7

    def __init__(self, model: ForwardTTS, sound: Sound, condition: torch.Tensor | None = None) -> None:
        """Keep a model that was made batch safe, what makes sound of its mels, and the speaker's (1, D, 1)."""
        self._model, self._sound, self._condition = model, sound, condition
        self.side_by_side = sound.side_by_side

    def speak(self, said: Said) -> list[torch.Tensor]:
        """Return a waveform (N,) for each text."""
        return self._sound(predict_mels(self._model, said.texts, self._condition, said.pace), said.seeds)


def build(settings: dict[str, Any]) -> tuple[ForwardTTS, IPAPhonemes]:
    """Return an untrained model and its characters.

    `settings` has `model_args` (Coqui's `ForwardTTSArgs`) and `characters` (Coqui's `CharactersConfig`).
    """
    characters = IPAPhonemes(**settings["characters"])
    arguments = ForwardTTSArgs(**{**settings["model_args"], "num_chars": characters.num_chars})
    model = ForwardTTS(FastPitchConfig(characters=CharactersConfig(**settings["characters"]), model_args=arguments))
    make_batch_safe(model)
    return model, characters


def token_ids(phonemes: str, characters: IPAPhonemes) -> list[int]:
    """Return the (P,) numbers of BOS, each character, EOS; raises KeyError for a character that it does not have."""
    return [characters.bos_id, *(characters.char_to_id(c) for c in phonemes), characters.eos_id]


@torch.inference_mode()
def predict_mels(
    model: ForwardTTS, texts: Sequence[Sequence[int]], condition: torch.Tensor | None = None, pace: float = 1.0
) -> list[torch.Tensor]:
    """Return a mel (M, T) for each text of character numbers, each cut at its own length.

    `condition` is the speaker's vector (1, D, 1) of a model with several; `pace` is the speed, 1 as trained.
    """
    device = model.emb.weight.device
    lengths = torch.tensor([len(text) for text in texts], device=device)
    tokens = pad_sequence([torch.tensor(text, device=device) for text in texts], batch_first=True)  # (B, P)
    tokens = widened(_widen(tokens, _least_width(model.encoder)))  # (B, P)
    mask = _mask(lengths, tokens.shape[1])  # (B, 1, P)
    encoded, _, _, _ = model._forward_encoder(tokens, mask, condition)  # (B, D, P)  # noqa: SLF001
    durations = _durations(model, model.duration_predictor(encoded, mask), pace) * mask  # (B, 1, P)
    if model.use_pitch:
        encoded = encoded + model.pitch_emb(model.pitch_predictor(encoded, mask))
    if model.args.use_energy:
        encoded = encoded + model.energy_emb(model.energy_predictor(encoded, mask))
    return _decode(model, encoded, durations[:, 0].long())


def _durations(model: ForwardTTS, logarithms: torch.Tensor, pace: float) -> torch.Tensor:
    """Return whole frames, at least one, from the logarithms of durations, as the model's `format_durations` does."""
    return torch.round(((torch.exp(logarithms) - 1) * model.length_scale / pace).clamp_min(1.0))


def _decode(model: ForwardTTS, encoded: torch.Tensor, durations: torch.Tensor) -> list[torch.Tensor]:
    """Return mels (M, T) from encoded characters (B, D, P), each held for its duration (B, P) in frames."""
    held = [torch.repeat_interleave(one, frames, dim=1).T for one, frames in zip(encoded, durations, strict=True)]
    lengths = durations.sum(dim=1)
    frames = pad_sequence(held, batch_first=True).transpose(1, 2)  # (B, D, T)
    frames = widened(_widen(frames, _least_width(model.decoder)))  # (B, D, T)
    mask = _mask(lengths, frames.shape[2])  # (B, 1, T)
    if hasattr(model, "pos_encoder"):
        frames = model.pos_encoder(frames, mask)
    mels = model.decoder(frames, mask)  # (B, M, T)
    return [mel[:, :length] for mel, length in zip(mels, lengths.tolist(), strict=True)]


def _mask(lengths: torch.Tensor, width: int) -> torch.Tensor:
    """Return (B, 1, width): 1 inside each length, 0 past it."""
    return (torch.arange(width, device=lengths.device)[None] < lengths[:, None])[:, None].float()


def _least_width(part: nn.Module) -> int:
    """Return the narrowest input that every convolution of `part` accepts: shorter texts are padded to it."""
    pads = [block for block in part.modules() if isinstance(block, LengthAwarePad)]
    return max([block.start + block.end + 1 for block in pads], default=1)


def _widen(values: torch.Tensor, width: int) -> torch.Tensor:
    """Return `values` with zeros after the last position, at least `width` positions wide."""
    return nn.functional.pad(values, (0, max(width - values.shape[-1], 0)))
