"""Make a voice folder from training runs: `python -m speech.export ACOUSTIC VOICE_FOLDER [--vocoder FOLDER]`.

Takes the averaged weights of the checkpoints, folds the mels' normalisation into the acoustic model's last layer, and
stores both models as `speech.weights` does. The folder is written beside the old one and takes its place at the end.
"""

import argparse
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from speech import acoustic, vocoder, weights
from speech.acoustic import ForwardTTS
from speech.mels import SAMPLE_RATE_HZ
from speech.train_vocoder import averaged_student
from speech.voices import ACOUSTIC, CONFIG, VOCODER, read_config

CARD, CHECKPOINT = "CARD.md", "checkpoint.pt"


def fold_normalisation(model: ForwardTTS, mean: torch.Tensor, scale: torch.Tensor) -> None:
    """Change the last convolution so that the model gives natural-log mels instead of normalised ones, exactly."""
    last = model.decoder.decoder.postnet[-1]
    with torch.no_grad():
        last.weight.mul_(scale[:, None, None])  # (M, D, 1)
        last.bias.mul_(scale).add_(mean)  # (M,)


def averaged_model(checkpoint: Path) -> tuple[ForwardTTS, dict[str, Any]]:
    """Return the averaged model of a checkpoint, giving natural-log mels, and its settings."""
    state = torch.load(checkpoint, weights_only=True)
    settings = json.loads(state["settings"])
    model, _ = acoustic.build(settings)
    prefix = "module."
    model.load_state_dict({n.removeprefix(prefix): v for n, v in state["average"].items() if n.startswith(prefix)})
    fold_normalisation(model, state["mel_mean"], state["mel_scale"])
    return model.eval(), settings


def acoustic_of(folder: Path) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the acoustic model's weights and settings from a training run, or as they are from a voice folder."""
    if (folder / CHECKPOINT).is_file():
        model, settings = averaged_model(folder / CHECKPOINT)
        return model.state_dict(), settings
    return weights.load(folder / ACOUSTIC), read_config(folder)["acoustic"]


def vocoder_of(folder: Path | None) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the vocoder's weights and settings from a training run, or without one the universal V1."""
    if folder is None:
        return vocoder.universal().state_dict(), vocoder.UNIVERSAL_V1
    student, settings = averaged_student(folder / CHECKPOINT)
    return student.state_dict(), settings


@contextmanager
def replaced_whole(folder: Path) -> Iterator[Path]:
    """Yield a new folder that takes the place of `folder` once all is written; the old one's CARD.md goes along.

    A cut at any time leaves the old folder, or the new one, or for an instant the old one beside it as `NAME.old`.
    """
    part, old = folder.with_name(f"{folder.name}.part"), folder.with_name(f"{folder.name}.old")
    for left_over in (part, old):
        shutil.rmtree(left_over, ignore_errors=True)
    part.mkdir(parents=True)
    yield part
    if (folder / CARD).is_file():
        shutil.copyfile(folder / CARD, part / CARD)
    if folder.exists():
        folder.rename(old)
    part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def main() -> None:
    """Export as the command line says."""
    parser = argparse.ArgumentParser(description="Make a voice folder from training runs.")
    parser.add_argument("acoustic", type=Path, help="folder of `speech.train`, or a voice folder whose model is kept")
    parser.add_argument("voice", type=Path, help="folder to write; its name is the voice's name")
    parser.add_argument("--vocoder", type=Path, help="folder of `speech.train_vocoder`; without it the universal V1")
    parser.add_argument("--language", default="en-US", help="BCP 47 tag of what it speaks")
    parser.add_argument(
        "--licence", default="unknown AND MIT", help="SPDX expression of the weights' licence; the vocoder's is MIT"
    )
    parser.add_argument(
        "--sharpness", type=float, nargs=2, default=(0.0, 0.0), help="detail to give back to mels: of bands, of frames"
    )
    options = parser.parse_args()
    spoken, settings = acoustic_of(options.acoustic)
    sounding, vocoder_settings = vocoder_of(options.vocoder)
    config = {"name": options.voice.name, "language": options.language, "licence": options.licence}
    config |= {
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "sharpness": dict(zip(("bands", "frames"), options.sharpness, strict=True)),
        "acoustic": settings,
        "vocoder": vocoder_settings,
    }
    with replaced_whole(options.voice) as folder:
        weights.save(spoken, folder / ACOUSTIC)
        weights.save(sounding, folder / VOCODER, eight_bits=True)
        (folder / CONFIG).write_text(json.dumps(config, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
