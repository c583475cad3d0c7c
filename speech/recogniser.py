"""The recogniser in a process of its own, which is replaced again and again: it keeps about 1.8 MB of each clip.

Loading the model anew within one process does not give that memory back (LOG.md); the end of the process does. The
child needs the recogniser and numpy alone; what the program's own first file imports at its top is imported there too.
"""

import signal
import sys
import threading
import weakref
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

RATE_HZ = 16_000
"""Samples a second that it wants."""
CLIPS_A_CHILD = 100
"""After so many clips, about 180 MB, the child is replaced, which takes less than a second."""
LONGEST_WAIT_S = 300.0
"""A clip takes tenths of a second: who is silent for so long will not answer any more."""
TRIES = 2


class Recogniser:
    """Moonshine tiny in a child process; may be shared between threads, which take turns."""

    def __init__(self, clips_a_child: int = CLIPS_A_CHILD) -> None:
        """Start the child, which loads the model while the caller goes on; it ends with this object."""
        self._lock = threading.Lock()
        self._clips_a_child = clips_a_child
        self._start()

    @property
    def pid(self) -> int | None:
        """The child's process id."""
        return self._child.pid

    def transcribe(self, samples: NDArray[np.float32]) -> str:
        """Return the words in `samples` (N,) of `RATE_HZ`, empty where there are none.

        A child that was killed is replaced and asked once more. Raises `RuntimeError` where that one ends too.
        """
        with self._lock:
            for _ in range(TRIES):
                if self._clips_left == 0:
                    self._replace()
                self._clips_left -= 1
                heard = self._ask(samples)
                if heard is not None:
                    return heard
                self._replace()
        raise RuntimeError("the recogniser's process ended while it listened: is there memory left")

    def _ask(self, samples: NDArray[np.float32]) -> str | None:
        """Return what the child hears; None where there is no child any more, or no answer."""
        try:
            self._line.send(samples)
            return str(self._line.recv()) if self._line.poll(LONGEST_WAIT_S) else None
        except (EOFError, OSError):
            return None

    def _start(self) -> None:
        context = get_context("spawn")
        self._line, far_end = context.Pipe()
        self._child = context.Process(target=_listen, args=(far_end,), daemon=True)
        self._child.start()
        far_end.close()
        self._clips_left = self._clips_a_child
        self._end = weakref.finalize(self, _end, self._child, self._line)

    def _replace(self) -> None:
        self._end()
        self._start()


def _end(child: BaseProcess, line: Connection) -> None:
    """End a child: it holds nothing that is worth waiting for."""
    line.close()
    child.kill()
    child.join()


def _listen(line: Connection) -> None:
    """Answer each sound that comes along the line, in the child, until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the run's business alone
    library = _library()
    folder = Path(str(library.__file__)).parent / "assets" / "tiny-en"
    model: Any = library.Transcriber(model_path=str(folder), model_arch=library.ModelArch.TINY)
    while True:
        try:
            samples = line.recv()
        except EOFError:
            return
        transcript = model.transcribe_without_streaming(samples.tolist(), RATE_HZ)
        line.send(" ".join(each.text.strip() for each in transcript.lines).strip())


def _library() -> Any:
    """Import the recogniser's library; it wants a microphone's, which needs PortAudio, and is handed an empty one."""
    sys.modules.setdefault("sounddevice", ModuleType("sounddevice"))
    import moonshine_voice

    return moonshine_voice
