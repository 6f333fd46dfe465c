"""aioquic's connection, with what both ends of ours need of it: fewer packets, patience with paths, and more verbs.

This file, `edge.quic.connection` (a server's) and `edge.quic.probing` (a client's) are the only ones that use names
of a connection which aioquic does not publish; `edge.quic.private_names` lists them all. All are driven exactly as
aioquic's `QuicConnection` is.
"""

from dataclasses import dataclass
from typing import Any

from aioquic.quic.connection import (
    QuicConnection,
    QuicConnectionState,
    QuicNetworkPath,
    QuicReceiveContext,
)
from aioquic.quic.events import QuicEvent
from aioquic.quic.recovery import QuicPacketSpace
from aioquic.tls import Epoch

MIN_TIMER_S = 0.0005
"""A deadline that is over may stay where it is, by rounding: look again after this, not in a busy loop."""
MAX_REASON = 128
"""Characters of a close reason: the engine cannot split it over packets."""

EXPIRED = 2
"""The error code of a stream that was given up because it took too long."""

ACK_DELAY_S = 0.020
"""How long an acknowledgment waits for company; aioquic advertises 25 ms, and timers may be late."""
ACK_EVERY = 2
"""Ack-eliciting packets that may wait together (RFC 9000 section 13.2.2)."""

QUIET_S = 0.1
"""How long credit, new connection IDs and the like may wait for the next packet."""

CHALLENGES_AGAIN = 3
"""How often an unanswered PATH_CHALLENGE is repeated, each time after twice as long."""
MIN_CHALLENGE_INTERVAL_S = 0.05

DATAGRAM_OVERHEAD = 1 + 20 + 2 + 16 + 3
"""Bytes around a DATAGRAM payload: short header with the longest CID, AEAD tag, frame type and length."""
MAX_DATAGRAMS_WAITING = 64


@dataclass(frozen=True, slots=True)
class Termination:
    """Why and by whom a connection was ended; `edge.quic.events.ConnectionClosed` without the handle."""

    code: int
    reason: str
    by_peer: bool
    by_application: bool


class _Thrifty(QuicConnection):
    """Fewer packets, and fewer passes over the engine's state, for the same exchange.

    * aioquic sends a packet of its own for every acknowledgment, 1 ms after what it acknowledges. Here an
      acknowledgment rides on the next data if there is any within `ACK_DELAY_S`, and goes at once for the
      second packet or when a packet is missing or late (RFC 9000 section 13.2).
    * aioquic goes through all it might send whenever it is asked, which costs as much as a packet. Here it is
      not asked after a packet that calls for no answer; what it could have said goes within `QUIET_S`.
    """

    _space: QuicPacketSpace | None = None  # of 1-RTT packets, once the handshake is confirmed
    _unacknowledged_packets = 0
    _data_written = False
    _timer_fired = True
    _flush_by: float | None = None

    def send_stream_data(self, stream_id: int, data: bytes, end_stream: bool = False) -> None:
        self._data_written = True
        super().send_stream_data(stream_id, data, end_stream)

    def send_datagram_frame(self, data: bytes) -> None:
        self._data_written = True
        super().send_datagram_frame(data)

    def receive_datagram(self, data: bytes, addr: Any, now: float) -> None:
        space = self._space
        if space is None:
            super().receive_datagram(data, addr, now)
            return
        waiting = self._unacknowledged_packets
        expected = space.largest_received_packet + 1
        super().receive_datagram(data, addr, now)
        if (
            self._unacknowledged_packets != waiting
            and space.ack_at is not None
            and (self._unacknowledged_packets >= ACK_EVERY or space.largest_received_packet != expected)
        ):
            space.ack_at = now

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Any]]:
        space = self._space
        if space is None:
            return super().datagrams_to_send(now)
        if self._data_written:
            self._data_written = False
            if space.ack_at is not None:
                space.ack_at = now
        elif self._can_wait(space, now):
            return []
        self._timer_fired = False
        self._flush_by = None
        datagrams = super().datagrams_to_send(now)
        if space.ack_at is None:
            self._unacknowledged_packets = 0
        return datagrams

    def get_timer(self) -> float | None:
        return _earlier(super().get_timer(), self._flush_by)

    def handle_timer(self, now: float) -> None:
        super().handle_timer(now)
        self._timer_fired = True

    def _can_wait(self, space: QuicPacketSpace, now: float) -> bool:
        """Whether nothing that is due, was asked for or has been lost has to leave before `_flush_by`."""
        if self._flush_by is None:
            self._flush_by = now + QUIET_S
        if (
            self._timer_fired
            or now >= self._flush_by
            or (space.ack_at is not None and space.ack_at <= now)
            or self._close_event is not None
            or self._datagrams_pending
            or self._ping_pending
            or self._retire_connection_ids
            or not self._network_paths[0].is_validated
        ):
            return False
        for path in self._network_paths:
            if path.remote_challenges:
                return False
        for stream in self._streams.values():
            sender = stream.sender
            if not sender.buffer_is_empty or sender.reset_pending or stream.receiver.stop_pending:
                return False
        return True

    def _confirm_handshake(self) -> None:
        super()._confirm_handshake()
        self._ack_delay = ACK_DELAY_S
        self._space = self._spaces[Epoch.ONE_RTT]

    def _payload_received(
        self, context: QuicReceiveContext, plain: bytes, crypto_frame_required: bool = False
    ) -> tuple[bool, bool]:
        received = super()._payload_received(context, plain, crypto_frame_required)
        if received[0] and context.epoch is Epoch.ONE_RTT:
            self._unacknowledged_packets += 1
        return received


