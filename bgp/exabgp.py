"""One life of an ExaBGP process: its configuration, its leash, and the link to the bridge inside it.

The tree is ``supervisor -> ExaBGP -> bridge``. ExaBGP dies with the supervisor (``bgp.leash``), the bridge with
ExaBGP, and the bridge ends both when the supervisor stops talking (``bgp.bridge``): two fences that do not depend
on each other, so that no route outlives whoever answers for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import os
import secrets
import shutil
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import Any, Self

from bgp import bridge, conf
from bgp.account import Account, AccountError
from bgp.child import Child, SpeakerError, md5_keys
from bgp.conf import SpeakerConfig

logger = logging.getLogger(__name__)

Link = tuple[asyncio.StreamReader, asyncio.StreamWriter]

# One line from the bridge: the longest is an update of 4096 bytes made of the shortest prefixes, as JSON.
_LINE_LIMIT = 1 << 20
# How long reading one line after the other may keep the rest of the event loop waiting.
_SLICE_S = 0.02
# How long the traces of a killed process may take to disappear.
_REAP_S = 2.0
_UCRED = struct.Struct("3i")  # pid, uid, gid: unix(7), SO_PEERCRED


class ExaBgp:
    """A running ExaBGP. Made by ``start``, which returns when the bridge is there; ended by ``close``."""

    def __init__(self, directory: Path) -> None:
        self._socket_path = directory / "bridge.sock"
        self._conf_path = directory / "exabgp.conf"
        self._resumed = 0.0
        self._child: Child
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    @classmethod
    async def start(cls, config: SpeakerConfig, directory: Path, *, lease_s: float, timeout_s: float) -> Self:
        """Start ExaBGP with its files in ``directory``, which becomes private to the speaker's user.

        To be called on the main thread, because the end of the calling *thread* is what kills ExaBGP. Raises
        SpeakerError, and then has left nothing running.
        """
        exabgp = cls(directory)
        started = False
        try:
            account = Account.current() if config.user is None else Account.named(config.user)
            account.make_directory(directory)
            account.write_file(exabgp._conf_path, exabgp._configuration(config, lease_s))
            await exabgp._spawn(account, timeout_s)
            started = True
        except (OSError, ValueError, AccountError) as error:
            raise SpeakerError(f"cannot start exabgp: {error}") from None
        finally:
            if not started:
                exabgp._remove_configuration()
        return exabgp

    @property
    def pid(self) -> int:
        return self._child.pid

    async def read_line(self) -> str | None:
        """The next line without its end; None when the bridge is gone, which no route may survive."""
        # Reading does not wait for what is there already, and a neighbor can see to it that something always is.
        now = asyncio.get_running_loop().time
        if now() - self._resumed > _SLICE_S:
            await asyncio.sleep(0)
            self._resumed = now()
        try:
            line = await self._reader.readuntil(b"\n")
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            return None
        return line.decode("ascii", "replace").rstrip("\n")

    def send(self, line: str) -> None:
        """A command, without its line end. Any also renews the bridge's lease."""
        self._writer.write(line.encode("ascii") + b"\n")

    def heartbeat(self) -> None:
        """Renew the bridge's lease."""
        self._writer.write(bridge.HEARTBEAT + b"\n")

    def terminate(self) -> None:
        """Ask it to end; its sessions close and its routes go."""
        self._child.signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it now. The kernel closes its sessions, and without graceful restart the routes go at once."""
        self._child.signal(signal.SIGKILL)

    async def close(self, grace_s: float) -> None:
        """Give it ``grace_s`` to end by itself, then kill it; returns when nothing of it is left."""
        await self._child.close(grace_s)
        # The bridge dies with ExaBGP; when it has, both ends that it held are closed.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REAP_S):
                while await self.read_line() is not None:
                    pass
        self._writer.close()
        self._remove_configuration()

    # --- the start, step by step ------------------------------------------------------------------------

    def _configuration(self, config: SpeakerConfig, lease_s: float) -> str:
        run = (sys.executable, "-I", "-S", bridge.__file__, str(self._socket_path), f"{lease_s:g}")
        return conf.render(config, run=run, md5_keys=md5_keys(config))

    def _remove_configuration(self) -> None:
        # It may hold a key, and is of no use to anybody without its process.
        with contextlib.suppress(OSError):
            self._conf_path.unlink()

    async def _spawn(self, account: Account, timeout_s: float) -> None:
        token = secrets.token_hex(16)
        introduced: asyncio.Future[Link] = asyncio.get_running_loop().create_future()
        self._socket_path.unlink(missing_ok=True)
        server = await asyncio.start_unix_server(
            lambda reader, writer: _welcome(reader, writer, account, token, introduced),
            self._socket_path,
            limit=_LINE_LIMIT,
        )
        try:
            account.take_socket(self._socket_path)
            command, environment = _command(self._conf_path), _environment(account, token)
            self._child = await Child.start(command, account, environment)
            try:
                self._reader, self._writer = await self._first_link(introduced, timeout_s)
            except BaseException:
                await self._child.close(0.0)
                raise
        finally:
            # One bridge is all that may ever connect.
            server.close()
            self._socket_path.unlink(missing_ok=True)

    async def _first_link(self, introduced: asyncio.Future[Link], timeout_s: float) -> Link:
        ended = asyncio.create_task(self._child.wait())
        either: set[asyncio.Future[Any]] = {introduced, ended}
        await asyncio.wait(either, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if introduced.done():
            return introduced.result()
        if self._child.status is None:
            raise SpeakerError(
                f"exabgp's bridge did not come up in {timeout_s:g} s: "
                f"can its user run {sys.executable} and read {bridge.__file__}?"
            )
        words = await self._child.last_words()
        raise SpeakerError(f"exabgp ended with {self._child.status} at its start: {words}")


async def _welcome(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    account: Account,
    token: str,
    introduced: asyncio.Future[Link],
) -> None:
    """The first that runs as ``account`` and knows ``token`` is our bridge; any other is hung up on."""
    credentials = writer.get_extra_info("socket").getsockopt(
        socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size
    )
    pid, uid, _ = _UCRED.unpack(credentials)
    told = b""
    with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        told = await reader.readuntil(b"\n")
    if uid == account.uid and hmac.compare_digest(told.strip(), token.encode()) and not introduced.done():
        introduced.set_result((reader, writer))
    else:
        logger.warning("event=stranger-at-bridge-socket pid=%d uid=%d", pid, uid)
        writer.close()


def _command(conf_path: Path) -> tuple[str, ...]:
    beside = Path(sys.executable).parent / "exabgp"
    program = str(beside) if beside.exists() else shutil.which("exabgp")
    if program is None:
        raise FileNotFoundError(
            f"no such program in {beside.parent} or on PATH; install exabgp (5.0.13 or newer, below 6)"
        )
    return (program, "server", str(conf_path))


def _environment(account: Account, token: str) -> dict[str, str]:
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "PWD": "/",
        # Settings of another ExaBGP on this machine are not for this one.
        "EXABGP_ENVFILE": os.devnull,
        "exabgp_daemon_user": account.name,
        "exabgp_daemon_daemonize": "false",
        "exabgp_api_cli": "false",
        "exabgp_api_ack": "true",
        "exabgp_tcp_bind": "",
        "exabgp_log_destination": "stderr",
        "exabgp_log_level": "WARNING",
        # Not an argument: everybody on the machine can read a command line.
        bridge.TOKEN_VARIABLE: token,
    }
