"""Memory that is really short, by a limit on the address space: halved, tried again, then one photo fails alone."""

import resource
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from killing import Forks, narrate
from narrating import Runs, make_photos

pytestmark = pytest.mark.faults

SAMPLES = Path(__file__).parents[2] / "data" / "samples"


def leave(spare_bytes: int) -> None:
    """Give this process no more than `spare_bytes` beyond what it has taken."""
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + spare_bytes, resource.RLIM_INFINITY))


def test_a_batch_that_does_not_fit_is_halved_and_says_the_same_words(forks: Forks, tmp_path: Path):
    forked = forks.start(tmp_path, tmp_path / "trace", caption_with_little_memory)

    assert forked.end() == 0, forked.said()
    sizes, *rest = forked.said().splitlines()
    assert sizes.startswith("batches 16 8 8")
    assert rest == ["same words"]


def caption_with_little_memory() -> None:
    """Caption 16 photos one by one, then at once with room for half of them; runs in a fork."""
    from captioner.captioning import Captioner
    from captioner.photos import open_photo

    captioner = Captioner.load("narrator-lite")
    photos = [open_photo(path, captioner.input_size_px) for path in sorted(SAMPLES.glob("*.*g"))] * 2
    expected = [captioner.decode(captioner.encode([photo]))[0].text for photo in photos[:16]]
    sizes, encode = [], captioner._encode
    captioner._encode = lambda batch: sizes.append(len(batch)) or encode(batch)
    leave(120 << 20)
    features = captioner.encode(photos[:16])
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    print("batches", *sizes)  # noqa: T201 - read by the test
    print("same words" if [one.text for one in captioner.decode(features)] == expected else "other words")  # noqa: T201


def narrate_with_little_memory(settings: dict[str, Any]) -> None:
    """Narrate with 600 MB beyond what the imports have taken; runs in a fork."""
    leave(600 << 20)
    narrate(settings)


def write_huge_png(path: Path, side_px: int) -> None:
    """Write a grey picture that is small as a file and 4 bytes a pixel once it is decoded."""
    packer = zlib.compressobj(1)
    data = b"".join(packer.compress(bytes(side_px + 1)) for _ in range(side_px)) + packer.flush()
    header = struct.pack(">IIBBBBB", side_px, side_px, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    whole = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(whole))


def test_a_photo_that_does_not_fit_fails_alone_and_is_described_once_there_is_room(runs: Runs, forks: Forks):
    make_photos(runs.photos, 3)
    write_huge_png(runs.photos / "huge.png", 13_000)
    forked = forks.start(runs.out, runs.out.with_suffix(".trace"), narrate_with_little_memory, runs.settings)
    assert forked.end() == 0, forked.said()
    short = runs.rows()

    roomy = runs.run()

    assert dict(short["status"]) == {
        "000.png": "described",
        "001.png": "described",
        "002.png": "described",
        "huge.png": "failed",
    }
    assert short.loc["huge.png", "reason"] == "out-of-memory"
    assert (roomy.counts.taken_over, roomy.counts.described) == (3, 1)
