"""A caption to the alt text that is published and spoken, by a named policy; text alone, no model.

The rules are those of WCAG 2.2 (SC 1.1.1 with the W3C images tutorial) and of IPTC's alt text field: no opening
"image of", 125 characters as the aim and 250 as the end, a full stop for the reader's pause, no file name, no emoji.
Case, spaces and the final stop are set without a word; each other change, and each doubt, is a `Flag`.
"""

import hashlib
import json
import unicodedata
from collections.abc import Callable
from dataclasses import asdict, dataclass

from captioner import wording
from captioner.errors import CaptionerError
from captioner.hedging import Certainty, abstention, hedged
from captioner.people import without_gender
from captioner.records import AltText, Flag

_RULES_VERSION = 3
"""Raise it with each change of the rules: texts made by another version are made again."""


@dataclass(frozen=True)
class Policy:
    """What the rules may do to a caption."""

    cap_characters: int
    """The text is cut at a word so that it is never longer."""
    aim_characters: int = 125
    """A longer text is flagged `long`."""
    as_sentence: bool = True
    """Whether it gets a capital and a full stop."""
    rephrase: bool = True
    """Whether openings such as "a picture of", and repeats, are taken out."""


POLICIES = {
    "wcag": Policy(cap_characters=250),
    "short-125": Policy(cap_characters=125),
    "plain": Policy(cap_characters=250, as_sentence=False, rephrase=False),
}
"""Name to rules: the default, one for fields that hold 125 characters, and the caption's own words."""

_UNKNOWN = Certainty()
_Step = Callable[[str], tuple[str, list[Flag]]]
_MAXIMUM_ROUNDS = 20  # each round but the last takes something out; three is the most that was seen


def make_alt_text(
    caption: str,
    policy: str = "wcag",
    language: str = "en",
    *,
    neutral: bool = False,
    certainty: Certainty = _UNKNOWN,
) -> AltText:
    """Return the alt text of `caption`, written in `language` (BCP 47).

    `neutral` takes people's gender out of the words. `certainty` says how sure the caption is, where that is known, and
    whether an unsure one is hedged or gives way to a text that says that there is no reliable one.

    It is NFC and no longer than the policy's cap; made again from its own text it stays as it is. It is empty, and
    flagged so, only where the caption has no letter and no digit. Raises `CaptionerError` for an unknown policy.
    """
    rules = _policy(policy)
    silence = abstention(language)
    if certainty.abstains and silence is not None:
        return AltText(silence, language, certainty.flags())
    text, flags = caption, dict[str, Flag]()
    steps = _steps(rules, language, neutral=neutral, hedge=certainty.is_low)
    for _ in range(_MAXIMUM_ROUNDS):  # what one rule takes out may uncover work for another
        before = text
        for step in steps:
            text, raised = step(text)
            flags |= {flag.rule: flag for flag in raised if flag.rule not in flags}
        if text == before:
            break
    text = text if wording.has_words(text) else ""
    return AltText(text, language, tuple(flags.values()) + _doubts(text, rules) + certainty.flags())


def policy_digest(policy: str, *, neutral: bool = False, most_wrong: int | None = None, unsure: str = "hedge") -> str:
    """Return 16 hex digits that change with the policy's settings and the rules: then texts are made again.

    `most_wrong` is the share of wrong captions, in per cent, that may be published, and `unsure` what becomes of the
    others. Raises `CaptionerError` for an unknown policy.
    """
    extras = ["neutral"] * neutral + ([most_wrong, unsure] if most_wrong is not None else [])
    settings = json.dumps([_RULES_VERSION, policy, asdict(_policy(policy)), *extras], sort_keys=True)
    return hashlib.sha256(settings.encode()).hexdigest()[:16]


def _policy(name: str) -> Policy:
    """Return the policy of that name."""
    if name not in POLICIES:
        raise CaptionerError("no such alt text policy", name, f"use one of {', '.join(POLICIES)}")
    return POLICIES[name]


def _steps(rules: Policy, language: str, *, neutral: bool, hedge: bool) -> list[_Step]:
    """Return the rules in the order in which they are applied."""
    openings = wording.in_language(wording.OPENINGS, language)
    steps: list[_Step] = [_clean, _without_foreign_matter]
    if neutral and wording.main_language(language) == "en":
        steps.append(_without_gender)
    if rules.rephrase:
        steps += [lambda text: _without_opening(text, openings), _without_repeats]
    if hedge:
        steps.append(lambda text: (hedged(text, language) if wording.has_words(text) else text, []))
    steps.append(lambda text: _cut(text, rules.cap_characters - rules.as_sentence))
    if rules.as_sentence:
        steps.append(lambda text: (wording.as_sentence(text, language), []))
    return steps


def _clean(text: str) -> tuple[str, list[Flag]]:
    """NFC, spaces and punctuation in order, no symbol that a reader stumbles over."""
    kept = wording.speakable(unicodedata.normalize("NFC", text))
    flags = [Flag("symbols", "it held emoji, symbols or control characters, which were taken out")] if kept[1] else []
    return wording.tidy(unicodedata.normalize("NFC", kept[0])), flags


def _without_foreign_matter(text: str) -> tuple[str, list[Flag]]:
    """Take out web addresses, file names and a model's own tokens, as long as words are left."""
    flags = []
    for rule, (pattern, found) in wording.FOREIGN.items():
        rest = wording.tidy(pattern.sub(" ", text))
        if rest == text:
            continue
        if wording.has_words(rest):
            text = rest
            flags.append(Flag(rule, f"it held {found}, which was taken out"))
        else:
            flags.append(Flag(rule, f"it is nothing but {found}"))
    return text, flags


def _without_opening(text: str, openings: wording.Openings | None) -> tuple[str, list[Flag]]:
    """Take out "a picture of" and the like at the start: a screen reader has just said that it is an image."""
    match = openings and openings.pattern.match(text)
    if not openings or not match:
        return text, []
    rest = openings.kept(match.group("kind")) + text[match.end() :].strip()
    if not wording.has_words(rest) or openings.part_of_the_scene.search(text):
        return text, [Flag("starts-with-image-of", f'it begins with "{match.group().strip()}", which may be meant')]
    return rest, [Flag("starts-with-image-of", f'it began with "{match.group().strip()}", which was taken out')]


def _without_gender(text: str) -> tuple[str, list[Flag]]:
    """Name people without their gender, which a picture cannot tell."""
    rest = without_gender(text)
    return rest, [] if rest == text else [Flag("person-attribute", "it named a person's gender, which was taken out")]


def _without_repeats(text: str) -> tuple[str, list[Flag]]:
    """Say what is said twice in a row once."""
    rest = wording.without_repeats(text)
    return rest, [] if rest == text else [Flag("repeats", "words were said twice in a row; they stand once")]


def _cut(text: str, cap_characters: int) -> tuple[str, list[Flag]]:
    """Cut at the end of a sentence, else of a word, so that the text and a full stop fit."""
    if len(text.rstrip(".")) <= cap_characters:
        return text, []
    rest = wording.cut(text, cap_characters)
    return rest, [Flag("too-long", f"it had {len(text)} characters and was cut to {len(rest)}")]


def _doubts(text: str, rules: Policy) -> tuple[Flag, ...]:
    """Return what is left to doubt about a finished text."""
    if not wording.has_words(text):
        return (Flag("empty", "the caption has no words"),)
    if len(text) > rules.aim_characters:
        return (Flag("long", f"it has {len(text)} characters; up to {rules.aim_characters} are read with ease"),)
    return (Flag("one-word", "it has a single word"),) if len(text.split()) == 1 else ()
