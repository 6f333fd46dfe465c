"""TCP connections of the public, with TLS, and bounds on what strangers can make a worker hold.

Who is over a bound is turned away before any cryptography is done for it. A connection counts from the moment it is
accepted: one whose handshake has stalled takes as much room as a call.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from edge.overload.clients import Rates, Shares, client_of

log = logging.getLogger("edge.web")

ACCEPT_AT_ONCE = 16  # connections taken before the other sockets and the timers have their turn
EXHAUSTED_S = 1.0  # between two attempts while this process has no descriptor left
SHUTDOWN_S = 2.0  # for the peer's close_notify


@dataclass(frozen=True, slots=True)
class TlsLimits:
    """The middle two are those of `edge.overload.limits.Limits`."""

    connections: int = 1000
    handshakes: int = 64
    per_address: int = 256
    per_address_per_s: float = 8.0
    handshake_s: float = 5.0


@dataclass(slots=True)
class TlsCounters:
    accepted: int = 0
    refused: int = 0  # by a limit or by the gate
    failed: int = 0  # no handshake, or not in time


class TlsListener:
    """Accepts on ``sockets``, and gives each connection whose handshake succeeds to a new ``protocol()``.

    Without a ``context`` there is no TLS, and the handshake is TCP's: for what runs on this machine.
    ``admits`` is asked about every newcomer. Whoever made the protocol calls `lost` when the connection is over.
    """

    def __init__(
        self,
        sockets: Iterable[socket.socket],
        context: ssl.SSLContext | None,
        protocol: Callable[[], asyncio.Protocol],
        *,
        admits: Callable[[], bool],
        limits: TlsLimits,
    ) -> None:
        self.counters = TlsCounters()
        self._sockets = list(sockets)
        self._secured: dict[str, Any] = {}
        if context is not None:
            timeouts = {"ssl_handshake_timeout": limits.handshake_s, "ssl_shutdown_timeout": SHUTDOWN_S}
            self._secured = {"ssl": context, **timeouts}
        self._protocol = protocol
        self._admits = admits
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._connections = Shares(limits.per_address)
        self._newcomers = Rates(limits.per_address_per_s, limits.per_address)
        self._handshakes: set[asyncio.Task[None]] = set()

    def serve(self) -> None:
        """Begin to accept."""
        for listener in self._sockets:
            self._loop.add_reader(listener, self._accept, listener)

    def renew(self, context: ssl.SSLContext) -> None:
        """Newcomers are shown this one's certificate from now on."""
        self._secured["ssl"] = context

    def leave(self) -> None:
        """Accept no more; who has been accepted is served, others accept from these sockets."""
        for listener in self._sockets:
            self._loop.remove_reader(listener)
            listener.close()
        self._sockets.clear()

    async def close(self) -> None:
        """Accept no more; handshakes that are not complete are broken off."""
        self.leave()
        for task in self._handshakes:
            task.cancel()
        await asyncio.gather(*self._handshakes, return_exceptions=True)

    def lost(self, host: str) -> None:
        """A connection from ``host`` that was handed over has ended."""
        self._connections.drop(client_of(host))

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(ACCEPT_AT_ONCE):
            try:
                connection, peer = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                log.error('event=accept_failed error="%s"', error.strerror)
                self._loop.remove_reader(listener)
                self._loop.call_later(EXHAUSTED_S, self._resume, listener)
                return
            client = client_of(peer[0])
            if self._has_room(client) and self._admits():
                connection.setblocking(False)
                self._begin(connection, client)
            else:
                self.counters.refused += 1
                connection.close()

    def _resume(self, listener: socket.socket) -> None:
        if listener in self._sockets:
            self._loop.add_reader(listener, self._accept, listener)

    def _has_room(self, client: str) -> bool:
        limits = self._limits
        return (
            self._connections.total() < limits.connections
            and len(self._handshakes) < limits.handshakes
            and self._connections.has_room(client)
            and self._newcomers.take(client, self._loop.time())
        )

    def _begin(self, connection: socket.socket, client: str) -> None:
        self.counters.accepted += 1
        self._connections.add(client)
        task = self._loop.create_task(self._shake_hands(connection, client))
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _shake_hands(self, connection: socket.socket, client: str) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection, **self._secured)
        except OSError:  # also what ssl raises, and time-outs
            self.counters.failed += 1
            self._connections.drop(client)


def server_context(certificate: bytes, private_key: bytes) -> ssl.SSLContext:
    """TLS 1.2 and 1.3 for HTTP/1.1, of a PEM chain and its key. Raises OSError (`ssl.SSLError` is one)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    # OpenSSL reads files only; this one is in memory and has no name.
    with open(os.memfd_create("tls"), "wb") as file:
        file.write(private_key + b"\n" + certificate)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
    return context
