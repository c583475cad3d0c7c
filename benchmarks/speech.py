"""How much faster than the library's own loop a batch of captions is spoken.

    python -P benchmarks/speech.py CAPTIONS.tsv [CAPTIONS.tsv ...] [--count 200] [--voice narrator] [--voice vits]

With -P, for this file has the name of the room. Each table has a header and a column `text` or `caption`; captions
are taken from all of them in turn. Both ways speak the same captions with the same weights, in one process, one after
the other, on one thread: `library` is the loop over `Synthesizer.tts`, `ours` is the engine as a run uses it, `batched`
the engine with batches on the processor too. `vits` is a VITS of full size with random weights and plain durations, so
that both ways speak for as long. Silence that the library adds is not counted as sound. Appends to speech.csv beside
this file.
"""

import argparse
import csv
import json
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from speech import acoustic
from speech.built_in import Speller
from speech.coqui import BATCH_FRAMES, CoquiEngine
from speech.hifigan import Hifigan
from speech.quiet import quiet_imports
from speech.voices import ACOUSTIC, VOCODER, read_config, resolve_voice

with quiet_imports():
    from TTS.config.shared_configs import BaseAudioConfig
    from TTS.tts.configs.fast_pitch_config import FastPitchConfig
    from TTS.tts.configs.forward_tts_config import ForwardTTSArgs
    from TTS.tts.configs.shared_configs import CharactersConfig
    from TTS.tts.configs.vits_config import VitsConfig
    from TTS.tts.models.vits import Vits
    from TTS.utils.synthesizer import PAD_SILENCE_SAMPLES, Synthesizer
    from TTS.vocoder.configs import HifiganConfig
    from TTS.vocoder.models import setup_model as setup_vocoder

CSV = Path(__file__).with_suffix(".csv")
FRAMES_A_CHARACTER = 2.4
"""What random weights take for a character of a VITS (a blank counts as one), to last as long as speech does."""
SHARD = 64
PADDING_SAMPLES = 2 * 5 * 256
"""What the library's vocoder adds at both ends together."""
Waves = list[NDArray[np.float32]]


def read_captions(tables: list[Path], count: int) -> list[str]:
    """Return `count` captions, from the tables in turn."""
    columns: list[Iterator[str]] = []
    for table in tables:
        with table.open(encoding="utf-8", newline="") as lines:
            rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
        columns.append(iter(list(dict.fromkeys(row.get("text") or row["caption"] for row in rows))))
    found = [text for text in chain.from_iterable(zip_longest(*columns)) if text]
    return found[:count]


def write_narrator(folder: Path) -> Path:
    """Write the built-in voice in Coqui's format, for the library to load; return its folder."""
    own = resolve_voice("narrator").folder
    settings = read_config(own)
    audio = BaseAudioConfig(signal_norm=False, do_trim_silence=False)
    model, characters = acoustic.build(settings["acoustic"])
    model.load_state_dict({name: value.float() for name, value in load_file(own / ACOUSTIC).items()}, strict=False)
    arguments = ForwardTTSArgs(**settings["acoustic"]["model_args"] | {"num_chars": characters.num_chars})
    alphabet = CharactersConfig(
        **settings["acoustic"]["characters"], characters_class="TTS.tts.utils.text.characters.IPAPhonemes"
    )
    config = FastPitchConfig(
        model_args=arguments, characters=alphabet, audio=audio, languages=["en"], use_phonemes=False
    )
    save(folder, config, model.state_dict())
    hifigan = HifiganConfig(generator_model_params=dict(settings["vocoder"]), audio=audio)
    hifigan.generator_model_params.pop("out_channels", None)
    gan = setup_vocoder(hifigan)
    folded = {name: value.float() for name, value in load_file(own / VOCODER).items()}
    for name, module in gan.model_g.named_modules():
        if f"{name}.weight" in folded:
            module.weight = folded[f"{name}.weight"] if hasattr(module, "parametrizations") else module.weight
            if module.bias is not None:
                module.bias.data.copy_(folded[f"{name}.bias"])
    save(folder / "vocoder", hifigan, gan.state_dict())
    return folder


def write_vits(folder: Path) -> Path:
    """Write a VITS of full size with random weights in Coqui's format and return its folder."""
    torch.manual_seed(0)
    config = VitsConfig(languages=["en"], text_cleaner="english_cleaners")
    config.audio.do_trim_silence = False
    config.add_blank = True
    config.model_args.use_sdp = config.model_args.init_discriminator = False
    model = Vits(config)
    with torch.no_grad():
        model.duration_predictor.proj.weight.mul_(0.1)
        model.duration_predictor.proj.bias.fill_(float(np.log(FRAMES_A_CHARACTER)))
    save(folder, config, model.state_dict())
    return folder


