"""A call's connection over TCP: where UDP is blocked, the same session on the same port."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from typing import Self

import aiohttp

from edge.client.leg import Leg, ms
from edge.errors import RefusedError, UnreachableError, UsageError
from edge.runtime.carriers import CarrierName, Wire
from edge.runtime.dialer import CertificateRejected, NameNotFound, NoAnswer, ServerBusy, Target
from edge.runtime.session_api import VOICE_PATH
from edge.runtime.sockets import host_port
from edge.runtime.websocket_carrier import LINGER_S, SUBPROTOCOL, WebSocketCarrier
from edge.voice.mux import MAX_MESSAGE, Frame, Role, deliver

CLOSED_POLL_S = 0.005
_BUSY = 503


class WebSocketLeg(Leg):
    """A WebSocket over TLS that stands. Whether the edge is still there is told by its answers to pings."""

    carrier: CarrierName = "websocket"

    def __init__(self, http: _Http, ws: aiohttp.ClientWebSocketResponse) -> None:
        super().__init__()
        self._left_behind = False
        self._http = http
        self._wire = WebSocketCarrier(ws, Role.CALLER, on_doubt=self._hesitate)
        self._host: str
        self._host, port = ws.get_extra_info("peername")[:2]
        self._path = host_port(self._host, port)
        self._running = asyncio.create_task(self._run())

    @classmethod
    async def dial(cls, target: Target, *, timeout_s: float) -> Self:
        """Raises `NoAnswer`, `NameNotFound`, `CertificateRejected`, `ServerBusy`, `UsageError` for a CA that cannot be
        read, `RefusedError` if what answers gives no call, and `UnreachableError` if nothing does."""
        began = asyncio.get_running_loop().time()
        url = f"wss://{host_port(target.host, target.port)}{VOICE_PATH}"
        http = _Http(target)
        try:
            async with asyncio.timeout(timeout_s):
                ws = await http.session.ws_connect(
                    url,
                    protocols=(SUBPROTOCOL,),
                    ssl=_trust(target),
                    server_hostname=target.server_name,
                    autoping=False,
                    max_msg_size=MAX_MESSAGE,
                    timeout=aiohttp.ClientWSTimeout(ws_close=LINGER_S),
                )
            if ws.protocol != SUBPROTOCOL:
                raise UnreachableError(f"{target}: what answers over TCP does not speak {SUBPROTOCOL}")
            leg = cls(http, ws)
        except BaseException as error:
            await http.close()
            explained = _explain(error, target, timeout_s)
            if explained is error:
                raise
            raise explained from error
        leg.handshake_ms = ms(asyncio.get_running_loop().time() - began)
        return leg

    @property
    def wire(self) -> Wire:
        return self._wire

    @property
    def path(self) -> str:
        return self._path

    @property
    def host(self) -> str:
        return self._host

    def relocate(self) -> None:
        super().relocate()
        self.unreachable()

    def unreachable(self) -> None:
        # TCP stays where it began. That may still work, but not for long.
        self._left_behind = True
        self._doubt(True)

    def flush(self) -> None:
        pass  # the carrier sends by itself

    async def gone(self) -> None:
        await asyncio.gather(self._running, return_exceptions=True)

    def _hesitate(self, doubted: bool) -> None:
        self._doubt(doubted or self._left_behind)

    async def _run(self) -> None:
        try:
            self._end(await self._wire.run(self._receive))
        finally:
            await self._http.close()

    def _receive(self, frame: Frame, now: float) -> None:
        if self.rider is not None:
            deliver(frame, self.rider.receiver, now)
            self.rider.wake()


class _Http:
    """A session for one connection, which is over when it is closed: aiohttp alone leaves TLS saying goodbye."""

    def __init__(self, target: Target) -> None:
        self._sockets: list[socket.socket] = []
        self.session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                family=target.family,
                local_addr=(target.source, 0) if target.source else None,
                socket_factory=self._open,
            )
        )

    async def close(self) -> None:
        """Returns when its sockets are closed, `LINGER_S` later at the latest."""
        await self.session.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while any(opened.fileno() >= 0 for opened in self._sockets):  # noqa: ASYNC110 - aiohttp tells nobody
                    await asyncio.sleep(CLOSED_POLL_S)

    def _open(self, address: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, _ = address
        self._sockets.append(socket.socket(family, kind, protocol))
        return self._sockets[-1]


def _trust(target: Target) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=None if target.ca is None else str(target.ca))
    except OSError as error:  # ssl.SSLError is one
        raise UsageError(f"{target.ca}: holds no PEM certificates: {error.strerror or error}") from error
    if target.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _explain(error: BaseException, target: Target, timeout_s: float) -> BaseException:
    match error:
        case TimeoutError():
            return NoAnswer(f"{target}: no answer within {timeout_s:g} s over TCP")
        case aiohttp.WSServerHandshakeError(status=status) if status == _BUSY:
            return ServerBusy(f"{target}: the node is overloaded and takes no new calls; try again shortly")
        case aiohttp.WSServerHandshakeError():
            return RefusedError(f"{target}: no call over TCP: {error.status} {error.message}")
        case aiohttp.ClientConnectorCertificateError():
            return CertificateRejected(
                f"{target}: TLS: {error.certificate_error}; name the right CA (--ca) or name (--server-name)"
            )
        case aiohttp.ClientConnectorDNSError():
            return NameNotFound(f"{target.host}: {error.os_error.strerror}; check the name, and -4 or -6")
        case aiohttp.ClientError() | OSError():
            return UnreachableError(f"{target}: cannot be reached over TCP: {error}")
        case _:
            return error
