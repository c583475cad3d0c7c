"""The ways to call a stage: directly, or as a task run inside a Prefect flow run.

What is done is decided by the manifest alone. Prefect watches: where it cannot be reached, stages are called directly.
"""

import functools
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from flows.errors import Interrupted
from flows.job import Job
from flows.narrate import Call, Watcher
from flows.records import Summary
from flows.report import count_line, has_failed, reason_line
from flows.stopping import EXIT_STATUS
from flows.watching import PrefectWatcher, first_line

Body = Callable[[Call, Sequence[Watcher]], Summary]
"""The run itself, handed a way to call a stage and those who watch."""


def run_directly(body: Body) -> Summary:
    """Run `body` with its stages called as plain functions."""
    return body(lambda _name, _number, function: function(), [])


def run_in_flow(body: Body, job: Job, say: Callable[[str], None]) -> Summary:
    """Run `body` in the flow run that this process is in; each stage of each shard is one task run of it."""
    return _Outcome(body, job, say).run()


def run_in_prefect(body: Body, name: str, job: Job, say: Callable[[str], None]) -> Summary:
    """Run `body` as a Prefect flow run called `name`; each stage of each shard is one task run.

    An API that cannot be reached is said once and the run goes on without it; errors of `body` are raised as they are.
    """
    from prefect.exceptions import TerminationSignal

    from flows.flow import narrate

    outcome = _Outcome(body, job, say)
    _waiting.append(outcome)
    try:
        narrate.with_options(flow_run_name=name.replace("{", "{{").replace("}", "}}"))(job=job, return_state=True)
    except (Exception, TerminationSignal) as error:  # noqa: BLE001 - whatever Prefect raises, the run has its own outcome
        outcome.trouble = error
    _waiting.clear()
    if isinstance(outcome.trouble, TerminationSignal) and outcome.summary is None:
        sys.exit(EXIT_STATUS["SIGTERM"])
    if not outcome.began:
        say(f"Prefect cannot be reached ({first_line(outcome.trouble)}); the run goes on without it.")
        return run_directly(body)
    if outcome.error is not None:
        raise outcome.error
    if outcome.summary is None:
        raise outcome.trouble or RuntimeError("the flow run ended without an outcome")
    return outcome.summary


@contextmanager
def client_of(api_url: str, home: Path) -> Iterator[None]:
    """Make this process a client of the Prefect API at `api_url` inside the block, its own files under `home`."""
    wanted = {"PREFECT_API_URL": api_url, "PREFECT_HOME": str(home), "NO_PROXY": "127.0.0.1,localhost"}
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)  # for the first import of prefect, which reads its settings then
    from prefect.settings import PREFECT_API_URL, PREFECT_HOME, temporary_settings

    try:
        with temporary_settings({PREFECT_API_URL: api_url, PREFECT_HOME: str(home)}):
            yield
            for handler in logging.getLogger("prefect.flow_runs").handlers:
                handler.flush()  # while there is still a server to take the lines
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name)
            else:
                os.environ[name] = value


class _Outcome:
    """What became of the body, whatever Prefect makes of its states."""

    def __init__(self, body: Body, job: Job, say: Callable[[str], None]) -> None:
        self.body, self.job, self.say = body, job, say
        self.began = False
        self.summary: Summary | None = None
        self.error: BaseException | None = None
        self.trouble: BaseException | None = None

    def run(self) -> Summary:
        """Run the body once and remember what came of it; without Prefect from the moment that it is away."""
        self.began = True
        watcher = PrefectWatcher(self.job, self.say)

        def call(stage: str, number: int | None, function: Callable[[], None]) -> None:
            if watcher.is_away:
                function()
            else:
                call_as_task(stage, number, function)

        try:
            self.summary = self.body(call, [watcher])
        except BaseException as error:
            self.error = error
            raise
        self.summary.prefect_is_away = watcher.is_away
        return self.summary


def carry_out(job: Job) -> Any:
    """Return the state that the flow run ends in that this process is in: of the run that began it, else of a new one.

    The first is a run by `narrate run`, the second one by a schedule or by hand in Prefect's UI.
    """
    if _waiting:
        return final_state(job, _waiting.pop().run())
    from flows.console import Console
    from flows.quiet import hush
    from flows.run import run

    hush()
    for name in ("prefect.flow_runs", "prefect.engine"):
        logging.getLogger(name).addFilter(_is_news)
    return final_state(job, run(job, Console(), is_flow_run=True))


def _is_news(record: logging.LogRecord) -> bool:
    """Return whether a line says more than that the run ended Failed: Prefect adds its own traceback to that state."""
    from prefect.exceptions import FailedRun

    return record.exc_info is None or not isinstance(record.exc_info[1], FailedRun)


def final_state(job: Job, summary: Summary) -> Any:
    """Return the state that a flow run ends in: Failed where more photos failed than the job's `max_failed`."""
    from prefect.states import Cancelled, Completed, Failed

    failed = has_failed(job, summary.counts)
    message = count_line(summary.counts) + (f"; more than {job.max_failed} failed" if failed else "")
    message += f" ({reason_line(summary)})" if summary.reasons else ""
    if summary.interrupted:
        return Cancelled(message=message)
    return Failed(message=message) if failed else Completed(message=message)


_waiting: list[_Outcome] = []
"""The run of this process that waits for its flow run to begin."""


def call_as_task(stage: str, number: int | None, function: Callable[[], None]) -> None:
    """Call `function` as a Prefect task run; directly where Prefect did not come to call it.

    The task takes and returns nothing, so that Prefect neither hashes nor keeps photos and sound.
    """
    from prefect import Task
    from prefect.cache_policies import NO_CACHE

    ran: list[BaseException | None] = []

    @functools.wraps(function, assigned=())
    def run_stage() -> Any:
        try:
            function()
        except BaseException as error:
            ran.append(error)
            if isinstance(error, Interrupted):
                from prefect.states import Cancelled

                return Cancelled(message="the user stopped the run")
            raise
        ran.append(None)
        return None

    name = stage if number is None else f"{stage}, shard {number}"
    task = Task(run_stage, name=stage, task_run_name=name, cache_policy=NO_CACHE, persist_result=False, retries=0)
    with suppress(Exception):  # a task run that Prefect lost; what ran is in `ran`
        task(return_state=True)
    if not ran:
        function()
    elif ran[0] is not None:
        raise ran[0]
