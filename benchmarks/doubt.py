"""What doubt costs beside the caption itself: milliseconds a photo, from the file to the caption with its confidence.

    python benchmarks/doubt.py data/samples --csv benchmarks/doubt.csv

The photos of the folder are gone through again and again until there are `--photos` of them. Each part is timed by
itself; of `--rounds` rounds the quickest counts.
"""

import argparse
import csv
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter, process_time
from typing import TypeVar

import torch

from captioner.captioning import Captioner
from captioner.photos import open_photo
from captioner.records import Caption, Features, Photo
from captioner.second_look import look_again
from captioner.signals import caption_signals, picture_signals
from captioner.tokenizer import START

Made = TypeVar("Made")
LOOKED = "of these: where the model looked, in the second look"
"""It was there before doubt, in a pass of its own."""


class Clock:
    """The quickest wall and processor time of each part, in seconds."""

    def __init__(self) -> None:
        """Begin with nothing measured."""
        self.wall: dict[str, float] = {}
        self.busy: dict[str, float] = {}

    def time(self, part: str, work: Callable[[], Made]) -> Made:
        """Do `work` and note how long it took."""
        began, used = perf_counter(), process_time()
        made = work()
        wall, busy = perf_counter() - began, process_time() - used
        self.wall[part] = min(wall, self.wall.get(part, wall))
        self.busy[part] = min(busy, self.busy.get(part, busy))
        return made


@torch.inference_mode()
def look(captioner: Captioner, features: Features, caption: Caption) -> None:
    """Find where the model looked at each word, which rows have whether there is a confidence or not."""
    tokens = torch.tensor([[START, *captioner.tokenizer.encode(caption.text)]])
    captioner.model.watch(torch.from_numpy(features.regions[None]).float(), tokens)


def judge(captioner: Captioner, features: Features, caption: Caption) -> None:
    """Look again at one caption, and weigh what was seen, as the captioner does."""
    tokens = captioner.tokenizer.encode(caption.text)
    words = [captioner.tokenizer.words[token] for token in tokens]
    regions = torch.from_numpy(features.regions[None]).float()  # (1, L, D)
    openness, _ = look_again(captioner.model, regions, tokens)
    signals = caption_signals(caption, words, openness) | features.picture
    if captioner.calibration is not None:
        captioner.calibration.doubt(signals, features.pooled, features.regions)


def measure(captioner: Captioner, files: list[Path], clock: Clock) -> None:
    """Go from files to captions, then do once more what is done for doubt alone."""
    side_px = captioner.input_size_px
    opened = clock.time("open", lambda: [open_photo(path, side_px) for path in files])
    photos = [one for one in opened if isinstance(one, Photo)]
    features = clock.time("encode, with the numbers about the pixels", lambda: captioner.encode(photos))
    captions = clock.time("decode, with the second look and the verdict", lambda: captioner.decode(features))
    clock.time("of these: numbers about the pixels", lambda: [picture_signals(one.pixels) for one in photos])
    pairs = list(zip(features, captions, strict=True))
    clock.time(LOOKED, lambda: [look(captioner, *pair) for pair in pairs])
    clock.time("of these: second look and verdict", lambda: [judge(captioner, *pair) for pair in pairs])


def main() -> None:
    """Measure, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="photos")
    parser.add_argument("--photos", type=int, default=112)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--csv", type=Path, help="file to write the table to")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    captioner, clock = Captioner.load(), Clock()
    side_px = captioner.input_size_px
    found = [path for path in sorted(options.folder.rglob("*")) if isinstance(open_photo(path, side_px), Photo)]
    files = list(islice(cycle(found), options.photos))
    measure(captioner, files[:16], Clock())  # what is made once
    for _ in range(options.rounds):
        measure(captioner, files, clock)
    rows = []
    for times in (clock.wall, clock.busy):
        parts = {part: 1000 * seconds / len(files) for part, seconds in times.items()}
        parts["all, from file to caption"] = sum(ms for part, ms in parts.items() if not part.startswith("of these"))
        doubt = sum(ms for part, ms in parts.items() if part.startswith("of these")) - 2 * parts[LOOKED]
        caption = parts["all, from file to caption"] - parts["open"] - doubt
        parts |= {"doubt": doubt, "caption without it": caption, "doubt as a share of that, %": 100 * doubt / caption}
        rows.append({part: round(value, 2) for part, value in parts.items()})
    table = [{"part": part, "wall_ms": rows[0][part], "cpu_ms": rows[1][part]} for part in rows[0]]
    for row in table:
        print(f"{row['part']:54} {row['wall_ms']:8.2f} {row['cpu_ms']:8.2f}")
    if options.csv:
        with options.csv.open("w", newline="") as file:
            writer = csv.DictWriter(file, ["part", "wall_ms", "cpu_ms"])
            writer.writeheader()
            writer.writerows(table)


if __name__ == "__main__":
    main()
