"""Workers: started with the sockets they serve, watched, started again when they die.

The supervisor keeps every socket open. A worker gets copies of the descriptors, so packets and TCP connections
that arrive between a worker's death and its successor's first read wait in the kernel's queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import secrets
import socket
import sys
import time
from collections.abc import Iterable

import msgspec

from edge.errors import DeadlineError, EdgeError
from edge.overload import Gate
from edge.runtime import messages
from edge.runtime.messages import (
    CallRecord,
    CloseCalls,
    HandOver,
    ListCalls,
    Owners,
    Report,
    SetGate,
    SetKeys,
    SetOwners,
    Start,
    Stop,
    WorkerSettings,
)

log = logging.getLogger("edge.supervisor")

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0
LEAVE_S = 1.0
"""From a worker's last word to its end."""
RESTART_DELAY_S = 0.2
LOOK_S = 1.0
QUIET_S = 2.0
"""Several reports have not come: something is wrong with the worker."""
HUNG_S = 10.0
"""It will not come back by itself. If nobody else serves, the self-probe has withdrawn the route long before."""


class Worker:
    """One worker process and what it last said of itself: ``report`` is None while there is no such process."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.settings = settings
        self.report: Report | None = None
        self.ready = asyncio.Event()
        self.process: asyncio.subprocess.Process | None = None
        self._reported_at = 0.0
        self._writer: asyncio.StreamWriter | None = None
        self._observed: dict[str, list[float]] = {}
        self._answers: dict[int, asyncio.Future[list[CallRecord] | None]] = {}
        self._requests = itertools.count()

    @property
    def is_reporting(self) -> bool:
        """Whether it has said of late how it is."""
        return self.report is not None and time.monotonic() - self._reported_at < QUIET_S

    def take_observations(self) -> dict[str, list[float]]:
        """What it has measured since this was last called."""
        taken, self._observed = self._observed, {}
        return taken

    async def run(self) -> str:
        """Start the process and serve its socket until it ends; says how it ended."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self.process = await self._spawn(theirs)
        except OSError as error:
            ours.close()
            return f"cannot be started: {error.strerror}"
        reader, self._writer = await asyncio.open_connection(sock=ours, limit=messages.LINE_LIMIT)
        settings = msgspec.structs.replace(
            self.settings,
            nonce_start=secrets.randbits(62),
        )
        self._send(Start(settings))
        trouble = ""
        try:
            await self._listen(reader)
            async with asyncio.timeout(LEAVE_S):
                await self.process.wait()
        except TimeoutError:
            trouble = "hung"
        except (msgspec.DecodeError, ValueError) as error:
            trouble = f"unintelligible: {error}"
        finally:
            self.kill()
            code = await self.process.wait()
            self._writer.close()
            self._writer = None
            self.report = None
            self.ready.clear()
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_result(None)
            self._answers.clear()
        return trouble or f"exit {code}"

    async def _spawn(self, control: socket.socket) -> asyncio.subprocess.Process:
        # The kernel ties a parent-death signal to the thread that forks: this must be the main thread.
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            "edge.runtime.worker",
            str(control.fileno()),
            str(os.getpid()),
            str(log.getEffectiveLevel()),
            pass_fds=[control.fileno(), *self.settings.descriptors],
            stdin=asyncio.subprocess.DEVNULL,
            process_group=0,  # Ctrl-C at a terminal is for the supervisor alone, from the worker's first moment
        )

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        """To the end of what the worker says; TimeoutError if it falls silent before."""
        quiet_s = 0.0
        while quiet_s < (HUNG_S if self.ready.is_set() else START_TIMEOUT_S):
            try:
                async with asyncio.timeout(LOOK_S):
                    line = await reader.readline()
            except ConnectionError:
                return
            except TimeoutError:
                # By looks and not by the clock: if it was this process that was stopped, one look was in vain.
                quiet_s += LOOK_S
                continue
            if not line:
                return
            quiet_s = 0.0
            self._handle(messages.decode_to_supervisor(line))
        raise TimeoutError

    def kill(self) -> None:
        """End the process now, if there is one."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()

    def _send(self, message: messages.Message) -> None:
        if self._writer is not None:
            messages.write(self._writer, message)

    def _handle(self, message: messages.Ready | Report | messages.Calls) -> None:
        match message:
            case messages.Ready():
                self.ready.set()
            case Report():
                self.report = message
                for name, values in message.observations.items():
                    self._observed.setdefault(name, []).extend(values)
                self._reported_at = time.monotonic()
            case messages.Calls():
                answer = self._answers.pop(message.request, None)
                if answer is not None and not answer.done():
                    answer.set_result(message.calls)

    def set_gate(self, gate: Gate) -> None:
        self._send(SetGate(gate))

    def set_keys(self, keys: str) -> None:
        """Now, and for those that come after it."""
        self.settings = msgspec.structs.replace(self.settings, keys=keys)
        self._send(SetKeys(keys))

    def set_owners(self, owners: Owners) -> None:
        self.settings = msgspec.structs.replace(self.settings, owners=owners)
        self._send(SetOwners(owners))

    def hand_over(self, order: HandOver) -> None:
        self._send(order)

    def close_calls(self, reason: str) -> None:
        self._send(CloseCalls(reason))

    def stop(self, reason: str) -> None:
        self._send(Stop(reason))

    async def calls(self, timeout_s: float = 2.0) -> list[CallRecord] | None:
        """The worker's calls; None if it does not answer in time."""
        if self._writer is None:
            return None
        request = next(self._requests)
        answer: asyncio.Future[list[CallRecord] | None] = asyncio.get_running_loop().create_future()
        self._answers[request] = answer
        self._send(ListCalls(request))
        try:
            return await asyncio.wait_for(answer, timeout_s)
        except TimeoutError:
            self._answers.pop(request, None)
            return None


