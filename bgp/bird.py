"""One life of a BIRD process: its configuration file, its keeper, and its control socket.

The tree is ``supervisor -> keeper -> BIRD``, each on a leash (``bgp.leash``) of the one before, and the keeper obeys a
lease (``bgp.keeper``): two fences that do not depend on each other, so that no route outlives whoever answers for it.

BIRD runs without any privilege, unless it is to speak BFD. It is told to listen on a free port instead of 179, in its own directory it finds
everything it needs, and no other BIRD on the machine is touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import struct
import sys
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

from bgp import bird_control, keeper, leash
from bgp.account import Account, AccountError
from bgp.bird_control import Code, Reply, ReplyReader
from bgp.child import Child, SpeakerError
from bgp.conf import SpeakerConfig
from bgp.route import Address

# A table of 10,000 routes with attributes as nodes of ours make them is a fifth of this.
REPLY_LIMIT = 1 << 24

_READ_SIZE = 1 << 16
_CONNECT_RETRY_S = 0.01
_QUEUED_S = 0.005
_HEARTBEAT = b"."
_UCRED = struct.Struct("3i")  # pid, uid, gid: unix(7), SO_PEERCRED
# Both families; an address that is not there yet can be bound all the same (ip(7)).
_FREEBIND = {4: (socket.IPPROTO_IP, 15), 6: (socket.IPPROTO_IPV6, 78)}
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
# Debian keeps it where ordinary users do not look.
_DIRECTORIES = ("/usr/sbin", "/usr/local/sbin")

_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class BirdFailure(Exception):
    """BIRD can't be steered any more; the message says why in one line."""


