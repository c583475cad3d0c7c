"""One run from a Job to its numbers: check, list, plan, load, narrate, keep account."""

import os
import secrets
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from captioner.errors import CaptionerError
from flows import paths
from flows.addresses import shown
from flows.clips import heal
from flows.clusters import Cluster, cluster_of
from flows.console import Console, amount
from flows.engine import Body, client_of, run_directly, run_in_flow, run_in_prefect
from flows.errors import BrokenOffError, FlowError
from flows.estimate import Estimate, estimate
from flows.inputs import Listing, list_photos
from flows.job import Job
from flows.manifest import ROWS_A_PART, Manifest
from flows.narrate import Call, Watcher, cut, narrate
from flows.output import check_room, opened
from flows.page import write_pages
from flows.plan import Amounts, Plan
from flows.records import Row, Summary
from flows.report import account
from flows.rooms import Rooms
from flows.schema import REASONS
from flows.server import TemporaryServer, configured_api_url
from flows.spread import FarStages
from flows.stages import Stages
from flows.stopping import Stop
from flows.storage import size_of, write_json
from flows.tables import own_columns, read_table, row_id
from flows.turns import turns_at
from flows.watching import run_name
from flows.words import same_language
from flows.workers import Workers
from speech.errors import SpeechError

if TYPE_CHECKING:
    from flows.bursts import Bursts


def dry_run(job: Job) -> tuple[Amounts, Estimate]:
    """Return what `run` would do, without writing anything in the output folder."""
    with tempfile.TemporaryDirectory(prefix="narrate-") as scratch:
        rooms, listing = _prepare(job)
        try:
            manifest = Manifest(job.out)
        except OSError as error:
            raise FlowError(
                f"this cannot be read ({error.strerror})", str(job.out), "mend it, or choose another"
            ) from error
        with _plan(manifest, rooms, Path(scratch)) as plan:
            _take_stock(job, plan, listing)
            amounts = plan.amounts()
            return amounts, estimate(job, amounts)


def _plan(manifest: Manifest, rooms: Rooms, scratch: Path) -> Plan:
    job = rooms.job
    asked = {"rehash": job.rehash, "bursts": job.bursts}
    return Plan(manifest, rooms.digests, scratch, rooms.reviews, retry=job.retry, **asked)


def run(job: Job, console: Console, *, is_flow_run: bool = False) -> Summary:
    """Narrate what is left to do and return the run in numbers; `is_flow_run`: this process is in Prefect's flow run.

    Raises FlowError, CaptionerError or SpeechError where the run cannot start, OSError where the disk fails in mid-run.
    """
    rooms, listing = _prepare(job)
    scratch = paths.scratch_folder(job.out)
    with opened(job.out) as lock:
        manifest = Manifest(job.out)
        manifest.renew()
        heal(job.out, manifest)
        with Plan(
            manifest, rooms.digests, scratch, rooms.reviews, rehash=job.rehash, retry=job.retry, bursts=job.bursts
        ) as plan:
            strangers = _take_stock(job, plan, listing)
            if strangers:
                console.say(f"{job.table}: {strangers} rows fit no photo by their id")
            plan.mark(job.limit)
            amounts = plan.amounts()
            _check(job, plan, amounts, listing, console)
            plan.check_lock = lock.check
            whole = _Run(job, rooms, plan, amounts, listing, console)
            whole.is_flow_run = is_flow_run
            return whole.narrate()


def _check(job: Job, plan: Plan, amounts: Amounts, listing: Listing, console: Console) -> None:
    """Raise FlowError where what was found cannot be meant, or the disk has no room for what is to come."""
    if "." in listing.unreadable:
        raise FlowError("the folder of photos cannot be read", job.photos, "check its permissions and the disk")
    if not amounts.found and amounts.gone:
        what = f"no photo is here, and {amounts.gone} were at the last run"
        raise FlowError(
            what, job.photos, "check that the disk is there; to give the photos up, remove the output folder"
        )
    if foreign := plan.foreign():
        what = f"{shown(foreign[0])} has the row of {shown(foreign[1])} in this output folder and is still there"
        raise FlowError(what, str(job.out), "choose an output folder for each folder of photos")
    for folder in listing.unreadable:
        console.say(f"{folder}: this folder cannot be read; what is below it stays as it was")
    if not amounts.found:
        console.say(f"{job.photos}: no file that looks like an image is here")
    check_room(job.out, estimate(job, amounts).written_bytes)


