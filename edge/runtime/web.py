"""HTTPS and WebSockets in a worker's event loop: the TCP side of a node, for browsers and for where UDP is blocked.

Plain requests get what `session_api` and `page` answer; ``GET /v1/voice`` becomes a call. aiohttp reads the bytes of
HTTP, under the bounds that are set here: heads of 8 KiB, `IDLE_S` from a connection to its request and between two,
`BODY_S` for a body. Nothing of a client's makes it log.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol

from aiohttp import web

from edge.runtime import session_api
from edge.runtime.page import Page
from edge.runtime.session_api import MAX_BODY, VOICE_PATH, Answer, ApiSettings, Request
from edge.runtime.tls_listener import TlsLimits, TlsListener, server_context
from edge.runtime.websocket_carrier import LINGER_S, SUBPROTOCOL, WebSocketCarrier
from edge.voice.errors import Code
from edge.voice.mux import MAX_MESSAGE, Frame, Role, deliver

log = logging.getLogger("edge.web")
# aiohttp's own: a traceback for every stranger that speaks no HTTP.
_of_strangers = logging.getLogger("edge.web.http")
_of_strangers.setLevel(logging.CRITICAL)

IDLE_S = 10.0
BODY_S = 5.0
SHUTDOWN_S = 0.5
SERVER = {"server": "edge"}


class Calls(Protocol):
    """The worker's table of calls; see `edge.runtime.calls.CallTable`."""

    def begin(self, carrier: WebSocketCarrier) -> Any: ...
    def wake(self, call: Any) -> None: ...
    def ended(
        self, carrier: WebSocketCarrier, code: int, reason: str, *, by_peer: bool, by_application: bool
    ) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """``certificate`` and ``private_key`` are PEM; ``service`` are the addresses that other nodes have, too.

    ``admits`` is asked about every new connection, ``changed`` is called when a call has something to do. Without
    ``tls`` it is HTTP, for what runs on this machine.
    """

    api: ApiSettings
    certificate: bytes
    private_key: bytes
    service: frozenset[str]
    page: Page | None
    admits: Callable[[], bool]
    changed: Callable[[], None]
    tls: bool = True
    limits: TlsLimits = field(default_factory=TlsLimits)


