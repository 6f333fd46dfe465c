"""A worker's process, from its supervisor's end: started, told, listened to, and at an end."""

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
from collections.abc import Callable

import msgspec

from edge.overload import Gate
from edge.runtime import messages
from edge.runtime.messages import (
    CallOff,
    CallRecord,
    CloseCalls,
    HandOver,
    Leave,
    ListCalls,
    Owners,
    Report,
    SetGate,
    SetKeys,
    SetOwners,
    SetSiblings,
    Start,
    Stop,
    ToSupervisor,
    WorkerSettings,
)
from edge.voice.control import GoAwayReason

log = logging.getLogger("edge.supervisor")

START_TIMEOUT_S = 30.0
LEAVE_S = 1.0
"""From a worker's last word to its end."""
LOOK_S = 1.0
QUIET_S = 2.0
"""Several reports have not come: something is wrong with the worker."""
HUNG_S = 10.0
"""It will not come back by itself. If nobody else serves, the self-probe has withdrawn the route long before."""


class Worker:
    """One worker process and what it last said of itself: ``report`` is None while there is no such process.

    ``python`` runs it. ``changed`` is called when it serves, and when it does so no more.
    """

    def __init__(
        self,
        settings: WorkerSettings,
        *,
        python: str = sys.executable,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.settings = settings
        self.report: Report | None = None
        self.version = ""
        self.ready = asyncio.Event()
        self._python = python
        self._changed = changed
        self._problem = ""
        self._leaves = False
        self.process: asyncio.subprocess.Process | None = None
        self._reported_at = 0.0
        self._writer: asyncio.StreamWriter | None = None
        self._observed: dict[str, list[float]] = {}
        self._answers: dict[int, asyncio.Future[list[CallRecord] | None]] = {}
        self._requests = itertools.count()

    @property
    def slot(self) -> int:
        """The octet of its connection IDs."""
        return self.settings.worker

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
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            return f"cannot be started: {error.strerror}"
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
        if self._leaves:  # it was told while there was no process that could hear it
            self._send(Leave())
        trouble = self._problem = ""
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
            self._changed()
            for answer in self._answers.values():
                if not answer.done():
                    answer.set_result(None)
            self._answers.clear()
        return self._problem or trouble or f"exit {code}, the node's log has its last words"

    async def _spawn(self, control: socket.socket) -> asyncio.subprocess.Process:
        # The kernel ties a parent-death signal to the thread that forks: this must be the main thread.
        return await asyncio.create_subprocess_exec(
            self._python,
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
            message = messages.decode_to_supervisor(line)
            if message is not None:
                self._handle(message)
        raise TimeoutError

    def kill(self) -> None:
        """End the process now, if there is one."""
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()

    def _send(self, message: messages.Message) -> None:
        if self._writer is not None:
            messages.write(self._writer, message)

    def _handle(self, message: ToSupervisor) -> None:
        match message:
            case messages.Ready(version=version):
                self.version = version
            case messages.Failed(reason=reason):
                self._problem = reason
            case Report():
                if not self.ready.is_set():  # its supervisor understands how it reports, too
                    self.ready.set()
                    self._changed()
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

    def set_siblings(self, siblings: list[int]) -> None:
        self.settings = msgspec.structs.replace(self.settings, siblings=siblings)
        self._send(SetSiblings(siblings))

    def hand_over(self, order: HandOver) -> None:
        self._send(order)

    def call_off(self, reason: GoAwayReason) -> None:
        self._send(CallOff(reason))

    def close_calls(self, reason: str) -> None:
        self._send(CloseCalls(reason))

    def leave(self) -> None:
        """Newcomers are for others from now on."""
        self._leaves = True
        self._send(Leave())

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
