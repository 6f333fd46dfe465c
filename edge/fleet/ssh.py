"""The way to a node through the system's OpenSSH, so that what works for its user works here: configuration, agent,
jump hosts, hardware keys.

One ssh process a node holds the connection. It forwards the node's admin socket to one in a private directory, and is the
master of what is run there. On the node it runs ``cat``, which ends with our end of the pipe: whatever becomes of us, no
connection stays.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edge.errors import DeadlineError, EdgeError, UnreachableError
from edge.fleet.processes import completed, end
from edge.fleet.ssh_errors import ssh_error
from edge.fleet.transport import Completed, lease_headers
from edge.runtime.admin_client import Answer, admin_request

PROGRAM_VARIABLE = "EDGECTL_SSH"
FAILED = 255
"""The exit code of ssh itself. Programs on a node that end with it cannot be told from that."""

_READY = "edge-is-here"
_GREETING = f"echo {_READY}; exec cat"
_PATIENCE_S = 1.0
_CONNECT_S = 20.0
"""A machine that is there is reached by then, however long what is run on it may take."""
_MOMENT_S = 0.2
_TAIL_BYTES = 8192
_LOOK = "test -S {0} || exit 3; test -r {0} && test -w {0} || exit 4"

_OPTIONS: Mapping[str, str] = {
    "BatchMode": "yes",  # nobody is there to be asked for a password
    "LogLevel": "ERROR",
    "ControlPersist": "no",
    "ForwardAgent": "no",
    "ForwardX11": "no",
    "RemoteCommand": "none",
    "RequestTTY": "no",
    "PermitLocalCommand": "no",
    "StreamLocalBindMask": "0177",
    "ServerAliveInterval": "5",
    "ServerAliveCountMax": "3",
}


@dataclass(frozen=True, slots=True)
class _Master:
    """The process that holds the connection, and the directory with its two sockets."""

    process: asyncio.subprocess.Process
    directory: Path
    listening: asyncio.Task[bytes]
    """To what it says on stderr; a pipe that nobody empties would stop it one day."""

    @property
    def socket(self) -> Path:
        return self.directory / "admin"

    @property
    def control(self) -> Path:
        return self.directory / "control"

    async def has_ended(self) -> bool:
        """Its end is told to us a moment after it has come."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_MOMENT_S):
                await self.process.wait()
        return self.process.returncode is not None


class _Lost(UnreachableError):
    """The connection ended before the answer came."""


