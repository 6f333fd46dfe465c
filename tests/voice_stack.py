"""A whole call on a QUIC connection, sans-IO: what simulators, benchmarks and tests drive with clocks of their own."""

from __future__ import annotations

from collections import deque

from edge.client.quic_line import QuicLine
from edge.quic import ClientConnection, ConnectionClosed, HandshakeCompleted, PathChanged
from edge.runtime.carriers import carry_out
from edge.runtime.driver import Address
from edge.voice import CallerEvent, CallerSession

Told = HandshakeCompleted | PathChanged | ConnectionClosed | CallerEvent
"""What a stack tells: how its connection fares, and all that its session tells."""


class VoiceStack(QuicLine):
    """One call on one connection.

    Verbs go to ``session`` directly and are carried out by the next `next_event`. What it says before the handshake
    is complete leaves as early data if the connection has a ticket, else with its end.
    """

    def __init__(self, connection: ClientConnection, session: CallerSession, dead_after_s: float) -> None:
        super().__init__(connection, dead_after_s, lambda: None)
        self.session = session
        self._now = 0.0
        self._events: deque[Told] = deque()

    def receive_datagram(self, data: bytes, address: Address, now: float) -> None:
        super().receive_datagram(data, address, now)
        self._step(now)

    def get_timer(self) -> float | None:
        timers = [super().get_timer()]
        if self.connection.established and not self.connection.closed:
            timers.append(self.session.get_timer())
        return min((at for at in timers if at is not None), default=None)

    def handle_timer(self, now: float) -> None:
        super().handle_timer(now)
        if self.connection.established:
            self.session.handle_timer(now)
        self._step(now)

    def next_event(self) -> Told | None:  # type: ignore[override]  # the session's, too
        self._step(self._now)
        return self._events.popleft() if self._events else None

    def _step(self, now: float) -> None:
        self._now = now
        while (event := self.connection.next_event()) is not None:
            if isinstance(event, HandshakeCompleted | PathChanged | ConnectionClosed):
                self._events.append(event)
            else:
                self.deliver(event, self.session, now)
        if (rtt_s := self.rtt_s()) is not None:
            self.session.set_rtt(rtt_s)
        while (told := self.session.next_event()) is not None:
            self._events.append(told)
        if self.connection.peer is not None:
            while (action := self.session.next_action()) is not None:
                carry_out(self, action)
