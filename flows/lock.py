"""One run at a time on an output folder: a lock of the system's on a disk, an object with a heartbeat in a store."""

import json
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from flows import paths
from flows.errors import FlowError
from flows.storage import Folder, read_file, remove, seen
from flows.store_errors import told

if TYPE_CHECKING:
    from upath import UPath

RENEW_S = 10.0
"""A run renews its lock in a store this often."""

LAPSE_S = 60.0
"""A lock in a store that was not renewed for so long is nobody's: its run was killed."""

LOOK_S = 0.5
"""Time between two looks at a lock that may be nobody's."""


class Lock:
    """That this run alone is at work in an output folder."""

    is_lost = False
    """Whether another run may be at work by now: this one could not renew its lock in time."""

    def __init__(self, out: Folder) -> None:
        """Keep whose lock it is."""
        self.out = out

    def check(self) -> None:
        """Raise FlowError where the lock is lost: nothing more may be committed."""
        if self.is_lost:
            what = "the lock on this output folder could not be renewed, and another run may be at work in it"
            raise FlowError(what, str(self.out), "check the network and run again")


@contextmanager
def held(out: Folder) -> Iterator[Lock]:
    """Hold the lock of `out` inside the block; raises FlowError that names the holder where another run has it."""
    with _held_on_disk(out) if isinstance(out, Path) else _held_in_store(out) as lock:
        yield lock


def busy(out: Folder, holder: str) -> FlowError:
    """Return the error of an output folder that another run has."""
    return FlowError(f"{holder} is at work in this output folder", str(out), "wait for it, or choose another")


def store_time(out: "UPath") -> datetime:
    """Return the time by the store's clock: that of an object put this moment and removed again; raises OSError."""
    probe = out / paths.STATE / f"probe-{secrets.token_hex(8)}"
    with told(str(probe)):
        probe.fs.pipe_file(probe.path, b"")
        time = seen(probe.fs.info(probe.path)).mtime
        probe.fs.rm_file(probe.path)
    return time + timedelta(seconds=1)  # stores keep whole seconds


def myself() -> str:
    """Return this process in words."""
    return f"process {os.getpid()} on {socket.gethostname()}"


@contextmanager
def _held_on_disk(out: Folder) -> Iterator[Lock]:
    """Hold a lock that the system gives back when the process ends, whatever ends it."""
    lock, holder = FileLock(str(paths.lock_path(out))), paths.holder_path(out)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise busy(out, (read_file(holder) or b"another run").decode()) from error
    try:
        holder.write_text(myself(), encoding="utf-8")
        yield Lock(out)
    finally:
        remove(holder)
        lock.release()


@contextmanager
def _held_in_store(out: "UPath") -> Iterator[Lock]:
    lock = StoreLock(out)
    lock.acquire()
    renewing = threading.Thread(target=lock.keep, name="lock", daemon=True)
    renewing.start()
    try:
        yield lock
    finally:
        lock.ended.set()
        renewing.join()
        lock.release()


class StoreLock(Lock):
    """An object that is put only where there is none, renewed while the run lives, and nobody's once it lapsed."""

    def __init__(self, out: "UPath") -> None:
        """Draw the token that tells this run's lock from every other."""
        super().__init__(out)
        self.ended = threading.Event()
        self._store, self._path = out, out / paths.STATE / "lock"
        self._token, self._since = secrets.token_hex(8), datetime.now(UTC)
        self._renewed = monotonic()

    def acquire(self) -> None:
        """Take the lock, where it lapsed from a killed run; raises FlowError where another run renews it, OSError."""
        while True:
            found = self._read()
            if found is None and self._put(None):
                return
            if found is not None and self._is_dead(found) and self._put(found):
                return
            self._refuse_a_living_one()

    def keep(self) -> None:
        """Renew the lock until the run ends; a lock that cannot be renewed in time is lost."""
        while not self.ended.wait(RENEW_S) and not self.is_lost:
            with suppress(OSError):
                mine = self._read()
                self.is_lost = mine is None or mine["token"] != self._token or not self._put(mine)
            self.is_lost = self.is_lost or monotonic() - self._renewed > LAPSE_S * 0.8

    def release(self) -> None:
        """Remove the lock where it is still this run's."""
        with suppress(OSError):
            mine = self._read()
            if mine is not None and mine["token"] == self._token:
                remove(self._path)

    def _refuse_a_living_one(self) -> None:
        """Raise FlowError where somebody else's lock stands."""
        found = self._read()
        if found is not None and found["token"] != self._token:
            raise busy(self.out, f"{found['holder']} (since {found['since']})")

    def _is_dead(self, found: dict[str, Any]) -> bool:
        """Watch another's lock: it is renewed, and so alive, or it is gone or lapses. The store's clock decides."""
        age = store_time(self._store) - found["mtime"]
        until = monotonic() + LAPSE_S - age.total_seconds()
        while monotonic() < until:
            sleep(min(LOOK_S, max(0.0, until - monotonic())))
            latest = self._read()
            if latest is None or latest["renewed"] != found["renewed"]:
                return False
        return True

    def _read(self) -> dict[str, Any] | None:
        """Return the lock that stands, with the store's time and name for its version; None where there is none."""
        try:
            with told(str(self._path)):
                looked = seen(self._path.fs.info(self._path.path))
                found = json.loads(self._path.fs.cat_file(self._path.path))
        except FileNotFoundError:
            return None
        except ValueError:
            found = {}
        unknown = {"holder": "another run", "token": "", "since": "an unknown time", "renewed": ""}
        whole: dict[str, Any] = unknown | found | {"mtime": looked.mtime, "etag": looked.etag}
        return whole

    def _put(self, over: dict[str, Any] | None) -> bool:
        """Put this run's lock where there is none, or over the one that was read; return whether it is the one now."""
        lock = {"holder": myself(), "token": self._token, "since": f"{self._since:%Y-%m-%d %H:%M:%S} UTC"}
        data = json.dumps(lock | {"renewed": f"{datetime.now(UTC).isoformat()} {secrets.token_hex(2)}"}).encode()
        began = monotonic()
        # The store compares and puts in one step where it can; where it cannot, the look below and the next renewal do.
        is_s3 = self._path.protocol in ("s3", "s3a")
        condition = {"mode": "create"} if over is None else {"IfMatch": over["etag"]} if is_s3 else {}
        try:
            with told(str(self._path)):
                self._path.fs.pipe_file(self._path.path, data, **condition)
        except OSError:
            if self._read() is None:  # not for another's lock, then
                raise
        now = self._read()
        is_mine = now is not None and now["token"] == self._token
        self._renewed = began if is_mine else self._renewed
        return is_mine
