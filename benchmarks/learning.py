"""How many texts reviewers still have to write, round by round, once the captioner learns from them.

    python -P benchmarks/learning.py DATA WORK      (Flickr8k as captioner.dataset reads it; half an hour of one core)

The subject is dogs, and the captioner has never heard of them: its network and its words are made anew from the 4,500
photos of Flickr8k's train split in whose captions no dog, puppy or breed is named, with the built-in captioner's
encoder as it is (that one has seen dogs, as any encoder of photos has). Five rounds of 60 dog photos, none of them
learned from before. A simulated reviewer approves a caption when each of its words that means something stands in one
of the photo's five references; she writes the nearest reference where not. After each round `captioner.learning`
teaches the captioner from all that she reviewed, with its gate: every fifth reviewed photo, and 200 dev photos without
dogs. Beside it stands what the captioner would have cost without learning. Writes learning.csv beside this file; what
is done is kept in WORK, so that a killed benchmark goes on where it was.
"""

import csv
import json
import re
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from captioner.beginnings import make_network
from captioner.bundle import Bundle, load_bundle, save_bundle
from captioner.dataset import Data, Example, find_data
from captioner.learning import Course, Lesson, captions_of, distance, edits_in_100, learn, regions_of
from captioner.metrics import ptb_like
from captioner.tokenizer import Tokenizer
from captioner.train import Trainer
from captioner.train_settings import Settings
from captioner.weights import model_folder

SUBJECT = set(
    re.findall(
        r"\w+",
        "dog puppy puppie doggy doggie pup greyhound canine collie poodle terrier retriever labrador lab dachshund "
        "bulldog dalmatian husky huskie beagle spaniel chihuahua corgi pug hound shepherd rottweiler doberman pitbull",
    )
)
ROUNDS, PHOTOS_A_ROUND, DEV_PHOTOS, BASE_STEPS = 5, 60, 200, 500
SMALL_WORDS = set(
    re.findall(
        r"\w+",
        "a an the of in on at with and or is are was be being to by his her its their for from into it he she they as "
        "that which while there this up down out over through off near next front side top some one",
    )
)
ENDING_FROM = 5
"""Shorter words lose a plural s at most."""
TABLE = Path(__file__).with_suffix(".csv")


def is_about(one: Example) -> bool:
    """Return whether any of a photo's captions names the subject."""
    words = {word for text in one.captions for word in ptb_like(text).split()}
    return bool(SUBJECT & (words | {word.removesuffix("s") for word in words}))


def stem(word: str) -> str:
    """Return a word without the endings that change with the sentence."""
    return re.sub(r"(?:(.)\1)?(?:ing|ed|es|s)$", r"\1", word) if len(word) >= ENDING_FROM else word.removesuffix("s")


def review(caption: str, one: Example) -> tuple[str, bool]:
    """Return the words that the reviewer lets stand, and whether she had to write them."""
    seen = {stem(word) for text in one.captions for word in ptb_like(text).split()}
    said = ptb_like(caption).split()
    if all(stem(word) in seen for word in said if word not in SMALL_WORDS):
        return caption, False
    references = [" ".join(ptb_like(text).split()) for text in one.captions]
    return min(references, key=lambda text: distance(said, text.split())), True


def base_captioner(data: Data, work: Path) -> Path:
    """Train the captioner that knows no dogs, or go on with that, and return its folder."""
    start = load_bundle(model_folder("narrator-lite"))
    tokenizer = Tokenizer.count((text for one in data.train for text in one.captions), 4)
    torch.manual_seed(1)
    network = make_network("cnn_transformer", start.encoder, tokenizer, ())
    bundle = replace(start, name="without dogs", model=network, tokenizer=tokenizer)
    settings = Settings(
        data=work,
        out=work,
        steps=BASE_STEPS,
        versions=("plain",),
        peak_rate=8e-4,
        encoder_rate=0.0,
        fixed_blocks=len(start.encoder.network.blocks),
        tune_share=1.0,
        warm_up_steps=60,
        average_keep=0.99,
        checkpoint_s=60,
        score_s=1e9,
    )
    trainer = Trainer(settings, data, bundle)
    if trainer.step < BASE_STEPS:
        trainer.run()
    return work / "model"


