"""One QUIC connection: aioquic's engine with what an anycast edge needs of it.

This is the only file that uses names which aioquic does not publish; `edge.quic.private_names` lists them all.

`EdgeConnection` is a server's connection, `ProbingConnection` a client's. Both are driven exactly as aioquic's
`QuicConnection` is.
"""

from collections.abc import Callable
from dataclasses import dataclass
from secrets import token_bytes
from typing import Any

from aioquic.buffer import Buffer  # type: ignore[attr-defined]  # it is the documented place
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import (
    QuicConnection,
    QuicConnectionId,
    QuicConnectionState,
    QuicNetworkPath,
    QuicReceiveContext,
)
from aioquic.quic.events import ConnectionTerminated, QuicEvent
from aioquic.quic.packet import (
    QuicErrorCode,
    QuicPreferredAddress,
    QuicTransportParameters,
    push_quic_transport_parameters,
)
from aioquic.quic.recovery import QuicPacketSpace
from aioquic.quic.stream import QuicStream
from aioquic.tls import Epoch

from edge.quic.header import MIN_CHOSEN_CID
from edge.quic.reset import MIN_LENGTH, TOKEN_LENGTH, reset_token

MIN_TIMER_S = 0.0005
"""A deadline that is over may stay where it is, by rounding: look again after this, not in a busy loop."""
MAX_REASON = 64
"""Characters of a close reason: the engine cannot split it over packets."""

HELD_CIDS = 4
"""Our connection IDs that a peer holds: two for the two addresses of a node and two spare."""

ACK_DELAY_S = 0.020
"""How long an acknowledgment waits for company; aioquic advertises 25 ms, and timers may be late."""
ACK_EVERY = 2
"""Ack-eliciting packets that may wait together (RFC 9000 section 13.2.2)."""

MAX_STREAM_DATA = 256 * 1024
"""Bytes a peer may have under way on one stream, to begin with; aioquic doubles it as it is used."""
MAX_HELD_BYTES = 2 * 1024 * 1024
"""Bytes beyond gaps that the engine may have to keep for one peer, over all streams."""
HELD_CHECK_BYTES = 256 * 1024
"""How much must arrive before that is added up again."""
MAX_HELD_HANDSHAKE_BYTES = 64 * 1024
"""The same for somebody who has not completed a handshake (RFC 9000 section 7.5 asks for 4096)."""

QUIET_S = 0.1
"""How long credit, new connection IDs and the like may wait for the next packet."""

CHALLENGES_AGAIN = 3
"""How often an unanswered PATH_CHALLENGE is repeated, each time after twice as long."""
MIN_CHALLENGE_INTERVAL_S = 0.05

DATAGRAM_OVERHEAD = 1 + 20 + 2 + 16 + 3
"""Bytes around a DATAGRAM payload: short header with the longest CID, AEAD tag, frame type and length."""
MAX_DATAGRAMS_WAITING = 64

PreferredAddress = tuple[tuple[str, int] | None, tuple[str, int] | None]
"""(IPv4 host, port) and (IPv6 host, port), either of which may be missing."""


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


class _Connection(_Insistent):
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

    def open_stream(self, *, unidirectional: bool) -> int:
        """Open a stream, so that the next call opens another one."""
        stream_id = self.get_next_available_stream_id(is_unidirectional=unidirectional)
        self.send_stream_data(stream_id, b"")
        return stream_id

    def try_send_datagram(self, data: bytes) -> bool:
        """Queue a datagram; False if the peer does not take it, it fits no packet, or too many wait."""
        accepted = self._remote_max_datagram_frame_size
        if accepted is None or len(data) > min(accepted - 3, self._max_datagram_size - DATAGRAM_OVERHEAD):
            return False
        if len(self._datagrams_pending) >= MAX_DATAGRAMS_WAITING:
            return False
        self.send_datagram_frame(data)
        return True


