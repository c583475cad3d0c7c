"""Every night without a person: a deployment with its schedule, on a work pool or in one process, and who is told."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from flows import automations
from flows.errors import FlowError
from flows.job import Job, placed
from flows.server import configured_api_url

if TYPE_CHECKING:
    from prefect.deployments.runner import RunnerDeployment

QUIET = {"DO_NOT_TRACK": "1", "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "HF_HUB_DISABLE_TELEMETRY": "1"}
"""What is set for each run of a deployment: nothing is sent anywhere."""

HEARTBEAT = "PREFECT_FLOWS_HEARTBEAT_FREQUENCY"
"""The variable that says how often a run shows that it lives, in seconds."""


@dataclass(frozen=True)
class Night:
    """When a deployment runs, and how it is watched."""

    name: str = "nights"
    """Name of the deployment; another folder of photos gets another name."""
    cron: str = "0 3 * * *"
    """When runs begin, as cron has it."""
    timezone: str = "UTC"
    """IANA name of the time zone of `cron`."""
    pool: str = "narrate"
    """Name of the work pool, made where it is missing."""
    notify: str = ""
    """Web address or `TYPE/NAME` of a notification block that is told of failed and crashed runs; empty for nobody."""
    heartbeat_s: int = 180
    """Seconds between two signs of life of a run; after three of them without one it counts as crashed."""


def deploy(job: Job, night: Night, say: Callable[[str], None]) -> None:
    """Create or renew the deployment, its work pool and its automations at the user's Prefect server.

    Raises FlowError where there is no server, it cannot be reached, or it does not take what is asked.
    """
    with _at_server() as url:
        deployment = _deployment(job, night, pool=night.pool)
        _make_pool(night.pool)
        identity = _set_up(deployment, night, url)
        say(f"Deployed: {deployment.full_name} at {_pages_at(url)}/deployments/deployment/{identity}")
        _say_what_stands(night, say)
    say(f"Start its worker: prefect worker start --pool {night.pool} --type process")


def serve(job: Job, night: Night, say: Callable[[str], None]) -> None:
    """Run the schedule in this process until it is stopped: each run is a process of its own, one at a time."""
    with _at_server() as url:
        import os

        from prefect.flows import serve as serve_deployments

        os.environ[HEARTBEAT] = str(night.heartbeat_s)
        deployment = _deployment(job, night, pool=None)
        _set_up(deployment, night, url)
        _say_what_stands(night, say)
        say(f"Serving {deployment.full_name}; Ctrl-C stops.")
        # A schedule that is not paused at the end goes on when the service is started again.
        serve_deployments(deployment, limit=1, pause_on_shutdown=False, print_starting_message=False)


def _set_up(deployment: "RunnerDeployment", night: Night, url: str) -> Any:
    """Create or renew the deployment and its automations; return its id."""
    told = automations.block_of(night.name, night.notify)
    identity: Any = deployment.apply()  # a coroutine in asynchronous code alone
    automations.set_up(night.name, identity, told, night.heartbeat_s, _pages_at(url))
    return identity


def _pages_at(api_url: str) -> str:
    """Return the address of the pages of the server whose API is at `api_url`."""
    return api_url.rstrip("/").removesuffix("/api")


def _say_what_stands(night: Night, say: Callable[[str], None]) -> None:
    told = night.notify or "nobody (name one with --notify)"
    say(f"Schedule: {night.cron} ({night.timezone}), one run at a time. Told of failed and crashed runs: {told}")


class _at_server:  # noqa: N801 - reads as a phrase
    """Says in one line what Prefect's client raises inside the block."""

    def __enter__(self) -> str:
        url = configured_api_url()
        if url is None:
            mend = "start one with: prefect server start, and name it: PREFECT_API_URL=http://127.0.0.1:4200/api"
            raise FlowError("a schedule needs a Prefect server, and none is set up", "PREFECT_API_URL", mend)
        self._url = url
        return url

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        import httpx
        from prefect.exceptions import PrefectHTTPStatusError

        if isinstance(error, httpx.TransportError):
            what = "the Prefect server cannot be reached"
            raise FlowError(what, self._url, "start it, or mend PREFECT_API_URL") from error
        if isinstance(error, PrefectHTTPStatusError):
            what = f"the Prefect server refuses ({error.response.status_code}: {error.response.text[:200]})"
            raise FlowError(what, self._url, "mend what it names, and deploy again") from error


def _deployment(job: Job, night: Night, pool: str | None) -> "RunnerDeployment":
    """Return the deployment of the flow with `job` as its form's first answers."""
    from prefect.client.schemas.objects import ConcurrencyLimitConfig, ConcurrencyLimitStrategy
    from prefect.deployments.runner import RunnerDeployment
    from prefect.schedules import Cron
    from prefect.types.entrypoint import EntrypointType

    from flows.flow import narrate

    limit = ConcurrencyLimitConfig(limit=1, collision_strategy=ConcurrencyLimitStrategy.CANCEL_NEW)
    variables = {"env": QUIET | {HEARTBEAT: str(night.heartbeat_s)}} if pool else None
    try:
        return RunnerDeployment.from_flow(
            narrate,
            night.name,
            schedule=Cron(night.cron, timezone=night.timezone),
            parameters={"job": _settings(job)},
            concurrency_limit=limit,
            work_pool_name=pool,
            job_variables=variables,
            entrypoint_type=EntrypointType.MODULE_PATH,
            description=f"Narrates {job.photos} into {job.out}; what is done stands.",
        )
    except ValueError as error:
        what = str(error).splitlines()[-1] if "timezone" not in str(error) else f"there is no zone {night.timezone}"
        raise FlowError(what, f"schedule {night.cron}", "write it as crontab does, such as '0 3 * * *'") from error


def _settings(job: Job) -> dict[str, Any]:
    """Return the settings that were given, so that they mean the same wherever a worker starts."""
    return placed(job.model_dump(mode="json", exclude_unset=True))


def _make_pool(name: str) -> None:
    """Make the process work pool where it is missing."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists
    from prefect.workers.process import ProcessWorker

    with get_client(sync_client=True) as client:
        try:
            template = ProcessWorker.get_default_base_job_template()
            client.create_work_pool(WorkPoolCreate(name=name, type="process", base_job_template=template))
        except ObjectAlreadyExists:
            return
