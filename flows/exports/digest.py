"""What is new since the last run, in under two minutes: its clips after a spoken heading, spread over what there is."""

from collections.abc import Iterable, Iterator

from flows.exports.podcast import Episode, begin_episode, spoken_rows
from flows.exports.published import Published
from flows.exports.target import Target
from speech.encoding import decode
from speech.errors import SpeechError
from speech.joining import PAUSE_S
from speech.records import Spoken, Waveform

LONGEST_S = 115.0
"""Under two minutes, with what an encoder adds."""
HEADING_S = 6.0
"""At most what the heading takes."""


def write_digest(rows: Iterator[Published], target: Target) -> None:
    """Write `digest.mp3` with chapters, its transcript and its chapters as JSON."""
    count, chosen = spread((one for one in rows if one.clip), LONGEST_S - HEADING_S)
    if not chosen:
        return
    heading = _say(_heading(count), chosen[0], target)
    episode = begin_episode(target, "digest", f"{target.told.title}: what is new", chosen[0])
    with episode.joined:
        if heading is not None:
            _add_heading(episode, heading)
        for one, data in spoken_rows(iter(chosen), target):
            sound = decode(data)
            if episode.joined.duration_s + sound.duration_s + PAUSE_S <= LONGEST_S:
                episode.add(one, sound)
                target.advance(1)
    episode.write_beside(target.place)


def spread(rows: Iterable[Published], budget_s: float) -> tuple[int, list[Published]]:
    """Return how many rows there are, and one of every few, as many as fit; no more than these are ever held."""
    kept: list[Published] = []
    count, every = 0, 1
    for one in rows:
        if count % every == 0:
            kept.append(one)
        count += 1
        while len(kept) > 1 and sum(other.duration_s + PAUSE_S for other in kept) > budget_s:
            kept, every = kept[::2], every * 2
    return count, kept


def _heading(count: int) -> str:
    return f"{count} new {'photo' if count == 1 else 'photos'}."


def _add_heading(episode: Episode, heading: Waveform) -> None:
    episode.joined.add(heading, "What is new")
    episode.cues.at_ms = round(episode.joined.duration_s * 1000)
    episode.chapters.append({"startTime": 0, "title": "What is new"})


def _say(text: str, like: Published, target: Target) -> Waveform | None:
    """Return a text spoken by the voice of a row, as loud as clips are; None where it cannot be loaded."""
    from speech.mastering import level, profile_named, trim
    from speech.speaking import Speaker

    try:
        (spoken,) = Speaker.load(str(like.row["voice"])).speak([text])
    except SpeechError:
        spoken = SpeechError("the voice is not here")
    if not isinstance(spoken, Spoken):
        target.tally.note("after no heading: their voice cannot be loaded here", like.id)
        return None
    return level(trim(spoken.waveform), profile_named("streaming"))
