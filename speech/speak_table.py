"""Speak a table to a folder, to score a voice: `python -m speech.speak_table TSV FOLDER [--voice NAME]`.

The table has a header with `text` and, if wanted, `clip`; each text becomes FOLDER/CLIP.wav (or 000.wav, 001.wav ...),
as the voice made it: 16-bit, trimmed, neither its loudness nor its rate changed.
"""

import argparse
import csv
import sys
import time
from pathlib import Path

from speech.records import Spoken
from speech.speaking import FORMATS, Delivery, Speaker
from speech.voices import QUALITIES, resolve_voice


def main() -> None:
    """Speak as the command line says; exit status 1 where a text could not be spoken."""
    parser = argparse.ArgumentParser(description="Speak a table's texts to a folder, to score a voice.")
    parser.add_argument("table", type=Path, help="tab-separated, with a header: text and, if wanted, clip")
    parser.add_argument("folder", type=Path, help="where the clips go")
    parser.add_argument("--voice", default="narrator", help="built-in name or local folder")
    parser.add_argument(
        "--quality", choices=QUALITIES, default="fast", help="the voice's own vocoder, or the large one"
    )
    parser.add_argument("--format", choices=FORMATS, default="wav", help="format of the clips")
    parser.add_argument("--profile", default="none", help="loudness profile")
    parser.add_argument("--threads", type=int, default=0, help="processor cores to use; 0 for all")
    options = parser.parse_args()
    _set_threads(options.threads)
    with options.table.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))
    speaker, delivery = (
        Speaker.load(resolve_voice(options.voice, quality=options.quality)),
        Delivery(options.format, options.profile),
    )
    started = time.monotonic()
    waveforms = speaker.speak([row["text"] for row in rows])
    seconds, failed = 0.0, 0
    for number, (row, spoken) in enumerate(zip(rows, waveforms, strict=True)):
        if isinstance(spoken, Spoken):
            path = options.folder / f"{row.get('clip') or format(number, '03d')}.{options.format}"
            seconds += speaker.finish(spoken, path, row["text"], delivery).duration_s
        else:
            failed += 1
            sys.stderr.write(f"{row['text'][:60]}: {spoken}\n")
    spent = time.monotonic() - started
    sys.stdout.write(f"{len(rows) - failed} clips, {seconds:.1f} s of sound in {spent:.1f} s, {failed} failed\n")
    sys.exit(1 if failed else 0)


def _set_threads(threads: int) -> None:
    """Let torch use so many cores."""
    import torch

    if threads:
        torch.set_num_threads(threads)


if __name__ == "__main__":
    main()
