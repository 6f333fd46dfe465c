"""Calls on an endpoint's connections: what begins one, what ends one, and whose everything else is.

A raw connection is a call from its first sign; what it says before its handshake is complete may be a replay (RFC 8446,
section 8), so that call is confirmed only then. On HTTP/3 a WebTransport session is one.
"""

from __future__ import annotations

from edge.auth import Origins
from edge.quic import (
    ConnectionClosed,
    Endpoint,
    Event,
    HandshakeBegun,
    HandshakeCompleted,
    PacketMisrouted,
    PathChanged,
    SessionClosed,
    SessionRequested,
)
from edge.runtime.calls import CallTable
from edge.runtime.carriers import QuicCarrier
from edge.runtime.webtransport_carrier import PATH, WebTransportCarrier
from edge.voice import ALPN

NOT_FOUND, FORBIDDEN = 404, 403


class QuicCalls:
    """Takes every event of ``endpoint`` but its HTTP requests."""

    def __init__(self, endpoint: Endpoint, calls: CallTable, origins: Origins) -> None:
        self._endpoint = endpoint
        self._calls = calls
        self._origins = origins
        self._carriers: dict[int, QuicCarrier] = {}  # by connection

    def receive(self, event: Event, now: float) -> None:
        """Events of connections that carry no call are ignored."""
        match event:
            case HandshakeBegun(connection=connection) if event.alpn == ALPN:
                self._begin(QuicCarrier(self._endpoint, connection), connection, confirmed=False)
            case HandshakeCompleted(connection=connection) if event.alpn == ALPN:
                self._confirm(connection)
            case SessionRequested(connection=connection):
                self._answer(event, connection)
            case ConnectionClosed(connection=connection):
                self._end(connection, event.code, event.reason, event.by_peer, event.by_application)
            case SessionClosed(connection=connection):
                self._end(connection, event.code, event.reason, event.by_peer, by_application=True)
            case _:
                self._pass_on(event, now)

    def _pass_on(self, event: Event, now: float) -> None:
        if isinstance(event, PacketMisrouted):  # whoever reads the sockets passes it on
            return
        carrier = self._carriers.get(event.connection)
        if carrier is None or carrier.call is None:
            return
        call = carrier.call
        if isinstance(event, PathChanged):
            call.moved()
        else:
            try:
                carrier.receive(event, now)
            except Exception as error:  # noqa: BLE001 - logged there
                self._calls.failed(call, error)
        self._calls.wake(call)

    def _begin(self, carrier: QuicCarrier, connection: int, *, confirmed: bool) -> None:
        self._carriers[connection] = carrier
        self._calls.begin(carrier, confirmed=confirmed)

    def _confirm(self, connection: int) -> None:
        carrier = self._carriers.get(connection)
        if carrier is None:
            self._begin(QuicCarrier(self._endpoint, connection), connection, confirmed=True)
        elif carrier.call is not None:
            carrier.call.confirm()
            self._calls.wake(carrier.call)

    def _answer(self, asked: SessionRequested, connection: int) -> None:
        if asked.path.partition("?")[0] != PATH:
            self._endpoint.refuse_session(connection, asked.session, NOT_FOUND)
        elif not self._origins.allow(asked.origin or None):
            self._endpoint.refuse_session(connection, asked.session, FORBIDDEN)
        else:
            self._endpoint.accept_session(connection, asked.session)
            self._begin(WebTransportCarrier(self._endpoint, asked), connection, confirmed=True)

    def _end(self, connection: int, code: int, reason: str, by_peer: bool, by_application: bool) -> None:
        carrier = self._carriers.pop(connection, None)
        if carrier is not None:
            self._calls.ended(carrier, code, reason, by_peer=by_peer, by_application=by_application)
