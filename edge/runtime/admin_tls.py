"""The admin socket's routes over HTTPS: TLS 1.3, for clients whose certificate our own CA has signed.

Off unless it is asked for. Automation may use it where there is no SSH; people have better reasons to use that.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from edge.errors import ConfigError
from edge.runtime.http1 import HEAD_LIMIT, HttpServer, Routes
from edge.runtime.tls_listener import TlsLimits, TlsListener

log = logging.getLogger("edge.admin")

LIMITS = TlsLimits(connections=64, handshakes=16, per_address=16, per_address_per_s=8.0)
LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM: who signs clients, our own chain, leaf first, and its key."""

    ca: Path
    certificate: Path
    private_key: Path

    def context(self) -> ssl.SSLContext:
        """Raises `ConfigError`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.verify_mode = ssl.CERT_REQUIRED
        context.num_tickets = 0  # who comes again shows its certificate again
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_verify_locations(self.ca)
        except OSError as error:
            raise ConfigError("$.admin.ca", f"{self.ca}: {_why(error)}") from error
        try:
            context.load_cert_chain(self.certificate, self.private_key)
        except OSError as error:
            raise ConfigError(
                "$.admin.certificate", f"{self.certificate}, {self.private_key}: {_why(error)}"
            ) from error
        return context

    def state(self) -> tuple[object, ...]:
        """What is another whenever one of the files is."""
        return tuple(_state(path) for path in (self.ca, self.certificate, self.private_key))


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"{error.reason or error}; want PEM, and a key that belongs to the certificate"
    return f"{error.strerror}; put the file there, or let this user read it"


def _state(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino


class AdminTls:
    """Serves ``routes`` on a bound TCP socket, which it now owns. A change of its files is taken over while it runs.

    Raises `ConfigError` for files that cannot be used; later ones stand in ``problem``, and those before stay in use.
    """

    def __init__(self, sock: socket.socket, files: TlsFiles, routes: Routes) -> None:
        self.problem = ""
        self._files = files
        self._state = files.state()
        self._http = HttpServer(routes)
        sock.setblocking(False)
        self._listener = TlsListener(
            [sock], files.context(), self._protocol, admits=lambda: True, limits=LIMITS
        )
        self._listener.serve()

    async def watch(self) -> None:
        """For as long as the node runs."""
        while True:
            await asyncio.sleep(LOOK_S)
            self.look()

    def look(self) -> None:
        """Take over what has changed."""
        state = self._files.state()
        if state == self._state:
            return
        self._state = state
        try:
            self._listener.renew(self._files.context())
        except ConfigError as error:
            self.problem = str(error)
            log.error('event=admin_certificate_not_taken error="%s"', error)
            return
        self.problem = ""
        log.info("event=admin_certificate_taken path=%s", self._files.certificate)

    async def close(self) -> None:
        await self._listener.close()
        await self._http.close()

    def _protocol(self) -> asyncio.Protocol:
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(limit=HEAD_LIMIT), self._connected)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        host: str = writer.get_extra_info("peername")[0]
        try:
            await self._http.connected(reader, writer)
        finally:
            self._listener.lost(host)
