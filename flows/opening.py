"""A photo's address to its pixels, from a disk or a store, and the words for what kept us from them."""

import errno

from captioner.photos import decode_photo, open_photo
from captioner.records import Photo, Refusal
from flows.addresses import is_local, uri_path
from flows.schema import DEAD_LINK
from flows.storage import read


def open_uri(uri: str, side_px: int) -> Photo | Refusal | OSError | MemoryError:
    """Return the photo, why its file is at fault, or the system's own error; runs in a worker."""
    if not is_local(uri):
        return _open_remote(uri, side_px)
    path = uri_path(uri)
    try:
        return open_photo(path, side_px)
    except (OSError, MemoryError) as error:
        if path.is_symlink() and not path.exists():
            return Refusal(DEAD_LINK, "the link leads nowhere; mend it or remove it")
        return error


def _open_remote(address: str, side_px: int) -> Photo | Refusal | OSError | MemoryError:
    """Return what `open_uri` does for a photo in a store, whose bytes are fetched by one request."""
    try:
        return decode_photo(read(address), address, side_px)
    except (OSError, MemoryError) as error:
        return error


def failure_of(error: OSError | MemoryError) -> tuple[str, str]:
    """Return the reason and message of a photo that could not be read."""
    if isinstance(error, MemoryError):
        return "out-of-memory", "the photo does not fit into memory; it is tried again at the next run"
    if error.errno == errno.ENOENT:
        return "vanished", "there is no such file any more; it is looked for again at the next run"
    return "unreadable", f"the photo cannot be read ({error.strerror or error}); check the disk and its permissions"
