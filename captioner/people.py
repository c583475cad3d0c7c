"""Words for people without their gender: `a man in his hat` to `a person in their hat`; English, pure functions.

For teams whose guidelines say to name a person's gender only where the person has said it.
"""

import re

_NOUNS = {
    "man": "person", "woman": "person", "men": "people", "women": "people", "guy": "person", "guys": "people",
    "lady": "person", "ladies": "people", "gentleman": "person", "gentlemen": "people", "male": "person",
    "males": "people", "female": "person", "females": "people", "boy": "child", "girl": "child", "boys": "children",
    "girls": "children", "cowboy": "rider", "cowboys": "riders", "businessman": "business person",
    "businesswoman": "business person", "businessmen": "business people", "fisherman": "angler", "fishermen": "anglers",
    "policeman": "police officer", "policewoman": "police officer", "policemen": "police officers",
    "fireman": "firefighter", "firemen": "firefighters", "waitress": "waiter", "waitresses": "waiters",
    "actress": "actor", "himself": "themself", "herself": "themself", "his": "their", "hers": "theirs", "him": "them",
}  # fmt: skip
_NOUN = re.compile(rf"\b({'|'.join(sorted(_NOUNS, key=len, reverse=True))})\b", re.IGNORECASE)
_ADJECTIVE = re.compile(
    r"\b(an?\s+)?(?:male|female)\s+(?=(?!and\b|or\b|in\b|on\b|with\b|is\b|are\b|at\b|who\b|wearing\b)([a-z])[a-z]{2})",
    re.IGNORECASE,
)
_PAIR = re.compile(r"\b(?:an?|one)\s+(person|child)\s+and\s+(?:an?|one|another)\s+\1\b", re.IGNORECASE)
_PLURALS = {"person": "people", "child": "children"}
_SUBJECT = re.compile(r"\b(?:s?he)\s+(?!s?he\b)([a-z]+)|\b(?:s?he)('s)\b|\bs?he\b", re.IGNORECASE)
_VERBS = {"is": "are", "was": "were", "has": "have", "does": "do", "goes": "go", "'s": "'re"}
_HER = re.compile(r"\bher\b(?=(\s+[a-z]+)?)", re.IGNORECASE)
_AFTER_OBJECT = frozenset(
    ("a", "an", "and", "as", "at", "behind", "beside", "by", "for", "from", "in", "into", "near", "of", "off", "on",
     "onto", "or", "out", "over", "the", "through", "to", "toward", "towards", "under", "up", "while", "with")
)  # fmt: skip


def without_gender(text: str) -> str:
    """Return `text` with every word that names a person's gender in a word that does not; idempotent."""
    text = _ADJECTIVE.sub(_article_alone, text)
    text = _HER.sub(_their_or_them, text)
    text = _SUBJECT.sub(_they, text)
    text = _NOUN.sub(lambda match: _like(match[0], _NOUNS[match[0].lower()]), text)
    text = re.sub(r"\b(a)n?(?=\s+(\w))", _article, text, flags=re.IGNORECASE)
    return _PAIR.sub(lambda match: _like(match[0], f"two {_PLURALS[match[1].lower()]}"), text)


def _article_alone(match: re.Match[str]) -> str:
    """Return the article that stood before an adjective, as the word after it asks."""
    if not match[1]:
        return ""
    return _like(match[1], "an " if match[2].lower() in "aeiou" else "a ")


def _their_or_them(match: re.Match[str]) -> str:
    """Return `their` before a noun and `them` elsewhere."""
    following = (match[1] or "").strip().lower()
    return _like(match[0], "them" if not following or following in _AFTER_OBJECT else "their")


def _they(match: re.Match[str]) -> str:
    """Return `they` with its verb in the plural."""
    verb = (match[1] or match[2] or "").lower()
    told = verb if verb in _NOUNS else _VERBS.get(verb, _plural(verb))
    space = " " if match[1] else ""
    return _like(match[0], f"they{space}{told}")


def _plural(verb: str) -> str:
    """Return a verb of the third person singular, present tense, in the plural; other forms as they are."""
    if not verb.endswith("s") or verb.endswith("ss"):
        return verb
    if verb.endswith("ies"):
        return verb[:-3] + "y"
    return verb[:-2] if verb.endswith(("sses", "shes", "ches", "xes", "zzes")) else verb[:-1]


def _article(match: re.Match[str]) -> str:
    """Return `a` or `an` as the changed word after it asks; other words keep the article they had."""
    changed = {"angler": "an", "actor": "an"}
    rest = match.string[match.end() :].split()
    word = rest[0].lower() if rest else ""
    if word in changed:
        return _like(match[0], changed[word])
    return match[1] if word in {*_NOUNS.values(), "rider", "firefighter", "police", "business"} else match[0]


def _like(model: str, word: str) -> str:
    """Return `word` with a capital where `model` has one."""
    return word[0].upper() + word[1:] if model[0].isupper() else word
