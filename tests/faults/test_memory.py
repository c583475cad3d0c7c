"""Memory that is really short, by a limit on the address space: halved, tried again, then one photo fails alone."""

import struct
import zlib
from pathlib import Path

import pytest
from killing import Forks
from narrating import make_photos
from short_of_memory import caption_with_little_memory, open_with_little_memory

pytestmark = pytest.mark.faults


def test_a_batch_that_does_not_fit_is_halved_and_says_the_same_words(forks: Forks, tmp_path: Path):
    forked = forks.start(tmp_path, tmp_path / "trace", caption_with_little_memory)

    assert forked.end() == 0, forked.said()
    sizes, *rest = forked.said().splitlines()
    assert sizes.startswith("batches 16 8")
    assert rest == ["same words"]


def write_huge_png(path: Path, side_px: int) -> None:
    """Write a grey picture that is small as a file and a byte a pixel once it is decoded."""
    packer = zlib.compressobj(1)
    data = b"".join(packer.compress(bytes(side_px + 1)) for _ in range(side_px)) + packer.flush()
    header = struct.pack(">IIBBBBB", side_px, side_px, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    whole = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(whole))


def test_a_photo_that_does_not_fit_is_a_failure_of_its_own_and_the_next_one_is_opened(forks: Forks, tmp_path: Path):
    first, last = make_photos(tmp_path, 2)
    write_huge_png(tmp_path / "huge.png", 13_000)
    photos = [first, tmp_path / "huge.png", last]
    forked = forks.start(tmp_path, tmp_path / "trace", open_with_little_memory, photos)

    assert forked.end() == 0, forked.said()
    assert forked.said().split() == ["Photo", "MemoryError", "Photo"]
