"""Scores equal the reference implementation's; the splitting equals its Java tokeniser's on the captions we met."""

import json
from pathlib import Path
from typing import Any

import pytest

from captioner.metrics import CiderD, all_scores, bleu, cider_d, ptb_like, rouge_l

CASES = json.loads((Path(__file__).parent / "metric_cases.json").read_text(encoding="utf-8"))["cases"]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{len(case['candidates'])} photos")
def test_scores_equal_the_reference_implementations(case: dict[str, Any]):
    candidates, references = case["candidates"], case["references"]

    assert bleu(candidates, references) == pytest.approx(case["bleu"], abs=1e-6)
    assert rouge_l(candidates, references) == pytest.approx(case["rouge_l"], abs=1e-6)
    assert cider_d(candidates, references) == pytest.approx(case["cider_d"], abs=1e-6)


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{len(case['candidates'])} photos")
def test_cider_of_each_photo_equals_the_reference_implementations(case: dict[str, Any]):
    scorer = CiderD(case["references"])

    scores = [scorer.score(candidate, photo) for photo, candidate in enumerate(case["candidates"])]

    assert scores == pytest.approx(case["cider_d_each"], abs=1e-6)


@pytest.mark.parametrize(
    ("raw", "split"),
    [
        ("A man's dog (brown) doesn't run .", "a man 's dog -lrb- brown -rrb- does n't run"),
        ('The boys\' ball, a T-shirt; "no"...', "the boys ball a t-shirt no"),
        ("They're 5,000 at 4:30 a.m. , 50% off $5", "they 're 5,000 at 4:30 a.m. 50 % off $ 5"),
        ("a 4x4 jeep cannot stop -- ever !", "a 4x4 jeep can not stop ever"),
        ("A man in a statefarm.com hat .", "a man in a statefarm.com hat"),
    ],
)
def test_captions_are_split_as_the_penn_treebank_does(raw: str, split: str):
    assert ptb_like(raw) == split


def test_the_same_words_score_best_and_other_words_score_nothing():
    references = [["A dog runs on the beach .", "a brown dog is running"], ["Two men sit .", "two people on a bench"]]

    same = all_scores(["a dog runs on the beach", "two men sit"], references)
    other = all_scores(["purple vegetables everywhere", "green submarine"], references)

    assert same["BLEU-1"] == pytest.approx(1.0)
    assert same["ROUGE-L"] == pytest.approx(1.0)
    assert same["CIDEr-D"] > 2
    assert max(other.values()) < 1e-3
