"""Loads a voice in Coqui's own format. Only data is read: weights as safetensors or by torch's `weights_only`.

Paths in the settings point to the machine that trained the voice: each is taken as the name of a file in the voice's
folder, and what is not there is left out, so that no setting can reach a file elsewhere or the network.
"""

import contextlib
import os
import pickle
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from speech.coqui_folder import WHOLE_FOLDER, CoquiFiles, find_files, model_name, read_json
from speech.coqui_spelling import Speller, check_only
from speech.coqui_statistics import read_statistics
from speech.errors import VoiceError
from speech.hifigan import Hifigan, remove_weight_norm
from speech.library import GriffinLim, LibraryVocoder, LibraryVoice, Rescaled
from speech.models import Model, Sound
from speech.padding import make_batch_safe
from speech.quiet import quiet_imports
from speech.records import Voice

with quiet_imports():
    from TTS.config import register_config
    from TTS.tts.configs.vits_config import VitsConfig
    from TTS.tts.models import setup_model
    from TTS.tts.models.forward_tts import ForwardTTS
    from TTS.tts.models.glow_tts import GlowTTS
    from TTS.tts.models.vits import Vits
    from TTS.utils.audio import AudioProcessor
    from TTS.vocoder.models import setup_model as setup_vocoder
    from TTS.vocoder.models.hifigan_generator import HifiganGenerator

FILES = {
    "d_vector_file": ("speakers.json", "speakers.pth"),
    "speakers_file": ("speaker_ids.json", "speaker_ids.pth", "speakers.pth", "speakers.json"),
    "speaker_file": (),
    "language_ids_file": ("language_ids.json",),
    "speaker_encoder_model_path": (),
    "speaker_encoder_config_path": (),
}
"""Settings that name a file, and its usual names in a fetched voice; what clones voices is left out."""
FAULTS = (KeyError, TypeError, RuntimeError, ValueError, AttributeError, AssertionError, OSError, ImportError)
FAULTS += (SafetensorError, NotImplementedError, pickle.UnpicklingError, EOFError)  # type: ignore[assignment]
"""What the library raises where settings and weights do not belong together."""


def load(voice: Voice, device: torch.device) -> tuple[Model, Callable[[str], list[int]]]:
    """Return the model and what makes character numbers of a sentence; raises `VoiceError` where files do not fit."""
    files = find_files(voice.folder, voice.vocoder_folder)
    try:
        with _weights_only(), quiet_imports():
            return _load(voice, files, device)
    except FAULTS as error:
        raise VoiceError(_explained(error), where=str(voice.folder), mend=_mend(error)) from error


def _load(voice: Voice, files: CoquiFiles, device: torch.device) -> tuple[Model, Callable[[str], list[int]]]:
    model = _speech_model(files)
    speaker = _speaker(model, voice.speaker)
    spoken_as = _language_name(model, voice.spoken_as)
    spell = Speller(model.tokenizer, spoken_as) if hasattr(model.tokenizer, "not_found_characters") else check_only
    if isinstance(model, Vits):
        return _vits(model, voice, device, speaker), spell
    sound = _sound(files, model, device)
    if isinstance(model, ForwardTTS):
        from speech.acoustic import ForwardVoice

        make_batch_safe(model)
        return ForwardVoice(model.to(device).eval(), sound, _condition(model, speaker, device, plain=True)), spell
    if isinstance(model, GlowTTS):
        from speech.glow import GlowVoice

        return GlowVoice(model, device, sound, _condition(model, speaker, device)), spell
    mels = sound if hasattr(model, "ap") else None
    check = spell.check if isinstance(spell, Speller) else spell
    return LibraryVoice(model.to(device).eval(), mels, voice.speaker, spoken_as), check


