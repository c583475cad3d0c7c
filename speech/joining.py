"""Clips one after another in one MP3 file with a chapter each, by ID3v2's CHAP and CTOC frames; memory holds one clip.

https://id3.org/id3v2-chapters-1.0
"""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import mutagen.id3
import numpy as np
import soundfile

from speech.encoding import SYNTHETIC, decode
from speech.mastering import resample
from speech.records import Waveform

ID3: Any = mutagen.id3

MOST_CHAPTERS = 250
"""A table of contents counts its chapters in one byte."""
PAUSE_S = 0.6
"""Silence between two clips."""
COMPRESSION = 0.5
"""libsndfile's level for a constant rate: 80 kbit/s at 22.05 kHz."""


@dataclass(frozen=True)
class Chapter:
    """One clip in a joined file."""

    start_s: float
    """Where it begins."""
    end_s: float
    """Where the pause after it begins."""
    title: str
    """What a player shows."""
    told: Mapping[str, str] = field(default_factory=dict)
    """What else its frame says, by name."""


class JoinedClips:
    """A file that clips are added to; a context that writes the chapters at its end."""

    def __init__(self, path: Path, title: str, language: str) -> None:
        """Write to `path`; the first clip's sample rate becomes the file's."""
        self.path, self.title, self.language = path, title, language
        self.chapters: list[Chapter] = []
        self._file: soundfile.SoundFile | None = None
        self._frames = 0

    def __enter__(self) -> Self:
        """Nothing is opened before the first clip."""
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Close the file, with its chapters where all went well."""
        if self._file is not None:
            self._file.close()
            if kind is None:
                self._tag()

    @property
    def duration_s(self) -> float:
        """Length so far, in seconds."""
        return self._frames / self._file.samplerate if self._file is not None else 0.0

    def add(self, sound: Waveform, title: str, told: Mapping[str, str] | None = None) -> Chapter:
        """Add a clip's sound and a pause; raises OSError where the disk refuses."""
        if self._file is None:
            kind = {"format": "MP3", "subtype": "MPEG_LAYER_III", "compression_level": COMPRESSION}
            self._file = soundfile.SoundFile(self.path, "w", sound.sample_rate_hz, 1, bitrate_mode="CONSTANT", **kind)
        start_s = self.duration_s
        samples = resample(sound, self._file.samplerate).samples
        self._file.write(np.clip(samples, -1.0, 1.0))
        self._frames += len(samples)
        chapter = Chapter(start_s, self.duration_s, title, told or {})
        pause = np.zeros(round(PAUSE_S * self._file.samplerate), dtype=np.float32)
        self._file.write(pause)
        self._frames += len(pause)
        self.chapters.append(chapter)
        return chapter

    def _tag(self) -> None:
        tags = ID3.ID3()
        tags.add(ID3.TIT2(encoding=3, text=self.title))
        tags.add(ID3.TXXX(encoding=3, desc="DIGITALSOURCETYPE", text=SYNTHETIC))
        tags.add(ID3.TXXX(encoding=3, desc="LANGUAGE", text=self.language))
        names = [f"c{number:03d}" for number in range(1, len(self.chapters) + 1)]
        flags = ID3.CTOCFlags.TOP_LEVEL | ID3.CTOCFlags.ORDERED
        tags.add(ID3.CTOC(element_id="toc", flags=flags, child_element_ids=names, sub_frames=[]))
        keys = sorted({key for chapter in self.chapters for key in chapter.told})
        longest = max(_length(chapter) for chapter in self.chapters)
        for name, chapter in zip(names, self.chapters, strict=True):
            tags.add(_frame(name, chapter, keys, longest))
        tags.save(self.path)


def _frame(name: str, chapter: Chapter, keys: Sequence[str], longest: int) -> Any:
    """Return a chapter's frame, filled up to the length of all others.

    mutagen writes frames in the order of their lengths, then of their names, and players list them as they lie there.
    """
    times = {"start_time": round(chapter.start_s * 1000), "end_time": round(chapter.end_s * 1000)}
    unused = {"start_offset": 0xFFFFFFFF, "end_offset": 0xFFFFFFFF}
    told = [ID3.TXXX(encoding=3, desc=key, text=chapter.told.get(key, "")) for key in keys]
    filling = ID3.PRIV(owner="filling", data=bytes(longest - _length(chapter)))
    title = ID3.TIT2(encoding=3, text=chapter.title)
    return ID3.CHAP(element_id=name, **times, **unused, sub_frames=[title, *told, filling])


def _length(chapter: Chapter) -> int:
    return sum(len(text.encode()) for text in (chapter.title, *chapter.told.values()))


def as_mp3(data: bytes) -> tuple[bytes, float]:
    """Return a clip of another format as MP3 with the mark of synthetic sound, and its length in seconds."""
    sound = decode(data)
    stream = io.BytesIO()
    soundfile.write(
        stream, np.clip(sound.samples, -1.0, 1.0), sound.sample_rate_hz,
        format="MP3", subtype="MPEG_LAYER_III", bitrate_mode="CONSTANT", compression_level=COMPRESSION,
    )  # fmt: skip
    tags = ID3.ID3()
    tags.add(ID3.TXXX(encoding=3, desc="DIGITALSOURCETYPE", text=SYNTHETIC))
    stream.seek(0)
    tags.save(stream)
    return stream.getvalue(), sound.duration_s
