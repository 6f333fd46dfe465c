"""Keeps a BGP speaker alive and telling the world exactly what it was asked to, and nothing after that.

``Speaker`` is what the rest of the node sees. ``ExaBgpSpeaker`` drives one ExaBGP process after the other with one
``RouteTable``: it carries lines and time to the table and its commands back, renews the bridge's lease from the
same event loop, and when a life of the process ends, by whatever cause, kills what is left, waits and starts the
next one, which hears the desired table again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Protocol

from bgp.conf import SpeakerConfig
from bgp.exabgp import ExaBgp, SpeakerError
from bgp.route import Address, Prefix, Route
from bgp.table import RouteTable, SpeakerFailed, TableEvent

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SpeakerTiming:
    """Seconds. Together they keep the promises of the failure matrix: see each comment."""

    # A hung supervisor's routes are gone after the lease and at most 0.7 s more.
    lease_s: float = 2.0
    heartbeat_s: float = 0.5
    # A hung speaker is noticed within interval + timeout, before a hold time of 9 s has run out.
    command_timeout_s: float = 3.0
    reconcile_interval_s: float = 5.0
    start_timeout_s: float = 10.0
    # At a stop: for the withdrawals to be seen in the adj-RIB-out, then for the process to end.
    withdraw_timeout_s: float = 2.0
    stop_timeout_s: float = 2.0
    # Before the first, second, ... start after a failure; each makes the prefix come and go once.
    restart_delays_s: tuple[float, ...] = (0.0, 30.0, 300.0, 1800.0)
    # A life this long makes good for the failures before it.
    stable_s: float = 600.0


@dataclass(frozen=True, slots=True)
class SpeakerStarted:
    """A new speaker process is there and has been told nothing yet."""

    pid: int


@dataclass(frozen=True, slots=True)
class SpeakerLost:
    """The speaker process is gone, and every route with it; the next one starts in ``restart_in_s``."""

    reason: str
    restart_in_s: float


SpeakerEvent = TableEvent | SpeakerStarted | SpeakerLost


class Speaker(Protocol):
    """Announces routes to all configured neighbors. Verbs take effect soon; the waits say when they have."""

    async def start(self) -> None:
        """Raises SpeakerError when it cannot; after that it keeps itself running."""

    def announce(self, route: Route) -> None:
        """To every neighbor whose session carries its family. Raises RouteError, and changes nothing, if none does."""

    def withdraw(self, prefix: Prefix) -> None: ...

    def withdraw_all(self) -> None: ...

    async def wait_synchronized(self, timeout_s: float) -> bool:
        """Until the speaker was seen to tell every neighbor what is desired; False when time ran out."""

    async def wait_withdrawn(self, timeout_s: float) -> bool:
        """Until it is certain that no neighbor hears a route from us; False when time ran out."""

    @property
    def sessions_up(self) -> frozenset[Address]: ...

    async def stop(self) -> None:
        """Withdraw everything, wait for it within limits, and end the speaker. Nothing is left over."""


class ExaBgpSpeaker:
    """A ``Speaker`` made of ExaBGP processes. ``directory`` belongs to it alone.

    ``on_event`` is called from the event loop with everything that happens; it may call the verbs. ``start`` must
    run on the main thread: the kernel kills ExaBGP when the *thread* that started it ends.
    """

    def __init__(
        self,
        config: SpeakerConfig,
        directory: Path,
        on_event: Callable[[SpeakerEvent], None],
        *,
        timing: SpeakerTiming | None = None,
    ) -> None:
        self._config = config
        self._directory = directory
        self._on_event = on_event
        self._timing = timing or SpeakerTiming()
        self._table = RouteTable(
            config.sessions(),
            command_timeout_s=self._timing.command_timeout_s,
            reconcile_interval_s=self._timing.reconcile_interval_s,
        )
        self._exabgp: ExaBgp | None = None
        self._failure = ""
        self._stopping = False
        self._keeper: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._changed = asyncio.Event()

    async def start(self) -> None:
        await self._begin_life()
        self._keeper = asyncio.create_task(self._keep_alive())
        self._keeper.add_done_callback(_shout)

    def announce(self, route: Route) -> None:
        self._table.announce(route)
        self._pump()

    def withdraw(self, prefix: Prefix) -> None:
        self._table.withdraw(prefix)
        self._pump()

    def withdraw_all(self) -> None:
        self._table.withdraw_all()
        self._pump()

    async def wait_synchronized(self, timeout_s: float) -> bool:
        return await self._wait(lambda: self._table.is_synchronized, timeout_s)

    async def wait_withdrawn(self, timeout_s: float) -> bool:
        return await self._wait(lambda: self._table.announces_nothing, timeout_s)

    @property
    def sessions_up(self) -> frozenset[Address]:
        return self._table.sessions_up

    @property
    def pid(self) -> int | None:
        """Of the ExaBGP process, None between two of them."""
        return None if self._exabgp is None else self._exabgp.pid

    async def stop(self) -> None:
        self._stopping = True
        self.withdraw_all()
        if not await self.wait_withdrawn(self._timing.withdraw_timeout_s):
            logger.warning("event=stopping-unconfirmed")
        if self._keeper is None:
            return
        if self._exabgp is None:
            self._keeper.cancel()
        else:
            self._exabgp.terminate()
            # One that hangs hears nothing, and the keeper waits for its end.
            asyncio.get_running_loop().call_later(self._timing.stop_timeout_s, self._exabgp.kill)
        with contextlib.suppress(asyncio.CancelledError):
            await self._keeper

    # --- one life after the other -----------------------------------------------------------------------

    async def _keep_alive(self) -> None:
        now = asyncio.get_running_loop().time
        failures = 0
        while True:
            began = now()
            if self._exabgp is not None:
                await self._live(self._exabgp)
            if self._stopping:
                return
            failures = 1 if now() - began >= self._timing.stable_s else failures + 1
            delays = self._timing.restart_delays_s
            delay = delays[min(failures, len(delays)) - 1]
            self._report(SpeakerLost(self._failure, delay))
            await asyncio.sleep(delay)
            try:
                await self._begin_life()
            except SpeakerError as error:
                self._failure = str(error)

    async def _begin_life(self) -> None:
        timing = self._timing
        self._exabgp = await ExaBgp.start(
            self._config, self._directory, lease_s=timing.lease_s, timeout_s=timing.start_timeout_s
        )
        self._failure = "the bridge hung up"
        self._table.speaker_started(asyncio.get_running_loop().time())
        self._report(SpeakerStarted(self._exabgp.pid))
        self._pump()

    async def _live(self, exabgp: ExaBgp) -> None:
        """To the end of a process, with nothing left of it."""
        now = asyncio.get_running_loop().time
        heartbeat = asyncio.create_task(self._beat(exabgp))
        try:
            while (line := await exabgp.read_line()) is not None:
                self._table.receive_line(line, now())
                self._pump()
        finally:
            heartbeat.cancel()
            await exabgp.close(self._timing.stop_timeout_s if self._stopping else 0.0)
            self._exabgp = None
            self._table.speaker_lost()
            self._pump()

    async def _beat(self, exabgp: ExaBgp) -> None:
        while True:
            exabgp.heartbeat()
            await asyncio.sleep(self._timing.heartbeat_s)

    # --- between the table and the world ----------------------------------------------------------------

    def _pump(self) -> None:
        """What must follow every call into the table: events out, commands out, timer set."""
        while (event := self._table.next_event()) is not None:
            if isinstance(event, SpeakerFailed) and self._exabgp is not None:
                self._failure = event.reason
                self._exabgp.kill()
            self._report(event)
        if self._exabgp is not None:
            loop = asyncio.get_running_loop()
            for command in self._table.commands_to_send(loop.time()):
                self._exabgp.send(command)
        self._arm()
        self._changed.set()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._table.get_timer()
        if deadline is not None:
            self._timer = asyncio.get_running_loop().call_at(deadline, self._wake)

    def _wake(self) -> None:
        self._table.handle_timer(asyncio.get_running_loop().time())
        self._pump()

    def _report(self, event: SpeakerEvent) -> None:
        values = (f"{field.name}={str(getattr(event, field.name))!r}" for field in fields(event))
        logger.info("event=%s %s", type(event).__name__, " ".join(values))
        self._on_event(event)

    async def _wait(self, reached: Callable[[], bool], timeout_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not reached():
                    self._changed.clear()
                    await self._changed.wait()
        return reached()


def _shout(keeper: asyncio.Task[None]) -> None:
    # Nobody awaits the keeper before `stop`; without this a mistake in it would be found out only then.
    if not keeper.cancelled() and (error := keeper.exception()) is not None:
        logger.critical("event=speaker-keeper-died", exc_info=error)
