"""Dask and Ray: a cluster that is there by its address, or one that is started on this machine for the run."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from flows.errors import BrokenOffError, FlowError, Interrupted
from flows.job import Job
from flows.stopping import Stop

AHEAD = 2
"""Shards on their way for each worker, so that none waits for the driver."""

LOOK_S = 1.0
"""Time between two looks at whether the run was asked to stop."""

DASK = {"logging.distributed": "critical", "distributed.worker.daemon": False}
"""Settings of the clusters that a run starts and of its client: what dies is said in a line of ours."""

RAY = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
"""Environment of the Ray that a run starts: it reports to nobody, and its workers are no less than other programs."""


@dataclass
class Cluster:
    """Workers of other processes, by way of one of Prefect's task runners."""

    runner: Any
    """A `TaskRunner` that has begun."""
    width: int
    """Shards that may be on their way at once."""
    threads: int | None
    """Threads for each worker's models where this run has started it; None leaves that to whoever did."""
    place: str
    """What the user knows it by."""

    def call(self, stage: str, number: int, function: Callable[..., Any], stop: Stop, **parameters: Any) -> Any:
        """Return what a worker makes of `function`: one task run in Prefect. A worker that dies is replaced by another.

        Raises what `function` raises; Interrupted; BrokenOffError where the cluster gives the shard up.
        """
        from prefect import Task
        from prefect.cache_policies import NO_CACHE

        name = f"{stage}, shard {number}"
        task = Task(function, name=stage, task_run_name=name, cache_policy=NO_CACHE, persist_result=False, retries=0)
        try:
            future = self.runner.submit(task, parameters=parameters)
            outcome = _awaited(future, stop)
        except Interrupted:
            raise
        except Exception as error:
            words = (str(error).splitlines() or [type(error).__name__])[0]
            mend = "look at its workers' logs, and run again"
            raise BrokenOffError(f"the cluster gave up {name} ({words})", self.place, mend) from error
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def _awaited(future: Any, stop: Stop) -> Any:
    while True:
        stop.check()
        try:
            return future.result(timeout=LOOK_S, raise_on_failure=False)
        except TimeoutError:
            continue


@contextmanager
def cluster_of(job: Job) -> Iterator[Cluster | None]:
    """Hold the cluster that the job names inside the block; None where its shards are this process's own.

    Raises FlowError where the extra is not installed or the cluster cannot be reached.
    """
    if job.runner == "threads":
        yield None
        return
    if find_spec(f"prefect_{job.runner}") is None:
        mend = f"pip install 'image-narrator[{job.runner}]'"
        raise FlowError(f"the extra {job.runner} is not installed", f"--runner {job.runner}", mend)
    with (_dask if job.runner == "dask" else _ray)(job) as cluster:
        yield cluster


@contextmanager
def _dask(job: Job) -> Iterator[Cluster]:
    import dask
    from prefect_dask.task_runners import DaskTaskRunner

    workers, threads = _shares(job)
    here = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None, "processes": True}
    wanted: dict[str, Any] = {"address": job.address} if job.address else {"cluster_kwargs": here}
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with dask.config.set(DASK):
        try:
            runner: Any = DaskTaskRunner(**wanted, client_kwargs={"timeout": "30s"})
            runner.__enter__()
            found = len(runner.client.scheduler_info(n_workers=-1)["workers"])
        except OSError as error:
            raise _unreachable(job, error) from error
        try:
            yield Cluster(runner, AHEAD * max(1, found), None if job.address else threads, job.address or "dask")
        finally:
            runner.__exit__(None, None, None)


@contextmanager
def _ray(job: Job) -> Iterator[Cluster]:
    for name, value in RAY.items():
        os.environ.setdefault(name, value)
    import ray
    from prefect_ray import RayTaskRunner
    from prefect_ray.context import remote_options

    workers, threads = _shares(job)
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    here = {"num_cpus": workers, "include_dashboard": False, "address": "local"}
    try:
        runner: Any = RayTaskRunner(job.address, init_kwargs=quiet | ({} if job.address else here)).__enter__()
        found = ray.cluster_resources()
    except (OSError, RuntimeError, ValueError) as error:
        raise _unreachable(job, error) from error
    on_gpu = "GPU" in found and job.device in ("auto", "cuda")
    count = int(found.get("GPU" if on_gpu else "CPU", 1))
    try:
        with remote_options(num_gpus=1) if on_gpu else remote_options(num_cpus=1):
            yield Cluster(runner, AHEAD * max(1, count), None if job.address else threads, job.address or "ray")
    finally:
        runner.__exit__(None, None, None)
        ray.shutdown()


def _shares(job: Job) -> tuple[int, int]:
    """Return how many workers to start on this machine and how many threads each one's models get."""
    cores = os.cpu_count() or 1
    workers = job.workers or max(1, cores // 2)
    return workers, max(1, cores // workers)


def _unreachable(job: Job, error: Exception) -> FlowError:
    words = (str(error).splitlines() or [type(error).__name__])[0]
    what = f"the {job.runner} cluster cannot be reached ({words})"
    return FlowError(what, f"--address {job.address}" if job.address else f"--runner {job.runner}", "start it first")
