"""How often a search by words finds the photo that was meant: recall at 1, 5 and 10 on captioned photos.

    python benchmarks/search_recall.py --data DATA --csv benchmarks/search_recall.csv [--captioner FOLDER]

Every caption that a person wrote of a dev photo is a query, and its photo must be among the best k of all. Searched are
the captions of the built-in captioner (those that `captioner.evaluate` scored); beside them, as what words can give at
all, captions by a person, by the other four. Photos that score alike count as before the one that was meant. MiniLM
(extra `meaning`) learned from Flickr30k's captions among others, of which Flickr8k's are a part. With `--captioner`,
one that compares photos with texts, the photos themselves are searched too, by its features.
"""

import argparse
import csv
import json
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from captioner.captioning import Captioner
from captioner.comparing import photo_vectors, text_vector
from captioner.dataset import Example, find_data
from captioner.retrieval import recalls
from captioner.weights import model_folder
from flows.meaning import embed, load
from flows.search import bm25

Scores = NDArray[np.float32]
T = TypeVar("T")


def by_words(queries: Sequence[str], texts: Sequence[str]) -> Scores:
    """Score each text by each query's words: (N, M)."""
    searched = pa.chunked_array([list(texts)])
    return np.stack([bm25(query, searched) for query in queries], 1).astype(np.float32)


def by_meaning(queries: Sequence[str], texts: Sequence[str]) -> Scores:
    """Score each text by each query's meaning: (N, M)."""
    model = load()
    cosines: Scores = embed(model, texts) @ embed(model, queries).T
    return cosines


def by_features(captioner: Captioner, queries: Sequence[str], examples: Sequence[Example]) -> Scores:
    """Score each photo by each query's nearness: (N, M)."""
    batches = (examples[start : start + 50] for start in range(0, len(examples), 50))
    photos = np.concatenate([photo_vectors(captioner, [one.photo() for one in batch]) for batch in batches])  # (N, E)
    cosines: Scores = photos @ np.stack([text_vector(captioner, query) for query in queries], 1)
    return cosines


def row(
    names: Sequence[str],
    texts: Sequence[T],
    asked: Sequence[tuple[int, str]],
    compare: Callable[[Sequence[str], Sequence[T]], Scores],
) -> list[str]:
    """Search `texts`, one a photo, or photos by queries, each with its photo's number; return a row of the table."""
    scores = compare([query for _, query in asked], texts)
    found = recalls(scores, [owner for owner, _ in asked])
    return [*names, str(len(texts)), str(len(asked)), *(f"{found[f'text to photo R@{k}']:.3f}" for k in (1, 5, 10))]


def queries_of(examples: Sequence[Example], first: int) -> list[tuple[int, str]]:
    """Return the photos' captions from number `first` on, each with its photo's number."""
    return [(number, query) for number, one in enumerate(examples) for query in one.captions[first:]]


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--captioner", type=Path, help="folder of one that compares photos with texts")
    given = parser.parse_args()
    examples = find_data(given.data).dev
    said = json.loads((model_folder("narrator-lite") / "scores.json").read_text(encoding="utf-8"))["captions"]
    ours, first = [said[one.name] for one in examples], [one.captions[0] for one in examples]
    rows = []
    for name, compare in {"words": by_words, "meaning": by_meaning}.items():
        rows.append(row([name, "captions of narrator-lite"], ours, queries_of(examples, 0), compare))
        rows.append(row([name, "captions by a person"], first, queries_of(examples, 1), compare))
    if given.captioner:
        captioner = Captioner.load(str(given.captioner))
        names = ["features", f"photos, by {captioner.name}"]
        rows.append(row(names, examples, queries_of(examples, 0), partial(by_features, captioner)))
    with given.csv.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerows([["by", "searched", "photos", "queries", "R@1", "R@5", "R@10"], *rows])
    print(given.csv.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