def one_round(number: int, photos: list[Example], told: dict[str, Any], base: Path, work: Path) -> list[Example]:
    """Caption and review a round's photos, by the captioner as it was and as it is; note what that cost."""
    untaught: Bundle = load_bundle(base)
    taught = load_bundle(work / told["taught"]) if told["taught"] else untaught
    looked, wanted = regions_of(untaught, photos), photos
    row: dict[str, Any] = {"round": number, "photos": len(photos)}
    for name, captioner in (("without", untaught), ("learning", taught)):
        texts = captions_of(captioner, looked)
        decided = [review(text, one) for text, one in zip(texts, photos, strict=True)]
        wanted = [replace(one, captions=(text,)) for one, (text, _) in zip(photos, decided, strict=True)]
        row[f"edits_per_100_photos_{name}"] = round(100 * sum(wrote for _, wrote in decided) / len(photos), 1)
        row[f"words_changed_per_100_{name}"] = round(edits_in_100(texts, wanted), 1)
    told["rows"].append(row)
    told["texts"] |= {one.name: one.captions[0] for one in wanted}
    return wanted


def figures(lesson: Lesson) -> dict[str, Any]:
    """Return what the gate saw."""
    best = lesson.tried[lesson.share] if lesson.share else None
    return {
        "learned_from": lesson.learned,
        "held_out": lesson.held_out,
        "new_words": len(lesson.new_words),
        "share_used": lesson.share or 0,
        "held_out_words_changed_before": round(lesson.before.edits, 1),
        "held_out_words_changed_after": round(best.edits, 1) if best else "",
        "dev_cider_d_before": round(lesson.before.dev_cider_d or 0, 4),
        "dev_cider_d_after": round(best.dev_cider_d or 0, 4) if best else "",
        "tried": "; ".join(f"{s}: {m.edits:.1f} {m.dev_cider_d or 0:.4f}" for s, m in lesson.tried.items()),
    }


def main() -> None:
    """Caption, review and learn, round by round; print and write the table."""
    data, work = find_data(Path(sys.argv[1])), Path(sys.argv[2])
    flickr = [one for one in data.train if "flickr8k" in str(one.file)]
    known = Data([one for one in flickr if not is_about(one)], [one for one in data.dev if not is_about(one)])
    known = replace(known, dev=known.dev[:DEV_PHOTOS])
    base = base_captioner(known, work / "base")
    subject = [one for one in [*flickr, *data.dev] if is_about(one)]
    subject = [subject[n] for n in np.random.default_rng(3).permutation(len(subject))]
    state = work / "rounds.json"
    told = json.loads(state.read_text()) if state.exists() else {"rows": [], "texts": {}, "taught": ""}
    for number in range(len(told["rows"]) + 1, ROUNDS + 1):
        began = time.process_time()
        batch = subject[(number - 1) * PHOTOS_A_ROUND : number * PHOTOS_A_ROUND]
        one_round(number, batch, told, base, work)
        seen = [replace(one, captions=(told["texts"][one.name],)) for one in subject[: number * PHOTOS_A_ROUND]]
        lesson = learn(base, seen, known, Course(), lambda _: None)
        if lesson.bundle is not None:
            told["taught"] = f"taught-{number}"
            save_bundle(lesson.bundle, work / told["taught"])
        told["rows"][-1] |= figures(lesson) | {"processor_s": round(time.process_time() - began)}
        print(told["rows"][-1], flush=True)
        state.write_text(json.dumps(told))
        with TABLE.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(told["rows"][-1]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(told["rows"])


if __name__ == "__main__":
    main()
