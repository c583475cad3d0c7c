"""Work for a fork whose address space is limited by the system."""

import resource
from pathlib import Path

SAMPLES = Path(__file__).parents[2] / "data" / "samples"


def leave(spare_bytes: int) -> None:
    """Give this process no more than `spare_bytes` beyond what it has taken."""
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + spare_bytes, resource.RLIM_INFINITY))


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


def open_with_little_memory(paths: list[Path]) -> None:
    """Open photos as a run does, with 20 MB beyond what the imports have taken; runs in a fork."""
    from flows.addresses import path_uri
    from flows.opening import open_uri

    leave(20 << 20)
    print(*(type(open_uri(path_uri(path), 64)).__name__ for path in paths))  # noqa: T201 - read by the test
