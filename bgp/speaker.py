"""Keeps a BGP speaker alive and telling the world exactly what it was asked to, and nothing after that.

``Speaker`` is what the rest of the node sees. There are two of them, this one and ``bgp.bird_speaker``; what they have
in common is here and in ``bgp.lives``: each drives one process after the other with one table, renews its lease from
the same event loop, and when a life of the process ends, by whatever cause, kills what is left, waits and starts the
next one, which hears the desired table again. ``ExaBgpSpeaker`` carries lines and time to a ``RouteTable`` and its
commands back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from bgp.conf import SpeakerConfig
from bgp.exabgp import ExaBgp
from bgp.lives import LifeType, Lives, SpeakerTiming
from bgp.neighbor import Advertisement
from bgp.received import EndOfRib, Flooded, PathHeard, PathLost
from bgp.route import Address, Prefix, Route
from bgp.table import LineIgnored, RouteTable, SpeakerFailed, TableEvent

logger = logging.getLogger(__name__)

# Neighbors decide how many of these there are, so they are not for a log that is always on.
_LEVELS = dict.fromkeys((PathHeard, PathLost, EndOfRib, LineIgnored), logging.DEBUG)
_LEVELS[Flooded] = logging.WARNING


@dataclass(frozen=True, slots=True)
class SpeakerStarted:
    """A new speaker process is there and has been told nothing yet."""

    pid: int


@dataclass(frozen=True, slots=True)
class SpeakerLost:
    """The speaker process is gone, and every route with it; the next one starts in ``restart_in_s``."""

    reason: str
    restart_in_s: float


@dataclass(frozen=True, slots=True)
class BfdChanged:
    """BFD (RFC 5880) with a neighbor came up, or went down: then the BGP session is about to follow."""

    neighbor: Address
    is_up: bool


SpeakerEvent = TableEvent | SpeakerStarted | SpeakerLost | BfdChanged


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

    @property
    def pid(self) -> int | None:
        """Of the process, None between two of them."""

    def restart(self, reason: str) -> None:
        """The last resort: kill the process, and every route with it. The next one hears what is desired."""

    def routes_out(self) -> Mapping[tuple[Address, Prefix], Advertisement | None]:
        """What the speaker was last seen to tell each neighbor; None is a route that is not of our making."""

    async def stop(self) -> None:
        """Withdraw everything, wait for it within limits, and end the speaker. Nothing is left over."""


class Table(Protocol):
    """What a speaker is to announce, and what it is known to: a ``RouteTable`` or one like it."""

    def announce(self, route: Route) -> None: ...

    def withdraw(self, prefix: Prefix) -> None: ...

    def withdraw_all(self) -> None: ...

    def speaker_started(self, now: float) -> None: ...

    def speaker_lost(self) -> None: ...

    @property
    def is_synchronized(self) -> bool: ...

    @property
    def announces_nothing(self) -> bool: ...

    @property
    def sessions_up(self) -> frozenset[Address]: ...

    @property
    def routes_out(self) -> Mapping[tuple[Address, Prefix], Advertisement | None]: ...


TableType = TypeVar("TableType", bound=Table)


class TableSpeaker(Lives[LifeType], Generic[LifeType, TableType]):
    """The verbs and waits of a ``Speaker``, by a table; a subclass carries that to its process and back.

    ``on_event`` is called from the event loop with everything that happens; it may call the verbs. ``start`` must run
    on the main thread: the kernel kills the process when the *thread* that started it ends.
    """

    def __init__(
        self, table: TableType, on_event: Callable[[SpeakerEvent], None], timing: SpeakerTiming
    ) -> None:
        super().__init__(timing)
        self._table = table
        self._on_event = on_event
        self._changed = asyncio.Event()

    @abstractmethod
    def _pump(self) -> None:
        """What must follow every call into the table; at its end ``_changed`` is set."""

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

    def routes_out(self) -> Mapping[tuple[Address, Prefix], Advertisement | None]:
        return self._table.routes_out

    async def stop(self) -> None:
        self._stopping = True
        self.withdraw_all()
        if not await self.wait_withdrawn(self._timing.withdraw_timeout_s):
            logger.warning("event=stopping-unconfirmed")
        await super().stop()

    def _begun(self, life: LifeType) -> None:
        self._table.speaker_started(asyncio.get_running_loop().time())
        self._report(SpeakerStarted(life.pid))
        self._pump()

    def _ended(self) -> None:
        self._table.speaker_lost()
        self._pump()

    def _lost(self, reason: str, restart_in_s: float) -> None:
        self._report(SpeakerLost(reason, restart_in_s))

    def _report(self, event: SpeakerEvent) -> None:
        level = _LEVELS.get(type(event), logging.INFO)
        if logger.isEnabledFor(level):
            values = (f"{field.name}={str(getattr(event, field.name))!r}" for field in fields(event))
            logger.log(level, "event=%s %s", type(event).__name__, " ".join(values))
        self._on_event(event)

    async def _wait(self, reached: Callable[[], bool], timeout_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not reached():
                    self._changed.clear()
                    await self._changed.wait()
        return reached()


class ExaBgpSpeaker(TableSpeaker[ExaBgp, RouteTable]):
    """A ``Speaker`` made of ExaBGP processes. ``directory`` belongs to it alone."""

    def __init__(
        self,
        config: SpeakerConfig,
        directory: Path,
        on_event: Callable[[SpeakerEvent], None],
        *,
        timing: SpeakerTiming | None = None,
    ) -> None:
        timing = timing or SpeakerTiming()
        table = RouteTable(
            config.sessions(),
            command_timeout_s=timing.command_timeout_s,
            reconcile_interval_s=timing.reconcile_interval_s,
        )
        super().__init__(table, on_event, timing)
        self._config = config
        self._directory = directory
        self._failure = ""
        self._timer: asyncio.TimerHandle | None = None

    async def _begin(self) -> ExaBgp:
        timing = self._timing
        self._failure = "the bridge hung up"
        return await ExaBgp.start(
            self._config, self._directory, lease_s=timing.lease_s, timeout_s=timing.start_timeout_s
        )

    async def _live(self, life: ExaBgp) -> str:
        now = asyncio.get_running_loop().time
        while (line := await life.read_line()) is not None:
            self._table.receive_line(line, now())
            self._pump()
        return self._failure

    def _pump(self) -> None:
        """Events out, commands out, timer set."""
        while (event := self._table.next_event()) is not None:
            if isinstance(event, SpeakerFailed) and self._life is not None:
                self._failure = event.reason
                self._life.kill()
            self._report(event)
        if self._life is not None:
            for command in self._table.commands_to_send(asyncio.get_running_loop().time()):
                self._life.send(command)
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
