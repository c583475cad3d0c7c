"""The flow that schedules, workers and Prefect's UI start: its one parameter, the Job, is the UI's form."""

from datetime import UTC, datetime
from typing import Any

from prefect import flow, runtime

from flows.job import Job


def _name() -> str:
    from flows.watching import run_name

    job = runtime.flow_run.parameters.get("job")
    photos = job.photos if isinstance(job, Job) else str((job or {}).get("photos", ""))
    return run_name(photos, f"{datetime.now(UTC):%Y-%m-%d %H:%M}")


@flow(name="narrate", flow_run_name=_name, persist_result=False, retries=0)  # what failed is for the next run
def narrate(job: Job) -> Any:
    """Narrate a folder of photos: captions, alt text and spoken clips; what is done stands."""
    from flows.engine import carry_out

    return carry_out(job)
