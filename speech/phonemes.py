"""Text to the phoneme characters that the built-in voice was trained on: gruut in its espeak alphabet, with stress.

The same function stands before training and before speaking, so a voice never meets a character that it was not trained
on: what gruut writes beyond the voice's own alphabet is turned into the nearest one it has.
"""

# ruff: noqa: RUF001 - dashes and quotation marks as they stand in texts

from speech.quiet import quiet_imports

with quiet_imports():
    from TTS.tts.utils.text.phonemizers.gruut_wrapper import Gruut

PUNCTUATION = ".,;?!"
"""What the voice makes a pause of, and the tune of a question."""

NEAREST = str.maketrans({":": ",", "—": ",", "–": ",", "…": ".", "|": ",", "¿": "", "¡": "", '"': "", "“": "", "”": ""})
"""Marks that gruut leaves in, as the marks that the voice was trained on."""


class Phonemizer:
    """Turns English text into phoneme characters; holds gruut's lexicon."""

    def __init__(self) -> None:
        """Load gruut's English lexicon in espeak's alphabet."""
        self._gruut = Gruut(language="en-us", use_espeak_phonemes=True, keep_stress=True)

    def __call__(self, text: str) -> str:
        """Return the phonemes of `text`, words separated by a space, marks kept; empty where nothing can be said."""
        # The wrapper's own `phonemize` cuts the text at each mark first ("$3.50" at its point), so gruut would never
        # see whole numbers: its inner step is called with the whole text.
        phonemes: str = self._gruut.phonemize_gruut(text, separator="")
        return phonemes.translate(NEAREST).strip()
