"""Write the stored cases of the metrics: `pip install --no-deps pycocoevalcap==1.2; python make_metric_cases.py`.

The captions are made here from a few words (seed 0), already split; every figure is the reference implementation's
own: BLEU with the closest length, ROUGE-L, CIDEr-D. The last case has what trips other implementations: photos with
one to five references, captions that are empty, equal to a reference, one word long, or far longer than any.
"""

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
from pycocoevalcap.bleu.bleu_scorer import BleuScorer
from pycocoevalcap.cider.cider_scorer import CiderScorer
from pycocoevalcap.rouge.rouge import Rouge

PATH = Path(__file__).parent / "metric_cases.json"
SUBJECTS = [
    "a dog",
    "two dogs",
    "a man in a red hat",
    "the little girl",
    "three people",
    "a brown horse 's rider",
    "a boy",
]
DEEDS = ["runs", "is running", "plays with a ball", "jumps over a log", "sits", "rides a bike", "stands near a fence"]
PLACES = ["in the snow", "on the beach", "through the grass", "by the water", "up a rock face", "in the street"]


def caption(chance: random.Random) -> str:
    """Return a caption of three parts, now and then cut short."""
    words = " ".join(chance.choice(part) for part in (SUBJECTS, DEEDS, PLACES)).split()
    return " ".join(words if chance.random() < 0.8 else words[: chance.randint(1, len(words))])


def mixed(chance: random.Random, photos: int) -> tuple[list[str], list[list[str]]]:
    """Return captions and references of the last case."""
    wanted = [[caption(chance) for _ in range(chance.randint(1, 5))] for _ in range(photos)]
    said = [caption(chance) for _ in range(photos)]
    said[:5] = ["", wanted[1][0], "dog", " ".join([caption(chance)] * 3), "a a a a a"]
    return said, wanted


def scored(candidates: list[str], references: list[list[str]]) -> dict[str, Any]:
    """Score a case with the reference implementation."""
    blue, cider = BleuScorer(n=4), CiderScorer(n=4, sigma=6.0)
    for said, wanted in zip(candidates, references, strict=True):
        blue += (said, wanted)
        cider += (said, wanted)
    bleu, _ = blue.compute_score(option="closest", verbose=0)
    mean, each = cider.compute_score()
    rouge = [Rouge().calc_score([said], wanted) for said, wanted in zip(candidates, references, strict=True)]
    return {
        "candidates": candidates,
        "references": references,
        "bleu": [float(value) for value in bleu],
        "cider_d": float(mean),
        "cider_d_each": [float(value) for value in each],
        "rouge_l": float(np.mean(rouge)),
    }


def main() -> None:
    """Score the cases that are stored anew and add the last one."""
    stored = json.loads(PATH.read_text(encoding="utf-8"))
    given = [(case["candidates"], case["references"]) for case in stored["cases"][:4]]
    stored["cases"] = [scored(*case) for case in [*given, mixed(random.Random(0), 60)]]
    PATH.write_text(json.dumps(stored, indent=0) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
