"""Turns at a GPU: several runs share one by a concurrency limit of the user's own Prefect server."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import monotonic

from flows.errors import Interrupted
from flows.server import configured_api_url
from flows.stopping import Stop

ON_GPU = ("features", "captions", "speech")
"""Stages that need the device."""

HOLD_S = 60.0
"""How long a run keeps the GPU while its shards follow each other, before another run gets its turn."""

LEASE_S = 60.0
"""A slot that was not renewed for so long is free again: its run was killed. The least that Prefect takes."""

LOOK_S = 10.0
"""Time between two looks at whether a run that waits for its turn was asked to stop."""


class Turns:
    """The stages of one run that are at the GPU: together they hold one slot, from the first one to the last."""

    def __init__(self, slot: Callable[[], AbstractContextManager[None]], hold_s: float = HOLD_S) -> None:
        """`slot` waits for a slot when it is entered and gives it back when it is left."""
        self._slot, self._hold_s = slot, hold_s
        self._changed = threading.Condition()
        self._held: AbstractContextManager[None] | None = None
        self._inside, self._since, self._is_ending = 0, 0.0, False

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the run's slot inside the block; after `hold_s` it waits until all are out and gives others a turn."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_ending)
            if self._held is None:
                slot = self._slot()
                slot.__enter__()
                self._held, self._since = slot, monotonic()
            self._inside += 1
        try:
            yield
        finally:
            self._leave()

    def _leave(self) -> None:
        with self._changed:
            self._inside -= 1
            self._is_ending = self._inside > 0 and (self._is_ending or monotonic() - self._since > self._hold_s)
            if self._inside == 0 and self._held is not None:
                held, self._held = self._held, None
                held.__exit__(None, None, None)
            self._changed.notify_all()


def turns_at(device: str, stop: Stop, say: Callable[[str], None]) -> Turns | None:
    """Return the turns at a GPU; None where the models run elsewhere, or the user has set up no Prefect server."""
    if not device.startswith("cuda") or configured_api_url() is None:
        return None
    return Turns(Limit(limit_name(device), stop, say).slot)


def limit_name(device: str) -> str:
    """Return the name of a GPU's limit: its machine and its number, whatever CUDA_VISIBLE_DEVICES hides."""
    number = int(device.partition(":")[2] or 0)
    visible = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return f"narrate-gpu-{socket.gethostname()}-{visible[number] if number < len(visible) else number}"


class Limit:
    """A concurrency limit on the server, made with one slot where it is missing."""

    def __init__(self, name: str, stop: Stop, say: Callable[[str], None]) -> None:
        """`say` is told, once, that the server is away: then nobody waits."""
        self._name, self._stop, self._say = name, stop, say
        self._is_away = self._is_there = False

    def slot(self) -> AbstractContextManager[None]:
        """Return what holds a slot; raises Interrupted where the run is stopped while it waits."""
        return nullcontext() if self._is_away else self._waiting()

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        held = None
        try:
            held = self._wait()
        except (Interrupted, SystemExit, KeyboardInterrupt):
            raise
        except Exception as error:  # noqa: BLE001 - a server that is away ends no run
            self._is_away = True
            words = (str(error).splitlines() or [type(error).__name__])[0]
            self._say(f"The GPU's limit {self._name} cannot be had ({words}); the run goes on without it.")
        try:
            yield
        finally:
            if held is not None:
                held.__exit__(None, None, None)

    def _wait(self) -> AbstractContextManager[None]:
        from prefect.concurrency.sync import concurrency

        if not self._is_there:
            _make(self._name)
            self._is_there = True
        while True:
            self._stop.check()
            slot = concurrency(
                self._name,
                timeout_seconds=LOOK_S,
                lease_duration=LEASE_S,
                strict=True,
                raise_on_lease_renewal_failure=False,
            )
            try:
                slot.__enter__()
            except TimeoutError:
                continue
            return slot


def _make(name: str) -> None:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
    from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
    from prefect.utilities.asyncutils import run_coro_as_sync

    async def make() -> None:
        async with get_client() as client:
            try:
                await client.read_global_concurrency_limit_by_name(name)
            except ObjectNotFound:
                try:
                    await client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=1))
                except ObjectAlreadyExists:
                    return

    run_coro_as_sync(make())