class EdgeConnection(_Connection):
    """A server's connection.

    * Its connection IDs come from ``issue`` and their reset tokens from ``reset_key``, so that any node can
      route a packet of it and the node that replaces this one can reset it.
    * ``preferred`` is offered in the handshake; pass None to a client that is already at a unicast address.
    * On a path that is only probed it answers and asks nothing. A client that has not decided for the path
      yet may take a PATH_CHALLENGE amiss (Chromium answers it with a connection ID nobody issued); once the
      client uses the path, the engine challenges it (RFC 9000 section 9.3).
    * A client without connection IDs of its own can migrate (it has none to spare, which is why aioquic alone
      would never answer it).
    * A peer that leaves gaps of `MAX_HELD_BYTES` in its streams is closed: aioquic grants credit by the highest
      offset seen and reserves memory up to there, so a few packets could take all there is. Before the
      handshake is complete, and anybody may be meant by the address, it is `MAX_HELD_HANDSHAKE_BYTES`.
    """

    _held_check_at = HELD_CHECK_BYTES

    def __init__(
        self,
        *,
        configuration: QuicConfiguration,
        issue: Callable[[], bytes],
        reset_key: bytes,
        original_destination_cid: bytes,
        retry_source_cid: bytes | None,
        preferred: PreferredAddress | None,
    ) -> None:
        super().__init__(
            configuration=configuration,
            original_destination_connection_id=original_destination_cid,
            retry_source_connection_id=retry_source_cid,
        )
        self._issue = issue
        self._reset_key = reset_key
        first = self._new_cid(0, was_sent=True)
        self._host_cids = [first]
        self.host_cid = first.cid
        self._local_initial_source_connection_id = first.cid
        self._preferred: QuicPreferredAddress | None = None
        if preferred is not None:
            # Sequence number 1, and known to the peer without a NEW_CONNECTION_ID (RFC 9000 section 5.1.1).
            second = self._new_cid(1, was_sent=True)
            self._host_cids.append(second)
            self._host_cid_seq = 2
            self._preferred = QuicPreferredAddress(*preferred, second.cid, second.stateless_reset_token)

    @property
    def initial_cids(self) -> list[bytes]:
        """The CIDs that no event announces: of the handshake and of the preferred address."""
        return [cid.cid for cid in self._host_cids]

    @property
    def has_begun(self) -> bool:
        """Whether any packet was genuine. Otherwise nothing is worth keeping."""
        return self._state is not QuicConnectionState.FIRSTFLIGHT

    @property
    def validated_path(self) -> Any:
        """The `Path` in use, None while the peer still has to show that it is there."""
        path = self._network_paths[0]
        return path.addr if path.is_validated else None

    def trust_path(self) -> None:
        """Take the peer's address as validated: it has returned a Retry token (RFC 9000 section 8.1.2)."""
        self._network_paths[0].is_validated = True

    def receive_datagram(self, data: bytes, addr: Any, now: float) -> None:
        super().receive_datagram(data, addr, now)
        if self._local_max_data.used > self._held_check_at:
            self._held_check_at = self._local_max_data.used + HELD_CHECK_BYTES
            if sum(map(_held, self._streams.values())) > MAX_HELD_BYTES:
                self.close(QuicErrorCode.FLOW_CONTROL_ERROR, 0, "too much data beyond gaps")
        if not self._handshake_complete and any(
            _held(stream) > MAX_HELD_HANDSHAKE_BYTES for stream in self._crypto_streams.values()
        ):
            self.close(QuicErrorCode.CRYPTO_BUFFER_EXCEEDED, 0, "too much data beyond gaps")

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Any]]:
        probed = self._network_paths[1:]
        if not probed:
            return super().datagrams_to_send(now)
        lent = []
        for path in probed:
            path.local_challenge_sent = True
            if self._handshake_complete and not self._peer_cid.cid and path.peer_cid is None:
                path.peer_cid = QuicConnectionId(cid=b"", sequence_number=0)
                lent.append(path)
        try:
            return super().datagrams_to_send(now)
        finally:
            # Left in place, promoting the path would retire the only connection ID the peer has.
            for path in lent:
                path.peer_cid = None

    def _path_to_validate(self) -> QuicNetworkPath | None:
        path = self._network_paths[0]
        # The handshake validates the first one by itself.
        return None if path.is_validated or not self._handshake_complete else path

    def _new_cid(self, sequence_number: int, *, was_sent: bool) -> QuicConnectionId:
        cid = self._issue()
        return QuicConnectionId(cid, sequence_number, reset_token(self._reset_key, cid), was_sent)

    def _replenish_connection_ids(self) -> None:
        while len(self._host_cids) < min(HELD_CIDS, self._remote_active_connection_id_limit):
            self._host_cids.append(self._new_cid(self._host_cid_seq, was_sent=False))
            self._host_cid_seq += 1

    def _serialize_transport_parameters(self) -> bytes:
        parameters = super()._serialize_transport_parameters()
        if self._preferred is None:
            return parameters
        # A sequence in no particular order (RFC 9000 section 18): ours is added behind the engine's.
        buffer = Buffer(capacity=128)
        push_quic_transport_parameters(buffer, QuicTransportParameters(preferred_address=self._preferred))
        return parameters + buffer.data


