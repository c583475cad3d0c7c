"""Two small critics for the vocoder's adversarial training; they are never part of a voice.

`SpectrumCritics` looks at magnitude spectrograms of several resolutions (UnivNet, Jang et al., Interspeech 2021),
`PeriodCritics` at the sound folded by several periods (HiFi-GAN, Kong, Kim and Bae, NeurIPS 2020). Both are a few times
narrower than the papers', so that one processor core trains them.
Letters: B segments, N samples, C channels, H and W what a layer makes of them.
"""

import itertools

import torch
from torch import nn
from torch.nn import functional

SLOPE = 0.1
RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))
"""FFT size, hop and window of each spectrum critic in samples: UnivNet's."""
PERIODS = (2, 3, 5, 7, 11)
"""HiFi-GAN's."""

Judgement = tuple[torch.Tensor, list[torch.Tensor]]
"""A critic's score map and the output of each of its hidden layers."""


class Stack(nn.Module):
    """Convolutions with a leaky ReLU after each, and a last one to the score map."""

    def __init__(self, layers: list[nn.Conv2d], last: nn.Conv2d) -> None:
        """Keep the layers."""
        super().__init__()
        self.layers, self.last = nn.ModuleList(layers), last

    def forward(self, picture: torch.Tensor) -> Judgement:
        """Return the score map and the hidden layers of (B, 1, H, W)."""
        hidden = []
        for layer in self.layers:
            picture = functional.leaky_relu(layer(picture), SLOPE)  # (B, C, H, W)
            hidden.append(picture)
        return self.last(picture), hidden


class SpectrumCritics(nn.Module):
    """One stack for each resolution."""

    def __init__(self, channels: int) -> None:
        """Build the stacks, each hidden layer `channels` wide."""
        super().__init__()
        self.stacks = nn.ModuleList(_spectrum_stack(channels) for _ in RESOLUTIONS)
        for size, _, window in RESOLUTIONS:
            self.register_buffer(f"window_{size}", torch.hann_window(window), persistent=False)

    def forward(self, sound: torch.Tensor) -> list[Judgement]:
        """Return each stack's judgement of sounds (B, N)."""
        judged = []
        for stack, (size, hop, width) in zip(self.stacks, RESOLUTIONS, strict=True):
            window = getattr(self, f"window_{size}")
            spectrum = torch.stft(sound.float(), size, hop, width, window, return_complex=True)
            magnitude = torch.sqrt(spectrum.real**2 + spectrum.imag**2 + 1e-9)[:, None]  # (B, 1, H, W)
            judged.append(stack(magnitude.contiguous(memory_format=torch.channels_last)))
        return judged


class PeriodCritics(nn.Module):
    """One stack for each period."""

    def __init__(self, channels: int) -> None:
        """Build the stacks: `channels` in the first layer, twice as many in each later one, up to eight times."""
        super().__init__()
        self.stacks = nn.ModuleList(_period_stack(channels) for _ in PERIODS)

    def forward(self, sound: torch.Tensor) -> list[Judgement]:
        """Return each stack's judgement of sounds (B, N)."""
        judged = []
        for stack, period in zip(self.stacks, PERIODS, strict=True):
            folded = functional.pad(sound, (0, -sound.shape[1] % period), mode="reflect")  # (B, N')
            picture = folded.reshape(sound.shape[0], 1, -1, period)  # (B, 1, N' / period, period)
            judged.append(stack(picture.contiguous(memory_format=torch.channels_last)))
        return judged


def _spectrum_stack(channels: int) -> Stack:
    """Return UnivNet's stack over a spectrogram, frequency along H and time along W."""
    layers = [nn.Conv2d(1, channels, (9, 3), padding=(4, 1))]
    layers += [nn.Conv2d(channels, channels, (9, 3), stride=(2, 1), padding=(4, 1)) for _ in range(3)]
    layers += [nn.Conv2d(channels, channels, 3, padding=1)]
    return Stack(layers, nn.Conv2d(channels, 1, 3, padding=1))


def _period_stack(channels: int) -> Stack:
    """Return HiFi-GAN's stack over a folded sound."""
    widths = [1, channels, 2 * channels, 4 * channels, 8 * channels]
    layers = [
        nn.Conv2d(before, after, (5, 1), stride=(3, 1), padding=(2, 0)) for before, after in itertools.pairwise(widths)
    ]
    layers += [nn.Conv2d(widths[-1], widths[-1], (5, 1), padding=(2, 0))]
    return Stack(layers, nn.Conv2d(widths[-1], 1, (3, 1), padding=(1, 0)))


def critic_loss(real: list[Judgement], made: list[Judgement]) -> torch.Tensor:
    """Return the least-squares loss that teaches the critics: real is 1, made is 0."""
    parts = [((r.float() - 1) ** 2).mean() + (m.float() ** 2).mean() for (r, _), (m, _) in zip(real, made, strict=True)]
    return torch.stack(parts).mean()


def deceiving_loss(made: list[Judgement]) -> torch.Tensor:
    """Return the least-squares loss that teaches the vocoder: the critics shall take what it made for real."""
    return torch.stack([((m.float() - 1) ** 2).mean() for m, _ in made]).mean()


def feature_loss(real: list[Judgement], made: list[Judgement]) -> torch.Tensor:
    """Return how far the critics' hidden layers are apart, relative to their size on real sound."""
    parts = [
        (r.detach().float() - m.float()).abs().mean() / r.detach().float().abs().mean().clamp(min=1e-5)
        for (_, reals), (_, mades) in zip(real, made, strict=True)
        for r, m in zip(reals, mades, strict=True)
    ]
    return torch.stack(parts).mean()
