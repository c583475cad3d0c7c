"""Every file name in an output folder, in one place."""

import hashlib
import os
from pathlib import Path

from flows.storage import Folder

LONGEST_NAME_BYTES = 255
"""What the common file systems take for one name."""

STATE = ".narrate"
"""The folder of what a run keeps for itself."""

LEARNED = "learned"
"""The folder of what was learned from reviewers."""

REPLACED = "replaced-"
"""How the names begin of old clips in the folder of state, kept until the rows of the new ones are committed."""

CLIP_ENDINGS = (".mp3", ".wav", ".flac", ".ogg", ".opus")
"""Endings of clips' files; a folder of photos that ends so could be in the way of one."""


def manifest_folder(out: Folder) -> Folder:
    """Return the folder of the manifest's parts."""
    return out / "manifest"


def part_path(out: Folder, part: int) -> Folder:
    """Return the file of part number `part`."""
    return manifest_folder(out) / f"part-{part:06d}.parquet"


def state_folder(out: Folder) -> Folder:
    """Return the folder of the lock, the journal and clips put aside: hidden, and never read by anyone else."""
    return out / STATE


def scratch_folder(out: Folder) -> Path:
    """Return the folder of half-written files, always on a disk: for a store, in the user's cache."""
    if isinstance(out, Path):
        return out / STATE
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "image-narrator" / hashlib.sha256(str(out).encode()).hexdigest()[:16]


def raw_folder(out: Folder) -> Path:
    """Return the folder of the raw clips that `--keep-raw` keeps, always on a disk."""
    return scratch_folder(out) / "raw"


def lock_path(out: Folder) -> Folder:
    """Return the file that a run holds locked."""
    return state_folder(out) / "lock"


def holder_path(out: Folder) -> Folder:
    """Return the file that names who holds the lock on a disk."""
    return state_folder(out) / "holder"


def journal_path(out: Folder) -> Folder:
    """Return the file that names the clips of a shard that is being committed."""
    return state_folder(out) / "publishing.json"


def replaced_path(out: Folder, clip: str) -> Folder:
    """Return the second name that the old clip at the path `clip`, relative to `out`, has while it is replaced."""
    return state_folder(out) / f"{REPLACED}{hashlib.sha256(clip.encode(errors='surrogateescape')).hexdigest()[:16]}"


def run_path(out: Folder, run_id: str) -> Folder:
    """Return the file that keeps a run's settings and numbers."""
    return out / "runs" / f"{run_id}.json"


def report_path(out: Folder) -> Folder:
    """Return the page that shows what came out."""
    return out / "report" / "index.html"


def features_folder(out: Folder, digest: str) -> Folder:
    """Return the folder of the photos' vectors that a captioner of this digest made; all of them where it is empty."""
    return out / "features" / digest if digest else out / "features"


def search_page_path(out: Folder) -> Folder:
    """Return the page of the newest search; its JSON lies beside it."""
    return out / "search" / "index.html"


def reviews_path(out: Folder) -> Folder:
    """Return the file of people's decisions, one line each."""
    return out / "reviews.jsonl"


def learned_folder(out: Folder) -> Folder:
    """Return the folder of what was learned from reviewers: lexicon, terms, captioners."""
    return out / LEARNED


def thumbnail_path(sha256: str) -> str:
    """Return the small picture of a photo, relative to the report's folder, `/`-separated."""
    return f"thumbnails/{sha256[:2]}/{sha256}.webp"


def clip_path(photo_id: str, codec: str) -> str:
    """Return the clip's path relative to the output folder, `/`-separated.

    The photo's extension stays in the name, so that `a.jpg` and `a.png` do not collide. Whatever the id, the path
    leads nowhere but below `audio`, and no folder has the name that a clip could have beside it.
    """
    *folders, name = photo_id.split("/")
    return "/".join(["audio", *(_folder_name(folder) for folder in folders), shorten_name(name, f".{codec}")])


def _folder_name(name: str) -> str:
    """Return a folder's name; one that means another folder, or looks like a clip's file, gets its hash's digits."""
    if name in ("", ".", "..") or name.lower().endswith(CLIP_ENDINGS):
        return shorten_name(f"{name.rstrip('.')}-{_digits(name)}")
    return shorten_name(name)


def shorten_name(name: str, ending: str = "") -> str:
    """Return `name + ending`; where that is over 255 bytes, `name` is cut and ends in 8 hex digits of its hash."""
    if len((name + ending).encode()) <= LONGEST_NAME_BYTES:
        return name + ending
    tail = f"-{_digits(name)}{ending}"
    kept = name.encode()[: LONGEST_NAME_BYTES - len(tail.encode())].decode(errors="ignore")
    return kept + tail


def _digits(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()[:8]
