"""Does the voice say what it was given? Captions are spoken, read back by a recogniser, and mended where that fails.

    python -P benchmarks/read_back.py CAPTIONS_TSV [--count 1000]

CAPTIONS_TSV has the columns `image` and `caption` (flickr8k's `captions-dev.tsv`). One caption of each photo in turn is
made a sentence. A row of `read_back.csv` is a sentence; sentences that are in it already are not spoken again, so the
program can be ended and started again. The last lines say how many failed before and after.
"""

import argparse
import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path

import torch

from speech.phonemes import Phonemizer
from speech.read_back import Listener
from speech.records import Waveform
from speech.speaking import Speaker
from speech.takes import Director

RESULTS = Path(__file__).with_suffix(".csv")
COLUMNS = ("sentence", "seconds", "words", "wrong_before", "wrong_after", "longest_run_before", "longest_run_after",
           "failed_before", "failed_after", "attempts", "engine")  # fmt: skip
"""`sentence` is a hash: the captions are other people's and are not kept here."""
ENGINE = "tiles"
"""What speaks the rows that are added now; those of the engine before it say `whole`."""


def key(text: str) -> str:
    """Return what stands for a sentence in the table."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def sentences(captions: Path, count: int) -> Iterator[str]:
    """Yield the first caption of each photo, then the second ..., as sentences, no text twice."""
    with captions.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    by_photo: dict[str, list[str]] = {}
    for row in rows:
        by_photo.setdefault(row["image"], []).append(row["caption"])
    seen: set[str] = set()
    for turn in range(max(map(len, by_photo.values()))):
        for photo in sorted(by_photo):
            words = " ".join(by_photo[photo][turn : turn + 1]).strip(" .")
            text = words[:1].upper() + words[1:].replace(" ,", ",").replace(" '", "'") + "."
            if len(text.split()) > 1 and text not in seen and len(seen) < count:
                seen.add(text)
                yield text


def measure(speaker: Speaker, director: Director, text: str) -> dict[str, object]:
    """Return the row of one sentence: its first take, and the one that would be used."""
    tokens = speaker.engine.tokens(text)
    wave = speaker.engine.speak([tokens])[0]
    first = director.judge(text, tokens, Waveform(wave, speaker.voice.sample_rate_hz))
    best = first if first.problem is None else director.best_take(text, tokens, wave)
    row: dict[str, object] = {
        "sentence": key(text),
        "seconds": round(first.waveform.duration_s, 2),
        "attempts": best.attempts,
        "engine": ENGINE,
    }
    for name, take in (("before", first), ("after", best)):
        found = take.read_back
        row |= {f"failed_{name}": int(take.problem is not None)}
        row |= {
            f"wrong_{name}": found.wrong if found else "",
            f"longest_run_{name}": found.longest_run if found else "",
        }
        row["words"] = found.words if found else len(text.split())
    return row


def main() -> None:
    """Speak what is not in the table yet, and print what failed."""
    parser = argparse.ArgumentParser(description="Read caption sentences back.")
    parser.add_argument("captions", type=Path)
    parser.add_argument("--count", type=int, default=1000)
    options = parser.parse_args()
    torch.set_num_threads(1)
    done = set()
    if RESULTS.exists():
        with RESULTS.open(encoding="utf-8", newline="") as lines:
            done = {row["sentence"] for row in csv.DictReader(lines)}
    speaker = Speaker.load()
    director = Director(speaker.engine, speaker.voice.sample_rate_hz, Listener(), Phonemizer())
    with RESULTS.open("a", encoding="utf-8", newline="") as lines:
        table = csv.DictWriter(lines, COLUMNS)
        if not done:
            table.writeheader()
        for text in sentences(options.captions, options.count):
            if key(text) not in done:
                table.writerow(measure(speaker, director, text))
                lines.flush()
    report()


def report() -> None:
    """Print the totals of the table, engine by engine."""
    with RESULTS.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    for engine in sorted({row["engine"] for row in rows}):
        report_engine(engine, [row for row in rows if row["engine"] == engine])


def report_engine(engine: str, rows: list[dict[str, str]]) -> None:
    """Print the totals of the rows that one engine spoke."""
    print(engine)
    words = sum(int(row["words"]) for row in rows)
    for name in ("before", "after"):
        failed = sum(int(row[f"failed_{name}"]) for row in rows)
        wrong = sum(int(row[f"wrong_{name}"] or row["words"]) for row in rows)
        print(f"{name}: {failed} of {len(rows)} sentences fail, {wrong} of {words} words wrong ({wrong / words:.4f})")
    print(f"spoken more than once: {sum(int(row['attempts']) > 1 for row in rows)}")


if __name__ == "__main__":
    main()
