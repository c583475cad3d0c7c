"""The stages of a run whose shards workers of a cluster do: the driver looks up, keeps the order and commits."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from flows import far, paths
from flows.clusters import Cluster
from flows.finding import take_in
from flows.job import placed
from flows.making import open_works, spoken_text
from flows.records import Shard, Work
from flows.stages import Lane, Stages

FROM_WORKER = ("photo", "refusal", "failure", "caption", "alt_text", "clip", "reuses_raw")
"""Fields of a photo that a worker fills in."""


@dataclass
class FarStages(Stages):
    """Three visits a shard: it is opened far away, looked up here, made far away, and committed here, in order."""

    cluster: Cluster | None = None
    """Who does the work."""
    _said: dict[str, str | None] = field(default_factory=dict)
    """By id, the words of photos before they were spoken; None for those that have none."""

    def __post_init__(self) -> None:
        """Write down once what every worker is told."""
        super().__post_init__()
        settings = placed(self.rooms.job.model_dump(mode="json"))
        threads = self.cluster.threads if self.cluster is not None else None
        self._order = far.Order(settings, self.rooms.digests, threads)

    def lanes(self) -> list[Lane]:
        """Return the four stages: as many shards as the cluster is wide in the far ones, one in those of the driver."""
        width = self.cluster.width if self.cluster is not None else 1
        return [
            Lane([("ingest", self.open_far)], width, is_far=True),
            Lane([("look up", self._timed("look up"))]),
            Lane([("narrate", self.make_far)], width, is_far=True),
            Lane([("commit", self._timed("commit"))]),
        ]

    def open_far(self, shard: Shard) -> None:
        """Have a worker open the photos whose caption no row has for certain."""
        unread = []
        for work in shard.works:
            row = work.row_before
            if row is not None and self.plan.is_unchanged(work) and self.plan.digests.caption_holds(row):
                work.sha256 = row["sha256"]
            else:
                unread.append(work)
        if unread:
            visit = self._visit("ingest", shard.number, far.look, addresses=[work.source.fetched_by for work in unread])
            for work, outcome, picture_hash in zip(unread, visit.outcomes, visit.hashes, strict=True):
                take_in(work, outcome)
                work.picture_hash = picture_hash
                work.seconds["ingest"] = visit.seconds / len(unread)
            self._count_seconds("ingest", visit.seconds)
        self.advance("ingest", len(unread))

    def look_up(self, shard: Shard) -> None:
        """Find what is there already of each photo, in the order of their ids."""
        for work in shard.works:
            self._finder.find(work)
        self._maker.alt_text(shard)  # of captions that rows have: a new policy, no model
        for work in shard.works:
            if work.caption is not None:
                self._finder.look_up_clip(work)

    def make_far(self, shard: Shard) -> None:
        """Have a worker describe and speak what is still open."""
        wanted = open_works(shard, lambda work: not work.reuses_clip)
        if wanted:
            slim = Shard(shard.number, [_slim(work) for work in wanted])
            visit = self._visit("narrate", shard.number, far.make, shard=slim)
            for work, made, said in zip(wanted, visit.works, visit.said, strict=True):
                self._take_over(work, made)
                self._said[work.source.id] = said
            for stage in {name for work in visit.works for name in work.seconds}:
                self._count_seconds(stage, sum(work.seconds.get(stage, 0.0) for work in visit.works))
        for stage in ("features", "captions", "speech", "master and encode"):
            self.advance(stage, len(wanted))

    def commit(self, shard: Shard) -> None:
        """See whose words are those of the photo before it, then commit."""
        for work in shard.works:
            self._neighbours.look(work, self._words_of(work.twin or work))
        super().commit(shard)
        for work in shard.works:
            self._said.pop(work.source.id, None)

    def _words_of(self, work: Work) -> str | None:
        if work.source.id in self._said:
            return self._said[work.source.id]
        return spoken_text(work) if work.refusal is None and work.failure is None else None

    def _take_over(self, work: Work, made: Work) -> None:
        for name in FROM_WORKER:
            value = getattr(made, name)
            if value and (name != "photo" or work.photo is None):  # a caption that a row has was never sent
                setattr(work, name, value)
        work.seconds |= made.seconds
        if work.clip is not None:
            work.clip = replace(work.clip, path=paths.state_folder(self.rooms.job.out) / work.clip.path.name)  # type: ignore[arg-type]

    def _visit(self, stage: str, number: int, function: Callable[..., far.Visit], **parameters: Any) -> far.Visit:
        if self.cluster is None:
            raise ValueError("there is no cluster")
        visit: far.Visit = self.cluster.call(stage, number, function, self.stop, order=self._order, **parameters)
        with self._count:
            workers = self.summary.workers
            shards, loads = workers.get(visit.where, (0, 0))
            workers[visit.where] = (shards + (stage == "narrate"), loads + visit.loaded)
        return visit

    def _count_seconds(self, stage: str, seconds: float) -> None:
        with self._count:
            self.summary.stage_seconds[stage] = self.summary.stage_seconds.get(stage, 0.0) + seconds
            self.summary.called_s += seconds


def _slim(work: Work) -> Work:
    """Return a photo's record with what a worker needs and no more: where it is, its hash, and its words."""
    reused = {"alt_text": work.reused["alt_text"]} if work.reused is not None and work.alt_text is None else None
    kept: Sequence[str] = ("sha256", "alt_text", "reuses_caption")
    return Work(work.source, reused=reused, **{name: getattr(work, name) for name in kept})