def _vits(model: Vits, voice: Voice, device: torch.device, speaker: dict[str, torch.Tensor]) -> Model:
    from speech.vits import VitsVoice

    language = None
    if model.args.use_language_embedding:
        number = model.language_manager.name_to_id[voice.spoken_as]
        language = model.emb_l(torch.tensor([number])).detach().unsqueeze(-1).to(device)  # (1, D, 1)
    condition = _condition(model, speaker, device, normalize_embedding=False)
    return VitsVoice(model, device, condition, language)


def _speech_model(files: CoquiFiles) -> Any:
    """Return the library's model with its weights, on the processor."""
    raw = read_json(files.config)
    name = model_name(raw)
    if name == "fairseq":
        model = Vits(VitsConfig())
        model.load_fairseq_checkpoint(model.config, files.weights, eval=True)
        return model
    config, statistics = _config(raw, name, files.config.parent)
    if name == "vits":
        config.model_args.init_discriminator = False
    model = setup_model(config)
    _set_statistics(getattr(model, "ap", None), statistics)
    if name in WHOLE_FOLDER:
        model.load_checkpoint(config, checkpoint_dir=str(files.weights), eval=True)
    elif isinstance(model, Vits | ForwardTTS | GlowTTS) or files.weights.suffix == ".safetensors":
        model.load_state_dict(_kept(read_weights(files.weights)))
    else:
        model.load_checkpoint(config, files.weights, eval=True)
    return model.eval()


