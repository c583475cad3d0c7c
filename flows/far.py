"""What a worker of a cluster does with a shard: open, describe, speak. Paths, hashes and words travel; pixels never do.

Models and settings are loaded once a process, by the first shard that needs them.
"""

import os
import socket
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from captioner.records import Photo, Refusal
from flows import paths
from flows.digests import Digests
from flows.errors import FlowError
from flows.finding import take_in
from flows.job import Job
from flows.making import Batches, Maker, open_works, spoken_text, without_pixels
from flows.opening import open_uri
from flows.records import Shard, Work
from flows.rooms import Rooms
from flows.stopping import Stop
from flows.storage import place
from flows.thumbnails import write_thumbnail

KEPT_PHOTOS = 256
"""Opened photos that a worker keeps for the shard's second visit, about 150 kB each; others are read again."""


@dataclass(frozen=True)
class Order:
    """What every shard of a run tells its worker."""

    settings: dict[str, Any]
    """The Job as JSON has it, its paths absolute."""
    digests: Digests
    """What the driver's settings and weights are: a worker must have the same."""
    threads: int | None = None
    """Threads for the models where the run has started the workers itself and shares the cores among them."""


@dataclass
class Visit:
    """What a worker hands back."""

    where: str
    """Host and process."""
    seconds: float = 0.0
    """Time that it took, loading aside."""
    loaded: bool = False
    """Whether the models were loaded for it."""
    outcomes: list[Photo | Refusal | OSError | MemoryError] = field(default_factory=list)
    """What came of opening each photo, without its pixels."""
    hashes: list[str | None] = field(default_factory=list)
    """The perceptual hash of each photo, where bursts are looked for."""
    works: list[Work] = field(default_factory=list)
    """The photos as the stages left them."""
    said: list[str | None] = field(default_factory=list)
    """The words of each photo before it was spoken; None where it has none."""


class _Desk:
    """The rooms of one run in this process; one shard at a time is at it."""

    def __init__(self, order: Order) -> None:
        self.rooms = Rooms(Job.model_validate(order.settings))
        if self.rooms.digests != order.digests:
            mend = "give every worker the same version, models, voices and lexicon as the driver"
            raise FlowError("this worker would make other words or sounds than the driver", _where(), mend)
        if order.threads is not None and "OMP_NUM_THREADS" not in os.environ:
            import torch

            torch.set_num_threads(order.threads)
        self.rooms.load()


_LOCK = threading.Lock()
_DESKS: dict[str, _Desk] = {}
_OPENED: "OrderedDict[str, Photo]" = OrderedDict()


def look(order: Order, addresses: Sequence[str]) -> Visit:
    """Open photos and hash them; what the second visit needs of their pixels stays in this process."""
    with _LOCK:
        desk, visit = _desk(order)
        began, rooms = perf_counter(), desk.rooms
        for address in addresses:
            outcome = open_uri(address, rooms.captioner.input_size_px)
            visit.hashes.append(None)
            if isinstance(outcome, Photo):
                write_thumbnail(rooms.job.out, outcome)
                visit.hashes[-1] = _picture_hash(outcome) if rooms.job.bursts else None
                _keep(outcome)
                outcome = replace(outcome, pixels=outcome.pixels[:0])
            visit.outcomes.append(outcome)
        visit.seconds = perf_counter() - began
        return visit


def make(order: Order, shard: Shard) -> Visit:
    """Describe and speak the photos of a shard; the clips lie in the output folder under names of this visit alone."""
    with _LOCK:
        desk, visit = _desk(order)
        began, rooms = perf_counter(), desk.rooms
        rooms.job.out.mkdir(parents=True, exist_ok=True)
        paths.scratch_folder(rooms.job.out).mkdir(parents=True, exist_ok=True)
        for work in open_works(shard, lambda work: not work.reuses_caption and work.alt_text is None):
            _open_again(work, rooms)
        batches = Batches(Stop(lambda _line: None, lambda: None), lambda _stage, _photos: None)
        maker = Maker(rooms, batches, mark=f"-{_where().replace(':', '-')}")
        for stage in (maker.features, maker.captions, maker.alt_text):
            stage(shard)
        visit.said = [spoken_text(work) if work.is_open else None for work in shard.works]
        for stage in (maker.speech, maker.master_and_encode):
            stage(shard)
        for work in shard.works:
            _hand_over(work, rooms)
        visit.works, visit.seconds = shard.works, perf_counter() - began
        return visit


def _desk(order: Order) -> tuple[_Desk, Visit]:
    key = repr(order)
    loaded = key not in _DESKS
    if loaded:
        _DESKS.clear()  # another run's models make room
        _DESKS[key] = _Desk(order)
    return _DESKS[key], Visit(_where(), loaded=loaded)


def _where() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def _keep(photo: Photo) -> None:
    _OPENED[photo.sha256] = photo
    while len(_OPENED) > KEPT_PHOTOS:
        _OPENED.popitem(last=False)


def _open_again(work: Work, rooms: Rooms) -> None:
    """Give the photo its pixels: those that this process kept, else from the file, which must be the same still."""
    photo = _OPENED.pop(work.sha256 or "", None)
    if photo is not None:
        work.photo = photo
        return
    sha256 = work.sha256
    take_in(work, open_uri(work.source.fetched_by, rooms.captioner.input_size_px))
    if work.is_open and work.sha256 != sha256:
        work.sha256, work.photo = sha256, without_pixels(work.photo)
        work.failure = ("unreadable", "the photo changed while it was narrated; it is made at the next run")


def _hand_over(work: Work, rooms: Rooms) -> None:
    """Leave nothing in the photo's record that is large, and its clip where the driver finds it."""
    work.photo = without_pixels(work.photo)
    work.features = work.spoken = None
    final = paths.state_folder(rooms.job.out) / work.clip.path.name if work.clip is not None else None
    if work.clip is not None and final is not None and not isinstance(final, Path):
        place(work.clip.path, final)  # the driver cannot reach this machine's disk
        work.clip = replace(work.clip, path=final)  # type: ignore[arg-type]


def _picture_hash(photo: Photo) -> str | None:
    if photo.taken_at is None:
        return None
    from flows.bursts import picture_hash

    return picture_hash(photo)