class Bird:
    """A running BIRD. Made by ``start``, which returns when it answers; ended by ``close``."""

    def __init__(self, directory: Path, account: Account, timeout_s: float) -> None:
        self._conf_path = directory / "bird.conf"
        self._new_conf_path = directory / "bird.conf.new"
        self._control_path = directory / "bird.ctl"
        self._pid_path = directory / "bird.pid"
        self._account = account
        self._timeout_s = timeout_s
        self._child: Child
        self._link: _Streams
        self._control: _Streams
        self._writers: list[asyncio.StreamWriter] = []
        self.pid = 0

    @classmethod
    async def start(
        cls,
        config: SpeakerConfig,
        directory: Path,
        text: Callable[[], str],
        *,
        lease_s: float,
        timeout_s: float,
        start_timeout_s: float,
        bfd: bool,
    ) -> Self:
        """Start BIRD with the configuration ``text`` and its files in ``directory``, private to the speaker's user.

        ``timeout_s`` is how long it may take to answer. With ``bfd`` it is given CAP_NET_RAW, without which its BFD
        can't send (socket(7), SO_PRIORITY). To be called on the main thread. Raises SpeakerError, and
        then has left nothing running.
        """
        try:
            account = Account.current() if config.user is None else Account.named(config.user)
            if bfd:
                account.check_urgent("bfd")
            account.make_directory(directory)
            bird = cls(directory, account, timeout_s)
            async with AsyncExitStack() as undo:
                undo.callback(bird._remove_files)
                bird._write(text())
                await bird._spawn(undo, lease_s, start_timeout_s, bfd=bfd)
                undo.pop_all()
        except (OSError, ValueError, AccountError) as error:
            raise SpeakerError(f"cannot start bird: {error}") from None
        return bird

    async def configure(self, text: str) -> None:
        """Make it so; returns when it is. Raises BirdFailure.

        A session that has just ended is still being cleared away, and BIRD then says that it is in progress: the new
        configuration is in force, but for that session. One that comes meanwhile is queued, and in force only later.
        """
        try:
            self._write(text)
        except OSError as error:
            raise BirdFailure(f"cannot write bird's configuration: {error}") from None
        reply = await self.ask(bird_control.CONFIGURE)
        code = reply.lines[-1][0]
        if code == Code.QUEUED:
            await self._in_time(bird_control.CONFIGURE, self._dequeued())
        elif code not in (Code.RECONFIGURED, Code.IN_PROGRESS):
            raise BirdFailure(f"bird refused its configuration: {reply.last_words}")

    async def ask(self, question: str) -> Reply:
        """Its answer, one at a time. Raises BirdFailure when there is none in time."""
        return await self._in_time(question, _ask(self._control, question))

    async def ask_at_length(self, question: str) -> Reply:
        """As ``ask``, on a connection of its own: an answer that is long or slow holds up no other."""
        return await self._in_time(question, self._ask_apart(question))

    async def _in_time(self, question: str, answer: Coroutine[None, None, Reply]) -> Reply:
        try:
            async with asyncio.timeout(self._timeout_s):
                return await answer
        except TimeoutError:
            raise BirdFailure(f"no answer in {self._timeout_s:g} s to: {question}") from None
        except (OSError, ValueError) as error:
            raise BirdFailure(f"no answer to: {question}: {error}") from None

    async def _dequeued(self) -> Reply:
        """What it says of its configuration when none waits any more."""
        reply = await _ask(self._control, bird_control.CONFIGURE_STATUS)
        while reply.lines[0][0] == Code.QUEUED:
            await asyncio.sleep(_QUEUED_S)
            reply = await _ask(self._control, bird_control.CONFIGURE_STATUS)
        return reply

    async def _ask_apart(self, question: str) -> Reply:
        streams = await asyncio.open_unix_connection(self._control_path)
        try:
            await _read_reply(streams[0])  # the greeting
            return await _ask(streams, question)
        finally:
            streams[1].transport.abort()

    def heartbeat(self) -> None:
        """Renew the keeper's lease."""
        self._link[1].write(_HEARTBEAT)

    async def ended(self) -> str:
        """Until it has ended, or its keeper does not give heartbeats back; says which."""
        reader, _ = self._link
        try:
            while True:
                async with asyncio.timeout(self._timeout_s):
                    if not await reader.read(_READ_SIZE):
                        break
        except TimeoutError:
            return f"no answer in {self._timeout_s:g} s from bird's keeper"
        except ConnectionError:
            pass  # it left a heartbeat unread
        return "bird or its keeper has ended"

    def terminate(self) -> None:
        """Ask it to end; its sessions close and its routes go."""
        self._child.signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it now. The kernel closes its sessions, and without graceful restart the routes go at once."""
        self._child.signal(signal.SIGKILL)

    async def close(self, grace_s: float) -> None:
        """Give it ``grace_s`` to end by itself, then kill it; returns when nothing of it is left."""
        await self._child.close(grace_s)
        await self._hang_up()
        self._remove_files()

    # --- the start, step by step ------------------------------------------------------------------------

    def _write(self, text: str) -> None:
        self._account.write_file(self._new_conf_path, text)
        self._new_conf_path.replace(self._conf_path)

    async def _hang_up(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    def _remove_files(self) -> None:
        # One holds a key, and none is of use to anybody without the process.
        for path in (self._conf_path, self._new_conf_path, self._control_path, self._pid_path):
            with contextlib.suppress(OSError):
                path.unlink()

    async def _spawn(self, undo: AsyncExitStack, lease_s: float, timeout_s: float, *, bfd: bool) -> None:
        undo.push_async_callback(self._hang_up)
        ours, theirs = socket.socketpair()
        with theirs:
            self._link = await asyncio.open_connection(sock=ours)
            self._writers.append(self._link[1])
            self._child = await Child.start(
                self._command(lease_s), self._account, _environment(), theirs.fileno(), net_raw=bfd
            )
        undo.push_async_callback(self._child.close, 0.0)
        await self._connect(timeout_s)

    def _command(self, lease_s: float) -> tuple[str, ...]:
        kept = (sys.executable, "-I", "-S", keeper.__file__, f"{lease_s:g}", leash.__file__)
        files = ("-c", str(self._conf_path), "-s", str(self._control_path), "-P", str(self._pid_path))
        return (*kept, _program(), "-f", *files)

    async def _connect(self, timeout_s: float) -> None:
        """Until it greets, which it does when it has read its configuration."""
        ended = asyncio.create_task(self._child.wait())
        greeted = asyncio.create_task(self._greeting())
        try:
            await asyncio.wait((ended, greeted), timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            # Also when the start itself is given up: what is half connected must be seen to be closed.
            ended.cancel()
            greeted.cancel()
            await asyncio.wait((ended, greeted))
        if not greeted.cancelled():
            return greeted.result()
        if self._child.status is None:
            raise SpeakerError(
                f"bird did not come up in {timeout_s:g} s: "
                f"can its user run {sys.executable} and read {keeper.__file__}?"
            )
        words = await self._child.last_words()
        raise SpeakerError(f"bird ended with {self._child.status} at its start: {words}")

    async def _greeting(self) -> None:
        while True:
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                self._control = await asyncio.open_unix_connection(self._control_path)
                break
            await asyncio.sleep(_CONNECT_RETRY_S)
        reader, writer = self._control
        self._writers.append(writer)
        welcome = (await _read_reply(reader)).last_words
        if re.match(r"BIRD 2\.", welcome) is None:
            raise SpeakerError(f"this needs BIRD 2 (Debian package bird2), not: {welcome}")
        credentials = writer.get_extra_info("socket").getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size
        )
        self.pid, _, _ = _UCRED.unpack(credentials)


async def _ask(streams: _Streams, question: str) -> Reply:
    reader, writer = streams
    writer.write(question.encode("ascii") + b"\n")
    return await _read_reply(reader)


async def _read_reply(reader: asyncio.StreamReader) -> Reply:
    """Raises OSError, and ValueError for what is no reply."""
    reply_reader = ReplyReader(REPLY_LIMIT)
    while data := await reader.read(_READ_SIZE):
        if (reply := reply_reader.feed(data)) is not None:
            return reply
    raise ConnectionResetError("bird hung up")


def free_ports(addresses: Iterable[Address]) -> dict[Address, int]:
    """A port for each of these addresses on which nobody listens now. Raises OSError."""
    ports = {}
    for address in set(addresses):
        with socket.socket(_FAMILY[address.version]) as probe:
            probe.setsockopt(*_FREEBIND[address.version], 1)
            probe.bind((str(address), 0))
            ports[address] = probe.getsockname()[1]
    return ports


def _program() -> str:
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *_DIRECTORIES))
    program = shutil.which("bird", path=path)
    if program is None:
        raise FileNotFoundError("no such program; install the Debian package bird2")
    return program


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "PWD": "/"}
