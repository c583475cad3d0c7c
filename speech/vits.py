"""Coqui's VITS (Kim, Kong and Son, ICML 2021), batched: characters to sound in one model.

The library's own `inference` takes lengths, but draws one noise for the padded batch, so that a sentence sounds
different beside other neighbours, and lets its decoder run over the padding, so that a short sentence ends in noise. It
also cuts what is longer than `max_inference_len`. Here each sentence has its own noise, from its own seed, and goes
through the decoder without padding; nothing is cut.
Letters: B texts, P characters, D channels, T frames, N samples.
"""

from typing import Any

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from speech.hifigan import Hifigan, remove_weight_norm
from speech.models import Said, noise, widened
from speech.quiet import quiet_imports

with quiet_imports():
    from TTS.tts.models.vits import Vits
    from TTS.tts.utils.helpers import sequence_mask

__all__ = ["Vits", "VitsVoice"]


class VitsVoice:
    """A VITS with its speaker and its language."""

    batches = True
    side_by_side = True
    frames_a_character = 4
    """Half of what a phoneme takes: between two characters stands a blank."""

    def __init__(
        self, model: Vits, device: torch.device, speaker: torch.Tensor | None, language: torch.Tensor | None
    ) -> None:
        """Take over a loaded model; `speaker` is (1, D, 1), `language` (1, D', 1), None where it has but one."""
        remove_weight_norm(model)
        self._decoder = Hifigan(model.waveform_decoder, device)
        model.waveform_decoder = model.posterior_encoder = model.disc = None
        self._model = model.to(device).eval()
        self._device, self._speaker, self._language = device, speaker, language

    @torch.inference_mode()
    def speak(self, said: Said) -> list[torch.Tensor]:
        """Return a waveform (N,) for each text."""
        return self._decoder(self.latents(said), condition=self._speaker)

    @torch.inference_mode()
    def latents(self, said: Said) -> list[torch.Tensor]:
        """Return what the decoder makes sound of, (D, T), for each text."""
        device, model = self._device, self._model
        lengths = torch.tensor([len(text) for text in said.texts], device=device)
        tokens = pad_sequence([torch.tensor(text, device=device) for text in said.texts], batch_first=True)
        tokens = widened(tokens)  # (B, P)
        language = None if self._language is None else self._language.expand(len(tokens), -1, -1)  # (B, D', 1)
        hidden, mean, scale, mask = model.text_encoder(tokens, lengths, lang_emb=language)  # 3 x (B, D, P), (B, 1, P)
        durations = self._durations(hidden, mask, language, said)  # (B, P)
        drawn = []
        for k, seed in enumerate(said.seeds):
            m, s = (torch.repeat_interleave(one[k], durations[k], dim=1) for one in (mean, scale))  # (D, T)
            random = noise(seed, *m.shape).to(device)
            drawn.append((m + random * torch.exp(s) * model.inference_noise_scale).T)  # (T, D)
        frames = torch.tensor([len(one) for one in drawn], device=device)
        latent = widened(pad_sequence(drawn, batch_first=True).transpose(1, 2))  # (B, D, T)
        inside = sequence_mask(frames, latent.shape[2]).unsqueeze(1).to(hidden.dtype)  # (B, 1, T)
        flowed = model.flow(latent, inside, g=self._speaker, reverse=True)  # (B, D, T)
        return [self._stretched(one[:, :length]) for one, length in zip(flowed, frames.tolist(), strict=True)]

    def _durations(
        self, hidden: torch.Tensor, mask: torch.Tensor, language: torch.Tensor | None, said: Said
    ) -> torch.Tensor:
        """Return the frames (B, P) of each character, at least one for a text."""
        model = self._model
        speaker = self._speaker if model.args.condition_dp_on_speaker else None
        if model.args.use_sdp:
            logarithms = self._stochastic(hidden, mask, speaker, language, said)  # (B, 1, P)
        else:
            logarithms = model.duration_predictor(hidden, mask, g=speaker, lang_emb=language)  # (B, 1, P)
        frames = torch.ceil(torch.exp(logarithms) * mask * model.length_scale / said.pace)[:, 0].long()  # (B, P)
        frames[:, 0] += frames.sum(dim=1) == 0
        return frames

    def _stochastic(
        self,
        hidden: torch.Tensor,
        mask: torch.Tensor,
        speaker: torch.Tensor | None,
        language: torch.Tensor | None,
        said: Said,
    ) -> torch.Tensor:
        """Return logarithms of durations (B, 1, P): the predictor's own reverse pass with each text's own noise."""
        predictor: Any = self._model.duration_predictor
        x = predictor.pre(hidden)  # (B, D, P)
        x = x if speaker is None else x + predictor.cond(speaker)
        x = x if language is None else x + predictor.cond_lang(language)
        x = predictor.proj(predictor.convs(x, mask)) * mask
        z = torch.zeros(len(said.texts), 2, x.shape[2], device=x.device)  # (B, 2, P)
        for k, (text, seed) in enumerate(zip(said.texts, said.seeds, strict=True)):
            z[k, :, : len(text)] = noise(seed + 1, 2, len(text)) * self._model.inference_noise_scale_dp
        flows = list(reversed(predictor.flows))
        for flow in flows[:-2] + flows[-1:]:  # the last but one changes nothing that is used
            z = flow(torch.flip(z, [1]), mask, g=x, reverse=True)
        return z[:, :1]

    def _stretched(self, latent: torch.Tensor) -> torch.Tensor:
        """Return a latent (D, T) at the decoder's rate, for the models whose encoder has another."""
        if not (self._model.args.encoder_sample_rate and self._model.args.interpolate_z):
            return latent
        factor = self._model.interpolate_factor
        return nn.functional.interpolate(latent[None], scale_factor=[factor], mode="linear")[0]
