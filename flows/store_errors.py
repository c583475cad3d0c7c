"""A store's errors as the system's own, in words that a user can act on; and which of them another try may better."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from flows.addresses import is_address, public_address, scheme_of

Result = TypeVar("Result")

ATTEMPTS = 6
"""Times that a photo is asked for on the web before it fails for this run."""

_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Answers of a web server that another try may better."""


_NOT_THERE = "there is no such file, folder or bucket"
_DENIED = "the store denies access; check the credentials and what they may do"
_NO_CREDENTIALS = "no credentials are found; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile"
_NOT_REACHED = "the server cannot be reached; check the network and the endpoint"


@contextmanager
def told(where: str) -> Iterator[None]:
    """Turn a store's errors inside the block into OSError in words of ours, the address shown without secrets."""
    try:
        yield
    except OSError as error:
        if is_address(where) and error.filename is None:
            raise as_os_error(error, where) from error
        raise
    except Exception as error:
        if not is_store_error(error):
            raise
        raise as_os_error(error, where) from error


def is_store_error(error: BaseException) -> bool:
    """Return whether an error comes out of a store's library rather than of a fault of ours."""
    return type(error).__module__.partition(".")[0] in ("botocore", "aiobotocore", "aiohttp", "gcsfs", "fsspec", "s3fs")


def as_os_error(error: BaseException, where: str) -> OSError:
    """Return `error` as an OSError with a number, words and the address, none of which holds a secret."""
    number, words = _meaning(error)
    return OSError(number, words, public_address(where))


def _meaning(error: BaseException) -> tuple[int, str]:
    """Return the system's number and our words for a store's error."""
    name, status = type(error).__name__, getattr(error, "status", None)
    known = (
        (isinstance(error, FileNotFoundError) or status in (404, 410), errno.ENOENT, _NOT_THERE),
        (isinstance(error, PermissionError) or status in (401, 403), errno.EACCES, _DENIED),
        (isinstance(error, FileExistsError), errno.EEXIST, "it is there already"),
        (any(word in name for word in ("Credential", "ProfileNotFound", "Token")), errno.EACCES, _NO_CREDENTIALS),
        (status is not None, errno.EIO, f"the server answers {status}"),
        (any(word in name for word in ("Connect", "Timeout")), errno.ETIMEDOUT, _NOT_REACHED),
        (getattr(error, "errno", None) == errno.EBUSY, errno.EBUSY, "the store was too busy each time it was asked"),
    )
    for holds, number, words in known:
        if holds:
            return number, words
    number = getattr(error, "errno", None) or errno.EIO
    return number, getattr(error, "strerror", None) or f"the store failed ({name})"


def patiently(address: str, function: Callable[[], Result]) -> Result:
    """Call `function`; on the web again after a random, growing time where another try may help.

    The stores' own libraries do so themselves.
    """
    if scheme_of(address) not in ("http", "https"):
        return function()
    from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

    retrying = Retrying(
        retry=retry_if_exception(_is_passing),
        wait=wait_random_exponential(multiplier=0.5, max=20),
        stop=stop_after_attempt(ATTEMPTS),
        reraise=True,
    )
    return retrying(function)


def _is_passing(error: BaseException) -> bool:
    """Return whether an error of the web may be gone at another try."""
    if isinstance(error, FileNotFoundError):  # fsspec says so of every look that failed; the cause knows better
        return error.__cause__ is not None and _is_passing(error.__cause__)
    status = getattr(error, "status", None)
    if status is not None:
        return status in _PASSING
    return isinstance(error, TimeoutError | ConnectionError) or "Connection" in type(error).__name__
