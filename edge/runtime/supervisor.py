"""Workers: started with the sockets they serve, watched, started again when they die.

The supervisor keeps every UDP socket open. A worker gets copies of the descriptors, so packets that arrive
between a worker's death and its successor's first read wait in the kernel's queue.
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
from collections.abc import Callable, Mapping

import msgspec

from edge.errors import DeadlineError, EdgeError
from edge.overload import Gate
from edge.runtime import messages
from edge.runtime.messages import CallRecord, ListCalls, Report, SetGate, Start, Stop, WorkerSettings

log = logging.getLogger("edge.supervisor")

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0
RESTART_DELAY_S = 0.2


class Worker:
    """One worker process and what it last said of itself."""

    def __init__(self, settings: WorkerSettings, sockets: Mapping[str, int]) -> None:
        self.settings = settings
        self.sockets = dict(sockets)
        self.report: Report | None = None
        self.reported_at = 0.0
        self.ready = asyncio.Event()
        self.process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._answers: dict[int, asyncio.Future[list[CallRecord]]] = {}
        self._requests = itertools.count()

    async def run(self) -> int:
        """Start the process and serve its socket until it ends; its exit code."""
        ours, theirs = socket.socketpair()
        descriptors = list(self.sockets.values())
        self.ready.clear()
        self.report = None
        with theirs:
            # The kernel ties a parent-death signal to the thread that forks: this must be the main thread.
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "edge.runtime.worker",
                str(theirs.fileno()),
                str(os.getpid()),
                pass_fds=[theirs.fileno(), *descriptors],
                stdin=asyncio.subprocess.DEVNULL,
            )
        reader, self._writer = await asyncio.open_connection(sock=ours, limit=messages.LINE_LIMIT)
        try:
            settings = msgspec.structs.replace(
                self.settings, sockets=self.sockets, nonce_start=secrets.randbits(62)
            )
            self._send(Start(settings))
            while line := await reader.readline():
                self._handle(messages.decode_to_supervisor(line))
        except ConnectionError:
            pass  # the worker is gone; its exit code says more
        except (msgspec.DecodeError, ValueError) as error:
            log.error('event=worker_unintelligible worker=%d error="%s"', self.settings.worker, error)
        finally:
            self._writer.close()
            self._writer = None
            for answer in self._answers.values():
                answer.cancel()
            self._answers.clear()
            with contextlib.suppress(ProcessLookupError):
                if self.process.returncode is None:
                    self.process.kill()
            code = await self.process.wait()
            self.ready.clear()
        return code

    def _send(self, message: messages.Message) -> None:
        if self._writer is not None:
            messages.write(self._writer, message)

    def _handle(self, message: messages.Ready | Report | messages.Calls) -> None:
        match message:
            case messages.Ready():
                self.ready.set()
            case Report():
                self.report = message
                self.reported_at = time.monotonic()
            case messages.Calls():
                answer = self._answers.pop(message.request, None)
                if answer is not None and not answer.done():
                    answer.set_result(message.calls)

    def set_gate(self, gate: Gate) -> None:
        self._send(SetGate(gate))

    def stop(self, reason: str) -> None:
        self._send(Stop(reason))

    async def calls(self, timeout_s: float = 2.0) -> list[CallRecord]:
        """The worker's calls; an empty list if it does not answer in time."""
        if self._writer is None:
            return []
        request = next(self._requests)
        answer = asyncio.get_running_loop().create_future()
        self._answers[request] = answer
        self._send(ListCalls(request))
        try:
            return await asyncio.wait_for(answer, timeout_s)
        except (TimeoutError, asyncio.CancelledError):
            self._answers.pop(request, None)
            return []


class Supervisor:
    """All workers of a node. ``settings(worker)`` gives what a worker must know."""

    def __init__(
        self,
        count: int,
        settings: Callable[[int], WorkerSettings],
        sockets: Callable[[int], Mapping[str, int]],
    ) -> None:
        self.workers = [Worker(settings(index), sockets(index)) for index in range(count)]
        self.restarts = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False

    async def start(self) -> None:
        """Start every worker; returns when all of them serve.

        Raises:
            EdgeError: a worker ended before it served.
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

    async def _all_ready(self) -> None:
        for worker in self.workers:
            await worker.ready.wait()

    async def _keep(self, worker: Worker) -> None:
        code = await worker.run()
        if worker.report is None and not self._stopping:
            raise EdgeError(f"worker {worker.settings.worker} ended (exit {code}) before it served a packet")
        while not self._stopping:
            self.restarts += 1
            log.error("event=worker_died worker=%d exit=%d", worker.settings.worker, code)
            await asyncio.sleep(RESTART_DELAY_S)
            code = await worker.run()

    async def stop(self, reason: str) -> None:
        """Ask all workers to leave; kill those that do not."""
        self._stopping = True
        for worker in self.workers:
            worker.stop(reason)
        if not self._tasks:
            return
        _, late = await asyncio.wait(self._tasks, timeout=STOP_TIMEOUT_S)
        for worker in self.workers:
            if late and worker.process is not None and worker.process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    worker.process.kill()
        if late:
            await asyncio.wait(late)

    async def calls(self) -> list[CallRecord]:
        """The calls of all workers."""
        answers = await asyncio.gather(*(worker.calls() for worker in self.workers))
        return [record for records in answers for record in records]
