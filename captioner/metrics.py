"""Caption scores in plain Python: BLEU-1..4, ROUGE-L and CIDEr-D, equal to pycocoevalcap's values.

Every score takes captions that are split already, words with one space between them; `ptb_like` splits raw text as
the reference implementation's Java tokeniser does for the captions met here.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

ORDERS = 4
"""Word runs of 1 to this many words are compared."""
CIDER_SIGMA = 6.0
"""Width in words of CIDEr-D's penalty on a wrong length."""
ROUGE_BETA = 1.2
"""How much more recall weighs than precision in ROUGE-L."""

Ngram = tuple[str, ...]
Weighed = tuple[dict[Ngram, float], list[float], int]
"""A caption's runs with their weights, the norm of each order, and its length."""

_TOKEN = re.compile(
    r"(?:[a-z]\.){2,}|\d+(?:[.,:/]\d+)*(?:-?[a-z0-9]+)*|[^\W_]+(?:[-/_.'][^\W_]+)*|'[a-z]+|\.{2,}|-{2,}|\S"
)
_CLITIC = re.compile(r"(?<=\w)('s|'re|'ve|'ll|'d|'m|n't)(?!\w)")
_DROPPED = {"''", "'", "``", "`", "-LRB-", "-RRB-", "-LCB-", "-RCB-", ".", "?", "!", ",", ":", "-", "--", "...", ";"}
_DROPPED |= {'"', "\u201c", "\u201d", "\u2018"}
_RENAMED = {"(": "-lrb-", ")": "-rrb-", "{": "-lcb-", "}": "-rcb-", "[": "-lsb-", "]": "-rsb-"}
_SPLIT = {"cannot": "can not", "gonna": "gon na", "wanna": "wan na", "gotta": "got ta", "gimme": "gim me"}


def ptb_like(text: str) -> str:
    """Split a caption into lower-case words with one space between, stops dropped, as the Penn Treebank splits."""
    lowered = _CLITIC.sub(r" \1", text.lower().replace("\u2019", "'"))
    words = []
    for part in lowered.split():
        found = [part] if part == "n't" else _TOKEN.findall(part)
        words += [_SPLIT.get(word, _RENAMED.get(word, word)) for word in found if not _is_dropped(word)]
    return " ".join(words)


def _is_dropped(word: str) -> bool:
    return word in _DROPPED or set(word) <= {"."} or set(word) <= {"-"}


def ngrams(words: Sequence[str]) -> Counter[Ngram]:
    """Count the runs of 1 to 4 words."""
    runs = (tuple(words[at : at + size]) for size in range(1, ORDERS + 1) for at in range(len(words) - size + 1))
    return Counter(runs)


