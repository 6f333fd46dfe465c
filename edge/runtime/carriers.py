"""What a voice session runs on: the seam between one call and QUIC, WebTransport or a WebSocket.

A session numbers its streams from 0, in each direction of its own; a carrier knows what they are called on its wire.
Inbound, whoever reads the wire calls the `receive_*` of ``carrier.call.session`` and wakes the call; the attribute
changes when a caller comes back on a new connection, so nobody keeps a copy of it.
"""

from __future__ import annotations

from collections.abc import Callable
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
from edge.voice.base import Receiver

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


class StreamIds:
    """What QUIC calls the streams that a session numbers from 0; ``open_stream`` opens the next one."""

    def __init__(self, open_stream: Callable[[], int]) -> None:
        self._open_stream = open_stream
        self._ids: list[int] = []
        self._numbers: dict[int, int] = {}

    def of(self, number: int) -> int:
        """The ID of a stream, which is opened if it is not yet."""
        while len(self._ids) <= number:
            stream_id = self._open_stream()
            self._numbers[stream_id] = len(self._ids)
            self._ids.append(stream_id)
        return self._ids[number]

    def number(self, stream_id: int) -> int | None:
        """The session's number; None for a stream that is not one of its own."""
        return self._numbers.get(stream_id)


def deliver(event: Event, session: Receiver, streams: StreamIds, control: int | None, now: float) -> None:
    """Hand ``session`` what happened on a QUIC connection, whose stream ``control`` is the control stream."""
    match event:
        case StreamDataReceived(stream_id=stream_id) if stream_id == control:
            session.receive_control(event.data, event.fin, now)
        case StreamDataReceived(stream_id=stream_id):
            session.receive_stream(stream_id, event.data, event.fin, now)
        case StreamReset(stream_id=stream_id, code=code):
            session.receive_reset(stream_id, code, now)
        case SendingStopped(stream_id=stream_id, code=code):
            number = streams.number(stream_id)
            if number is not None:
                session.receive_stop(number, code, now)
        case DatagramReceived(data=data):
            session.receive_datagram(data, now)
        case _:
            pass


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
        self._streams = StreamIds(lambda: endpoint.open_stream(connection))

    def receive(self, event: Event, now: float) -> None:
        """Hand the session what happened on the connection."""
        if self.call is not None:
            deliver(event, self.call.session, self._streams, CONTROL_STREAM, now)

    def send_control(self, data: bytes) -> None:
        self._endpoint.send_stream(self._connection, CONTROL_STREAM, data)

    def send_stream(self, stream: int, data: bytes, fin: bool) -> None:
        self._endpoint.send_stream(self._connection, self._streams.of(stream), data, fin)

    def reset_stream(self, stream: int, code: int) -> None:
        self._endpoint.reset_stream(self._connection, self._streams.of(stream), code)

    def expire_stream(self, stream: int) -> None:
        self._endpoint.expire_stream(self._connection, self._streams.of(stream))

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
