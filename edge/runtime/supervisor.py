"""Workers: started with the sockets they serve, watched, started again when they die, replaced by a new generation.

The supervisor keeps every socket open. A worker gets copies of the descriptors, so packets and TCP connections
that arrive between a worker's death and its successor's first read wait in the kernel's queue.

A generation is the workers that were started together. A new one is started in slots that nobody has. Once all of it
serves, newcomers go there; the one before keeps what is its own, and each of its workers leaves when it has no call any
more. Its slot is then nobody's (see `edge.cid.steering`).
"""

from __future__ import annotations

import asyncio
import logging
import math
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain

from edge.cid.steering import Slots
from edge.errors import DeadlineError, EdgeError, RefusedError
from edge.runtime.messages import CallRecord, HandOver, Report, WorkerSettings
from edge.runtime.worker_process import START_TIMEOUT_S, Worker

log = logging.getLogger("edge.supervisor")

STOP_TIMEOUT_S = 5.0
RESTART_DELAY_S = 0.2
LOOK_S = 0.25
SETTLED_S = 5.0
"""From a worker's last connection to its end: handshakes that began with it have come to something by then."""
HAND_OVER_S = 20.0
"""For callers to find a pause and go on with newer workers, from the deadline until what is left is ended."""
UNUSED_S = 30.0
"""From its last call, while there are connections without one."""

Settings = Callable[[range], Iterable[WorkerSettings]]
"""What the workers with these slots must know."""


class Standing(StrEnum):
    """Where a generation is."""

    STARTING = "starting"
    SERVING = "serving"
    LEAVING = "leaving"


class Generation:
    """``number`` counts from 1. ``ends_at``: when what is left of one that leaves is ended, on the loop's clock."""

    def __init__(self, number: int, workers: Iterable[Worker]) -> None:
        self.number = number
        self.workers = list(workers)
        self.standing = Standing.STARTING
        self.ends_at: float | None = None

    @property
    def slots(self) -> frozenset[int]:
        return frozenset(worker.slot for worker in self.workers)

    @property
    def calls(self) -> int:
        return sum(int(worker.report.load.calls) for worker in self.workers if worker.report is not None)


