"""`narrate search`: the photos of an output folder that a text or an example photo asks for, best first.

By words: BM25 (Robertson and Zaragoza 2009) over the alt texts as they are published, without an index: Arrow parts
all texts into words at once and counts each word of the query in them (flows.word_forms), which takes a tenth of a
second for 100,000 of them. By vectors: the cosine with what `--index` kept (flows.features). By meaning: flows.meaning.

Shapes: N photos, E width of the vectors.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import punctuation
from typing import TYPE_CHECKING, Any

import click
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from captioner.errors import ModelError
from flows import paths
from flows.console import amount, counting
from flows.errors import FlowError
from flows.manifest import Manifest
from flows.records import Row
from flows.storage import Folder, folder_at
from flows.word_forms import forms_of, is_found_anywhere, lowered, words_asked, words_of

if TYPE_CHECKING:
    from captioner.captioning import Captioner

SATURATION, LENGTH_SHARE = 1.2, 0.75
"""BM25's k1 and b: how soon a word's repetition stops to count, how much long texts are held back."""
EMPTY_WORDS = frozenset(
    ("a", "an", "and", "are", "as", "at", "by", "for", "from", "her", "his", "in", "is", "it", "its", "of", "on", "or",
     "the", "their", "there", "to", "with")
)  # fmt: skip
"""Words that say nothing of a photo; they count where a query has no others."""
COLUMNS = ("id", "sha256", "alt_text", "caption", "width_px", "missing_since")


@dataclass(frozen=True)
class Query:
    """What is searched for, and how."""

    out: Folder
    """The output folder."""
    text: str = ""
    """The words; empty: `like` is given."""
    like: Path | None = None
    """An example photo."""
    by: str = "words"
    """`words`, `meaning` or `features`."""
    captioner: str = "narrator-lite"
    """Whose features."""
    top: int = 24
    """How many photos at most."""

    @property
    def goes_by(self) -> str:
        """What is compared: an example is compared by features."""
        return "features" if self.like is not None else self.by

    def check(self) -> None:
        """Raise FlowError where two things are searched for at once."""
        if self.like is not None and (self.text or self.by == "meaning"):
            what = "a search goes by an example or by words, not by both"
            raise FlowError(what, f"--like {self.like}", "leave the words and --by away, or leave --like away")


def search(query: Query) -> list[dict[str, Any]]:
    """Return the best photos, best first: id, score (higher is better), text, sha256.

    Raises FlowError where there is nothing to search in or by, CaptionerError where a captioner cannot be used.
    """
    query.check()
    rows = read_rows(query.out)
    texts = _texts(rows)
    scores = _scores(query, rows, texts)
    best = np.argsort(-scores, kind="stable")[: query.top]
    found = [place for place in best.tolist() if scores[place] > 0]
    return [_hit(rows.slice(place, 1).to_pylist()[0], float(scores[place]), texts[place].as_py()) for place in found]


def _scores(query: Query, rows: pa.Table, texts: pa.ChunkedArray) -> NDArray[np.float64]:
    """Score every row, (N,): higher is better, 0 or less is not found."""
    if query.goes_by == "features":
        return _by_features(query, rows)
    if query.goes_by == "meaning":
        from flows.meaning import nearness

        return nearness(query.out, query.text, texts.to_pylist())
    return bm25(query.text, texts)


def _hit(row: Row, score: float, text: str) -> dict[str, Any]:
    shown = row["sha256"] if row["width_px"] else None
    return {"id": row["id"], "score": round(score, 4), "text": text, "sha256": shown}


def read_rows(out: Folder) -> pa.Table:
    """Return what is searched of every row; raise FlowError where there are none."""
    manifest = Manifest(out)
    if not manifest.parts:
        raise FlowError("there is nothing to search in yet", str(out), "narrate photos into it first: narrate run")
    return manifest.table(COLUMNS)


def _texts(rows: pa.Table) -> pa.ChunkedArray:
    """Return each row's words: as published, else as the captioner said them, else none."""
    return pc.coalesce(rows.column("alt_text"), rows.column("caption"), "")


def telling(words: Sequence[str]) -> list[str]:
    """Return the words that say something of a photo, each once; all of them where none does."""
    return list(dict.fromkeys([word for word in words if word not in EMPTY_WORDS] or words))


def terms_of(text: str) -> list[frozenset[str]]:
    """Return the words of a query that count, each once, in all its forms."""
    terms: list[frozenset[str]] = []
    for word in telling(words_asked(text)):
        if not any(word in term for term in terms):
            terms.append(forms_of(word))
    return terms


