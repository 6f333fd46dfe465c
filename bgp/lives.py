"""Keeps a process running: one life after the other, with nothing of one left when the next begins."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from bgp.child import SpeakerError

logger = logging.getLogger(__name__)

# The end of a process shows in several places; this long after the first, the surest has shown it, too.
_END_SEEN_S = 0.2


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
    # For a speaker that does not say by itself what happens to it: how often it is asked.
    poll_interval_s: float = 0.2


class Life(Protocol):
    """One running process, and what keeps it on its lease."""

    @property
    def pid(self) -> int: ...

    def heartbeat(self) -> None: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...

    async def close(self, grace_s: float) -> None: ...


LifeType = TypeVar("LifeType", bound=Life)


class Lives(ABC, Generic[LifeType]):
    """Start with ``start`` on the main thread, end with ``stop``; between them it is ``_life``, or None for a while.

    A subclass says how a life begins, what to do in it, and what follows from its end.
    """

    def __init__(self, timing: SpeakerTiming) -> None:
        self._timing = timing
        self._life: LifeType | None = None
        self._stopping = False
        self._condemned = ""
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    async def _begin(self) -> LifeType:
        """A new process. Raises SpeakerError."""

    @abstractmethod
    def _begun(self, life: LifeType) -> None:
        """It is there now, as ``_life``."""

    @abstractmethod
    async def _live(self, life: LifeType) -> str:
        """Until it has ended or has to; returns why. It is killed then, if it still runs."""

    @abstractmethod
    def _ended(self) -> None:
        """Nothing of it is left."""

    @abstractmethod
    def _lost(self, reason: str, restart_in_s: float) -> None:
        """It was not asked to end, or could not begin."""

    async def start(self) -> None:
        """Raises SpeakerError when it cannot; after that it keeps itself running."""
        await self._next()
        self._task = asyncio.create_task(self._keep_alive())
        self._task.add_done_callback(_shout)

    @property
    def pid(self) -> int | None:
        """Of the process, None between two of them."""
        return None if self._life is None else self._life.pid

    def restart(self, reason: str) -> None:
        """Kill the process; the next one begins as after any other end."""
        if self._life is not None:
            self._condemned = reason
            self._life.kill()

    async def stop(self) -> None:
        """End the process; nothing is left over."""
        self._stopping = True
        if self._task is None:
            return
        if self._life is None:
            self._task.cancel()
        else:
            self._life.terminate()
            # One that hangs hears nothing, and this waits for its end.
            asyncio.get_running_loop().call_later(self._timing.stop_timeout_s, self._life.kill)
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _keep_alive(self) -> None:
        now = asyncio.get_running_loop().time
        reason = ""
        failures = 0
        while True:
            began = now()
            if self._life is not None:
                reason = await self._to_the_end(self._life)
            if self._stopping:
                return
            failures = 1 if now() - began >= self._timing.stable_s else failures + 1
            delays = self._timing.restart_delays_s
            delay = delays[min(failures, len(delays)) - 1]
            self._lost(reason, delay)
            await asyncio.sleep(delay)
            try:
                await self._next()
            except SpeakerError as error:
                reason = str(error)

    async def _next(self) -> None:
        self._life = await self._begin()
        self._begun(self._life)

    async def _to_the_end(self, life: LifeType) -> str:
        heartbeat = asyncio.create_task(self._beat(life))
        self._condemned = ""
        try:
            reason = await self._live(life)
            return self._condemned or reason
        finally:
            heartbeat.cancel()
            await life.close(self._timing.stop_timeout_s if self._stopping else 0.0)
            self._life = None
            self._ended()

    async def _beat(self, life: LifeType) -> None:
        while True:
            life.heartbeat()
            await asyncio.sleep(self._timing.heartbeat_s)


async def first_to_end(ended: Coroutine[None, None, str], *work: Coroutine[None, None, str]) -> str:
    """The result of what ends first; of ``ended`` if that is not much later, for then it is the cause."""
    tasks = [asyncio.create_task(coroutine) for coroutine in (ended, *work)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.wait(tasks[:1], timeout=_END_SEEN_S)
        return next(task for task in tasks if task.done()).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _shout(task: asyncio.Task[None]) -> None:
    # Nobody awaits the task before `stop`; without this a mistake in it would be found out only then.
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.critical("event=speaker-keeper-died", exc_info=error)
