"""A server's QUIC connection, as an anycast edge needs it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from aioquic.buffer import (  # type: ignore[attr-defined]  # it is the documented place
    UINT_VAR_MAX_SIZE,
    Buffer,
)
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnectionId, QuicConnectionState, QuicNetworkPath
from aioquic.quic.events import ConnectionIdIssued
from aioquic.quic.packet import (
    QuicErrorCode,
    QuicFrameType,
    QuicPreferredAddress,
    QuicTransportParameters,
    push_quic_transport_parameters,
)
from aioquic.quic.packet_builder import QuicPacketBuilder
from aioquic.quic.stream import QuicStream
from aioquic.tls import NewSessionTicket, push_new_session_ticket

from edge.quic.engine import Connection
from edge.quic.path import Path
from edge.quic.secrets import Secrets
from edge.quic.tickets import LIFETIME_S, MAX_EARLY_DATA, Resumption, StrikeRegister

HELD_CIDS = 4
"""Our connection IDs that a peer holds: two for the two addresses of a node and two spare."""

MAX_UDP_PAYLOAD = 1372
"""Bytes of a datagram that a peer may send: what can be passed on to another node in one packet (`edge.forward`)."""

MAX_STREAM_DATA = 256 * 1024
"""Bytes a peer may have under way on one stream, to begin with; aioquic doubles it as it is used."""
MAX_HELD_BYTES = 2 * 1024 * 1024
"""Bytes beyond gaps that the engine may have to keep for one peer, over all streams."""
HELD_CHECK_BYTES = 256 * 1024
"""How much must arrive before that is added up again."""
MAX_HELD_HANDSHAKE_BYTES = 64 * 1024
"""The same for somebody who has not completed a handshake (RFC 9000 section 7.5 asks for 4096)."""

PreferredAddress = tuple[tuple[str, int] | None, tuple[str, int] | None]
"""(IPv4 host, port) and (IPv6 host, port), either of which may be missing."""


@dataclass
class OwnCid(QuicConnectionId):
    """A connection ID of ours, that knows by itself the keys that it and its reset token were made with."""

    generation: int = 0


class EdgeConnection(Connection):
    """A server's connection.

    * Its connection IDs and their reset tokens come from ``secrets``, so that any node can route a packet of it and the
      node that replaces this one can reset it. `renew_cids` replaces them all.
    * ``preferred`` is offered in the handshake; pass None to a client that is already at a unicast address.
    * On a path that is only probed it answers and asks nothing. A client that has not decided for the path
      yet may take a PATH_CHALLENGE amiss (Chromium answers it with a connection ID nobody issued); once the
      client uses the path, the engine challenges it (RFC 9000 section 9.3).
    * A client without connection IDs of its own can migrate (it has none to spare, which is why aioquic alone
      would never answer it).
    * Clients that negotiate ``early_data_alpn`` get a ticket each for their next connection, which may then begin with
      early data; for all other protocols nothing ever arrives before the handshake is complete. What was accepted is
      in ``register``.
    * With the end of its handshake a client gets a token that proves its address the next time (NEW_TOKEN).
    * Until its handshake is complete a client stays where it is (RFC 9000 section 9): what comes from elsewhere is
      dropped, or else one Handshake packet with a forged sender would make aioquic take that address for validated.
    * To an address that is not validated nothing is sent beyond the limit (RFC 9000 section 8.1), nor is the
      CONNECTION_CLOSE, which aioquic lets through.
    * A peer that leaves gaps of `MAX_HELD_BYTES` in its streams is closed: aioquic grants credit by the highest
      offset seen and reserves memory up to there, so a few packets could take all there is. Before the
      handshake is complete, and anybody may be meant by the address, it is `MAX_HELD_HANDSHAKE_BYTES`.
    """

    _held_check_at = HELD_CHECK_BYTES

    def __init__(
        self,
        *,
        configuration: QuicConfiguration,
        secrets: Secrets,
        register: StrikeRegister,
        unix_time: Callable[[float], float],
        entropy: Callable[[int], bytes],
        original_destination_cid: bytes,
        retry_source_cid: bytes | None,
        preferred: PreferredAddress | None,
        early_data_alpn: str | None,
    ) -> None:
        super().__init__(
            configuration=configuration,
            original_destination_connection_id=original_destination_cid,
            retry_source_connection_id=retry_source_cid,
            session_ticket_fetcher=self._take_ticket,
        )
        self._early_data_alpn = early_data_alpn
        self._gives_ticket = early_data_alpn is not None
        self._secrets = secrets
        self._register = register
        self._unix_time = unix_time
        self._entropy = entropy
        self._now = 0.0
        self._retire_prior_to = 0
        first = self._new_cid(0, was_sent=True)
        self._host_cids: list[QuicConnectionId] = [first]
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
    def generations(self) -> set[int]:
        """Of the keys that the connection IDs are made with which the peer may use."""
        return {cid.generation for cid in self._host_cids if isinstance(cid, OwnCid)}

    @property
    def is_outdated(self) -> bool:
        """None of them is made with the keys in use."""
        return self._secrets.keys.issue not in self.generations

    @property
    def has_begun(self) -> bool:
        """Whether any packet was genuine. Otherwise nothing is worth keeping."""
        return self._state is not QuicConnectionState.FIRSTFLIGHT

    @property
    def early_data_from(self) -> str | None:
        """The ALPN of a client whose early data is accepted, while its handshake is not complete."""
        if self._handshake_complete or not self.tls.early_data_accepted:
            return None
        return self.tls.alpn_negotiated

    @property
    def validated_path(self) -> Any:
        """The `Path` in use, None while the peer still has to show that it is there."""
        path = self._network_paths[0]
        return path.addr if path.is_validated else None

    def trust_path(self) -> None:
        """Take the peer's address as validated: it has returned a Retry token (RFC 9000 section 8.1.2)."""
        self._network_paths[0].is_validated = True

    def renew_cids(self) -> None:
        """Have the peer use new connection IDs, and give back all that it has (RFC 9000 section 5.1.2)."""
        self._retire_prior_to = self._host_cid_seq
        for _ in range(min(HELD_CIDS, self._remote_active_connection_id_limit)):
            self._add_cid()

    def receive_datagram(self, data: bytes, addr: Any, now: float) -> None:
        if not self._handshake_complete and self._network_paths and self._network_paths[0].addr != addr:
            return
        self._now = now
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
        path, is_closing = self._network_paths[0], self._close_pending
        datagrams = self._datagrams_to_send(now)
        if is_closing and not path.is_validated and path.bytes_sent > 3 * path.bytes_received:
            return []
        return datagrams

    def _datagrams_to_send(self, now: float) -> list[tuple[bytes, Any]]:
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

    def _alpn_handler(self, alpn_protocol: str) -> None:
        super()._alpn_handler(alpn_protocol)
        # The engine looks for a ticket of the client right after this.
        if alpn_protocol != self._early_data_alpn:
            self.tls.get_session_ticket_cb = None
            self._gives_ticket = False

    def _initialize(self, peer_cid: bytes) -> None:
        super()._initialize(peer_cid)
        # The engine's own tickets are random bytes, for a store to find the session by.
        finish = partial(self._finish, self.tls._server_handle_finished)
        self.tls._server_handle_finished = finish  # type: ignore[method-assign]

    def _finish(self, finish: Callable[[Buffer, Buffer], None], received: Buffer, to_send: Buffer) -> None:
        finish(received, to_send)
        if not self._gives_ticket or self.tls._psk_key_exchange_mode is None:
            return
        new = NewSessionTicket(
            ticket_lifetime=LIFETIME_S,
            ticket_age_add=int.from_bytes(self._entropy(4), "big"),
            ticket_nonce=b"",
            max_early_data_size=MAX_EARLY_DATA,
        )
        built = self.tls._build_session_ticket(new, [])
        unix_time = self._unix_time(self._now)
        resumption = Resumption(
            built.cipher_suite, unix_time, built.resumption_secret, built.server_name or ""
        )
        new.ticket = self._secrets.tickets.seal(resumption, self._entropy(12))
        push_new_session_ticket(to_send, new)

    def _take_ticket(self, ticket: bytes) -> Any:
        return self._register.take(self._secrets.tickets, ticket, self._unix_time(self._now))

    def _path_to_validate(self) -> QuicNetworkPath | None:
        path = self._network_paths[0]
        # The handshake validates the first one by itself.
        return None if path.is_validated or not self._handshake_complete else path

    def _new_cid(self, sequence_number: int, *, was_sent: bool) -> OwnCid:
        cid, secrets = self._secrets.issue(), self._secrets
        return OwnCid(cid, sequence_number, secrets.reset_token(cid), was_sent, secrets.keys.issue)

    def _add_cid(self) -> None:
        self._host_cids.append(self._new_cid(self._host_cid_seq, was_sent=False))
        self._host_cid_seq += 1

    def _replenish_connection_ids(self) -> None:
        while len(self._host_cids) < min(HELD_CIDS, self._remote_active_connection_id_limit):
            self._add_cid()

    def _write_new_connection_id_frame(
        self, builder: QuicPacketBuilder, connection_id: QuicConnectionId
    ) -> None:
        # As the engine's, which writes 0 for Retire Prior To.
        buffer = builder.start_frame(
            QuicFrameType.NEW_CONNECTION_ID,
            capacity=1 + 2 * UINT_VAR_MAX_SIZE + 1 + len(connection_id.cid) + 16,
            handler=self._on_new_connection_id_delivery,
            handler_args=(connection_id,),
        )
        buffer.push_uint_var(connection_id.sequence_number)
        buffer.push_uint_var(min(self._retire_prior_to, connection_id.sequence_number))
        buffer.push_uint8(len(connection_id.cid))
        buffer.push_bytes(connection_id.cid)
        buffer.push_bytes(connection_id.stateless_reset_token)
        connection_id.was_sent = True
        self._events.append(ConnectionIdIssued(connection_id=connection_id.cid))

    def _write_handshake_done_frame(self, builder: QuicPacketBuilder) -> None:
        super()._write_handshake_done_frame(builder)
        path = self._network_paths[0].addr
        if not isinstance(path, Path):
            return
        token = self._secrets.tokens.for_return(
            path.host, unix_time=self._unix_time(self._now), nonce=self._entropy(12)
        )
        # If the packet is lost, so is HANDSHAKE_DONE, and both are written again.
        buffer = builder.start_frame(QuicFrameType.NEW_TOKEN, capacity=1 + 2 + len(token))
        buffer.push_uint_var(len(token))
        buffer.push_bytes(token)

    def _serialize_transport_parameters(self) -> bytes:
        # A sequence in no particular order (RFC 9000 section 18): ours are added behind the engine's.
        buffer = Buffer(capacity=128)
        push_quic_transport_parameters(
            buffer,
            QuicTransportParameters(max_udp_payload_size=MAX_UDP_PAYLOAD, preferred_address=self._preferred),
        )
        return super()._serialize_transport_parameters() + buffer.data


def _held(stream: QuicStream) -> int:
    """Bytes between what was delivered and the highest byte received: what the engine has to buffer."""
    return stream.receiver.highest_offset - stream.receiver.starting_offset()
