"""Make tiny voices of the real Coqui classes in Coqui's own format: random, seeded, noise-like.

python tests/fakes/make_coqui_voices.py FOLDER
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from speech.quiet import quiet_imports

with quiet_imports():
    from TTS.config.shared_configs import BaseAudioConfig
    from TTS.tts.configs.fast_pitch_config import FastPitchConfig
    from TTS.tts.configs.fastspeech2_config import Fastspeech2Config
    from TTS.tts.configs.glow_tts_config import GlowTTSConfig
    from TTS.tts.configs.shared_configs import CharactersConfig
    from TTS.tts.configs.speedy_speech_config import SpeedySpeechConfig
    from TTS.tts.configs.tacotron2_config import Tacotron2Config
    from TTS.tts.configs.vits_config import VitsConfig
    from TTS.tts.models import setup_model
    from TTS.vocoder.configs import HifiganConfig, MultibandMelganConfig
    from TTS.vocoder.models import setup_model as setup_vocoder

LETTERS = "abcdefghijklmnopqrstuvwxyz"
MARKS = " !',.?"
HIFIGAN = {
    "upsample_factors": [16, 16],
    "upsample_kernel_sizes": [32, 32],
    "upsample_initial_channel": 16,
    "resblock_kernel_sizes": [3, 5],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 3, 5]],
    "resblock_type": "1",
}
FORWARD = {"hidden_channels": 16, "duration_predictor_hidden_channels": 8, "pitch_predictor_hidden_channels": 8}
FFT = {"hidden_channels_ffn": 16, "num_heads": 2, "num_layers": 2, "dropout_p": 0.1}
CONVOLUTIONS = {"kernel_size": 4, "dilations": [1, 2, 4], "num_conv_blocks": 2, "num_res_blocks": 3}
TRANSFORMER = {"hidden_channels_ffn": 16, "num_heads": 2, "kernel_size": 3, "dropout_p": 0.1, "num_layers": 2}
TRANSFORMER |= {"rel_attn_window_size": 4, "input_length": None}
WAVENET = {"num_blocks": 2, "hidden_channels": 16, "kernel_size": 5, "dilation_rate": 1, "num_layers": 2}
ENCODERS: dict[str, dict[str, Any]] = {
    "fftransformer": FFT,
    "residual_conv_bn": CONVOLUTIONS,
    "relative_position_transformer": TRANSFORMER,
}
DECODERS = ENCODERS | {"wavenet": WAVENET}
GLOW_ENCODERS: dict[str, dict[str, Any]] = {
    "rel_pos_transformer": {key: value for key, value in TRANSFORMER.items() if key != "rel_attn_window_size"},
    "gated_conv": {"kernel_size": 5, "dropout_p": 0.1, "num_layers": 3},
    "time_depth_separable": {"kernel_size": 5, "num_layers": 3},
}


def _shared(**more: Any) -> dict[str, Any]:
    """Return what all settings have: a small alphabet, English, and mels that need no rescaling."""
    characters = CharactersConfig(pad="_", eos="&", bos="*", blank=None, characters=LETTERS, punctuations=MARKS)
    settings: dict[str, Any] = {"characters": characters, "use_phonemes": False, "text_cleaner": "basic_cleaners"}
    return settings | {"languages": ["en"], "audio": BaseAudioConfig(signal_norm=False, do_trim_silence=False)} | more


def forward(kind: str = "fast_pitch", encoder: str = "", decoder: str = "", **arguments: Any) -> Any:
    """Return settings of a FastPitch, SpeedySpeech or FastSpeech 2."""
    kinds = {"fast_pitch": FastPitchConfig, "speedy_speech": SpeedySpeechConfig, "fastspeech2": Fastspeech2Config}
    config = kinds[kind](**_shared())
    usual = config.model_args.encoder_type, config.model_args.decoder_type
    chosen = {"encoder_type": encoder or usual[0], "decoder_type": decoder or usual[1]}
    chosen |= {"encoder_params": ENCODERS[chosen["encoder_type"]], "decoder_params": DECODERS[chosen["decoder_type"]]}
    for name, value in (FORWARD | {"use_aligner": False} | chosen | arguments).items():
        config.model_args[name] = value
    return config


def glow(encoder: str = "rel_pos_transformer", **settings: Any) -> Any:
    """Return settings of a GlowTTS."""
    small = {"hidden_channels_enc": 16, "hidden_channels_dec": 16, "hidden_channels_dp": 8, "num_flow_blocks_dec": 2}
    chosen = {"encoder_type": encoder, "encoder_params": GLOW_ENCODERS[encoder]}
    return GlowTTSConfig(**_shared(**(small | chosen | {"inference_noise_scale": 0.3} | settings)))


def vits(**arguments: Any) -> Any:
    """Return settings of a VITS."""
    config = VitsConfig(**_shared(audio=VitsConfig().audio, add_blank=True))
    config.characters.blank = "<BLNK>"
    small = {"hidden_channels": 16, "hidden_channels_ffn_text_encoder": 16, "num_layers_text_encoder": 2}
    small |= {"num_layers_posterior_encoder": 1, "num_layers_flow": 2, "init_discriminator": False}
    for name, value in HIFIGAN.items():
        key = "upsample_rates_decoder" if name == "upsample_factors" else f"{name}_decoder"
        config.model_args[key] = value
    for name, value in (small | arguments).items():
        config.model_args[name] = value
    return config


def tacotron() -> Any:
    """Return settings of a Tacotron 2, which is not batched."""
    return Tacotron2Config(**_shared(r=2, max_decoder_steps=40))


def hifigan() -> Any:
    """Return settings of a HiFi-GAN."""
    return HifiganConfig(
        generator_model_params=HIFIGAN, audio=BaseAudioConfig(signal_norm=False, do_trim_silence=False)
    )


def melgan() -> Any:
    """Return settings of a multi-band MelGAN, a vocoder that is not batched."""
    return MultibandMelganConfig(audio=BaseAudioConfig(signal_norm=False, do_trim_silence=False))


def write(folder: Path, config: Any, vocoder: Any = None, *, as_pickle: bool = True) -> Path:
    """Write a voice in Coqui's format, as its trainer does or with safetensors, and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_one(folder, config, setup_model, as_pickle=as_pickle)
    if vocoder is not None:
        (folder / "vocoder").mkdir()
        _write_one(folder / "vocoder", vocoder, setup_vocoder, as_pickle=as_pickle)
    return folder


