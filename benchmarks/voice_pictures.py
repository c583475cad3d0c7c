"""Pictures of the built-in voice for docs/: a sentence by teacher and voice, and a training's curves.

    python -P benchmarks/voice_pictures.py spectrogram CORPUS CLIP docs/voice-spectrogram.png
    python -P benchmarks/voice_pictures.py curves LOSSES.csv docs/voice-curves.png

CLIP is a clip of the corpus (a folder with clips-*.tar or clips/, and metadata.tsv); the voice says the same text.
LOSSES.csv is what `python -m speech.train` writes.
"""

import argparse
import csv
from pathlib import Path

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt
from PIL import Image

from speech import corpus
from speech.mels import HOP_LENGTH, SAMPLE_RATE_HZ, log_mel
from speech.records import Spoken
from speech.speaking import Speaker
from speech.train import LOSSES

COLOURS = 96
"""Of the palette: a third of the size on the disk."""


def main() -> None:
    """Draw what the command line names."""
    parser = argparse.ArgumentParser(description="Pictures of the built-in voice.")
    kinds = parser.add_subparsers(required=True)
    spectrogram = kinds.add_parser("spectrogram", help="a sentence by teacher and voice")
    spectrogram.add_argument("corpus", type=Path)
    spectrogram.add_argument("clip")
    spectrogram.set_defaults(draw=draw_spectrograms)
    curves = kinds.add_parser("curves", help="losses by step, in training and on the clips held out")
    curves.add_argument("losses", type=Path)
    curves.set_defaults(draw=draw_curves)
    for kind in (spectrogram, curves):
        kind.add_argument("picture", type=Path)
    options = parser.parse_args()
    options.draw(options)
    with Image.open(options.picture) as drawn:
        drawn.convert("RGB").quantize(COLOURS).save(options.picture, optimize=True)


def draw_curves(options: argparse.Namespace) -> None:
    """Draw each loss by step."""
    with options.losses.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    steps = [int(row["step"]) for row in rows]
    figure, axes = plt.subplots(1, len(LOSSES), figsize=(9, 3), constrained_layout=True)
    for axis, loss in zip(axes, LOSSES, strict=True):
        axis.plot(steps, [float(row[loss]) for row in rows], label="training")
        axis.plot(steps, [float(row[f"dev_{loss}"]) for row in rows], label="held out, averaged weights")
        axis.set(title=loss, xlabel="step")
        axis.grid(alpha=0.3)
    axes[1].legend()
    figure.savefig(options.picture, dpi=80)


def draw_spectrograms(options: argparse.Namespace) -> None:
    """Draw the log-mel spectrograms one above the other."""
    text = next(r["text"] for r in corpus.read_table(options.corpus / "metadata.tsv") if r["clip"] == options.clip)
    taught = next(samples for name, samples in corpus.clips(options.corpus) if name == options.clip)
    spoken = Speaker.load("narrator").speak([text])[0]
    if not isinstance(spoken, Spoken):
        raise spoken
    figure, axes = plt.subplots(2, 1, figsize=(8, 4.4), sharex=True, constrained_layout=True)
    for axis, name, samples in zip(axes, ("teacher", "narrator"), (taught, spoken.waveform.samples), strict=True):
        mel = log_mel(np.ascontiguousarray(samples))
        axis.imshow(
            mel.T,
            origin="lower",
            aspect="auto",
            vmin=-9,
            vmax=1,
            cmap="magma",
            extent=(0, len(mel) * HOP_LENGTH / SAMPLE_RATE_HZ, 0, mel.shape[1]),
        )
        axis.set_ylabel(f"{name}\nmel band")
    axes[0].set_title(text, fontsize=9)
    axes[1].set_xlabel("seconds")
    figure.savefig(options.picture, dpi=80)


if __name__ == "__main__":
    main()
