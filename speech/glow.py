"""Coqui's GlowTTS (Kim, Kim, Kong and Yoon, NeurIPS 2020), batched: characters to mel frames.

The library's own `inference` gives every padded character a frame, since it masks the durations before it raises them
to one, and draws one noise for the whole batch. Here the mask comes last, and each text has its own noise.
Letters: B texts, P characters, M mel bands, T frames.
"""

import torch
from torch.nn.utils.rnn import pad_sequence

from speech.models import Said, Sound, noise, widened
from speech.padding import make_part_safe
from speech.quiet import quiet_imports

with quiet_imports():
    from TTS.tts.models.glow_tts import GlowTTS
    from TTS.tts.utils.helpers import sequence_mask

__all__ = ["GlowTTS", "GlowVoice"]


class GlowVoice:
    """A GlowTTS with its vocoder and its speaker."""

    batches = True
    frames_a_character = 7

    def __init__(self, model: GlowTTS, device: torch.device, sound: Sound, speaker: torch.Tensor | None = None) -> None:
        """Take over a loaded model, what makes sound of its mels, and the speaker's (1, D, 1)."""
        model.store_inverse()
        make_part_safe(model.encoder.encoder)
        self._model = model.to(device).eval()
        self._device, self._sound, self._speaker = device, sound, speaker
        self.side_by_side = sound.side_by_side

    def speak(self, said: Said) -> list[torch.Tensor]:
        """Return a waveform (N,) for each text."""
        return self._sound(self.mels(said), said.seeds)

    @torch.inference_mode()
    def mels(self, said: Said) -> list[torch.Tensor]:
        """Return a mel (M, T) for each text."""
        device, model = self._device, self._model
        lengths = torch.tensor([len(text) for text in said.texts], device=device)
        tokens = pad_sequence([torch.tensor(text, device=device) for text in said.texts], batch_first=True)
        tokens = widened(tokens)  # (B, P)
        speaker = None if self._speaker is None else self._speaker.expand(len(tokens), -1, -1)  # (B, D, 1)
        mean, scale, logarithms, mask = model.encoder(tokens, lengths, g=speaker)  # 2 x (B, M, P), 2 x (B, 1, P)
        frames = (torch.exp(logarithms) - 1) * mask * model.length_scale / said.pace
        durations = (torch.ceil(frames).clamp_min(1) * mask)[:, 0].long()  # (B, P)
        drawn = []
        for k, seed in enumerate(said.seeds):
            m, s = (torch.repeat_interleave(one[k], durations[k], dim=1) for one in (mean, scale))  # (M, T)
            random = noise(seed, *m.shape).to(device)
            drawn.append((m + torch.exp(s) * random * model.inference_noise_scale).T)  # (T, M)
        heard = torch.tensor([len(one) for one in drawn], device=device)
        latent = widened(pad_sequence(drawn, batch_first=True).transpose(1, 2))  # (B, M, T)
        inside = sequence_mask(heard, latent.shape[2]).unsqueeze(1).to(mask.dtype)  # (B, 1, T)
        flowed, _ = model.decoder(latent, inside, g=speaker, reverse=True)  # (B, M, T)
        whole = [length // model.num_squeeze * model.num_squeeze for length in heard.tolist()]
        return [mel[:, :length] for mel, length in zip(flowed, whole, strict=True)]