class Supervisor:
    """All workers of a node, ``count`` of them in a generation; the descriptors in their settings are this process's own.

    ``steer`` is called whenever packets have to find other workers than before. ``python`` runs the workers.
    """

    def __init__(
        self,
        settings: Settings,
        count: int = 1,
        *,
        steer: Callable[[Slots], None] = lambda _: None,
        python: str = sys.executable,
    ) -> None:
        self.restarts = 0
        self.generations: list[Generation] = []
        """The one that serves or is to serve is the last, but for one that is starting beside it."""
        self._settings = settings
        self._count = count
        self._steer = steer
        self._slots: Slots | None = None  # as packets are steered
        self._siblings: list[int] = []  # as workers know them
        self._python = python
        self._numbers = 0
        self._tasks: dict[Worker, asyncio.Task[None]] = {}
        self._farewells: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()

    @property
    def workers(self) -> list[Worker]:
        """All that have served and are not dismissed, also those that are being restarted."""
        return [
            worker
            for generation in self.generations
            if generation.standing is not Standing.STARTING
            for worker in generation.workers
        ]

    @property
    def everyone(self) -> list[Worker]:
        """`workers`, and those that are starting."""
        return [worker for generation in self.generations for worker in generation.workers]

    async def start(self) -> None:
        """Start the first generation; returns when all of it serves.

        Raises:
            EdgeError: a worker ended before all of them served.
            DeadlineError: a worker did not come up in time.
        """
        first = self._begin(range(self._count))
        await self._bring_up(first)
        first.standing = Standing.SERVING

    async def reload(self, deadline_s: float | None = None) -> None:
        """Start a new generation; returns when it serves, and the one before begins to leave.

        After ``deadline_s`` callers that it still has are asked to go on with the new one, which takes them `HAND_OVER_S`
        at most; then what is left of it is ended. Raises as `start`, and `RefusedError` while another one is
        leaving; then nothing has changed.
        """
        if len(self.generations) > 1:
            raise RefusedError(self._not_now())
        (old,) = self.generations
        new = self._begin(range(self._count - min(old.slots), 2 * self._count - min(old.slots)))
        try:
            await self._bring_up(new)
        except BaseException:
            await self._end(new.workers, "its generation did not come up")
            self.generations.remove(new)
            self._arrange()
            raise
        new.standing, old.standing = Standing.SERVING, Standing.LEAVING
        if deadline_s is not None:
            old.ends_at = asyncio.get_running_loop().time() + deadline_s + HAND_OVER_S
        self._arrange()
        for worker in old.workers:
            worker.leave()
        log.info("event=generation_serves generation=%d", new.number)
        farewell = asyncio.create_task(self._see_off(old))
        self._farewells.add(farewell)
        farewell.add_done_callback(self._farewells.discard)

    def _not_now(self) -> str:
        before, after = self.generations
        if after.standing is Standing.STARTING:
            return f"generation {after.number} is being started; wait for it"
        return (
            f"generation {before.number} still has {before.calls} calls, and its workers the places that new ones need; "
            "wait until they have ended"
        )

    def _begin(self, slots: range) -> Generation:
        self._numbers += 1
        generation = Generation(
            self._numbers,
            (
                Worker(settings, python=self._python, changed=self._arrange)
                for settings in self._settings(slots)
            ),
        )
        self.generations.append(generation)
        self._arrange()
        return generation

    async def _bring_up(self, generation: Generation) -> None:
        tasks = {worker: asyncio.create_task(self._keep(generation, worker)) for worker in generation.workers}
        self._tasks |= tasks
        all_ready = asyncio.create_task(_all_ready(generation.workers))
        done, _ = await asyncio.wait(
            [all_ready, *tasks.values()], timeout=START_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
        )
        all_ready.cancel()
        for task in tasks.values():
            if task in done:
                await task
        if self._stopping.is_set():
            raise RefusedError("the node is stopping")
        if not done:
            raise DeadlineError(f"a worker was not ready within {START_TIMEOUT_S:g} s")

    async def _keep(self, generation: Generation, worker: Worker) -> None:
        while True:
            ending = await worker.run()
            if self._stopping.is_set() or worker not in generation.workers:
                return
            if generation.standing is Standing.STARTING:
                raise EdgeError(f"worker {worker.slot} did not come up: {ending}")
            log.error('event=worker_died worker=%d ending="%s"', worker.slot, ending)
            if generation.standing is Standing.SERVING:
                self.restarts += 1
                await asyncio.sleep(RESTART_DELAY_S)
            if self._stopping.is_set():
                return
            if generation.standing is Standing.LEAVING:
                # Its calls are gone. A newer generation tells their callers so, and takes them.
                self._dismiss(generation, [worker])
                return

    async def _see_off(self, generation: Generation) -> None:
        """Until the last worker of a generation has left."""
        now = asyncio.get_running_loop().time
        idle = {worker: _Idle(now()) for worker in generation.workers}
        asked = False
        while generation.workers:
            await asyncio.sleep(LOOK_S)
            left_s = math.inf if generation.ends_at is None else generation.ends_at - now()
            if left_s <= HAND_OVER_S and not asked:
                asked = True
                _hand_over(generation.workers)
            done = [worker for worker in generation.workers if idle[worker].is_long(worker.report, now())]
            leaving = list(generation.workers) if left_s <= 0 else done
            self._dismiss(generation, leaving)
            await self._end(leaving, "the node was reloaded")
        self.generations.remove(generation)
        log.info("event=generation_left generation=%d", generation.number)

    def _dismiss(self, generation: Generation, workers: Sequence[Worker]) -> None:
        """Nothing that arrives from now on is theirs."""
        for worker in workers:
            generation.workers.remove(worker)
        self._arrange()

    def _arrange(self) -> None:
        """Have packets, and workers, know who is there."""
        if self._stopping.is_set():
            return
        siblings = sorted(worker.slot for worker in self.everyone)
        if siblings != self._siblings:
            self._siblings = siblings
            for worker in self.everyone:
                worker.set_siblings(siblings)
        slots = self._seating()
        if slots != self._slots:
            self._slots = slots
            self._steer(slots)

    def _seating(self) -> Slots:
        standing = [one for one in self.generations if one.standing is not Standing.STARTING]
        if not standing:  # packets wait in the sockets of those that come up
            return Slots(self._count, newest=min(self.generations[0].slots))
        *before, newest = standing
        return Slots(
            self._count,
            newest=min(newest.slots),
            leaving=frozenset(chain.from_iterable(one.slots for one in before)),
            absent=frozenset(worker.slot for worker in newest.workers if not worker.ready.is_set()),
        )

    async def stop(self, reason: str) -> None:
        """Ask all workers to leave; kill those that do not."""
        self._stopping.set()
        for farewell in self._farewells:
            farewell.cancel()
        await self._end(list(self._tasks), reason)

    async def _end(self, workers: Iterable[Worker], reason: str) -> None:
        # They stay known until they have ended: a stop that comes meanwhile waits for them, too.
        tasks = {worker: task for worker in workers if (task := self._tasks.get(worker)) is not None}
        for worker in tasks:
            worker.stop(reason)
        if not tasks:
            return
        _, late = await asyncio.wait(tasks.values(), timeout=STOP_TIMEOUT_S)
        for worker, task in tasks.items():
            if task in late:
                worker.kill()
        # Whoever asked for a generation has been told already why it did not come up.
        await asyncio.gather(*tasks.values(), return_exceptions=True)
        for worker in tasks:
            self._tasks.pop(worker, None)

    async def calls(self) -> list[CallRecord]:
        """The calls of all workers that answer."""
        answers = await asyncio.gather(*(worker.calls() for worker in self.workers))
        return [record for records in answers for record in records or ()]


async def _all_ready(workers: Sequence[Worker]) -> None:
    for worker in workers:
        await worker.ready.wait()


def _hand_over(workers: Sequence[Worker]) -> None:
    """Ask their callers to call the node again: its newcomers are a newer generation's, which does not know the calls."""
    for worker in workers:
        settings = worker.settings
        worker.hand_over(
            HandOver(
                urls=[settings.unicast_url],
                urls_v6=[settings.unicast_url_v6],
                reason="reload",
                within_ms=round(HAND_OVER_S * 1000),
                leave=True,
            )
        )


@dataclass(slots=True)
class _Idle:
    """Since when a worker has had no connection, and no call, on the loop's clock."""

    connected_at: float
    called_at: float = field(init=False)

    def __post_init__(self) -> None:
        self.called_at = self.connected_at

    def is_long(self, report: Report | None, now: float) -> bool:
        """Whether nobody needs it any more."""
        if report is None or report.load.calls:
            self.called_at = self.connected_at = now
        elif any(report.connections.values()):
            self.connected_at = now
        return now - self.connected_at > SETTLED_S or now - self.called_at > UNUSED_S