def save(folder: Path, config: Any, weights: dict[str, torch.Tensor]) -> None:
    """Write settings and weights as Coqui's trainer does."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config.to_dict()), encoding="utf-8")
    torch.save({"model": weights}, folder / "model_file.pth")


def library_loop(folder: Path, speller: Callable[[str], list[int]] | None) -> Callable[[list[str]], Waves]:
    """Return the library's own loop over captions, with the voice in `folder` loaded."""
    files: dict[str, Any] = {"tts_checkpoint": folder / "model_file.pth", "tts_config_path": folder / "config.json"}
    added = PAD_SILENCE_SAMPLES
    if (folder / "vocoder").is_dir():
        files |= {"vocoder_checkpoint": str(folder / "vocoder" / "model_file.pth")}
        files |= {"vocoder_config": str(folder / "vocoder" / "config.json")}
        added += PADDING_SAMPLES
    with quiet_imports():
        library = Synthesizer(**files)
    if speller is not None:  # the library cannot be told to spell as the voice was trained
        library.tts_model.tokenizer.text_to_ids = lambda text, language=None: speller(text)  # noqa: ARG005

    def speak(captions: list[str]) -> Waves:
        return [np.array(library.tts(caption, split_sentences=False), np.float32)[:-added] for caption in captions]

    return speak


def engine_loop(voice: str, device: str, batch_frames: int | None) -> Callable[[list[str]], Waves]:
    """Return our engine over captions, a shard at a time, with the voice loaded."""
    chosen = resolve_voice(voice)
    engine = CoquiEngine.load(chosen, device, batch_frames)

    def speak(captions: list[str]) -> Waves:
        waves: Waves = []
        for start in range(0, len(captions), SHARD):
            waves += engine.speak([engine.tokens(caption) for caption in captions[start : start + SHARD]])
        return waves

    return speak


def cpu_s() -> float:
    """Return the processor time that this process has taken."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def time_vocoder() -> list[float]:
    """Have every HiFi-GAN of ours add its processor time to the one number returned."""
    spent, plain = [0.0], Hifigan.__call__

    def timed(self: Hifigan, *given: Any, **options: Any) -> list[torch.Tensor]:
        began = cpu_s()
        try:
            return plain(self, *given, **options)
        finally:
            spent[0] += cpu_s() - began

    Hifigan.__call__ = timed  # type: ignore[method-assign]
    return spent


def measure(
    speak: Callable[[list[str]], Waves], captions: list[str], vocoder_s: list[float]
) -> tuple[dict[str, Any], Waves]:
    """Return what speaking all captions took, after a first one that is not counted, and the sound."""
    speak(captions[:1])
    vocoder_s[0] = 0.0
    began, wall = cpu_s(), time.perf_counter()
    waves = speak(captions)
    spent, passed = cpu_s() - began, time.perf_counter() - wall
    audio_s = sum(len(wave) for wave in waves) / 22050
    row = {"captions": len(captions), "audio_s": round(audio_s, 1), "cpu_s": round(spent, 2)}
    row |= {"vocoder_cpu_s": round(vocoder_s[0], 2), "wall_s": round(passed, 2)}
    return row | {"audio_s_a_cpu_s": round(audio_s / spent, 2)}, waves


def compare(name: str, captions: list[str], device: str, scratch: Path) -> Iterator[dict[str, Any]]:
    """Yield a row for each way of speaking with one voice."""
    folder = write_narrator(scratch / "narrator") if name == "narrator" else write_vits(scratch / "vits")
    _, characters = acoustic.build(read_config(resolve_voice("narrator").folder)["acoustic"])
    speller = Speller(characters) if name == "narrator" else None
    voice = "narrator" if name == "narrator" else str(folder)
    ways = {
        "library": lambda: library_loop(folder, speller),
        "ours": lambda: engine_loop(voice, device, None),
        "batched": lambda: engine_loop(voice, device, BATCH_FRAMES),
    }
    sounds: dict[str, Waves] = {}
    vocoder_s = time_vocoder()
    library_cpu_s = 0.0
    for way, load in ways.items():
        row, sounds[way] = measure(load(), captions, vocoder_s)
        library_cpu_s = library_cpu_s or row["cpu_s"]
        pairs = zip(sounds["ours"], sounds[way], strict=True) if way == "batched" else []
        apart = max((float(np.abs(a - b).max()) for a, b in pairs), default=0.0)
        times = round(library_cpu_s / row["cpu_s"], 2)
        yield (
            {"voice": name, "device": device, "way": way} | row | {"times_library": times, "largest_difference": apart}
        )


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description="Our engine against the library's own loop.")
    parser.add_argument("tables", nargs="+", type=Path, help="tab-separated tables with a column text or caption")
    parser.add_argument("--count", type=int, default=200, help="how many captions")
    parser.add_argument("--voice", action="append", choices=["narrator", "vits"], help="default: both")
    parser.add_argument(
        "--device", default="cpu", help="where our engine runs; the library's loop runs on the processor"
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    captions = read_captions(options.tables, options.count)
    for voice in options.voice or ["narrator", "vits"]:
        with tempfile.TemporaryDirectory() as scratch:
            for row in compare(voice, captions, options.device, Path(scratch)):
                stamped = {"date": f"{datetime.now(UTC):%Y-%m-%d}"} | row
                print(stamped, flush=True)
                new = not CSV.exists()
                with CSV.open("a", encoding="utf-8", newline="") as stream:
                    writer = csv.DictWriter(stream, list(stamped), lineterminator="\n")
                    if new:
                        writer.writeheader()
                    writer.writerow(stamped)


if __name__ == "__main__":
    main()