def _kept(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the weights that speaking needs."""
    left_out = ("disc.", "speaker_encoder.", "audio_resampler.")
    return {name: value for name, value in weights.items() if not name.startswith(left_out)}


def read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors of safetensors or of a checkpoint of Coqui's trainer, which is read by `weights_only`."""
    if path.suffix == ".safetensors":
        return load_file(path)
    state = torch.load(path, map_location="cpu", weights_only=True)
    weights = state.get("model", state) if isinstance(state, dict) else state
    if not isinstance(weights, dict):
        raise TypeError(f"{path.name} holds no weights")
    return weights


def _config(raw: dict[str, Any], name: str, folder: Path) -> tuple[Any, dict[str, Any] | None]:
    """Return the library's settings object, its paths put right, and the mels' statistics that it named."""
    statistics = None
    for part in (raw, raw.get("model_args") or {}):
        for key, usual in FILES.items():
            if key in part:
                part[key] = _beside(folder, part[key], usual)
    audio = raw.get("audio") or {}
    if audio.get("stats_path"):
        found = _beside(folder, audio["stats_path"], ("scale_stats.npy",))
        if found is None:
            raise VoiceError("the voice has no scale_stats.npy", str(folder), "take the whole folder of the voice")
        statistics, audio["stats_path"] = read_statistics(Path(found)), None
    characters = (raw.get("characters") or {}).get("characters_class") or "TTS."
    if not characters.startswith("TTS."):
        raise VoiceError(f"its characters are a class of its own, {characters}", str(folder), "use another voice")
    config = register_config(name)()
    config.from_dict(raw)
    return config, statistics


def _beside(folder: Path, named: Any, usual: tuple[str, ...]) -> str | None:
    """Return the file in `folder` that a setting means, None where it is not there."""
    first = named[0] if isinstance(named, list) and named else named
    if not first or not isinstance(first, str):
        return None
    for name in (Path(first.replace("\\", "/")).name, *usual):
        if usual and (folder / name).is_file():
            return str(folder / name)
    return None


def _set_statistics(processor: Any, statistics: dict[str, Any] | None) -> None:
    if statistics is not None and processor is not None:
        names = ("mel_mean", "mel_std", "linear_mean", "linear_std")
        processor.setup_scaler(*(statistics[name] for name in names))


def _sound(files: CoquiFiles, model: Any, device: torch.device) -> Sound:
    """Return what makes sound of the model's mels: its vocoder, or Griffin and Lim's rule where it has none."""
    if files.vocoder_config is None or files.vocoder_weights is None:
        return GriffinLim(model.ap)
    raw = read_json(files.vocoder_config)
    name = str(raw.get("model") or raw.get("generator_model") or "").lower()
    config, statistics = _config(raw, name.replace("_generator", ""), files.vocoder_config.parent)
    vocoder = setup_vocoder(config)
    processor = AudioProcessor(config.audio)
    _set_statistics(processor, statistics)
    generator = getattr(vocoder, "model_g", None)
    if generator is None:
        vocoder.load_checkpoint(config, files.vocoder_weights, eval=True)
        return Rescaled(model.ap, processor, LibraryVocoder(vocoder.to(device).eval()))
    weights = read_weights(files.vocoder_weights)
    mine = {key.removeprefix("model_g."): value for key, value in weights.items() if key.startswith("model_g.")}
    generator.load_state_dict(mine or weights)
    if isinstance(generator, HifiganGenerator):
        return Rescaled(model.ap, processor, Hifigan(generator, device, generator.inference_padding))
    remove_weight_norm(generator)
    return Rescaled(model.ap, processor, LibraryVocoder(generator.to(device).eval()))


def _speaker(model: Any, name: str) -> dict[str, torch.Tensor]:
    """Return the number or the vector of the speaker `name` as the library's models take it; raises `VoiceError`."""
    manager = getattr(model, "speaker_manager", None)
    known = sorted(manager.name_to_id) if manager is not None and hasattr(manager, "name_to_id") else []
    if name and name not in known:
        mend = f"choose {', '.join(known[:12])}{' ...' if len(known) > 12 else ''}" if known else "leave --speaker out"  # noqa: PLR2004
        raise VoiceError("the voice has no such speaker" if known else "the voice has one speaker", name, mend)
    if len(known) > 1 and not name:
        shown = ", ".join(known[:12]) + (" ..." if len(known) > 12 else "")  # noqa: PLR2004 - what fits a line
        raise VoiceError("the voice has several speakers", mend=f"choose one by --speaker: {shown}")
    if not known or not hasattr(model, "_get_speaker_id_or_dvector"):
        return {}
    number, vector = model._get_speaker_id_or_dvector(name or None)  # noqa: SLF001 - the library's one way to ask
    return {key: value for key, value in (("speaker_ids", number), ("d_vectors", vector)) if value is not None}


def _condition(
    model: Any, speaker: dict[str, torch.Tensor], device: torch.device, *, plain: bool = False, **options: bool
) -> torch.Tensor | None:
    """Return the speaker's vector (1, D, 1) as the model wants it, None where it has one speaker."""
    if plain:
        options = {"normalize_d_vector": False, "normalize_embedding": False}
    found = model._get_speaker_conditioning(speaker, "emb_g", **options)  # noqa: SLF001 - as its `inference` does
    return None if found is None else found.detach().to(device)


def _language_name(model: Any, spoken_as: str) -> str:
    """Return the model's own name of the language."""
    manager = getattr(model, "language_manager", None)
    known = list(getattr(manager, "language_names", []) or [])
    return known[0] if len(known) == 1 else spoken_as


@contextlib.contextmanager
def _weights_only() -> Iterator[None]:
    """Have every `torch.load`, the library's own too, refuse anything but data."""
    before = os.environ.get("TORCH_FORCE_WEIGHTS_ONLY_LOAD")
    os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"]
        else:
            os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = before


def _explained(error: BaseException) -> str:
    """Return in one line what is wrong with a voice that cannot be loaded."""
    if isinstance(error, pickle.UnpicklingError):
        return "its weights hold code beside data, which is never run"
    return f"its weights and settings do not fit: {(str(error).splitlines() or [type(error).__name__])[0][:160]}"


def _mend(error: BaseException) -> str:
    if isinstance(error, pickle.UnpicklingError):
        return "save its state_dict as model.safetensors on a machine that trusts it"
    if "espeak" in str(error).lower():
        return "this voice spells by espeak-ng: install it (apt install espeak-ng)"
    return "take the whole folder of the voice anew"
