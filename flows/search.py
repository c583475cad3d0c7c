"""`narrate search`: the photos of an output folder that a text or an example photo asks for, best first.

By words: BM25 (Robertson and Zaragoza 2009) over the alt texts as they are published, without an index: each word of
the query is counted in all texts at once by Arrow, which takes milliseconds for 100,000 of them. By vectors: the
cosine with what `--index` kept (flows.features). By meaning: flows.meaning.

Shapes: N photos, E width of the vectors.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from flows import paths
from flows.errors import FlowError
from flows.manifest import Manifest
from flows.records import Row
from flows.storage import Folder, folder_at

SATURATION, LENGTH_SHARE = 1.2, 0.75
"""BM25's k1 and b: how soon a word's repetition stops to count, how much long texts are held back."""
EMPTY_WORDS = frozenset(
    ("a", "an", "and", "are", "as", "at", "by", "for", "from", "her", "his", "in", "is", "it", "its", "of", "on", "or",
     "the", "their", "there", "to", "with")
)  # fmt: skip
"""Words that say nothing of a photo; they count where a query has no others."""
COLUMNS = ("id", "sha256", "alt_text", "caption", "width_px")


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


def search(query: Query) -> list[dict[str, Any]]:
    """Return the best photos, best first: id, score (higher is better), text, sha256.

    Raises FlowError where there is nothing to search in, CaptionerError where a captioner cannot be used.
    """
    rows = read_rows(query.out)
    texts = _texts(rows)
    scores = _scores(query, rows, texts)
    best = np.argsort(-scores, kind="stable")[: query.top]
    found = [place for place in best.tolist() if scores[place] > 0]
    return [_hit(rows.slice(place, 1).to_pylist()[0], float(scores[place]), texts[place].as_py()) for place in found]


def _scores(query: Query, rows: pa.Table, texts: pa.ChunkedArray) -> NDArray[np.float64]:
    """Score every row, (N,): higher is better, 0 or less is not found."""
    if query.like is not None or query.by == "features":
        return _by_features(query, rows)
    if query.by == "meaning":
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


def terms_of(text: str) -> list[str]:
    """Return the words of a query that count, in lower case, each once; plurals in s lose it."""
    words = list(dict.fromkeys(re.findall(r"[^\W_]+", text.lower())))
    telling = [word for word in words if word not in EMPTY_WORDS] or words
    return list(dict.fromkeys(re.sub(r"(?<=[^s]{2})s$", "", word) for word in telling))


def bm25(query: str, texts: pa.ChunkedArray) -> NDArray[np.float64]:
    """Score every text by the query's words: (N,), 0 where it has none of them."""
    low = pc.utf8_lower(texts)
    lengths = np.asarray(pc.count_substring(low, " "), np.float64) + 1
    held_back = SATURATION * (1 - LENGTH_SHARE + LENGTH_SHARE * lengths / max(1.0, float(lengths.mean())))
    scores = np.zeros(len(lengths))
    for term in terms_of(query):
        counts = np.asarray(pc.count_substring_regex(low, rf"\b{re.escape(term)}(?:s|es)?\b"), np.float64)
        having = float((counts > 0).sum())
        rarity = np.log1p((len(counts) - having + 0.5) / (having + 0.5))
        scores += rarity * counts * (SATURATION + 1) / (counts + held_back)
    return scores


def _by_features(query: Query, rows: pa.Table) -> NDArray[np.float64]:
    """Score every row by the cosine of its photo's vector with the query's: (N,), -1 where it has none."""
    from flows.features import cosines, kept

    wanted, digest = _wanted(query)
    if not kept(query.out, digest):
        mend = f"keep them first: narrate search {query.out} --index --captioner {query.captioner}"
        raise FlowError("no features of this captioner are kept", str(query.out), mend)
    return cosines(query.out, digest, wanted, rows.column("sha256"))


def _wanted(query: Query) -> tuple[NDArray[np.float32], str]:
    """Return the query's vector, (E,), and the digest of the vectors that it may be compared with."""
    from captioner.captioning import Captioner
    from captioner.comparing import digest_of, photo_vectors, text_vector
    from captioner.photos import open_photo
    from captioner.records import Photo

    captioner = Captioner.load(query.captioner)
    if query.like is None:
        return text_vector(captioner, query.text), digest_of(captioner)
    photo = open_photo(query.like, captioner.input_size_px)
    if not isinstance(photo, Photo):
        raise FlowError(f"the example cannot be read ({photo.message})", str(query.like), "give another photo")
    return photo_vectors(captioner, [photo])[0], digest_of(captioner)


def index(out: str, captioner: str) -> str:
    """Keep the vectors of all photos that have none; return what was done, in a line."""
    from captioner.captioning import Captioner
    from flows.console import counting
    from flows.features import keep

    folder = folder_at(out)
    rows = len(read_rows(folder))
    with counting(rows, "looking at photos") as advance:
        made, failed = keep(folder, Captioner.load(captioner), advance)
    left_out = f"; {failed} photos are gone, changed or unreadable" if failed else ""
    return f"{made} photos have features now that had none{left_out}: {paths.features_folder(folder, '')}"
