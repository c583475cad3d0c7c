"""How loud are the clips, by our meter and by a second one? Ten captions, every format, two profiles, ffmpeg's ebur128.

    python -P benchmarks/loudness.py

A row of `loudness.csv` is an encoded file: what its manifest row would say, and what ffmpeg measures of the same file.
ffmpeg prints one digit after the point.
"""

import csv
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch

from speech.records import Spoken
from speech.speaking import FORMATS, Delivery, Speaker

RESULTS = Path(__file__).with_suffix(".csv")
CAPTIONS = (
    "A brown dog runs over the green grass.",
    "Two girls in red coats sit on a bench beside the sea.",
    "A man in a yellow shirt is holding a bat.",
    "A woman walks down the street with a bag.",
    "Three people stand on a rock and look at the water.",
    "A black cat sits on a wooden table near a window.",
    "A boy jumps into a pool while others watch him.",
    "A group of people are standing around a large kitchen table.",
    "A white plate with a piece of cake and a fork on it.",
    "A train is coming down the tracks next to a platform.",
)


def second_opinion(path: Path) -> tuple[float, float]:
    """Return the integrated loudness (LUFS) and the true peak (dBTP) that ffmpeg measures of a file."""
    program = shutil.which("ffmpeg") or sys.exit("ffmpeg is not installed")
    command = [program, "-nostats", "-i", str(path), "-af", "ebur128=peak=true", "-f", "null", "-"]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    summary = told[told.rindex("Summary:") :]
    return tuple(float(re.findall(rf"{name}:\s+(-?[\d.]+)", summary)[-1]) for name in ("I", "Peak"))  # type: ignore[return-value]


def main() -> None:
    """Speak, write, measure twice, and print the largest differences."""
    torch.set_num_threads(1)
    speaker = Speaker.load()
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number, spoken in enumerate(speaker.speak(CAPTIONS)):
            if not isinstance(spoken, Spoken):
                raise spoken
            for profile in ("streaming", "ebu-r128"):
                codec = FORMATS[number % len(FORMATS)]
                path = Path(folder) / f"{number}.{codec}"
                clip = speaker.finish(spoken, path, CAPTIONS[number], Delivery(codec, profile))
                lufs, peak = second_opinion(path)
                ours = (round(clip.loudness_lufs or 0.0, 2), round(clip.true_peak_dbtp, 2))
                rows.append((number, codec, profile, round(clip.duration_s, 2), *ours, lufs, peak,
                             " ".join(flag.rule for flag in clip.flags)))  # fmt: skip
    with RESULTS.open("w", encoding="utf-8", newline="") as lines:
        table = csv.writer(lines)
        table.writerow(("clip", "format", "profile", "seconds", "our_lufs", "our_dbtp", "ffmpeg_lufs", "ffmpeg_dbtp",
                        "flags"))  # fmt: skip
        table.writerows(rows)
    print(f"largest difference: {max(abs(row[4] - row[6]) for row in rows):.2f} LU, "
          f"{max(abs(row[5] - row[7]) for row in rows):.2f} dB of peak; "
          f"highest peak by ffmpeg {max(row[7] for row in rows)} dBTP")  # fmt: skip


if __name__ == "__main__":
    main()
