"""Whether a photo's words are those of the photo before it: a listener could not tell the two apart (W3C, images)."""

from flows.plan import Plan
from flows.records import Row, Work

RULE = "same-as-neighbour"
"""Name of the flag."""


class Neighbours:
    """Knows the words of the photo before, in the order of ids, whether this run made them or an earlier one did."""

    def __init__(self, plan: Plan) -> None:
        """Begin with what is committed."""
        self._plan = plan
        self._last: Row = {"id": "", "alt_text": None, "sha256": None}

    def look(self, work: Work, text: str | None) -> None:
        """Note at a photo, whose turn it is in the order of ids, who is before it with the same words."""
        before = self._plan.row_before(work.source.id, self._last["id"]) or self._last
        folder = work.source.id.rpartition("/")[0]
        alike = text and before["alt_text"] == text and before["sha256"] != work.sha256
        work.same_as = before["id"] if alike and before["id"].rpartition("/")[0] == folder else None
        self._last = {"id": work.source.id, "alt_text": text, "sha256": work.sha256}


def with_flag(work: Work, words: Row) -> Row:
    """Return a row's words flagged where they are the neighbour's too; a flag of another place is taken off.

    A person's words are never flagged: who wrote them saw both photos.
    """
    flags = [flag for flag in words["alt_flags"] or [] if flag["rule"] != RULE]
    if work.same_as is None or work.burst_of is not None or words["words_by"] != "captioner":
        return words | {"alt_flags": flags}
    flag = {"rule": RULE, "reason": f"{work.same_as}, the photo before it, has the same words"}
    return words | {"alt_flags": [*flags, flag], "needs_review": True}
