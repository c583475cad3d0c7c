"""Whether memory stays flat while a VITS speaks thousands of sentences on the processor.

    python -P benchmarks/speech_memory.py [--sentences 10000] [--way ours] [--way library]

A small VITS with random weights speaks sentences of random lengths (idiap/coqui-ai-TTS#298: memory grows with
their number). Each way has a process of its own. Appends the resident memory at each tenth of the way to
speech_memory.csv beside this file.
"""

import argparse
import csv
import random
import subprocess
import sys
import tempfile
from pathlib import Path

CSV = Path(__file__).with_suffix(".csv")
FAKES = Path(__file__).parents[1] / "tests" / "fakes"
LETTERS = "abcdefghijklmnopqrstuvwxyz "


def resident_mb() -> float:
    """Return the memory that this process holds, in MiB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise OSError("no VmRSS in /proc/self/status")


def sentences(count: int) -> list[str]:
    """Return `count` sentences of 10 to 150 random letters, the same each time."""
    chance = random.Random(0)
    return ["a" + "".join(chance.choices(LETTERS, k=chance.randint(10, 150))) + "." for _ in range(count)]


def speak_all(way: str, count: int) -> None:
    """Speak in this process and print the count and the memory at each tenth."""
    import torch

    sys.path.append(str(FAKES))
    import make_coqui_voices as make

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        folder = make.write(Path(scratch) / "vits", make.vits())
        if way == "library":
            from TTS.utils.synthesizer import Synthesizer

            with make.quiet_imports():
                library = Synthesizer(tts_checkpoint=folder / "model_file.pth", tts_config_path=folder / "config.json")
        else:
            from speech.engines import load_engine
            from speech.voices import resolve_voice

            engine = load_engine(resolve_voice(str(folder)))
        for number, sentence in enumerate(sentences(count), 1):
            if way == "library":
                library.tts(sentence, split_sentences=False)
            else:
                engine.speak([engine.tokens(sentence)])
            if number % max(count // 10, 1) == 0:
                print(number, round(resident_mb(), 1), flush=True)


def main() -> None:
    """Measure each way in a process of its own, as the command line says."""
    parser = argparse.ArgumentParser(description="Memory over thousands of sentences.")
    parser.add_argument("--sentences", type=int, default=10_000)
    parser.add_argument("--way", action="append", choices=["ours", "library"], help="default: both")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        speak_all(options.inside, options.sentences)
        return
    for way in options.way or ["ours", "library"]:
        command = [sys.executable, "-P", __file__, "--inside", way, "--sentences", str(options.sentences)]
        told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        new = not CSV.exists()
        with CSV.open("a", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            if new:
                writer.writerow(["way", "sentences", "resident_mb"])
            for line in told.splitlines():
                writer.writerow([way, *line.split()])
                print(way, line)


if __name__ == "__main__":
    main()