class SshTransport:
    """``host`` is what one would type after ``ssh``; ``user`` None is what ssh's own configuration says."""

    def __init__(self, host: str, socket: Path, *, user: str | None = None) -> None:
        self._host = host
        self._socket = socket
        self._destination = host if user is None else f"{user}@{host}"
        self._master: _Master | None = None
        self._connecting = asyncio.Lock()

    async def request(
        self, method: str, target: str, body: object = None, *, timeout_s: float, lease: str | None = None
    ) -> Answer:
        """A question is asked once more where the connection turns out to be lost; an order may have been obeyed."""
        try:
            async with asyncio.timeout(timeout_s):
                try:
                    return await self._ask(method, target, body, timeout_s, lease)
                except _Lost:
                    if method != "GET":
                        raise
                    return await self._ask(method, target, body, timeout_s, lease)
        except TimeoutError as error:
            raise self._late(target, timeout_s) from error

    async def _ask(
        self, method: str, target: str, body: object, timeout_s: float, lease: str | None
    ) -> Answer:
        master = await self._connected(timeout_s)
        try:
            return await admin_request(
                master.socket,
                method,
                target,
                body,
                timeout_s=timeout_s + _PATIENCE_S,  # the one around is to end it
                headers=lease_headers(lease),
            )
        except UnreachableError as error:
            if await master.has_ended():
                raise _Lost(f"ssh {self._destination}: the connection was lost") from error
            raise await self._explained(master, error) from error

    async def run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        """A program that is still running when the time is over may go on there."""
        try:
            async with asyncio.timeout(timeout_s):
                master = await self._connected(min(timeout_s, _CONNECT_S))
                return await self._run(master, shlex.join(argv), stdin)
        except TimeoutError as error:
            raise self._late(argv[0], timeout_s) from error

    async def close(self) -> None:
        master, self._master = self._master, None
        if master is None:
            return
        assert master.process.stdin is not None  # it was started with a pipe
        master.process.stdin.close()
        try:
            await end(master.process, patience_s=_PATIENCE_S)
        finally:
            shutil.rmtree(master.directory, ignore_errors=True)

    def _late(self, what: str, timeout_s: float) -> DeadlineError:
        return DeadlineError(f"ssh {self._destination}: no answer to {what} within {timeout_s:g} s")

    async def _run(self, master: _Master, command: str, stdin: bytes) -> Completed:
        done = await completed(
            [
                *_program(),
                *_as_options(_OPTIONS),
                "-S",
                str(master.control),
                "--",
                self._destination,
                command,
            ],
            stdin,
        )
        if done.exit_code == FAILED:
            raise ssh_error(self._destination, done.stderr)
        return done

    async def _connected(self, timeout_s: float) -> _Master:
        async with self._connecting:
            if self._master is not None and self._master.process.returncode is not None:
                await self.close()  # the connection was lost meanwhile
            if self._master is None:
                self._master = await self._connect(timeout_s)
            return self._master

    async def _connect(self, timeout_s: float) -> _Master:
        directory = Path(tempfile.mkdtemp(prefix="edgectl-"))
        process: asyncio.subprocess.Process | None = None
        try:
            process = await self._start(directory, timeout_s)
            assert process.stderr is not None  # it was started with a pipe
            listening = asyncio.create_task(_tail(process.stderr))
            if not await _greets(process):
                raise ssh_error(self._destination, await listening)
        except BaseException:
            if process is not None:
                await end(process, patience_s=0)
            shutil.rmtree(directory, ignore_errors=True)
            raise
        return _Master(process, directory, listening)

    async def _start(self, directory: Path, timeout_s: float) -> asyncio.subprocess.Process:
        options = {**_OPTIONS, "ConnectTimeout": str(max(1, math.ceil(timeout_s)))}
        argv = [
            *_program(),
            *_as_options({**options, "ControlMaster": "yes"}),
            "-S",  # as an option in words it could have no blank in it
            str(directory / "control"),
            "-L",
            f"{directory / 'admin'}:{self._socket}",
            "--",
            self._destination,
            _GREETING,
        ]
        try:
            return await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except OSError as error:
            raise UnreachableError(
                f"{argv[0]}: {error.strerror or error}; install OpenSSH's client, or name it in ${PROGRAM_VARIABLE}"
            ) from error

    async def _explained(self, master: _Master, error: UnreachableError) -> EdgeError:
        """Why the node's socket does not answer at the other end of the forwarding, which itself tells nothing."""
        look = _LOOK.format(shlex.quote(str(self._socket)))
        with contextlib.suppress(EdgeError):
            match (await self._run(master, f"sh -c {shlex.quote(look)}", b"")).exit_code:
                case 3:
                    return UnreachableError(
                        f"{self._destination}: no node is running there ({self._socket} is missing); look with: "
                        f"ssh {self._destination} systemctl status edge"
                    )
                case 4:
                    return UnreachableError(
                        f"{self._destination}: may not use {self._socket} there; make this user a member of the "
                        "socket's group"
                    )
        reason = str(error).removeprefix(f"{master.socket}: ")
        return UnreachableError(f"{self._destination}: {self._socket} there: {reason}")


async def _greets(process: asyncio.subprocess.Process) -> bool:
    """Whether the connection stands. What a login shell prints before is passed over."""
    assert process.stdout is not None  # it was started with a pipe
    while line := await process.stdout.readline():
        if line.strip() == _READY.encode():
            return True
    return False


async def _tail(stream: asyncio.StreamReader) -> bytes:
    """The last of what comes until the stream ends."""
    tail = b""
    while chunk := await stream.read(_TAIL_BYTES):
        tail = (tail + chunk)[-_TAIL_BYTES:]
    return tail


def _program() -> list[str]:
    return shlex.split(os.environ.get(PROGRAM_VARIABLE, "")) or ["ssh"]


def _as_options(options: Mapping[str, str]) -> list[str]:
    return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
