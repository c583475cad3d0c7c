"""What a format is handed: where to write, what it was told, the clips and the photos, and who wants to know."""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from PIL import Image

from captioner.records import Photo
from flows.exports.published import PHOTO_CHANGED, Published, Tally
from flows.exports.settings import Export
from flows.opening import open_uri
from flows.storage import read_file

PICTURE_SIDE_PX = 1600
"""Longest side of a photo's copy in a page or a book."""


@dataclass
class Target:
    """One export while it is written."""

    place: Path
    """The file or folder to write, under its temporary name."""
    told: Export
    """What the export was told."""
    tally: Tally
    """What became of the rows."""
    counted: Callable[[int], None]
    """Is told how many more rows were looked at."""

    def advance(self, rows: int) -> None:
        """Count rows that are written."""
        self.tally.written += rows
        self.counted(rows)

    def leave_out(self, why: str, one: Published) -> None:
        """Count a row that this format cannot take."""
        self.tally.leave_out(why, one.id)
        self.counted(1)

    def clip_bytes(self, one: Published) -> bytes | None:
        """Return a row's clip; None, and counted, where there is none or it is not the one that the row names."""
        if one.clip is None:
            if one.is_pending:
                self.tally.note("edited since the last run, so without sound: narrate run speaks them", one.id)
            return None
        data = read_file(self.told.out / one.clip)
        if data is None or hashlib.sha256(data).hexdigest() != one.row["audio_sha256"]:
            self.tally.note("with a clip that is not its row's: narrate verify says more", one.id, is_fault=True)
            return None
        return data

    def copy_clip(self, one: Published) -> str | None:
        """Copy a row's clip into the export's folder, named after its hash; return its path there, `/`-separated."""
        data = self.clip_bytes(one)
        if data is None or one.clip is None:
            return None
        path = f"audio/{one.row['audio_sha256']}{PurePosixPath(one.clip).suffix}"
        return self._write(path, data)

    def picture(self, one: Published) -> tuple[bytes, int, int] | None:
        """Return a row's photo as a JPEG without metadata, and its size; None, and counted, where it is gone."""
        photo = open_uri(one.row["uri"], PICTURE_SIDE_PX)
        if not isinstance(photo, Photo) or photo.sha256 != one.sha256:
            self.leave_out("whose photo is gone" if not isinstance(photo, Photo) else PHOTO_CHANGED, one)
            return None
        image = Image.fromarray(photo.pixels)
        image.thumbnail((PICTURE_SIDE_PX, PICTURE_SIDE_PX), Image.Resampling.LANCZOS)
        stream = io.BytesIO()
        image.save(stream, "JPEG", quality=85, optimize=True)
        return stream.getvalue(), image.width, image.height

    def copy_picture(self, one: Published) -> tuple[str, int, int] | None:
        """Write a row's photo into the export's folder, named after its hash; return its path there and its size."""
        made = self.picture(one)
        if made is None:
            return None
        data, width, height = made
        return self._write(f"photos/{one.sha256}.jpg", data), width, height

    def _write(self, path: str, data: bytes) -> str:
        file = self.place / path
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        return path
