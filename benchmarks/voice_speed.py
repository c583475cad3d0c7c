"""Where the built-in voice's time goes, and what the vocoder costs in each layout, precision and size.

    python -P benchmarks/voice_speed.py CAPTIONS.tsv [--count 100] [--parts 16]

With -P, for speech.py beside this file has the name of the room.

The table has a header and a column `text`. First the whole way as a run goes it, from text to a checked, mastered and
written mp3 on every core, models warm: sound seconds a second of wall time. Then every part on one thread over the
first captions, in processor seconds a second of sound, for a machine that is shared spoils any other clock. `V1` is the
vocoder of `--quality best`. Appends to voice_speed.csv beside this file.
"""

import argparse
import csv
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from speech import acoustic, mastering, vocoder, weights
from speech.built_in import Speller
from speech.checks import check_speech
from speech.encoding import Delivery, Labels, write_clip
from speech.errors import SpeechError
from speech.hifigan import LIBRARY_PADDING, Hifigan
from speech.records import Waveform
from speech.speaking import Speaker
from speech.voices import ACOUSTIC, VOCODER, read_config, resolve_voice

TABLE = Path(__file__).with_suffix(".csv")
CPU = torch.device("cpu")
BATCH = 8
"""Texts that a run hands to the voice at once."""
Part = tuple[str, str, str, float]
"""What was done, in which layout and precision, in how many processor seconds."""
Row = tuple[str, str, str, float, float | None, int, float]
"""A part, the wall seconds where they count, how many captions, and how many seconds of sound."""


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
    parser.add_argument("--count", type=int, default=100, help="captions of the whole way")
    parser.add_argument("--parts", type=int, default=16, help="captions of each part, and of the best quality")
    options = parser.parse_args()
    with options.captions.open(encoding="utf-8", newline="") as lines:
        texts = [row["text"] for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)][: options.count]
    voice = resolve_voice("narrator")
    write([whole(texts, "fast"), whole(texts[: options.parts], "best")])
    texts = texts[: options.parts]
    torch.set_num_threads(1)
    config = read_config(voice.folder)
    model, characters = acoustic.build(config["acoustic"])
    model.load_state_dict(weights.load(voice.folder / ACOUSTIC))
    speller, model = Speller(characters), model.eval()
    speller("Warm.")
    tokens, spelling = timed(lambda: [speller(text) for text in texts])
    acoustic.predict_mels(model, tokens[:1])
    mels, predicting = timed(lambda: [acoustic.predict_mels(model, [one])[0] for one in tokens])
    waves: list[Waveform] = []
    parts = [("phonemes", "", "", spelling), ("acoustic model", "", "", predicting)]
    for size, layout, precision, speak in vocoders(config["vocoder"], voice.folder / VOCODER):
        speak(mels[0])
        sounds, spent = timed(lambda speak=speak: [speak(mel) for mel in mels])
        parts.append((f"vocoder {size}", layout, str(precision).removeprefix("torch."), spent))
        waves = waves or [Waveform(sound.numpy(), voice.sample_rate_hz) for sound in sounds]
    parts += finishing(waves, tokens, texts, voice)
    audio_s = sum(wave.duration_s for wave in waves)
    write([(*part, None, len(texts), audio_s) for part in parts])


def whole(texts: list[str], quality: str) -> Row:
    """Return what it takes from texts to written clips on every core, speech and finishing side by side as in a run."""
    speaker = Speaker.load(resolve_voice("narrator", quality=quality))
    speaker.speak(texts)  # the processor's library makes its code for every width
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as finisher:

        def finish(number: int, spoken: Any) -> float:
            if isinstance(spoken, SpeechError):
                raise spoken
            return speaker.finish(spoken, Path(folder) / f"{number}.mp3", texts[number], Delivery()).duration_s

        began, cpu_began, waiting, audio_s = time.perf_counter(), time.process_time(), [], 0.0
        for start in range(0, len(texts), BATCH):
            spoken = speaker.speak(texts[start : start + BATCH])
            waiting += [finisher.submit(finish, start + k, one) for k, one in enumerate(spoken)]
        for one in waiting:
            audio_s += one.result()
        cpu_s, wall_s = time.process_time() - cpu_began, time.perf_counter() - began
        return (f"whole way, {quality}", "", "", cpu_s, wall_s, len(texts), audio_s)


def vocoders(
    settings: dict[str, Any], path: Path
) -> list[tuple[str, str, torch.dtype, Callable[[torch.Tensor], torch.Tensor]]]:
    """Return every size, layout and precision of the vocoder; the built-in one as a run uses it comes first."""

    def built_in() -> vocoder.HifiganGenerator:
        generator = vocoder.build(settings)
        generator.load_state_dict(weights.load(path))
        return generator

    precisions = list(dict.fromkeys((vocoder.fastest_precision(CPU), torch.float32)))
    return [
        (size, layout, precision, form(load(), precision))
        for size, load in (("built-in", built_in), ("V1", vocoder.universal))
        for layout, form in (("channels last", quick), ("plain", plain))
        for precision in precisions
    ]


def finishing(waves: list[Waveform], tokens: list[list[int]], texts: list[str], voice: Any) -> list[Part]:
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
    return [
        ("checks", "", "", checking),
        ("mastering", "", "", levelling),
        ("encoding and writing", "", "", encoding),
    ]


def write(rows: list[Row]) -> None:
    """Append the rows to the table and print them."""
    fresh = not TABLE.exists()
    with TABLE.open("a", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        if fresh:
            writer.writerow(
                [
                    "date",
                    "part",
                    "layout",
                    "precision",
                    "captions",
                    "audio_s",
                    "cpu_s_a_second_of_sound",
                    "times_real_time",
                ]
            )
        for part, layout, precision, spent, wall_s, texts, audio_s in rows:
            pace = None if wall_s is None else round(audio_s / wall_s, 2)
            figures = [part, layout, precision, texts, round(audio_s, 1), round(spent / audio_s, 4), pace]
            writer.writerow([datetime.now(UTC).date().isoformat(), *figures])
            print(*figures, flush=True)


if __name__ == "__main__":
    main()
