"""How long a run will take and how much it will write: from this folder's last run, or from what was measured."""

import json
from dataclasses import dataclass

from flows import paths
from flows.job import Job
from flows.plan import Amounts
from flows.storage import names_in, read_file

SECONDS_A_PHOTO = 1.0
"""Wall time of one photo on two cores with the built-in models; LOG.md has the measurement."""

CLIP_BYTES = {"mp3": 34_000, "wav": 190_000, "flac": 90_000, "ogg": 32_000, "opus": 28_000}
"""Bytes of a clip of about four seconds."""

ROW_BYTES = 1_000
"""Bytes of a row in its part, before compression."""


@dataclass(frozen=True)
class Estimate:
    """What a run is expected to take."""

    seconds: float
    """Wall time."""
    written_bytes: int
    """Bytes added to the output folder."""
    measured: bool
    """Whether the time comes from an earlier run on this folder."""


def estimate(job: Job, amounts: Amounts) -> Estimate:
    """Return the expected wall time and bytes for what is left to do."""
    photos = min(amounts.to_do, job.limit or amounts.to_do)
    measured = _last_seconds_a_photo(job)
    seconds = photos * (measured or SECONDS_A_PHOTO)
    return Estimate(seconds, photos * (CLIP_BYTES[job.format] + ROW_BYTES), measured is not None)


def _last_seconds_a_photo(job: Job) -> float | None:
    """Return the wall seconds a photo of the newest run that narrated at least 16 photos."""
    folder = paths.run_path(job.out, "x").parent
    for name in names_in(folder)[::-1][:10]:
        try:
            run = json.loads(read_file(folder / name) or b"")
            if run["spoken"] >= 16:  # noqa: PLR2004 - fewer say more about loading than about photos
                return float(run["wall_s"]) / float(run["spoken"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None
