"""Bursts: photos taken within seconds of each other that look alike; one is described, the others take its words.

Both time and likeness are needed: a still-life series looks alike over hours, and a walk shows others each second.
"""

from collections import deque
from datetime import timedelta

import imagehash
from PIL import Image

from captioner.records import Photo
from flows.records import Work

LONGEST = timedelta(seconds=10)
"""How far from the described frame, by EXIF, another one of its burst may have been taken."""

MOST_BITS = 8
"""In how many of 64 bits the perceptual hashes of two frames of a burst may differ."""

REMEMBERED = 512
"""Described photos that a later one is compared with: names put the frames of a burst near each other."""


class Bursts:
    """The photos of this run that others may turn out to be frames of."""

    def __init__(self) -> None:
        """Remember none yet."""
        self._described: deque[Work] = deque(maxlen=REMEMBERED)

    def leader_of(self, work: Work) -> Work | None:
        """Return the photo whose burst `work` belongs to; where there is none, others may belong to `work`'s.

        A photo without a time in its EXIF belongs to no burst. Sets the photo's perceptual hash.
        """
        photo = work.photo
        if photo is None or photo.taken_at is None:
            return None
        work.picture_hash = work.picture_hash or picture_hash(photo)
        for other in reversed(self._described):
            if _are_one_burst(work, other):
                return other
        self._described.append(work)
        return None


def picture_hash(photo: Photo) -> str:
    """Return the perceptual hash of a photo's picture: 16 hex digits, alike for pictures that look alike."""
    return str(imagehash.phash(Image.fromarray(photo.pixels)))


def _are_one_burst(work: Work, other: Work) -> bool:
    if work.photo is None or other.photo is None or work.photo.taken_at is None or other.photo.taken_at is None:
        return False
    apart = int(work.picture_hash or "0", 16) ^ int(other.picture_hash or "0", 16)
    return abs(work.photo.taken_at - other.photo.taken_at) <= LONGEST and apart.bit_count() <= MOST_BITS
