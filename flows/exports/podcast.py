"""A podcast: an episode for every 250 photos, a chapter a photo, by RSS 2.0 and Podcasting 2.0; and the digest of news.

https://podcastindex.org/namespace/1.0 (chapters as JSON, the transcript as WebVTT); the chapters are in the MP3 too.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import format_datetime
from itertools import islice
from pathlib import Path
from typing import Any

from flows.exports.markup import xml_text
from flows.exports.published import Published
from flows.exports.target import Target
from flows.exports.vtt import Cues, one_line
from flows.storage import EPOCH
from speech.encoding import decode
from speech.joining import MOST_CHAPTERS, Chapter, JoinedClips
from speech.records import Waveform

SPACES = (
    'xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd" xmlns:podcast="https://podcastindex.org/namespace/1.0"'
)


@dataclass
class Episode:
    """One file of clips, while it is made."""

    name: str
    """Name of its files without their endings."""
    title: str
    """What a player shows."""
    language: str
    """BCP 47 tag of its first text."""
    joined: JoinedClips
    """The sound."""
    cues: Cues = field(default_factory=Cues)
    """The transcript's times."""
    transcript: list[str] = field(default_factory=list)
    """Its notes and cues."""
    chapters: list[dict[str, Any]] = field(default_factory=list)
    """As Podcasting 2.0 has them."""
    makers: Counter[str] = field(default_factory=Counter)
    """How the texts were made, and how many."""
    newest: datetime = EPOCH
    """When its newest row was committed."""

    def add(self, one: Published, sound: Waveform) -> Chapter:
        """Add a photo's clip as a chapter."""
        told = {"PHOTO": one.id, "PHOTO_SHA256": one.sha256, "TEXT_MADE_BY": one.made_by}
        chapter = self.joined.add(sound, one_line(one.title), told)
        self.transcript.append(self.cues.next(one, chapter.end_s - chapter.start_s))
        self.cues.at_ms = round(self.joined.duration_s * 1000)
        self.chapters.append({"startTime": round(chapter.start_s, 3), "title": one_line(one.title)})
        self.makers[one.made_by] += 1
        self.newest = max(self.newest, one.row["committed_at"] or EPOCH)
        return chapter

    def write_beside(self, folder: Path) -> None:
        """Write chapters and transcript beside the sound."""
        chapters = {"version": "1.2.0", "title": self.title, "chapters": self.chapters}
        (folder / f"{self.name}.chapters.json").write_text(
            json.dumps(chapters, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
        )
        words = f"WEBVTT - {one_line(self.title)}\n{''.join(self.transcript)}"
        (folder / f"{self.name}.vtt").write_text(words, encoding="utf-8")

    @property
    def about(self) -> str:
        """Say how the texts were made."""
        made = ", ".join(f"{maker} ({count})" for maker, count in self.makers.most_common())
        return f"{len(self.chapters)} photos, described. Texts: {made}. The voice is synthetic."


def write_podcast(rows: Iterator[Published], target: Target) -> None:
    """Write the feed and its episodes; rows without sound are left out."""
    number, items = 0, list[str]()
    heard = spoken_rows(rows, target)
    while batch := list(islice(heard, MOST_CHAPTERS)):
        number += 1
        episode = begin_episode(target, f"episode-{number:04d}", f"{target.told.title}, {number}", batch[0][0])
        with episode.joined:
            for one, data in batch:
                episode.add(one, decode(data))
                target.advance(1)
        episode.write_beside(target.place)
        items.append(_item(episode, target))
    (target.place / "feed.xml").write_text(_feed(target, items), encoding="utf-8")


def spoken_rows(rows: Iterator[Published], target: Target) -> Iterator[tuple[Published, bytes]]:
    """Yield the rows that have a clip, with its bytes; the others are left out and counted."""
    for one in rows:
        if one.is_decorative:
            target.leave_out("decorative, so without sound", one)
        elif (data := target.clip_bytes(one)) is not None:
            yield one, data
        else:
            target.counted(1)


def begin_episode(target: Target, name: str, title: str, first: Published) -> Episode:
    """Open an episode's file in the export's folder."""
    return Episode(name, title, first.language, JoinedClips(target.place / f"{name}.mp3", title, first.language))


def _item(episode: Episode, target: Target) -> str:
    web, sound = target.told.web, target.place / f"{episode.name}.mp3"
    address = xml_text(f"{web}/{episode.name}")
    return f"""<item>
<title>{xml_text(episode.title)}</title>
<description>{xml_text(episode.about)}</description>
<guid isPermaLink="false">{address}-{int(episode.newest.timestamp())}</guid>
<pubDate>{format_datetime(episode.newest)}</pubDate>
<enclosure url="{address}.mp3" length="{sound.stat().st_size}" type="audio/mpeg"/>
<itunes:duration>{round(episode.joined.duration_s)}</itunes:duration>
<podcast:chapters url="{address}.chapters.json" type="application/json+chapters"/>
<podcast:transcript url="{address}.vtt" type="text/vtt" language="{xml_text(episode.language)}"/>
</item>
"""


def _feed(target: Target, items: list[str]) -> str:
    title, web = xml_text(target.told.title), xml_text(target.told.web)
    return f"""<?xml version="1.0" encoding="utf-8"?>
<rss version="2.0" {SPACES} xmlns:atom="http://www.w3.org/2005/Atom">
<channel>
<title>{title}</title>
<link>{web}</link>
<description>{title}: a chapter a photo, read aloud by a synthetic voice.</description>
<language>en</language>
<generator>image-narrator</generator>
<itunes:explicit>false</itunes:explicit>
<atom:link href="{web}/feed.xml" rel="self" type="application/rss+xml"/>
{"".join(items)}</channel>
</rss>
"""
