"""Whether memory stays flat while a VITS speaks thousands of sentences on the processor.

    python -P benchmarks/speech_memory.py [--sentences 10000] [--way ours] [--way library]
    python -P benchmarks/speech_memory.py --way narrator --captions TABLE

A small VITS with random weights speaks sentences of random lengths (idiap/coqui-ai-TTS#298: memory grows with
their number); `narrator` is the built-in voice.
Each way has a process of its own. Appends the resident memory at each tenth of the way to
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


def captions(table: Path, count: int) -> list[str]:
    """Return the first `count` different captions of a tab-separated table."""
    with table.open(encoding="utf-8", newline="") as lines:
        rows = csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)
        return list(dict.fromkeys(row["caption"] for row in rows))[:count]


def speak_all(way: str, texts: list[str]) -> None:
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

            engine = load_engine(resolve_voice("narrator" if way == "narrator" else str(folder)))
        for number, sentence in enumerate(texts, 1):
            if way == "library":
                library.tts(sentence, split_sentences=False)
            else:
                engine.speak([engine.tokens(sentence)])
            if number % max(len(texts) // 10, 1) == 0:
                print(number, round(resident_mb(), 1), flush=True)


def main() -> None:
    """Measure each way in a process of its own, as the command line says."""
    parser = argparse.ArgumentParser(description="Memory over thousands of sentences.")
    parser.add_argument("--sentences", type=int, default=10_000)
    parser.add_argument("--way", action="append", choices=["ours", "library", "narrator"])
    parser.add_argument("--captions", type=Path, help="a table whose column caption is spoken, not random letters")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.inside:
        count = options.sentences
        speak_all(options.inside, captions(options.captions, count) if options.captions else sentences(count))
        return
    for way in options.way or ["ours", "library"]:
        command = [sys.executable, "-P", __file__, "--inside", way, "--sentences", str(options.sentences)]
        command += ["--captions", str(options.captions)] if options.captions else []
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            for line in process.stdout or ():
                write_row([way, *line.split()])
                print(way, line, end="")
        if process.returncode:
            raise SystemExit(f"{way} ended with status {process.returncode}")


def write_row(row: list[str]) -> None:
    """Add a row to the table: at once, so that a run that is ended early leaves what it measured."""
    new = not CSV.exists()
    with CSV.open("a", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerows([["way", "sentences", "resident_mb"], row] if new else [row])


if __name__ == "__main__":
    main()
