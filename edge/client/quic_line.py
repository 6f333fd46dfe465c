"""What a voice session asks, carried by a QUIC connection. Sans-IO, driven as both of them are."""

from collections.abc import Callable
from typing import Final

from edge.quic import ClientConnection, Event
from edge.runtime.carriers import StreamIds, deliver
from edge.runtime.driver import Address
from edge.voice import Code
from edge.voice.base import Receiver

DOUBT_S: Final = 1.0
"""An edge acknowledges what it gets within a round trip and some 20 ms. What was lost was sent again by now, twice, and
a machine that is only slow has had its chance."""
DOUBT_ROUND_TRIPS: Final = 4
UNSENDABLE_S: Final = 0.5
"""The same where not even the kernel knows a way: a machine that changes networks has none for a moment."""


class QuicLine:
    """A connection as something that a session can be carried on, from its ClientHello to its end.

    The edge acknowledges our heartbeats, so one from which nothing arrives for ``dead_after_s`` is gone, whatever QUIC
    still hopes: the connection is then closed from this side. One that leaves something unanswered for `DOUBT_S` is
    `doubted` until something arrives, and ``on_doubt`` is told of both.
    """

    def __init__(
        self, connection: ClientConnection, dead_after_s: float, on_doubt: Callable[[], None]
    ) -> None:
        self.connection = connection
        self.doubted = False
        self._dead_after_s = dead_after_s
        self._on_doubt = on_doubt
        self._asks = False  # something that calls for an answer leaves with the next packets
        self._asked_at: float | None = None  # and nothing has arrived since
        self._unsendable_at: float | None = None  # since when the kernel knows no way; the same
        self._heard_at: float | None = None  # any datagram, once the handshake is complete
        self._control: int | None = None
        self._streams = StreamIds(connection.open_stream)

    # --- as a stack ------------------------------------------------------------------------------------

    def receive_datagram(self, data: bytes, address: Address, now: float) -> None:
        if self._heard_at is not None:
            self._heard_at, self._asked_at, self._unsendable_at = now, None, None
            self._doubt(False)
        self.connection.receive_datagram(data, address, now)
        if self._heard_at is None and self.connection.established:
            self._heard_at = now

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Address]]:
        if self._asks:
            self._asks = False
            if self._asked_at is None:
                self._asked_at = now
        return self.connection.datagrams_to_send(now)

    def get_timer(self) -> float | None:
        timers = [self.connection.get_timer()]
        if self._heard_at is not None and not self.connection.closed:
            timers.append(self._dead_at())
            if not self.doubted:
                timers.append(self._doubt_at())
        return min((at for at in timers if at is not None), default=None)

    def handle_timer(self, now: float) -> None:
        self.connection.handle_timer(now)
        if self._heard_at is None or self.connection.closed:
            return
        if now >= self._dead_at():
            self.connection.close(Code.GOING_AWAY, f"nothing heard for {self._dead_after_s:g} s")
        elif (doubt_at := self._doubt_at()) is not None and now >= doubt_at:
            self._doubt(True)

    def unsendable(self, now: float) -> None:
        """There is no way to the edge, for now."""
        if self._unsendable_at is None:
            self._unsendable_at = now

    def _dead_at(self) -> float:
        """Whoever was silent because nothing was said to it has its chance to answer."""
        assert self._heard_at is not None
        dead_at = self._heard_at + self._dead_after_s
        return dead_at if self._asked_at is None else max(dead_at, self._asked_at + self._patience_s)

    @property
    def _patience_s(self) -> float:
        return max(DOUBT_S, DOUBT_ROUND_TRIPS * (self.connection.rtt_s or 0.0))

    def _doubt_at(self) -> float | None:
        doubts_at = []
        if self._asked_at is not None:
            doubts_at.append(self._asked_at + self._patience_s)
        if self._unsendable_at is not None:
            doubts_at.append(self._unsendable_at + UNSENDABLE_S)
        return min(doubts_at, default=None)

    def _doubt(self, doubted: bool) -> None:
        if doubted is not self.doubted:
            self.doubted = doubted
            self._on_doubt()

    def next_event(self) -> Event | None:
        return self.connection.next_event()

    # --- as a wire -------------------------------------------------------------------------------------

    def deliver(self, event: Event, session: Receiver, now: float) -> None:
        """Hand ``session`` what has arrived."""
        deliver(event, session, self._streams, self._control, now)

    def send_control(self, data: bytes) -> None:
        if self._control is None:
            self._control = self.connection.open_stream(unidirectional=False)
        self._asks = True
        self.connection.send_stream(self._control, data)

    def send_stream(self, stream: int, data: bytes, fin: bool) -> None:
        self._asks = True
        self.connection.send_stream(self._streams.of(stream), data, fin)

    def reset_stream(self, stream: int, code: int) -> None:
        self.connection.reset_stream(self._streams.of(stream), code)

    def expire_stream(self, stream: int) -> None:
        self.connection.expire_stream(self._streams.of(stream), Code.DEADLINE)

    def stop_stream(self, peer_stream: int, code: int) -> None:
        self.connection.stop_stream(peer_stream, code)

    def send_datagram(self, data: bytes) -> None:
        self._asks = True
        self.connection.send_datagram(data)

    def close(self, code: int, reason: str) -> None:
        self.connection.close(code, reason)

    def rtt_s(self) -> float | None:
        return self.connection.rtt_s
