"""Words that people wrote for a photo, and that no model writes over."""

from dataclasses import dataclass
from typing import Literal

from langcodes import standardize_tag
from langcodes.tag_parser import LanguageTagError

from captioner.embedded import in_language
from flows.own import own_alt_text, own_language, own_of
from flows.records import Row, Work
from flows.reviews import Reviews

By = Literal["person", "table", "photo", "captioner"]
"""Who wrote: a reviewer, the caller's table, the photo's own metadata, or the captioner with a reviewer's approval."""


@dataclass(frozen=True)
class Words:
    """An alt text that a person stands for."""

    text: str
    """The words, as they are published and spoken."""
    by: By
    """Where they come from."""
    language: str | None
    """BCP 47 tag, where it is said."""


def human_words(work: Work, reviews: Reviews, language: str) -> Words | None:
    """Return what a person wrote for a photo whose bytes are known: a reviewer before a table before its metadata.

    Of the metadata the text in `language` counts. None where the captioner is to write.
    """
    before = work.row_before
    row = before if before is not None and before["sha256"] == work.sha256 else None
    return _reviewed(work, row, reviews) or _given(work) or _carried(work, row, language)


def _reviewed(work: Work, row: Row | None, reviews: Reviews) -> Words | None:
    """Return the words that a reviewer wrote or approved: by the file of decisions, or by the row if it is lost."""
    decision = reviews.words(work.source.id, work.sha256)
    if decision is not None:
        by: By = "person" if reviews.was_written(decision) else (row["words_by"] if row else None) or "captioner"
        return Words(decision.new, by, row["language"] if row else None)
    if row is not None and row["words_by"] == "person" and not reviews.seen(row["id"], row["sha256"]):
        return Words(row["alt_text"], "person", row["language"])
    return None


def _given(work: Work) -> Words | None:
    """Return the words that came in the caller's table."""
    own = own_of(work)
    text = own_alt_text(own)
    return Words(text, "table", own_language(own)) if text else None


def _carried(work: Work, row: Row | None, language: str) -> Words | None:
    """Return the words that a photo carries itself, as it was just read or as the row of its bytes says."""
    text = in_language(work.photo.alt_texts, language) if work.photo is not None else None
    if text is None and row is not None and row["words_by"] == "photo":
        text = row["alt_text"]
    return Words(text, "photo", language) if text else None


def same_language(tag: str, other: str) -> bool:
    """Return whether two BCP 47 tags name one language, wherever it is spoken: `en_GB`, `eng` and `en-US` do."""
    return _bare(tag) == _bare(other)


def _bare(tag: str) -> str:
    """Return a tag's language alone, by its common name: `zh` for `cmn-Hans`; what is no tag stays as it is."""
    try:
        return standardize_tag(tag, macro=True).split("-")[0]
    except LanguageTagError:
        return tag.casefold()


FOLLOW, STAND, TO_DO = 0, 1, 2
"""What a committed row's words do: follow captioner and policy, stand whatever they say, or wait to be a person's."""


def state_of(row: Row, reviews: Reviews) -> int:
    """Return what the words of a committed row do; `TO_DO` also where a reviewer took words back."""
    decision = reviews.words(row["id"], row["sha256"])
    if decision is not None:
        return STAND if row["alt_text"] == decision.new else TO_DO
    if row["words_by"] == "person":
        return TO_DO if reviews.seen(row["id"], row["sha256"]) else STAND
    return FOLLOW if row["words_by"] in (None, "captioner") else STAND