def bm25(query: str, texts: pa.ChunkedArray) -> NDArray[np.float64]:
    """Score every text by the query's words: (N,), 0 where it has none of them."""
    low = lowered(texts).combine_chunks()
    lengths = np.asarray(pc.count_substring(low, " "), np.float64) + 1
    held_back = SATURATION * (1 - LENGTH_SHARE + LENGTH_SHARE * lengths / max(1.0, float(lengths.mean())))
    scores, words = np.zeros(len(lengths)), words_of(low)
    for term in terms_of(query):
        counts = _counts(term, low, words)
        having = float((counts > 0).sum())
        rarity = np.log1p((len(counts) - having + 0.5) / (having + 0.5))
        scores += rarity * counts * (SATURATION + 1) / (counts + held_back)
    return scores


def _counts(term: frozenset[str], texts: pa.Array, words: pa.ListArray) -> NDArray[np.float64]:
    """Count a term in every text, (N,): in any form as a whole word, or anywhere in scripts without spaces."""
    if is_found_anywhere(word := min(term)):
        return np.asarray(pc.count_substring(texts, word), np.float64)
    found = np.asarray(pc.is_in(words.flatten(), value_set=pa.array(sorted(term))))
    return np.bincount(np.asarray(pc.list_parent_indices(words))[found], minlength=len(texts)).astype(np.float64)


def _by_features(query: Query, rows: pa.Table) -> NDArray[np.float64]:
    """Score every row by the cosine of its photo's vector with the query's: (N,), -1 where it has none."""
    from flows.features import cosines, kept

    wanted, digest = _wanted(query)
    have, mend = kept(query.out, digest), f"narrate search {query.out} --index --captioner {query.captioner}"
    if not have:
        raise FlowError("no features of this captioner are kept", str(query.out), f"keep them first: {mend}")
    if without := _without(rows, have):
        click.echo(f"left out for want of features: {amount(without, 'photo')}; make them: {mend}", err=True)
    return cosines(query.out, digest, wanted, rows.column("sha256"))


def _without(rows: pa.Table, have: set[str]) -> int:
    """Count the photos that have no vector and can have one: not those that were refused, or are gone."""
    able = pc.and_(pc.is_valid(rows.column("width_px")), pc.is_null(rows.column("missing_since")))
    hashes = rows.column("sha256").filter(able).drop_null()
    return len(set(hashes.to_pylist()) - have)


def _wanted(query: Query) -> tuple[NDArray[np.float32], str]:
    """Return the query's vector, (E,), and the digest of the vectors that it may be compared with."""
    from captioner.comparing import digest_of, photo_vectors, text_vector
    from captioner.photos import open_photo
    from captioner.records import Photo

    captioner = _load(query.captioner)
    if query.like is None:
        vector = text_vector(captioner, query.text)
        _check_words(captioner, query.text)
        return vector, digest_of(captioner)
    photo = open_photo(query.like, captioner.input_size_px)
    if not isinstance(photo, Photo):
        raise FlowError(f"the example cannot be read ({photo.message})", str(query.like), "give another photo")
    return photo_vectors(captioner, [photo])[0], digest_of(captioner)


def _check_words(captioner: "Captioner", text: str) -> None:
    """Say which words a captioner does not know; raise FlowError where it knows none that tells something."""
    from captioner.comparing import knows

    words = telling([bare for word in text.lower().split() if (bare := word.strip(punctuation))])
    unknown = [word for word in words if not knows(captioner, word)]
    if len(unknown) == len(words):
        raise FlowError("this captioner knows none of these words", text, "use other words, or --by words or meaning")
    if unknown:
        click.echo(f"words that this captioner does not know: {', '.join(unknown)}", err=True)


def _load(name: str) -> "Captioner":
    """Load a captioner that compares; raise ModelError for other people's, which do not."""
    from captioner.captioning import Captioner
    from captioner.public import is_public

    if is_public(name):
        mend = "use narrator-lite or one that was trained here, or search by words or meaning"
        raise ModelError("other people's captioners give no features to compare", name, mend)
    return Captioner.load(name)


def index(out: str, captioner: str) -> str:
    """Keep the vectors of all photos that have none; return what was done, in a line."""
    from flows.features import keep

    folder, loaded = folder_at(out), _load(captioner)
    rows = len(read_rows(folder))
    with counting(rows, "looking at photos") as advance:
        made, failed = keep(folder, loaded, advance)
    left_out = f"; gone, changed or unreadable: {amount(failed, 'photo')}" if failed else ""
    have = "photo has" if made == 1 else "photos have"
    return f"{made} {have} features now that had none{left_out}: {paths.features_folder(folder, '')}"
