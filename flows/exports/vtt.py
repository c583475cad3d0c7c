"""WebVTT: one cue a clip, each after the one before, as the clips are heard one after another."""

from collections.abc import Iterator
from pathlib import Path

from flows.exports.published import Published
from flows.exports.target import Target

_ESCAPES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def write_vtt(rows: Iterator[Published], target: Target) -> None:
    """Write the cues; a note before each says which photo it is about and how the text was made."""
    with Path(target.place).open("w", encoding="utf-8") as file:
        file.write(f"WEBVTT - {one_line(target.told.title)}\n")
        cues = Cues()
        for one in rows:
            if one.is_decorative:
                target.leave_out("decorative, so without a cue", one)
            elif not one.clip:
                target.leave_out("edited since the last run, so without sound: narrate run speaks them", one)
            else:
                file.write(cues.next(one, one.duration_s))
                target.advance(1)


class Cues:
    """Cues one after another: number and time of the next one."""

    def __init__(self) -> None:
        """Begin at zero; times are whole milliseconds, so that no rounding lets two cues overlap."""
        self.number, self.at_ms = 0, 0
        self.language: str | None = None

    def next(self, one: Published, duration_s: float) -> str:
        """Return the note and the cue of a row whose clip is so long; the first row's language is the file's."""
        self.number += 1
        begin, self.at_ms = self.at_ms, self.at_ms + max(1, round(duration_s * 1000))
        self.language = self.language or one.language
        words = one_line(one.alt_text).translate(_ESCAPES)
        if one.language != self.language:
            words = f"<lang {one.language}>{words}</lang>"
        note = f"NOTE {one_line(one.id)}; text: {one.made_by}; photo sha256 {one.sha256}"
        cue = f"{self.number} {one.sha256[:16]}\n{stamp(begin)} --> {stamp(self.at_ms)}\n{words}"
        return f"\n{note.replace('-->', '→')}\n\n{cue}\n"


def stamp(time_ms: int) -> str:
    """Return a time as WebVTT writes it: `01:02:03.456`."""
    seconds, milliseconds = divmod(time_ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}.{milliseconds:03d}"


def one_line(text: str) -> str:
    """Return a text without line ends, which would end a cue."""
    return " ".join(text.split())
