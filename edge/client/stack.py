"""A voice session on its connection: what the one asks, the other carries. Sans-IO, driven as both of them are."""

from collections import deque
from typing import assert_never

from edge.quic import (
    ClientConnection,
    ConnectionClosed,
    DatagramReceived,
    HandshakeCompleted,
    PathChanged,
    SendingStopped,
    StreamDataReceived,
    StreamReset,
    Ticket,
    TicketIssued,
)
from edge.quic import Event as ConnectionEvent
from edge.runtime.driver import Address
from edge.voice import CallerEvent, CallerSession, Code, actions

Told = HandshakeCompleted | PathChanged | ConnectionClosed | CallerEvent
"""What a stack tells: how its connection fares, and all that its session tells."""


class VoiceStack:
    """One call on one connection, from its handshake to its end.

    Verbs go to ``session`` directly and are carried out by the next `next_event`. What it says before the handshake
    is complete leaves as early data if the connection has a ticket, else with its end. The edge acknowledges
    our heartbeats, so one from which nothing arrives for ``dead_after_s`` is gone, whatever QUIC still hopes:
    the connection is then closed from this side.
    """

    def __init__(self, connection: ClientConnection, session: CallerSession, dead_after_s: float) -> None:
        self.connection = connection
        self.session = session
        self.ticket: Ticket | None = None
        """With it another connection to this edge can begin with early data."""
        self._dead_after_s = dead_after_s
        self._now = 0.0
        self._heard_at: float | None = None  # any datagram, once the handshake is complete
        self._control: int | None = None
        self._streams: list[int] = []  # the session's number -> the connection's ID
        self._events: deque[Told] = deque()

    def receive_datagram(self, data: bytes, address: Address, now: float) -> None:
        if self._heard_at is not None:
            self._heard_at = now
        self.connection.receive_datagram(data, address, now)
        self._step(now)

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Address]]:
        return self.connection.datagrams_to_send(now)

    def get_timer(self) -> float | None:
        timers = [self.connection.get_timer()]
        if self._heard_at is not None and not self.connection.closed:
            timers += [self.session.get_timer(), self._heard_at + self._dead_after_s]
        return min((at for at in timers if at is not None), default=None)

    def handle_timer(self, now: float) -> None:
        self.connection.handle_timer(now)
        if self._heard_at is not None:
            self.session.handle_timer(now)
            if now >= self._heard_at + self._dead_after_s and not self.connection.closed:
                self.connection.close(Code.GOING_AWAY, f"nothing heard for {self._dead_after_s:g} s")
        self._step(now)

    def next_event(self) -> Told | None:
        self._step(self._now)
        return self._events.popleft() if self._events else None

    def _step(self, now: float) -> None:
        self._now = now
        while (event := self.connection.next_event()) is not None:
            self._receive(event, now)
        if self.connection.rtt_s is not None:
            self.session.set_rtt(self.connection.rtt_s)
        while (told := self.session.next_event()) is not None:
            self._events.append(told)
        if self._control is None and self.connection.peer is not None:
            self._control = self.connection.open_stream(unidirectional=False)
        if self._control is not None:
            while (action := self.session.next_action()) is not None:
                self._do(action, self._control)

    def _receive(self, event: ConnectionEvent, now: float) -> None:
        match event:
            case StreamDataReceived(stream_id=stream_id, data=data, fin=fin):
                if stream_id == self._control:
                    self.session.receive_control(data, fin, now)
                else:
                    self.session.receive_stream(stream_id, data, fin, now)
            case StreamReset(stream_id=stream_id, code=code):
                self.session.receive_reset(stream_id, code, now)
            case SendingStopped(stream_id=stream_id, code=code) if stream_id in self._streams:
                self.session.receive_stop(self._streams.index(stream_id), code, now)
            case DatagramReceived(data=data):
                self.session.receive_datagram(data, now)
            case HandshakeCompleted():
                self._heard_at = now
                self._events.append(event)
            case TicketIssued(ticket=ticket):
                self.ticket = ticket
            case PathChanged() | ConnectionClosed():
                self._events.append(event)
            case _:
                pass

    def _do(self, action: actions.Action, control: int) -> None:
        connection = self.connection
        match action:
            case actions.SendControl(data=data):
                connection.send_stream(control, data)
            case actions.SendStream(stream=stream, data=data, fin=fin):
                connection.send_stream(self._stream_id(stream), data, fin)
            case actions.ResetStream(stream=stream, code=code):
                connection.reset_stream(self._stream_id(stream), code)
            case actions.ExpireStream(stream=stream):
                connection.expire_stream(self._stream_id(stream), Code.DEADLINE)
            case actions.StopStream(peer_stream=peer_stream, code=code):
                connection.stop_stream(peer_stream, code)
            case actions.SendDatagram(data=data):
                connection.send_datagram(data)
            case actions.CloseSession(code=code, reason=reason):
                connection.close(code, reason)
            case _:
                assert_never(action)

    def _stream_id(self, stream: int) -> int:
        while len(self._streams) <= stream:
            self._streams.append(self.connection.open_stream())
        return self._streams[stream]
