"""Make a tiny voice of the real Coqui classes: random, seeded, noise-like, ready in moments.

python tests/fakes/make_tiny_voice.py FOLDER
"""

# ruff: noqa: RUF001 - the phonemes are letters of the IPA

import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from speech import acoustic, vocoder

ALPHABET = "abdefhijklmnopstuvwzæðŋɐɑɔəɚɛɜɡɪɹɾʃʊʌʒʔˈˌː̩θᵻ"
SETTINGS: dict[str, Any] = {
    "name": "tiny",
    "language": "en-US",
    "licence": "CC0-1.0",
    "sample_rate_hz": 22050,
    "acoustic": {
        "characters": {
            "characters": ALPHABET,
            "punctuations": " !,.;?",
            "pad": "<PAD>",
            "eos": "<EOS>",
            "bos": "<BOS>",
            "blank": "<BLNK>",
        },
        "model_args": {
            "hidden_channels": 8,
            "use_aligner": False,
            "use_pitch": True,
            "positional_encoding": False,
            "encoder_type": "residual_conv_bn",
            "encoder_params": {"kernel_size": 3, "dilations": [1, 2], "num_conv_blocks": 2, "num_res_blocks": 2},
            "decoder_type": "residual_conv_bn",
            "decoder_params": {"kernel_size": 3, "dilations": [1, 2], "num_conv_blocks": 2, "num_res_blocks": 2},
            "duration_predictor_hidden_channels": 8,
            "pitch_predictor_hidden_channels": 8,
        },
    },
    "vocoder": {
        "in_channels": 80,
        "out_channels": 1,
        "resblock_type": "2",
        "resblock_dilation_sizes": [[1, 3]],
        "resblock_kernel_sizes": [3],
        "upsample_kernel_sizes": [32, 32],
        "upsample_initial_channel": 8,
        "upsample_factors": [16, 16],
    },
}
FRAMES_A_CHARACTER = 6
LOUDEST = 0.3


def tiny_voice(folder: Path, seed: int = 0) -> Path:
    """Write a voice that `Speaker.load(folder)` loads, and return `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(seed)
    model, characters = acoustic.build(SETTINGS["acoustic"])
    generator = vocoder.build(SETTINGS["vocoder"])
    _make_audible(model.eval(), generator, characters)
    save_file(model.state_dict(), folder / "model.safetensors")
    save_file(generator.state_dict(), folder / "vocoder.safetensors")
    (folder / "config.json").write_text(json.dumps(SETTINGS, ensure_ascii=False), encoding="utf-8")
    return folder


@torch.no_grad()
def _make_audible(
    model: acoustic.ForwardTTS, generator: vocoder.HifiganGenerator, characters: acoustic.IPAPhonemes
) -> None:
    """Give the random models speech's pace and level: 14 characters a second, peaks near a third of full scale."""
    duration = model.duration_predictor.proj
    duration.weight.mul_(0.2)
    duration.bias.fill_(float(torch.log(torch.tensor(1.0 + FRAMES_A_CHARACTER))))
    for part in generator.modules():
        if isinstance(part, torch.nn.Conv1d | torch.nn.ConvTranspose1d):
            part.weight.normal_(0.0, 0.3)
    generator.conv_post.bias.zero_()
    mels = acoustic.predict_mels(model, [acoustic.token_ids("ɐ dˈɑːɡ ɹˈʌnz.", characters)])
    sound = generator.conv_post.register_forward_hook(lambda _m, _i, out: loud.append(float(out.abs().max())))
    loud: list[float] = []
    with torch.inference_mode():
        generator(mels[0][None])
    sound.remove()
    generator.conv_post.weight.mul_(LOUDEST / loud[0])


if __name__ == "__main__":
    tiny_voice(Path(sys.argv[1]))
