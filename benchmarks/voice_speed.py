"""Where the built-in voice's time goes, and what the vocoder costs in each layout, precision and size.

    python -P benchmarks/voice_speed.py CAPTIONS.tsv [--count 100]

With -P, for speech.py beside this file has the name of the room.

The table has a header and a column `text`. Every part speaks the same captions in one process on one thread; figures
are processor seconds a second of sound, for a machine that is shared spoils any other clock. `small` is the shape of
`speech/recipes/narrator_vocoder.json` with its first, untrained weights: its sound is of no use, its cost is right.
Appends to voice_speed.csv beside this file.
"""

import argparse
import csv
import json
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from speech import acoustic, mastering, train_vocoder, vocoder, weights
from speech.built_in import Speller
from speech.checks import check_speech
from speech.encoding import Delivery, Labels, write_clip
from speech.hifigan import LIBRARY_PADDING, Hifigan
from speech.records import Waveform
from speech.voices import ACOUSTIC, VOCODER, read_config, resolve_voice

TABLE = Path(__file__).with_suffix(".csv")
CPU = torch.device("cpu")


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """Return what `work` gives and the processor seconds that it took."""
    started = time.process_time()
    return work(), time.process_time() - started


def plain(generator: vocoder.HifiganGenerator, precision: torch.dtype) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the generator as Coqui runs it, in a precision."""
    generator = generator.to(precision)

    def speak(mel: torch.Tensor) -> torch.Tensor:
        padded = torch.nn.functional.pad(mel[None], (LIBRARY_PADDING,) * 2, mode="replicate")  # (1, M, T')
        edge = LIBRARY_PADDING * 256
        return generator(padded.to(precision))[0, 0, edge:-edge].float()

    return speak


def quick(generator: vocoder.HifiganGenerator, precision: torch.dtype) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the generator as a run uses it, in a precision."""
    sound = Hifigan(generator, CPU, LIBRARY_PADDING, precision)
    return lambda mel: sound([mel])[0]


@torch.inference_mode()
def main() -> None:
    """Measure and append to the table."""
    parser = argparse.ArgumentParser(description="Where the built-in voice's time goes.")
    parser.add_argument("captions", type=Path, help="tab-separated, with a header and a column text")
    parser.add_argument("--count", type=int, default=100, help="captions to speak")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with options.captions.open(encoding="utf-8", newline="") as lines:
        texts = [row["text"] for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)][: options.count]
    voice = resolve_voice("narrator")
    config = read_config(voice.folder)
    model, characters = acoustic.build(config["acoustic"])
    model.load_state_dict(weights.load(voice.folder / ACOUSTIC))
    speller, model = Speller(characters), model.eval()
    speller("Warm.")
    tokens, spelling = timed(lambda: [speller(text) for text in texts])
    acoustic.predict_mels(model, tokens[:1])
    mels, predicting = timed(lambda: [acoustic.predict_mels(model, [one])[0] for one in tokens])
    waves, rows = [], [("phonemes", "", "", spelling), ("acoustic model", "", "", predicting)]
    for size, layout, precision, speak in vocoders(config["vocoder"], voice.folder / VOCODER):
        speak(mels[0])
        sounds, spent = timed(lambda speak=speak: [speak(mel) for mel in mels])
        rows.append((f"vocoder {size}", layout, str(precision).removeprefix("torch."), spent))
        waves = waves or [Waveform(sound.numpy(), voice.sample_rate_hz) for sound in sounds]
    rows += finishing(waves, tokens, texts, voice)
    write(rows, len(texts), sum(wave.duration_s for wave in waves))


def vocoders(
    settings: dict[str, Any], path: Path
) -> list[tuple[str, str, torch.dtype, Callable[[torch.Tensor], torch.Tensor]]]:
    """Return every size, layout and precision of the vocoder; the built-in one as a run uses it comes first."""
    small = json.loads(train_vocoder.RECIPE.read_text(encoding="utf-8"))["generator"]
    made = []
    for size, shape, stored in (("built-in", settings, path), ("small", small, None)):
        for layout, form in (("channels last", quick), ("plain", plain)):
            for precision in dict.fromkeys((vocoder.fastest_precision(CPU), torch.float32)):
                generator = vocoder.build(shape)
                if stored is not None:
                    generator.load_state_dict(weights.load(stored))
                made.append((size, layout, precision, form(generator, precision)))
    return made


def finishing(waves: list[Waveform], tokens: list[list[int]], texts: list[str], voice: Any) -> list[Any]:
    """Return the rows of what comes after the models: checks, mastering, encoding and writing."""

    def check() -> None:
        for wave, one in zip(waves, tokens, strict=True):
            check_speech(wave.samples, wave.sample_rate_hz, len(one))

    _, checking = timed(check)
    profile = mastering.profile_named("streaming")
    mastered, levelling = timed(
        lambda: [mastering.level(mastering.trim(wave, profile.head_s, profile.tail_s), profile) for wave in waves]
    )
    with tempfile.TemporaryDirectory() as folder:

        def encode() -> None:
            for number, (wave, text) in enumerate(zip(mastered, texts, strict=True)):
                write_clip(wave, Path(folder) / f"{number}.mp3", Labels(text, voice), Delivery())

        _, encoding = timed(encode)
    return [("checks", "", "", checking), ("mastering", "", "", levelling), ("encoding and writing", "", "", encoding)]


def write(rows: list[Any], texts: int, audio_s: float) -> None:
    """Append the rows to the table and print them."""
    fresh = not TABLE.exists()
    with TABLE.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        if fresh:
            writer.writerow(["date", "part", "layout", "precision", "captions", "audio_s", "cpu_s_a_second_of_sound"])
        for part, layout, precision, spent in rows:
            figures = [part, layout, precision, texts, round(audio_s, 1), round(spent / audio_s, 4)]
            writer.writerow([datetime.now(UTC).date().isoformat(), *figures])
            print(*figures)


if __name__ == "__main__":
    main()