class Web:
    """Serves listening ``sockets``, which become this server's, from `serve` to `close`."""

    def __init__(self, settings: WebSettings, sockets: Iterable[socket.socket], calls: Calls) -> None:
        self._settings = settings
        self._calls = calls
        self._carriers: dict[WebSocketCarrier, asyncio.Task[None] | None] = {}
        self._http = _Http(self._handle)
        self._listener = self._http.listener = TlsListener(
            sockets,
            server_context(settings.certificate, settings.private_key) if settings.tls else None,
            self._http,
            admits=settings.admits,
            limits=settings.limits,
        )

    def serve(self) -> None:
        """Begin to accept connections."""
        self._listener.serve()

    def leave(self) -> None:
        """Accept no more; what is up goes on."""
        self._listener.leave()

    async def close(self, code: int, reason: str) -> None:
        """End every call with ``code`` and close every connection; takes little more than `LINGER_S`."""
        await self._listener.close()
        for carrier in self._carriers:
            carrier.close(code, reason)
        running = [task for task in self._carriers.values() if task is not None]
        if running:
            await asyncio.wait(running, timeout=LINGER_S + SHUTDOWN_S)
        self._http.pre_shutdown()
        await self._http.shutdown(SHUTDOWN_S)

    def counters(self) -> dict[str, int]:
        """Connections since the worker began."""
        counters = self._listener.counters
        return {
            "tcp_accepted": counters.accepted,
            "tcp_refused": counters.refused,
            "tls_failed": counters.failed,
        }

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        try:
            if request.path != VOICE_PATH:
                return _response(request, await self._answer(request, headers))
            refusal = self._refusal(request, headers)
            if refusal is not None:
                return _response(request, refusal)
        except Exception:
            log.exception("event=request_failed method=%s path=%s", request.method, request.path)
            wrong = "internal error; the node's log has the details"
            return _response(request, session_api.error(HTTPStatus.INTERNAL_SERVER_ERROR, wrong))
        return await self._call(request)

    async def _answer(self, request: web.BaseRequest, headers: Mapping[str, str]) -> Answer:
        try:
            async with asyncio.timeout(BODY_S):
                body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            body = bytes(MAX_BODY + 1)
        except TimeoutError:
            return session_api.error(HTTPStatus.REQUEST_TIMEOUT, "the body did not arrive in time")
        asked = Request(request.method, request.path, headers, body)
        page = self._settings.page
        if page is not None and asked.path in page:
            return page.answer(asked)
        return session_api.answer(asked, self._settings.api)

    def _refusal(self, request: web.BaseRequest, headers: Mapping[str, str]) -> Answer | None:
        """Why this request does not become a call (RFC 6455 section 4.2); None if it does."""
        if request.method != "GET":
            return session_api.error(
                HTTPStatus.METHOD_NOT_ALLOWED, f"{VOICE_PATH} answers to GET", allow="GET"
            )
        if headers.get("upgrade", "").lower() != "websocket":
            return session_api.error(
                HTTPStatus.UPGRADE_REQUIRED,
                "a WebSocket is asked for",
                upgrade="websocket",
                connection="upgrade",
            )
        if headers.get("sec-websocket-version") != "13":
            return session_api.error(
                HTTPStatus.UPGRADE_REQUIRED, "version 13 is spoken here", sec_websocket_version="13"
            )
        origin = headers.get("origin")
        if origin is not None and not self._settings.api.origin_allowed(origin):
            return session_api.error(HTTPStatus.FORBIDDEN, f"pages of {origin} may not call this node")
        ready = _websocket().can_prepare(request)
        if not ready or ready.protocol is None:
            return session_api.error(
                HTTPStatus.BAD_REQUEST, f"not a WebSocket handshake with the subprotocol {SUBPROTOCOL}"
            )
        return None

    async def _call(self, request: web.BaseRequest) -> web.StreamResponse:
        ws = _websocket()
        await ws.prepare(request)
        local = request.get_extra_info("sockname")[0]
        outcome = "on_anycast" if local in self._settings.service else "direct"
        carrier = WebSocketCarrier(
            ws, Role.EDGE, outcome=outcome, origin=request.headers.get("Origin"), host=request.remote or ""
        )
        self._carriers[carrier] = asyncio.current_task()
        self._calls.begin(carrier)
        self._settings.changed()
        try:
            ended = await carrier.run(partial(self._receive, carrier))
        finally:
            del self._carriers[carrier]
        self._calls.ended(
            carrier, ended.code, ended.reason, by_peer=ended.by_peer, by_application=ended.by_application
        )
        self._settings.changed()
        return ws

    def _receive(self, carrier: WebSocketCarrier, frame: Frame, now: float) -> None:
        call = carrier.call
        if call is None:
            return
        try:
            deliver(frame, call.session, now)
        except Exception:
            # A defect of ours; it is to cost this call and no other.
            log.exception("event=call_failed carrier=websocket")
            carrier.close(Code.SESSION_CLOSED, "internal error")
        self._calls.wake(call)
        self._settings.changed()


class _Http(web.Server):
    """Makes the protocol of each connection, and tells the listener when one is over."""

    listener: TlsListener

    def __init__(self, handler: Callable[[web.BaseRequest], Any]) -> None:
        super().__init__(
            handler,
            request_factory=_request,
            keepalive_timeout=IDLE_S,
            lingering_time=BODY_S,
            access_log=None,
            logger=_of_strangers,
            auto_decompress=False,
        )
        self._hosts: dict[web.RequestHandler, str] = {}

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        # Now, for a transport that is closed knows nothing of its peer any more.
        self._hosts[handler] = transport.get_extra_info("peername")[0]

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self.listener.lost(self._hosts.pop(handler))


def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> web.BaseRequest:
    loop = asyncio.get_running_loop()
    return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=MAX_BODY)


def _websocket() -> web.WebSocketResponse:
    ws = web.WebSocketResponse(
        protocols=(SUBPROTOCOL,), autoping=False, compress=False, max_msg_size=MAX_MESSAGE, timeout=LINGER_S
    )
    ws.headers.update(SERVER)
    return ws


def _response(request: web.BaseRequest, answer: Answer) -> web.Response:
    response = web.Response(status=answer.status, headers={**answer.headers, **SERVER}, body=answer.body)
    transport = request.transport
    if transport is None or transport.is_closing() or transport.get_write_buffer_size():
        # It asks again and has not read what it asked for before: what waits for it is not to grow.
        response.force_close()
    return response