class _Insistent(_Thrifty):
    """Asks a path again when the answer is lost.

    aioquic asks once: the client then never migrates, and a server takes its client for gone from where it is.
    Here a PATH_CHALLENGE is repeated `CHALLENGES_AGAIN` times, beginning after a probe timeout and each time
    after twice as long (RFC 9000 section 8.2.1).
    """

    _challenged: QuicNetworkPath | None = None
    _challenges_left = 0
    _challenge_interval = 0.0
    _challenge_at: float | None = None

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Any]]:
        datagrams = super().datagrams_to_send(now)
        path = self._path_to_validate()
        if path is not self._challenged:
            self._begin_challenging(path, now)
        return datagrams

    def get_timer(self) -> float | None:
        return _earlier(super().get_timer(), self._challenge_at)

    def handle_timer(self, now: float) -> None:
        super().handle_timer(now)
        if self._challenge_at is not None and now >= self._challenge_at:
            self._challenge_again(now)

    def _path_to_validate(self) -> QuicNetworkPath | None:
        """The path on which this end waits for a PATH_RESPONSE."""
        raise NotImplementedError

    def _begin_challenging(self, path: QuicNetworkPath | None, now: float) -> None:
        """The engine has just sent the first challenge on ``path``; None: there is nothing to validate."""
        self._challenged = path
        self._challenges_left = CHALLENGES_AGAIN
        self._challenge_interval = max(self._loss.get_probe_timeout(), MIN_CHALLENGE_INTERVAL_S)
        self._challenge_at = None if path is None else now + self._challenge_interval

    def _challenge_again(self, now: float) -> None:
        path = self._path_to_validate()
        if path is None or path is not self._challenged or not self._challenges_left:
            self._challenge_at = None
            return
        self._challenges_left -= 1
        self._challenge_interval *= 2
        self._challenge_at = now + self._challenge_interval
        path.local_challenge_sent = False


class Connection(_Insistent):
    """What the owner of either end wants to know or do, and the engine does not offer."""

    @property
    def termination(self) -> Termination | None:
        """Set as soon as either side has closed; the engine's own event waits until draining is over."""
        event = self._close_event
        if event is None:
            return None
        return Termination(
            code=int(event.error_code),
            reason=event.reason_phrase,
            by_peer=self._state is QuicConnectionState.DRAINING,
            by_application=event.frame_type is None,
        )

    @property
    def round_trip(self) -> float | None:
        """Smoothed round-trip time in seconds, None until it has been measured."""
        return self._loss._rtt_smoothed if self._loss._rtt_initialized else None

    def take_events(self) -> list[QuicEvent]:
        """All that has happened since the last call."""
        if not self._events:
            return []
        taken = list(self._events)
        self._events.clear()
        return taken

    def unacknowledged(self, stream_id: int) -> int:
        """Bytes written to a stream that the peer has not acknowledged; 0 for a finished or unknown one."""
        stream = self._streams.get(stream_id)
        return 0 if stream is None else stream.sender._buffer_stop - stream.sender._buffer_start

    def is_delivered(self, stream_id: int) -> bool:
        """Whether the peer has acknowledged all that will come on a stream: its end, or its reset."""
        stream = self._streams.get(stream_id)
        return stream is None or stream.sender.is_finished

    @property
    def unsent_bytes(self) -> int:
        """Written to streams that are not reset or waiting as datagrams, and never sent yet."""
        streams = sum(
            stream.sender._buffer_stop - stream.sender.highest_offset
            for stream in self._streams.values()
            if stream.sender._reset_error_code is None
        )
        return streams + sum(map(len, self._datagrams_pending))

    @property
    def awaits_credit(self) -> bool:
        """Whether the peer's flow control keeps back what was written: on a stream, on all, or by their number."""
        all_used = self._remote_max_data_used >= self._remote_max_data
        for stream in self._streams.values():
            sender = stream.sender
            if sender._buffer_stop > sender.highest_offset and sender._reset_error_code is None:
                used_up = sender.highest_offset >= stream.max_stream_data_remote
                if all_used or used_up or stream.is_blocked:
                    return True
        return False

    def open_stream(self, *, unidirectional: bool) -> int:
        """Open a stream, so that the next call opens another one."""
        stream_id = self.get_next_available_stream_id(is_unidirectional=unidirectional)
        self.send_stream_data(stream_id, b"")
        return stream_id

    def expire_stream(self, stream_id: int, error_code: int) -> None:
        """Reset a stream, unless all of it has been acknowledged."""
        if not self.is_delivered(stream_id):
            self.reset_stream(stream_id, error_code)

    def try_send_datagram(self, data: bytes) -> bool:
        """Queue a datagram; False if the peer does not take it, it fits no packet, or too many wait."""
        accepted = self._remote_max_datagram_frame_size
        if accepted is None or len(data) > min(accepted - 3, self._max_datagram_size - DATAGRAM_OVERHEAD):
            return False
        if len(self._datagrams_pending) >= MAX_DATAGRAMS_WAITING:
            return False
        self.send_datagram_frame(data)
        return True


def _earlier(timer: float | None, other: float | None) -> float | None:
    """The engine has no timer at all once it has terminated."""
    return timer if timer is None or other is None or timer < other else other
