"""Keeps libraries from writing to the user's terminal while they are imported or run."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_imports() -> Iterator[None]:
    """Hold back what a library prints or warns about; errors still come through."""
    for name in ("TTS", "gruut", "trainer", "coqpit"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield
