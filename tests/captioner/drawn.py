"""Drawn shapes to learn from, and an encoder that has learned to see them as ImageNet's have learned to see things."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from captioner.beginnings import make_encoder
from captioner.dataset import Data, find_data
from captioner.drawings import COLOURS, GROUNDS, KINDS, SIZES_PX, drawings, write_set
from captioner.encoders import PhotoEncoder
from captioner.train_settings import Settings

PROPERTIES = {"kind": list(KINDS), "colour": list(COLOURS), "size": list(SIZES_PX), "ground": list(GROUNDS)}
DEV = 48
"""Drawings to score on."""


def drawn(folder: Path, *, questions: bool = False, count: int = 800) -> Data:
    """Write drawings to learn from and others to score on, and return them as training finds them."""
    write_set(folder, "train", drawings(count, seed=1), questions=questions)
    return find_data(write_set(folder, "dev", drawings(DEV, seed=2), questions=questions))


def recipe(data: Data, out: Path, cache: Path, steps: int, rate: float) -> Settings:
    """Return what families learn the drawings by: few steps, the encoder as it is."""
    settings = Settings(data.train[0].file.parent, out, steps=steps, batch_photos=16, versions=("plain",), cache=cache)
    settings = replace(settings, peak_rate=rate, encoder_rate=0.0, tune_share=1.0)
    return replace(settings, warm_up_steps=15, average_keep=0.97)


def seeing_encoder(steps: int = 360, rate: float = 5e-3) -> PhotoEncoder:
    """Train the small encoder to tell the drawings' properties apart; it stays as it is afterwards."""
    torch.manual_seed(0)
    encoder = make_encoder("small").requires_grad_(requires_grad=True)
    heads = nn.ModuleList(nn.Linear(encoder.width, len(names)) for names in PROPERTIES.values())
    optimizer = torch.optim.Adam([*encoder.parameters(), *heads.parameters()], lr=rate)
    made = drawings(2000, seed=3)
    photos = encoder.prepare([one.pixels for one in made])
    wanted = [torch.tensor([names.index(getattr(one, key)) for one in made]) for key, names in PROPERTIES.items()]
    random = np.random.default_rng(0)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * (1 - step / steps)
        some = torch.from_numpy(random.choice(len(made), 48, replace=False))
        seen = encoder(photos[some]).mean(1)  # (B, D)
        loss = sum(nn.functional.cross_entropy(head(seen), one[some]) for head, one in zip(heads, wanted, strict=True))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    encoder.config = replace(encoder.config, lower_blocks=len(encoder.network))
    return encoder.requires_grad_(requires_grad=False)
