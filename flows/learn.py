"""`narrate learn`: what reviewers corrected becomes a lexicon, a list of terms and a captioner that learned from it."""

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from captioner.bundle import save_bundle
from captioner.dataset import Data, Example, find_data
from captioner.errors import DataError
from captioner.learning import Course, Lesson, learn, part
from captioner.photos import open_photo
from captioner.records import Photo
from captioner.signals import FUNCTION_WORDS
from captioner.weights import describe
from flows import paths
from flows.addresses import is_local, uri_path
from flows.corrections import replaced, sounds_in, unknown_sounds, without_sounds, words_of_sounds
from flows.errors import FlowError
from flows.learned import state, use
from flows.manifest import Manifest
from flows.records import Row
from flows.reviews import Decision, Reviews
from flows.storage import write_json, write_text
from flows.words import same_language
from speech.lexicon import INLINE

COURSE = Course()
LONGEST_TERM = 2
"""Words of a term."""
LEAST_TERM = 2
"""A word that was put in another's place in so many photos is a preferred term."""
_SAY = re.compile(
    r"\bsay\s+[\"'\u201c]?(?P<word>.+?)[\"'\u201d]?\s+as\s+[\"'\u201c]?(?P<said>.+?)[\"'\u201d.]*$", re.IGNORECASE
)
_COLUMNS = ("id", "uri", "sha256", "status", "caption", "alt_text", "language")


@dataclass
class Corrections:
    """What reviewers' decisions teach."""

    lexicon: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Word to its sounds in IPA, or to what is said for it: one of the two is empty."""
    terms: Counter[tuple[str, str]] = field(default_factory=Counter)
    """What the captioner said and what a reviewer wrote in its place, by the number of photos."""
    reviewed: list[Example] = field(default_factory=list)
    """Photos with a person's words, named by their hashes."""
    unread: int = 0
    """Photos with a person's words that cannot be read here as they were."""


def corrections(out: Path, language: str) -> Corrections:
    """Read decisions and manifest; a photo's words count once, whatever its names. Raises FlowError for no manifest."""
    manifest, reviews, found = Manifest(out), Reviews(out), Corrections()
    if not manifest.parts:
        raise FlowError("there is no manifest here", str(out), "name the output folder of a run")
    seen: set[str] = set()
    for _, row in manifest.read(_COLUMNS):
        decision = reviews.latest(row["id"], row["sha256"])
        if decision is None or row["sha256"] in seen:
            continue
        seen.add(row["sha256"])
        known = words_of_sounds(reviews.changes(row["id"], row["sha256"]))
        _take_sounds(decision, row, known, found)
        if unknown_sounds(decision.new, known):
            continue  # no words to learn from: sounds are none
        if decision.pins_words and row["status"] == "described" and same_language(row["language"], language):
            _take_words(decision, without_sounds(decision.new, known), row, found)
    return found


def _take_sounds(decision: Decision, row: Row, known: dict[str, str], found: Corrections) -> None:
    """Take sounds in double brackets, and a rejection's reason such as `say MoMA as moma`."""
    if decision.action == "edited":
        found.lexicon |= {known[heard]: (heard, "") for heard in sounds_in(decision.new) if heard in known}
    told = _SAY.search(decision.reason)
    if told is not None and told["word"].casefold() in (row["alt_text"] or "").casefold():
        heard = INLINE.fullmatch(told["said"])
        found.lexicon[told["word"]] = (heard[1], "") if heard else ("", told["said"])


def _take_words(decision: Decision, text: str, row: Row, found: Corrections) -> None:
    if decision.action == "edited" and row["caption"]:
        found.terms.update(_terms(row["caption"], text.lower().rstrip(".")))
    path = uri_path(row["uri"]) if is_local(row["uri"]) else None
    if path is None or not path.is_file():
        found.unread += 1
        return
    found.reviewed.append(Example(row["sha256"], (text,), path))


def _terms(caption: str, text: str) -> set[tuple[str, str]]:
    """Return the terms that a reviewer put in others' place: none where the text was written anew."""
    pairs = {(" ".join(old), " ".join(new)) for old, new in replaced(caption, text)}
    changed = sum(len(old.split()) for old, _ in pairs)
    if 2 * changed > len(caption.split()):
        return set()
    return {pair for pair in pairs if all(_may_be_term(side.split()) for side in pair)}


def _may_be_term(words: list[str]) -> bool:
    """Return whether words name something: `the` in the place of `a` is no term."""
    return len(words) <= LONGEST_TERM and not FUNCTION_WORDS.issuperset(words)


