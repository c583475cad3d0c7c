"""Small pictures for the page: no camera data, no place, upright, named after the photo's bytes."""

from secrets import token_hex

from PIL import Image

from captioner.records import Photo
from flows import paths
from flows.storage import Folder, place, size_of

SIDE_PX = 384
"""Longest side of a thumbnail; about 15 kB each."""


def write_thumbnail(out: Folder, photo: Photo) -> None:
    """Write the thumbnail of a photo that still has its pixels, unless it is there; renamed into place whole.

    Only pixels go into the file: nothing of the photo's metadata does. Raises OSError where the disk refuses.
    """
    final = paths.report_path(out).parent / paths.thumbnail_path(photo.sha256)
    if size_of(final) is not None or photo.pixels.size == 0:
        return
    image = Image.fromarray(photo.pixels)
    image = image.resize(_shown_size(photo), Image.Resampling.BILINEAR, reducing_gap=2.0)
    temporary = paths.scratch_folder(out) / f"{photo.sha256}-{token_hex(4)}.webp.tmp"  # two workers may be at it
    image.save(temporary, "WEBP", quality=72, method=2)
    place(temporary, final, is_synced=False)


def _shown_size(photo: Photo) -> tuple[int, int]:
    """Return width and height of the thumbnail: the full photo's shape, never larger than the photo."""
    scale = min(1.0, SIDE_PX / max(photo.width_px, photo.height_px))
    return max(1, round(photo.width_px * scale)), max(1, round(photo.height_px * scale))