class Supervisor:
    """All workers of a node, given what each must know; the descriptors in it are this process's own."""

    def __init__(self, settings: Iterable[WorkerSettings]) -> None:
        self.workers = [Worker(one) for one in settings]
        self.restarts = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._started = False
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Start every worker; returns when all of them serve.

        Raises:
            EdgeError: a worker ended before all of them served.
            DeadlineError: a worker did not come up in time.
        """
        self._tasks = [asyncio.create_task(self._keep(worker)) for worker in self.workers]
        all_ready = asyncio.create_task(self._all_ready())
        done, _ = await asyncio.wait(
            [all_ready, *self._tasks], timeout=START_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED
        )
        all_ready.cancel()
        for task in self._tasks:
            if task in done:
                await task
        if not done:
            raise DeadlineError(f"a worker was not ready within {START_TIMEOUT_S:g} s")
        self._started = True

    async def _all_ready(self) -> None:
        for worker in self.workers:
            await worker.ready.wait()

    async def _keep(self, worker: Worker) -> None:
        while not self._stopping.is_set():
            ending = await worker.run()
            if self._stopping.is_set():
                return
            if not self._started:
                raise EdgeError(f"worker {worker.settings.worker} did not come up: {ending}")
            self.restarts += 1
            log.error('event=worker_died worker=%d ending="%s"', worker.settings.worker, ending)
            await asyncio.sleep(RESTART_DELAY_S)

    async def stop(self, reason: str) -> None:
        """Ask all workers to leave; kill those that do not."""
        self._stopping.set()
        for worker in self.workers:
            worker.stop(reason)
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=STOP_TIMEOUT_S)
        if late:
            for worker in self.workers:
                worker.kill()
        # Whoever called `start` has been told already why a worker did not come up.
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def calls(self) -> list[CallRecord]:
        """The calls of all workers that answer."""
        answers = await asyncio.gather(*(worker.calls() for worker in self.workers))
        return [record for records in answers for record in records or ()]