def _take_stock(job: Job, plan: Plan, listing: Listing) -> int:
    """Hand the plan the photos and the caller's own columns; return how many rows of the table fit no photo."""
    plan.add(listing.sources(job.out))
    if job.table is None:
        return 0
    rows = read_table(job.table)
    return plan.annotate((row_id(row, job.image_column, job.table), own_columns(row)) for row in rows)


def _prepare(job: Job) -> tuple[Rooms, Listing]:
    if job.retry not in (None, "all", *REASONS):
        raise FlowError(f"there is no reason {job.retry}", "--retry", f"choose one of all, {', '.join(REASONS)}")
    if job.runner != "threads" and job.engine == "none":
        raise FlowError(
            "the workers of a cluster are called by Prefect", f"--runner {job.runner}", "leave --engine out"
        )
    rooms = Rooms(job)
    spoken, written = rooms.voice.language, rooms.captioner_info.language
    if not same_language(spoken, written):
        what = f"the voice {rooms.voice.name} speaks {spoken} and the captioner {job.captioner} writes {written}"
        raise FlowError(what, "--voice", "choose a voice of the captions' language")
    return rooms, list_photos(job.photos, job.image_column)


class _Run:
    """What one run holds while it lasts."""

    is_flow_run = False
    """Whether this process is in a flow run that Prefect began: by a schedule, or by hand in its UI."""

    def __init__(
        self, job: Job, rooms: Rooms, plan: Plan, amounts: Amounts, listing: Listing, console: Console
    ) -> None:
        self.job, self.rooms, self.plan, self.console = job, rooms, plan, console
        self.amounts, self.listing = amounts, listing
        self.to_do = min(amounts.to_do, job.limit or amounts.to_do)
        self.began = datetime.now(UTC)
        self.summary = Summary(f"{self.began:%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}")
        self.summary.counts.taken_over = amounts.found - amounts.to_do
        self.summary.counts.left = amounts.to_do

    def narrate(self) -> Summary:
        """Load the models, by the side of Prefect's server where one is wanted, and narrate."""
        with ExitStack() as stack:
            server = self._start_server(stack)
            stop = Stop(self.console.say, server.stop if server is not None else lambda: None)
            cluster = self._load(stack)
            here = self.to_do and cluster is None
            device = self.rooms.device if here else "cpu"
            workers = stack.enter_context(decoders(device))
            turns = turns_at(device, stop, self.console.say)

            def body(call: Call, watchers: Sequence[Watcher]) -> Summary:
                with stop.listening(), self.console.progress(self.to_do), _once_begun():
                    self._keep_account()
                    shards = cut(self.plan.works(), self.job.shard_size)
                    told = (self.rooms, self.plan, self.summary, stop, workers, self.console.advance, self._bursts())
                    far = cluster is not None and watchers  # without Prefect there is nobody to ask the cluster
                    stages = FarStages(*told, cluster=cluster) if far else Stages(*told, turns=turns)
                    narrate(shards, stages, self.to_do, call, [self.console, *watchers])
                    call("report", None, self._report)
                return self.summary

            return self._carry_out(body, server)

    def _load(self, stack: ExitStack) -> Cluster | None:
        """Load the models, or hold the cluster whose workers load them."""
        if not self.to_do:
            return None
        if self.job.runner == "threads":
            self.console.say(f"Narrating {amount(self.to_do, 'photo')}; loading the captioner and the voice ...")
            self.rooms.load()
            return None
        self.console.say(
            f"Narrating {amount(self.to_do, 'photo')} by {self.job.runner} ({self.job.address or 'this machine'}) ..."
        )
        return stack.enter_context(cluster_of(self.job))

    def _bursts(self) -> "Bursts | None":
        if not self.job.bursts:
            return None
        from flows.bursts import Bursts

        return Bursts()

    def _report(self) -> None:
        """Note which photos are gone or found again, count up, and keep the run's account and page."""
        if self.summary.interrupted is None:
            gone = (row | {"missing_since": self.began} for row in self.plan.gone(self.listing.unreadable))
            self._note(gone)
            self._note(self.plan.found_again())
            self._note(self.plan.newly_decided())
        self.summary.missing = self.plan.count_missing()
        self._check_counts()
        self._keep_account()
        news = self.summary.counts.committed or self.summary.noted
        if self.summary.interrupted is None and (news or size_of(paths.report_path(self.job.out)) is None):
            write_pages(self.job.out, self.plan.manifest, self.summary)

    def _keep_account(self) -> None:
        """Write the run's settings and numbers, as far as they are known."""
        place, scratch = paths.run_path(self.job.out, self.summary.run_id), paths.scratch_folder(self.job.out)
        write_json(place, account(self.job, self.summary, self.began), scratch)

    def _check_counts(self) -> None:
        """Raise FlowError unless every source found has a row, those left for another run aside."""
        counts, rowless = self.summary.counts, self.plan.count_rowless()
        if rowless > counts.left:
            what = f"{self.amounts.found} photos were found, {rowless} have no row and only {counts.left} were left"
            raise FlowError(what, str(self.job.out), "this is our fault: run it again and report it")

    def _note(self, rows: Iterator[Row]) -> None:
        """Commit rows that only changed in where their photo is."""
        change = {"run_id": self.summary.run_id, "committed_at": datetime.now(UTC)}
        while batch := [row | change for row in islice(rows, ROWS_A_PART)]:
            self.plan.commit(batch)
            self.summary.noted += len(batch)

    def _start_server(self, stack: ExitStack) -> TemporaryServer | None:
        """Start a server of our own where there is work to watch and the user has set up none."""
        if self.is_flow_run or self.job.engine == "none" or self.to_do == 0 or configured_api_url() is not None:
            return None
        try:
            return stack.enter_context(TemporaryServer())
        except OSError as error:
            self.console.say(f"Prefect's temporary server cannot be started ({error}); the run goes on without it.")
            return None

    def _carry_out(self, body: Body, server: TemporaryServer | None) -> Summary:
        """Run `body` under Prefect where it is wanted and can be had."""
        name, say = run_name(self.job.photos, f"{self.began:%Y-%m-%d %H:%M}"), self.console.say
        if self.is_flow_run:
            self.summary.orchestration = "prefect"
            return run_in_flow(body, self.job, say)
        if self.job.engine == "none" or (server is None and configured_api_url() is None):
            return run_directly(body)
        if server is None:  # the user's own, where an idle night is seen too
            self.summary.orchestration = "prefect"
            return run_in_prefect(body, name, self.job, say)
        url = server.wait()
        if url is None:
            why = server.last_words()
            self.console.say(f"Prefect's temporary server did not come up ({why}); the run goes on without it.")
            return run_directly(body)
        self.summary.orchestration = "prefect, temporary server"
        with client_of(url, server.home):
            return run_in_prefect(body, name, self.job, say)


def decoders(device: str) -> Executor:
    """Return the workers that open photos: processes where a GPU is to be fed, threads beside models on the CPU."""
    cores = os.cpu_count() or 1
    if device.startswith("cuda"):
        return Workers(min(cores, 16))
    return ThreadPoolExecutor(min(cores, 4), thread_name_prefix="decode")


@contextmanager
def _once_begun() -> Iterator[None]:
    """Say of an error inside the block that the run had begun: it ends with another status than one that never did."""
    try:
        yield
    except (FlowError, CaptionerError, SpeechError) as error:
        raise BrokenOffError(str(error)) from error