def _write_one(folder: Path, config: Any, setup: Callable[[Any], nn.Module], *, as_pickle: bool) -> None:
    torch.manual_seed(0)
    with quiet_imports():
        model = setup(config).eval()
    _make_lively(model)
    (folder / "config.json").write_text(json.dumps(config.to_dict()), encoding="utf-8")
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    if as_pickle:
        torch.save({"model": weights, "step": 1}, folder / "model_file.pth")
    else:
        save_file(weights, folder / "model.safetensors")


@torch.no_grad()
def _make_lively(model: nn.Module) -> None:
    """Give every weight that starts at zero a value, so that no branch is silent, and every text a speech's pace."""
    for name, value in model.named_parameters():
        if value.ndim > 1 and not value.abs().any():
            value.normal_(0.0, 0.05)
        elif value.ndim == 1 and name.endswith("bias"):
            value.normal_(0.0, 0.1)
    if hasattr(model, "waveform_decoder"):
        model.waveform_decoder.conv_post.weight.mul_(60.0)
    proj = getattr(getattr(model, "duration_predictor", None), "proj", None)
    encoder = getattr(model, "encoder", None)
    proj = getattr(getattr(encoder, "duration_predictor", None), "proj", proj)
    if isinstance(proj, nn.Conv1d) and proj.out_channels == 1:
        proj.weight.mul_(3.0)
        proj.bias.fill_(1.5)


if __name__ == "__main__":
    write(Path(sys.argv[1]) / "vits", vits())
    write(Path(sys.argv[1]) / "fast_pitch", forward(), hifigan())
    write(Path(sys.argv[1]) / "glow_tts", glow(), hifigan())
