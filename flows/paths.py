"""Every file name in an output folder, in one place."""

import hashlib
from pathlib import Path

LONGEST_NAME_BYTES = 255
"""What the common file systems take for one name."""


def manifest_folder(out: Path) -> Path:
    """Return the folder of the manifest's parts."""
    return out / "manifest"


def part_path(out: Path, part: int) -> Path:
    """Return the file of part number `part`."""
    return manifest_folder(out) / f"part-{part:06d}.parquet"


def scratch_folder(out: Path) -> Path:
    """Return the folder of half-written files and of the lock: hidden, and never read by anyone else."""
    return out / ".narrate"


def lock_path(out: Path) -> Path:
    """Return the file that a run holds locked."""
    return scratch_folder(out) / "lock"


def journal_path(out: Path) -> Path:
    """Return the file that names the clips of a shard that is being committed."""
    return scratch_folder(out) / "publishing.json"


def run_path(out: Path, run_id: str) -> Path:
    """Return the file that keeps a run's settings and numbers."""
    return out / "runs" / f"{run_id}.json"


def report_path(out: Path) -> Path:
    """Return the page that shows what came out."""
    return out / "report" / "index.html"


def reviews_path(out: Path) -> Path:
    """Return the file of people's decisions, one line each."""
    return out / "reviews.jsonl"


def thumbnail_path(sha256: str) -> str:
    """Return the small picture of a photo, relative to the report's folder, `/`-separated."""
    return f"thumbnails/{sha256[:2]}/{sha256}.webp"


def clip_path(photo_id: str, codec: str) -> str:
    """Return the clip's path relative to the output folder, `/`-separated.

    The photo's extension stays in the name, so that `a.jpg` and `a.png` do not collide.
    """
    *folders, name = photo_id.split("/")
    return "/".join(["audio", *(shorten_name(folder) for folder in folders), shorten_name(name, f".{codec}")])


def shorten_name(name: str, ending: str = "") -> str:
    """Return `name + ending`; where that is over 255 bytes, `name` is cut and ends in 8 hex digits of its hash."""
    if len((name + ending).encode()) <= LONGEST_NAME_BYTES:
        return name + ending
    tail = "-" + hashlib.sha256(name.encode()).hexdigest()[:8] + ending
    kept = name.encode()[: LONGEST_NAME_BYTES - len(tail.encode())].decode(errors="ignore")
    return kept + tail