def bleu(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """Return corpus BLEU-1 to BLEU-4 (Papineni et al. 2002), the closest reference length counted."""
    guessed, correct = [0] * ORDERS, [0] * ORDERS
    length, wanted_length = 0, 0
    for candidate, wanted in zip(candidates, references, strict=True):
        words = candidate.split()
        lengths = [len(one.split()) for one in wanted]
        length += len(words)
        wanted_length += min((abs(one - len(words)), one) for one in lengths)[1]
        most: Counter[Ngram] = Counter()
        for one in wanted:
            most |= ngrams(one.split())
        for run, count in ngrams(words).items():
            correct[len(run) - 1] += min(count, most[run])
        for size in range(ORDERS):
            guessed[size] += max(0, len(words) - size)
    return _bleu_of(guessed, correct, (length + 1e-15) / (wanted_length + 1e-9))


def _bleu_of(guessed: list[int], correct: list[int], ratio: float) -> list[float]:
    """Put counts together with the reference implementation's own small numbers against division by zero."""
    penalty = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
    product, scores = 1.0, []
    for size in range(ORDERS):
        product *= (correct[size] + 1e-15) / (guessed[size] + 1e-9)
        scores.append(penalty * product ** (1 / (size + 1)))
    return scores


def rouge_l(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Return the mean ROUGE-L (Lin 2004): an F score over the longest common subsequence with the best reference."""
    scores = []
    for candidate, wanted in zip(candidates, references, strict=True):
        words = candidate.split(" ")
        shared = [(_common(words, one.split(" ")), len(one.split(" "))) for one in wanted]
        precision = max(common for common, _ in shared) / len(words)
        recall = max(common / length for common, length in shared)
        both = recall + ROUGE_BETA**2 * precision
        scores.append((1 + ROUGE_BETA**2) * precision * recall / both if both else 0.0)
    return sum(scores) / len(scores)


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the length of the longest common subsequence."""
    row = [0] * (len(second) + 1)
    for word in first:
        new = [0]
        for place, (above_left, above) in enumerate(pairwise(row)):
            new.append(above_left + 1 if word == second[place] else max(above, new[-1]))
        row = new
    return row[-1]


class CiderD:
    """CIDEr-D (Vedantam et al. 2015, arXiv 1411.5726) against fixed references, prepared once.

    How rare a run of words is comes from these references, so scores of different sets do not compare.
    """

    def __init__(self, references: Sequence[Sequence[str]]) -> None:
        """Count and weigh the references of each photo."""
        counted = [[ngrams(one.split()) for one in wanted] for wanted in references]
        self.frequency = Counter(run for wanted in counted for run in set().union(*wanted))
        self.log_photos = math.log(len(references))
        self.wanted = [[self._weigh(one) for one in wanted] for wanted in counted]

    def _weigh(self, counts: Counter[Ngram]) -> Weighed:
        """Return weights of the runs, the norm of each order, and the length (in pairs of words, as published)."""
        weights, squares, length = {}, [0.0] * ORDERS, 0
        for run, count in counts.items():
            weight = count * (self.log_photos - math.log(max(1, self.frequency.get(run, 0))))
            weights[run] = weight
            squares[len(run) - 1] += weight * weight
            length += count if len(run) == 2 else 0  # noqa: PLR2004  pairs: the published code's own length
        return weights, [math.sqrt(one) for one in squares], length

    def score(self, candidate: str, photo: int) -> float:
        """Score one caption against the references of a photo, by its index; 0 to 10."""
        return self._score(self._weigh(ngrams(candidate.split())), self.wanted[photo])

    def against_each_other(self, photo: int) -> list[float]:
        """Score each reference of a photo against its others; none where it has but one."""
        wanted = self.wanted[photo]
        others = (wanted[:place] + wanted[place + 1 :] for place in range(len(wanted)))
        return [self._score(one, rest) for one, rest in zip(wanted, others, strict=True) if rest]

    def _score(self, candidate: Weighed, references: Sequence[Weighed]) -> float:
        """Compare one caption with others, all of them weighed; 0 to 10."""
        weights, norms, length = candidate
        total = 0.0
        for wanted, wanted_norms, wanted_length in references:
            products = [0.0] * ORDERS
            for run, weight in weights.items():
                other = wanted.get(run)
                if other is not None:
                    products[len(run) - 1] += min(weight, other) * other
            sizes = zip(products, norms, wanted_norms, strict=True)
            cosine = sum(product / (a * b) if a and b else product for product, a, b in sizes)
            total += cosine * math.exp(-((length - wanted_length) ** 2) / (2 * CIDER_SIGMA**2))
        return total / ORDERS / len(references) * 10.0


def cider_d(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """Return the mean CIDEr-D of a set, 0 to 10; 0.52 here is what tables in per cent write as 52."""
    scorer = CiderD(references)
    scores = [scorer.score(candidate, photo) for photo, candidate in enumerate(candidates)]
    return sum(scores) / len(scores)


def all_scores(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """Return every score by its name for raw captions, which `ptb_like` splits first."""
    said = [ptb_like(one) for one in candidates]
    wanted = [[ptb_like(one) for one in some] for some in references]
    names = [f"BLEU-{order}" for order in range(1, ORDERS + 1)]
    scores = dict(zip(names, bleu(said, wanted), strict=True))
    return scores | {"ROUGE-L": rouge_l(said, wanted), "CIDEr-D": cider_d(said, wanted)}