def _earlier(timer: float | None, other: float | None) -> float | None:
    """The engine has no timer at all once it has terminated."""
    return timer if timer is None or other is None or timer < other else other


def _held(stream: QuicStream) -> int:
    """Bytes between what was delivered and the highest byte received: what the engine has to buffer."""
    return stream.receiver.highest_offset - stream.receiver.starting_offset()


class ProbingConnection(_Connection):
    """A client's connection.

    aioquic follows a preferred address by itself. Here it also notices a stateless reset, which ends the
    connection (RFC 9000 section 10.3.1), and can do without connection IDs of its own.
    """

    _probed: QuicNetworkPath | None = None

    def __init__(self, *, configuration: QuicConfiguration) -> None:
        super().__init__(configuration=configuration)
        if configuration.connection_id_length < MIN_CHOSEN_CID:
            # aioquic makes up the server's first connection ID as long as its own (RFC 9000 section 7.2).
            self._peer_cid.cid = token_bytes(MIN_CHOSEN_CID)
            self._original_destination_connection_id = self._peer_cid.cid

    def receive_datagram(self, data: bytes, addr: Any, now: float) -> None:
        if (
            self._handshake_complete
            and len(data) >= MIN_LENGTH
            and data[-TOKEN_LENGTH:] in self._tokens(addr)
        ):
            self._close_event = ConnectionTerminated(QuicErrorCode.NO_ERROR, 0, "stateless reset")
            self._close_begin(is_initiator=False, now=now)
            return
        super().receive_datagram(data, addr, now)

    def _path_to_validate(self) -> QuicNetworkPath | None:
        path = self._probed
        return None if path is None or path.is_validated else path

    def _probe_preferred_address(self) -> None:
        known = len(self._network_paths)
        super()._probe_preferred_address()
        if len(self._network_paths) > known:
            self._probed = self._network_paths[-1]

    def _replenish_connection_ids(self) -> None:
        # A client that chose to have no connection IDs has none to issue (RFC 9000 section 5.1.1).
        if self.host_cid:
            super()._replenish_connection_ids()

    def _tokens(self, addr: Any) -> set[bytes]:
        """Reset tokens of the connection IDs in use towards ``addr``.

        A set hashes with a secret of this process, so looking one up tells nothing about it by its timing.
        """
        active, *others = self._network_paths
        in_use = [path.peer_cid for path in others if path.addr == addr and path.peer_cid is not None]
        if active.addr == addr:
            in_use.append(self._peer_cid)
        return {cid.stateless_reset_token for cid in in_use if cid.stateless_reset_token}
