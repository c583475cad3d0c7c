"""Pictures of the built-in voice for docs/: a sentence by teacher and voice.

    python -P benchmarks/voice_pictures.py CORPUS CLIP docs/voice-spectrogram.png

CLIP is a clip of the corpus (a folder with clips-*.tar or clips/, and metadata.tsv); the voice says the same text.
"""

import argparse
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

COLOURS = 96
"""Of the palette: a third of the size on the disk."""


def main() -> None:
    """Draw the log-mel spectrograms one above the other."""
    parser = argparse.ArgumentParser(description="Spectrograms of teacher and voice.")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("clip")
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
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
    with Image.open(options.picture) as drawn:
        drawn.convert("RGB").quantize(COLOURS).save(options.picture, optimize=True)


if __name__ == "__main__":
    main()