def teach(
    out: Path, captioner: str, data: Path | None, advance: Callable[[int], None]
) -> tuple[Corrections, Lesson | None]:
    """Write lexicon and terms, teach the captioner, and put it to use where it passes the gate.

    `data` is a folder of Flickr8k's kind, with photos to rehearse and dev photos for the gate. The lesson is None where
    too few photos were reviewed. Raises FlowError and CaptionerError where it cannot begin.
    """
    base = describe(captioner)
    known = find_data(data) if data is not None else Data()
    found = corrections(out, base.language)
    _write_tables(out, found)
    whole = [one for one in found.reviewed if _is_same(one)]
    found.unread += len(found.reviewed) - len(whole)
    write_json(paths.learned_folder(out) / "dataset.json", _dataset(whole), paths.scratch_folder(out))
    try:
        lesson = learn(base.folder, whole, known, COURSE, advance)
    except DataError:
        return found, None
    if lesson.bundle is not None:
        name = _next_name(out)
        taught = replace(lesson.bundle, name=f"{base.name}, taught by {lesson.learned} reviewed photos")
        save_bundle(taught, out / paths.LEARNED / name)
        use(out, name, base.weights_digest)
    return found, lesson


def _is_same(one: Example) -> bool:
    photo = open_photo(one.file)
    return isinstance(photo, Photo) and photo.sha256 == one.name


def _next_name(out: Path) -> str:
    """Return a name that no captioner here ever had; one that a kill left half written is used again."""
    told = state(out)
    used = {told["current"], *(one["captioner"] for one in told["before"])}
    folder = paths.learned_folder(out)
    known = used | {path.name for path in folder.glob("captioner-*") if (path / "config.json").is_file()}
    return next(name for number in range(1, 10**6) if (name := f"captioner-{number:04d}") not in known)


def _write_tables(out: Path, found: Corrections) -> None:
    """Write `lexicon.csv`, in the format of `--lexicon`, and `terms.csv`."""
    folder, scratch = paths.learned_folder(out), paths.scratch_folder(out)
    lexicon = ((word, *said) for word, said in sorted(found.lexicon.items()))
    terms = ((*pair, str(count)) for pair, count in found.terms.most_common() if count >= LEAST_TERM)
    write_text(folder / "lexicon.csv", _table(("grapheme", "phoneme", "alias"), lexicon), scratch)
    write_text(folder / "terms.csv", _table(("said", "preferred", "photos"), terms), scratch)


def _dataset(reviewed: list[Example]) -> dict[str, Any]:
    """Return the photos and words to learn from in Karpathy's layout, those of the gate as `val`: photos stay in place.

    `python -m captioner.train --data OUT/learned` reads it, and so do other trainers.
    """
    parts = zip(("train", "val"), part(reviewed), strict=True)
    return {
        "dataset": "reviewed",
        "images": [
            {"filename": str(one.file.resolve()), "sha256": one.name, "split": split}
            | {"sentences": [{"raw": text} for text in one.captions]}
            for split, examples in parts
            for one in examples
        ],
    }


def _table(columns: Iterable[str], rows: Iterable[tuple[str, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([tuple(columns), *rows])
    return text.getvalue()


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def told(out: Path, found: Corrections, lesson: Lesson | None) -> Iterator[str]:
    """Yield what was learned, line by line."""
    folder = paths.learned_folder(out)
    terms = sum(count >= LEAST_TERM for count in found.terms.values())
    yield f"{_count(len(found.lexicon), 'word')} heard wrong: {folder / 'lexicon.csv'} (narrate run --lexicon takes it)"
    yield f"{_count(terms, 'preferred term')}: {folder / 'terms.csv'}"
    if found.unread:
        yield f"{found.unread} reviewed photos are gone, changed or in a store: they are not learned from"
    if lesson is None:
        yield f"{len(found.reviewed)} photos with a person's words: too few to teach the captioner (40 are enough)"
        return
    rehearsed = f" and {lesson.rehearsed} rehearsed" if lesson.rehearsed else ""
    new = _count(len(lesson.new_words), "new word")
    yield f"Learned from {lesson.learned} photos{rehearsed}, checked on {lesson.held_out}; {new}"
    before = lesson.before
    for share, marks in lesson.tried.items():
        line = f"{share:.0%} of what was learned: {before.edits:.1f} -> {marks.edits:.1f} words to change in 100"
        if before.dev_cider_d is not None and marks.dev_cider_d is not None:
            line += f"; dev CIDEr-D {before.dev_cider_d:.4f} -> {marks.dev_cider_d:.4f} on {lesson.dev} photos"
        yield line
    if lesson.share is None:
        yield "It did not pass: the captioner stays as it is"
        return
    yield f"The next run uses {folder / state(out)['current']}; narrate learn {out} --undo takes it back"
    if before.dev_cider_d is None:
        yield "Whether it forgot anything was not looked at: --data names a folder of Flickr8k's kind for that"
