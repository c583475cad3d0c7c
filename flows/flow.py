"""The flow that schedules, workers and Prefect's UI start: its one parameter, the Job, is the UI's form."""

from datetime import UTC, datetime
from typing import Any

from prefect import flow, runtime

from flows.job import Job
from flows.quiet import hush


def _name() -> str:
    from flows.watching import run_name

    job = runtime.flow_run.parameters.get("job")
    photos = job.photos if isinstance(job, Job) else str((job or {}).get("photos", ""))
    return run_name(photos, f"{datetime.now(UTC):%Y-%m-%d %H:%M}")


@flow(name="narrate", flow_run_name=_name, persist_result=False, retries=0)
def narrate(job: Job) -> Any:
    """Narrate a folder of photos: captions, alt text and spoken clips; what is done stands."""
    hush()
    from flows.console import Console
    from flows.engine import final_state
    from flows.run import run

    return final_state(job, run(job, Console(), is_flow_run=True))
