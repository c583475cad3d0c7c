"""How good is a voice, by length or kind of sentence: the tables of its card from the scores of its clips.

    python -P benchmarks/voice_scores.py narrator=SCORES.json espeak-ng=SCORES.json [--kinds SENTENCES.tsv] [--csv FILE]

SCORES.json has `results`, a list with `clip`, `words`, `edits` and `wer` (of what a recogniser heard), `distillmos` and
`dnsmos` (estimated opinion scores, 1 to 5) of each clip. With --kinds, a table with columns clip and kind, the rows are
grouped by kind instead of by words. --csv writes a row a clip.
"""

import argparse
import csv
import json
from pathlib import Path
from typing import Any

LENGTHS = {"1 to 5": (1, 5), "6 to 12": (6, 12), "13 and more": (13, 10**6)}
"""Words of a sentence."""
FAILED_WER = 0.3
COLUMNS = ("clip", "words", "edits", "wer", "distillmos", "dnsmos")


def main() -> None:
    """Print a table in Markdown for every voice."""
    parser = argparse.ArgumentParser(description="A voice's scores by length or kind of sentence.")
    parser.add_argument("scores", nargs="+", help="NAME=SCORES.json")
    parser.add_argument("--kinds", type=Path, help="table with columns clip and kind")
    parser.add_argument("--csv", type=Path, help="write a row a clip here")
    options = parser.parse_args()
    kinds = {}
    if options.kinds:
        with options.kinds.open(encoding="utf-8", newline="") as lines:
            kinds = {row["clip"]: row["kind"] for row in csv.DictReader(lines, delimiter="\t")}
    rows = []
    print("| voice | sentences | clips | WER | clips with WER over 0.3 | DistillMOS, mean | lowest | DNSMOS |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name, _, path in (one.partition("=") for one in options.scores):
        clips = json.loads(Path(path).read_text(encoding="utf-8"))["results"]
        for group, members in groups(clips, kinds).items():
            print(f"| {name} | {group} | {figures(members)} |")
        rows += [{"voice": name} | {key: clip[key] for key in COLUMNS} for clip in clips]
    if options.csv:
        with options.csv.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, rows[0])
            writer.writeheader()
            writer.writerows(rows)


def groups(clips: list[dict[str, Any]], kinds: dict[str, str]) -> dict[str, list[dict[str, Any]]]:
    """Return all clips, then those of each kind or length that has any."""
    named = {"all": clips}
    for clip in clips:
        lengths = (name for name, (low, high) in LENGTHS.items() if low <= clip["words"] <= high)
        named.setdefault(kinds[clip["clip"]] if kinds else next(lengths), []).append(clip)
    order = ["all", *(LENGTHS if not kinds else dict.fromkeys(kinds.values()))]
    return {name: named[name] for name in order if name in named}


def figures(clips: list[dict[str, Any]]) -> str:
    """Return the cells of a row."""
    quality = [clip["distillmos"] for clip in clips]
    wer = sum(clip["edits"] for clip in clips) / sum(clip["words"] for clip in clips)
    failed = sum(clip["wer"] > FAILED_WER for clip in clips)
    noise = sum(clip["dnsmos"] for clip in clips) / len(clips)
    cells = [
        len(clips),
        f"{wer:.3f}",
        failed,
        f"{sum(quality) / len(clips):.2f}",
        f"{min(quality):.2f}",
        f"{noise:.2f}",
    ]
    return " | ".join(map(str, cells))


if __name__ == "__main__":
    main()
