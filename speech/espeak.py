"""espeak-ng, the second engine: a hundred languages that no model here speaks, by rule, the same bytes every time.

It is never chosen silently: the voice must be named, `espeak:LANGUAGE` (`espeak:en-us`, `espeak:cy`). The program is
started once a sentence and speaks many times faster than one listens; it is free software (GPL-3.0-or-later), and what
it says is its user's. Imports neither torch nor TTS.
Letters: N samples.
"""

import hashlib
import io
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from speech.errors import BadAudioError, UnspeakableError, VoiceError
from speech.records import Voice

PREFIX = "espeak:"
PROGRAM = "espeak-ng"
WORDS_A_MINUTE = 160
"""A narrator's pace."""
SAMPLE_RATE_HZ = 22050
LIMIT_S = 60
"""Longest that the program may take for one sentence."""


def is_name(text: str) -> bool:
    """Return whether `text` names a voice of espeak-ng."""
    return text.startswith(PREFIX)


def describe(name: str, speaker: str = "") -> Voice:
    """Return the voice `espeak:LANGUAGE`; raises `VoiceError` where the program is missing or does not speak it.

    `speaker` is one of the program's variants, such as `f3`.
    """
    path, version = program()
    language = name.removeprefix(PREFIX).lower()
    if language not in languages(path):
        near = sorted(known for known in languages(path) if known.split("-")[0] == language.split("-")[0])
        mend = f"choose {', '.join(near)}" if near else f"{PROGRAM} --voices lists its languages"
        raise VoiceError("espeak-ng does not speak this language", where=name, mend=mend)
    chosen = f"{language}+{speaker}" if speaker else language
    digest = hashlib.sha256(f"{version} {chosen} {WORDS_A_MINUTE}".encode()).hexdigest()[:16]
    return Voice(
        name=f"{PREFIX}{chosen}",
        language=_tag(language),
        licence="GPL-3.0-or-later (the program)",
        sample_rate_hz=SAMPLE_RATE_HZ,
        digest=digest,
        folder=Path(path).parent,
        engine="espeak",
        speaker=speaker,
        spoken_as=chosen,
    )


class EspeakEngine:
    """The program behind the engines' contract; its character numbers are those of Unicode."""

    def __init__(self, voice: Voice) -> None:
        """Find the program; raises `VoiceError` where it is missing."""
        self._program, _ = program()
        self._voice = voice.spoken_as

    def tokens(self, sentence: str) -> list[int]:
        """Return the numbers of the sentence's characters; raises `UnspeakableError` where there is nothing to say."""
        if not any(c.isalnum() for c in sentence):
            raise UnspeakableError(
                "nothing to say", where=repr(sentence[:60]), mend="give at least one letter or digit"
            )
        return [ord(c) for c in sentence]

    def speak(self, texts: Sequence[Sequence[int]], attempt: int = 0, pace: float = 1.0) -> list[NDArray[np.float32]]:
        """Return the waveform (N,) of each sentence of character numbers, in order.

        The program leaves nothing to chance, so another `attempt` gives the same; a lower `pace` is slower.
        """
        del attempt
        sentences = ["".join(map(chr, text)) for text in texts]
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            return list(pool.map(lambda sentence: self._say(sentence, pace), sentences))

    def _say(self, sentence: str, pace: float) -> NDArray[np.float32]:
        command = [self._program, "-v", self._voice, "-s", str(round(WORDS_A_MINUTE * pace)), "-b", "1", "--stdout"]
        try:
            done = subprocess.run(  # noqa: S603 - the program found on the path, the text by its standard input
                [*command, "--stdin"], input=sentence.encode(), capture_output=True, timeout=LIMIT_S, check=True
            )
            return _samples(done.stdout)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            mend = "try it by hand: espeak-ng -v LANGUAGE 'a text'"
            raise BadAudioError(f"espeak-ng failed: {error}", where=repr(sentence[:60]), mend=mend) from error


def _samples(wav: bytes) -> NDArray[np.float32]:
    """Return the sound (N,) in -1..1 of what the program writes: its header does not know the length."""
    start = wav.index(b"data") + 8
    if int.from_bytes(wav[24:28], "little") != SAMPLE_RATE_HZ:
        raise ValueError("another sample rate than 22050 Hz")
    body = io.BytesIO(wav[start : start + (len(wav) - start) // 2 * 2]).getvalue()
    return (np.frombuffer(body, "<i2") / 32768).astype(np.float32)


@lru_cache(maxsize=1)
def program() -> tuple[str, str]:
    """Return the program's path and version; raises `VoiceError` where it is not installed."""
    path = shutil.which(PROGRAM)
    if path is None:
        mend = "install it: apt install espeak-ng, brew install espeak-ng, or see its site"
        raise VoiceError("espeak-ng is not installed", where=PROGRAM, mend=mend)
    told = _output(path, "--version")
    version = re.search(r"\d+\.\d+[\w.-]*", told)
    return path, version.group() if version else told.strip()


@lru_cache(maxsize=1)
def languages(path: str) -> frozenset[str]:
    """Return the languages that the program speaks, in lower case."""
    lines = _output(path, "--voices").splitlines()[1:]
    return frozenset(line.split()[1].lower() for line in lines if len(line.split()) > 1)


def _output(path: str, option: str) -> str:
    done = subprocess.run([path, option], capture_output=True, text=True, timeout=LIMIT_S, check=False)  # noqa: S603
    return done.stdout


def _tag(language: str) -> str:
    """Return the BCP 47 tag of one of the program's languages: `en-us` gives `en-US`."""
    first, *rest = language.split("-")
    return "-".join([first, *(part.upper() if len(part) == 2 else part for part in rest)])  # noqa: PLR2004 - a region
