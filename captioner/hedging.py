"""What is said of a caption that may be wrong: "Possibly ...", or that there is no reliable description."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from captioner.records import Flag
from captioner.wording import in_language

LOW_CONFIDENCE = 0.5
"""A caption whose probability of being right is lower is flagged."""
UNSURE = ("hedge", "abstain")
"""What becomes of a caption that is not sure enough."""
NO_DESCRIPTION = "no-reliable-description"
"""The flag of a text that says so."""
DISAGREE = "captioners-disagree"
"""The flag of a photo of which two captioners say different things."""
UNSURE_RULE = "unsure"
"""The flag of a caption that is less sure than asked for."""

ABSTENTIONS = {
    "en": "No reliable description.",
    "de": "Keine verlässliche Beschreibung.",
    "fr": "Pas de description fiable.",
    "es": "No hay una descripción fiable.",
    "it": "Nessuna descrizione affidabile.",
    "pt": "Sem descrição confiável.",
    "nl": "Geen betrouwbare beschrijving.",
}
"""Language to the whole text; in another language the caption stands, flagged."""
_HEDGES = {"en": "possibly", "de": "möglicherweise", "fr": "peut-être", "es": "posiblemente", "it": "forse",
           "pt": "possivelmente", "nl": "mogelijk"}  # fmt: skip
_FUNCTION_WORD = re.compile(
    r"(?:an?|the|this|that|these|those|there|some|one|two|three|four|five|several|many|people|children|men|women)\b",
    re.IGNORECASE,
)
_OF_THE_PHOTO = re.compile(r"in black and white, (?=\S)", re.IGNORECASE)
"""What is said of the photo and not of what it shows: no doubt is meant there."""
_REASONS = {
    NO_DESCRIPTION: "there is nothing in the picture that the captioner can describe reliably",
    "contains-text": "the picture shows text, which the captioner does not read",
    DISAGREE: "two captioners say different things about it",
}


@dataclass(frozen=True)
class Certainty:
    """What is known about a caption's chance of being right, and what to do where it is low."""

    confidence: float | None = None
    """The probability that it is right; None where nobody knows."""
    doubts: tuple[str, ...] = ()
    """Doubts about the picture, of those in `captioner.records.Caption.doubts`."""
    least: float = 0.0
    """What is less sure is hedged, or not published."""
    unsure: str = "hedge"
    """Which of the two: one of `UNSURE`."""

    @property
    def is_low(self) -> bool:
        """Whether the caption is less sure than asked for."""
        return self.confidence is not None and self.confidence < self.least

    @property
    def abstains(self) -> bool:
        """Whether the caption is not to be published."""
        return NO_DESCRIPTION in self.doubts or (self.is_low and self.unsure == "abstain")

    def flags(self) -> tuple[Flag, ...]:
        """Return the doubts as flags."""
        found = [Flag(rule, _REASONS[rule]) for rule in self.doubts]
        if NO_DESCRIPTION in self.doubts:
            return tuple(found)
        if self.is_low:
            found.append(Flag(UNSURE_RULE, f"{self._odds()}; {self.least:.0%} was asked for"))
        elif self.confidence is not None and self.confidence < LOW_CONFIDENCE:
            found.append(Flag("low-confidence", self._odds()))
        return (*found, Flag(NO_DESCRIPTION, "the caption is not sure enough")) if self.abstains else tuple(found)

    def _odds(self) -> str:
        return f"the model is right about such captions {self.confidence or 0:.0%} of the time"


def doubts_in(rules: Collection[str]) -> tuple[str, ...]:
    """Return the doubts about the picture among the names of an alt text's flags."""
    found = tuple(rule for rule in rules if rule in _REASONS)
    return tuple(rule for rule in found if rule != NO_DESCRIPTION or UNSURE_RULE not in rules)


def hedged(text: str, language: str) -> str:
    """Return `text` with "possibly" before what it shows, once; as it is in a language that has no such word here."""
    word = in_language(_HEDGES, language)
    opening = _OF_THE_PHOTO.match(text)
    start, rest = (text[: opening.end()], text[opening.end() :]) if opening else ("", text)
    if word is None or rest.lower().startswith(word):
        return text
    return f"{start}{word} {rest[:1].lower() if _FUNCTION_WORD.match(rest) else rest[:1]}{rest[1:]}"


def abstention(language: str) -> str | None:
    """Return the text that says that there is none; None in a language that it cannot be said in."""
    return in_language(ABSTENTIONS, language)
