"""How much reviewers still have to change, round by round, once the captioner learns from them.

    python benchmarks/learning.py DATA     (Flickr8k in a layout of captioner.dataset; about 4 minutes of one core)

A simulated reviewer goes through five rounds of 40 photos of dogs, from the dev split, which the built-in captioner
never learned from. She keeps to a house style and to the facts. Style: the simple present ("a dog runs", not "is
running"). Facts: each word of a caption that means something stands in one of the photo's five references. What keeps
both is approved; a caption with the facts right is put into style; any other is replaced by the nearest
reference, in style. After each round `captioner.learning` teaches the captioner from all that was reviewed, with
its gate: every fifth reviewed photo, and 100 dev photos without dogs. Beside it stands what the captioner would have
cost without learning. Writes benchmarks/learning.csv.
"""

import csv
import re
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from captioner.bundle import load_bundle
from captioner.dataset import Example, find_data
from captioner.learning import Course, captions_of, distance, edits_in_100, learn, regions_of
from captioner.metrics import ptb_like
from captioner.weights import model_folder

SUBJECT = {"dog", "dogs", "puppy", "puppies"}
ROUNDS, PHOTOS_A_ROUND, DEV_PHOTOS = 5, 40, 100
COURSE = Course(steps=60, versions=("plain",))
SMALL_WORDS = set(
    re.findall(
        r"\w+",
        "a an the of in on at with and or is are was be being to by his her its their for from into it he she they as "
        "that which while there this up down out over through off near next front side top some one",
    )
)
ENDING_FROM = 5
"""Shorter words lose a plural s at most."""
WITH_E = set(re.findall(r"\w+", "balanc bit bounc chas div driv fac gaz hav mak rac rid shak smil tak wad wrestl"))
TABLE = Path(__file__).with_suffix(".csv")


def is_about(one: Example) -> bool:
    """Return whether two or more of a photo's captions name the subject."""
    return sum(bool(SUBJECT & set(ptb_like(text).split())) for text in one.captions) > 1


def stem(word: str) -> str:
    """Return a word without the endings that change with the sentence."""
    return re.sub(r"(?:(.)\1)?(?:ing|ed|es|s)$", r"\1", word) if len(word) >= ENDING_FROM else word.removesuffix("s")


def in_style(text: str) -> str:
    """Return a caption in the simple present: `a dog is running` becomes `a dog runs`."""
    plain = " ".join(ptb_like(text).split())
    return re.sub(r"\b(is|are) ([a-z]+?)ing\b", lambda match: _present(match[2], plural=match[1] == "are"), plain)


def _present(root: str, *, plural: bool) -> str:
    if root in WITH_E:
        root += "e"
    elif re.search(r"([bdgmnprt])\1$", root):
        root = root[:-1]
    if plural:
        return root
    if re.search(r"[^aeiou]y$", root):
        return f"{root[:-1]}ies"
    return root + ("es" if re.search(r"(s|x|ch|sh|o)$", root) else "s")


def review(caption: str, one: Example) -> tuple[str, bool, bool]:
    """Return the words that the reviewer lets stand, whether she had to write, and whether the facts were wrong."""
    seen = {stem(word) for text in one.captions for word in ptb_like(text).split()}
    said = ptb_like(caption).split()
    if all(stem(word) in seen for word in said if word not in SMALL_WORDS):
        text = in_style(caption)
        return text, text != caption, False
    return min(map(in_style, one.captions), key=lambda text: distance(said, text.split())), True, True


def main() -> None:
    """Caption, review and learn, round by round; print and write the table."""
    data = find_data(Path(sys.argv[1]))
    photos = [one for one in data.dev if is_about(one)]
    photos = [photos[n] for n in np.random.default_rng(3).permutation(len(photos))]
    dev = [one for one in data.dev if not is_about(one)][:DEV_PHOTOS]
    untaught = taught = load_bundle(model_folder("narrator-lite"))
    reviewed: list[Example] = []
    rows = []
    for number in range(1, ROUNDS + 1):
        began = time.process_time()
        batch = photos[(number - 1) * PHOTOS_A_ROUND : number * PHOTOS_A_ROUND]
        row: dict[str, object] = {"round": number, "photos": len(batch)}
        looked = regions_of(untaught, batch)
        for name, captioner in (("without", untaught), ("learning", taught)):
            texts = captions_of(captioner, looked)
            decided = [review(text, one) for text, one in zip(texts, batch, strict=True)]
            wanted = [replace(one, captions=(text,)) for one, (text, _, _) in zip(batch, decided, strict=True)]
            row[f"edits_per_100_photos_{name}"] = round(100 * sum(wrote for _, wrote, _ in decided) / len(batch), 1)
            row[f"of_them_for_facts_{name}"] = round(100 * sum(wrong for _, _, wrong in decided) / len(batch), 1)
            row[f"words_changed_per_100_{name}"] = round(edits_in_100(texts, wanted), 1)
        reviewed += wanted
        lesson = learn("narrator-lite", reviewed, dev, COURSE, lambda _: None)
        taught = lesson.bundle or taught
        best = lesson.tried[lesson.share] if lesson.share else None
        row |= {"learned_from": lesson.learned, "held_out": lesson.held_out, "new_words": len(lesson.new_words)}
        row |= {"share": lesson.share or 0, "held_out_before": round(lesson.before.edits, 1)}
        row |= {"held_out_after": round(best.edits, 1) if best else ""}
        row |= {"dev_before": round(lesson.before.dev_cider_d or 0, 4)}
        row |= {"dev_after": round(best.dev_cider_d or 0, 4) if best else ""}
        row |= {"tried": "; ".join(f"{s}: {m.edits:.1f} {m.dev_cider_d or 0:.4f}" for s, m in lesson.tried.items())}
        row |= {"processor_s": round(time.process_time() - began)}
        rows.append(row)
        print(row, flush=True)
        with TABLE.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(row), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


if __name__ == "__main__":
    main()
