"""Text to the phoneme characters that the built-in voice was trained on: gruut in its espeak alphabet, with stress.

The same function stands before training and before speaking, so a voice never meets a character that it was not trained
on: what gruut writes beyond the voice's own alphabet is turned into the nearest one it has.
"""

# ruff: noqa: RUF001 - dashes and quotation marks as they stand in texts, phonemes as letters of the IPA

import re
import unicodedata

from gruut_ipa.distances import get_closest

from speech.capitals import as_words
from speech.lexicon import INLINE
from speech.quiet import quiet_imports

with quiet_imports():
    from TTS.tts.utils.text.phonemizers.gruut_wrapper import Gruut

NEAREST = str.maketrans({":": ",", "—": ",", "–": ",", "…": ".", "|": ",", "¿": "", "¡": "", '"': "", "“": "", "”": ""})
"""Marks that gruut leaves in, as the marks that the voice was trained on."""

FOREIGN = str.maketrans({"x": "k", "ʲ": "j", "\u0303": ""})
"""Sounds of loans ("loch", "jalapeño", "croissant") as an English speaker without them says them."""


ALPHABET = frozenset("abdefhijklmnopstuvwzæðŋɐɑɔəɚɛɜɡɪɹɾʃʊʌʒʔˈˌː̩θᵻ ,.;!?")
"""The sounds and marks of gruut's US English in espeak's alphabet."""
SAME_SOUND = str.maketrans({"g": "ɡ", "r": "ɹ", "'": "ˈ", "\u0361": "", "\u035c": "", "\u203f": "", "/": "", ".": ""})
"""Other ways to write the same sounds in IPA; ties between two letters are not written here."""


STRESS = "ˈˌ"
FULL_VOWEL = str.maketrans({"ɐ": "æ", "ə": "ʌ"})
"""What a reduced vowel becomes under stress."""
VOWEL = re.compile("[aeiouæɐɑɔəɚɛɜɪʊʌᵻ]")


class Phonemizer:
    """Turns English text into phoneme characters; holds gruut's lexicon."""

    def __init__(self) -> None:
        """Load gruut's English lexicon in espeak's alphabet."""
        self._gruut = Gruut(language="en-us", use_espeak_phonemes=True, keep_stress=True)

    def __call__(self, text: str) -> str:
        """Return the phonemes of `text`, words separated by a space, marks kept; empty where nothing can be said."""
        # The wrapper's own `phonemize` cuts the text at each mark first ("$3.50" at its point), so gruut would never
        # see whole numbers: its inner step is called with the whole text.
        if text.strip(" .,!?").lower() == "a":
            return "ˈeɪ"  # alone it is the letter, not the article
        parts = INLINE.split(text)  # plain text and inline sounds in turns
        parts[::2] = [as_words(without_accents(part)) for part in parts[::2]]
        said = [
            english_sounds(part)[0] if k % 2 else self._gruut.phonemize_gruut(part, separator="")
            for k, part in enumerate(parts)
            if k % 2 or part.strip()
        ]
        phonemes = re.sub(r"\s+([.,;!?])", r"\1", " ".join(part.strip() for part in said if part.strip()))
        return stressed(phonemes.translate(NEAREST).translate(FOREIGN).strip())


def english_sounds(ipa: str) -> tuple[str, list[str]]:
    """Return IPA in the sounds of `ALPHABET`, and what became of each that is not in it.

    The nearest sound takes its place, by the distances between phonological features that gruut_ipa holds.
    """
    kept, changes = [], []
    plain = unicodedata.normalize("NFD", ipa).replace("c\u0327", "ç").translate(SAME_SOUND)
    for sound in plain:
        near = (sound.translate(FOREIGN), *(get_closest(sound) or ()))
        nearest = next((c for c in near if c in ALPHABET), "")
        kept.append(nearest)
        if nearest != sound:
            changes.append(f"the sound {sound} is said as {nearest}" if nearest else f"the mark {sound!r} is left out")
    return "".join(kept), changes


def without_accents(text: str) -> str:
    """Return `text` with plain letters for accented ones: gruut's lexicon has "cafe" and "naive", not "café"."""
    apart = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", "".join(c for c in apart if unicodedata.category(c) != "Mn"))


def stressed(phonemes: str) -> str:
    """Return the phonemes with a stress on the last word's first vowel where there is none at all.

    "the" or "of it" alone have no stress in the lexicon, and the voice would whisper them.
    """
    if not phonemes or any(mark in phonemes for mark in STRESS):
        return phonemes
    start = phonemes.rfind(" ") + 1
    vowel = VOWEL.search(phonemes, start) or VOWEL.search(phonemes)
    if vowel is None:
        return phonemes
    full = vowel.group().translate(FULL_VOWEL)
    return f"{phonemes[: vowel.start()]}ˈ{full}{phonemes[vowel.end() :]}"
