"""What a voice session runs on: the seam between one call and QUIC, WebTransport or a WebSocket.

A session numbers its streams from 0, in each direction of its own; a carrier knows what they are called on its wire.
Inbound, whoever reads the wire calls the `receive_*` of ``carrier.call.session`` and wakes the call; the attribute
changes when a caller comes back on a new connection, so nobody keeps a copy of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from edge.quic import (
    DatagramReceived,
    Endpoint,
    Event,
    SendingStopped,
    StreamDataReceived,
    StreamReset,
)
from edge.voice import actions

if TYPE_CHECKING:
    from edge.runtime.call import Call

CarrierName = Literal["quic", "webtransport", "websocket"]
CONTROL_STREAM = 0  # the caller's first bidirectional stream


class Wire(Protocol):
    """The verbs of one connection of a call, at either end. On one that is closed they do nothing."""

    def send_control(self, data: bytes) -> None: ...

    def send_stream(self, stream: int, data: bytes, fin: bool) -> None: ...

    def reset_stream(self, stream: int, code: int) -> None: ...

    def expire_stream(self, stream: int) -> None:
        """Reset it with `Code.DEADLINE`, unless all of it has arrived (or, on TCP, is the kernel's to deliver)."""

    def stop_stream(self, peer_stream: int, code: int) -> None: ...

    def send_datagram(self, data: bytes) -> None: ...

    def close(self, code: int, reason: str) -> None: ...

    def rtt_s(self) -> float | None:
        """The round-trip time, once it has been measured."""


class Carrier(Wire, Protocol):
    """One connection of a call at the edge."""

    name: CarrierName
    call: Call | None
    """Whose it is; set by the table of calls."""
    host: str
    """The caller's address, as it was when it came."""
    origin: str | None
    """The web page that opened it, as its browser says; None where no browser is behind it."""

    @property
    def outcome(self) -> str:
        """How it stands to the service address; see `edge.quic.Outcome`."""

    @property
    def unsent_bytes(self) -> int:
        """Given to it and not on the wire yet."""

    @property
    def awaits_credit(self) -> bool:
        """Whether something cannot leave because the caller does not read. False where the carrier sees to that."""


def carry_out(wire: Wire, action: actions.Action) -> None:
    """Do what a session asks."""
    match action:
        case actions.SendControl(data=data):
            wire.send_control(data)
        case actions.SendStream(stream=stream, data=data, fin=fin):
            wire.send_stream(stream, data, fin)
        case actions.ResetStream(stream=stream, code=code):
            wire.reset_stream(stream, code)
        case actions.ExpireStream(stream=stream):
            wire.expire_stream(stream)
        case actions.StopStream(peer_stream=peer_stream, code=code):
            wire.stop_stream(peer_stream, code)
        case actions.SendDatagram(data=data):
            wire.send_datagram(data)
        case actions.CloseSession(code=code, reason=reason):
            wire.close(code, reason)


class QuicCarrier:
    """A QUIC connection whose ALPN is `edge-voice/1`."""

    name: CarrierName = "quic"
    origin: str | None = None

    def __init__(self, endpoint: Endpoint, connection: int) -> None:
        self.call: Call | None = None
        self._endpoint = endpoint
        self._connection = connection
        info = endpoint.connection(connection)
        self.host = "" if info is None else info.path.host
        self._streams: list[int] = []  # the session's number of a stream -> its QUIC stream ID
        self._numbers: dict[int, int] = {}  # and back

    def receive(self, event: Event, now: float) -> None:
        """Hand the session what happened on the connection."""
        if self.call is None:
            return
        session = self.call.session
        match event:
            case StreamDataReceived() if event.stream_id == CONTROL_STREAM:
                session.receive_control(event.data, event.fin, now)
            case StreamDataReceived():
                session.receive_stream(event.stream_id, event.data, event.fin, now)
            case StreamReset():
                session.receive_reset(event.stream_id, event.code, now)
            case SendingStopped() if event.stream_id in self._numbers:
                session.receive_stop(self._numbers[event.stream_id], event.code, now)
            case DatagramReceived():
                session.receive_datagram(event.data, now)
            case _:
                pass

    def send_control(self, data: bytes) -> None:
        self._endpoint.send_stream(self._connection, CONTROL_STREAM, data)

    def send_stream(self, stream: int, data: bytes, fin: bool) -> None:
        self._endpoint.send_stream(self._connection, self._stream_id(stream), data, fin)

    def reset_stream(self, stream: int, code: int) -> None:
        self._endpoint.reset_stream(self._connection, self._stream_id(stream), code)

    def expire_stream(self, stream: int) -> None:
        self._endpoint.expire_stream(self._connection, self._stream_id(stream))

    def stop_stream(self, peer_stream: int, code: int) -> None:
        self._endpoint.stop_stream(self._connection, peer_stream, code)

    def send_datagram(self, data: bytes) -> None:
        self._endpoint.send_datagram(self._connection, data)

    def close(self, code: int, reason: str) -> None:
        self._endpoint.close(self._connection, code, reason)

    def rtt_s(self) -> float | None:
        return self._endpoint.rtt_s(self._connection)

    @property
    def outcome(self) -> str:
        info = self._endpoint.connection(self._connection)
        return "direct" if info is None else info.outcome

    @property
    def unsent_bytes(self) -> int:
        return self._endpoint.unsent_bytes(self._connection)

    @property
    def awaits_credit(self) -> bool:
        return self._endpoint.awaits_credit(self._connection)

    def _stream_id(self, stream: int) -> int:
        while len(self._streams) <= stream:
            stream_id = self._endpoint.open_stream(self._connection)
            self._numbers[stream_id] = len(self._streams)
            self._streams.append(stream_id)
        return self._streams[stream]
