"""A client's QUIC connection: it follows the server to its preferred address, and knows when the server is gone."""

from collections.abc import Callable
from secrets import token_bytes
from typing import Any

from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicNetworkPath
from aioquic.quic.events import ConnectionTerminated
from aioquic.quic.packet import QuicErrorCode, QuicPacketType
from aioquic.tls import Epoch, SessionTicket

from edge.quic.engine import Connection
from edge.quic.header import MIN_CHOSEN_CID
from edge.quic.reset import MIN_LENGTH, TOKEN_LENGTH


class ProbingConnection(Connection):
    """A client's connection.

    aioquic follows a preferred address by itself. Here it also notices a stateless reset, which ends the
    connection (RFC 9000 section 10.3.1), can do without connection IDs of its own, and sends early data again as
    soon as it knows that the server has refused it, or has answered it with a Retry.
    """

    _probed: QuicNetworkPath | None = None

    def __init__(
        self,
        *,
        configuration: QuicConfiguration,
        session_ticket_handler: Callable[[SessionTicket], None] | None = None,
        token_handler: Callable[[bytes], None] | None = None,
        migrate: bool = True,
    ) -> None:
        super().__init__(
            configuration=configuration,
            session_ticket_handler=session_ticket_handler,
            token_handler=token_handler,
        )
        self._migrate = migrate
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
        was_complete = self._handshake_complete
        super().receive_datagram(data, addr, now)
        if self._handshake_complete and not (was_complete or self.tls.early_data_accepted):
            self._repeat_early_data(now)

    def relocate(self) -> None:
        """The packets from now on come from another address of ours."""
        self.change_connection_id()
        self.send_ping(0)

    def _connect(self, now: float) -> None:
        # After a Retry the engine begins anew, and forgets that it has already sent something.
        if Epoch.ONE_RTT in self._spaces:
            self._repeat_early_data(now)
        super()._connect(now)

    def _repeat_early_data(self, now: float) -> None:
        """The server has not read it, which the engine would find out from acknowledgments a round trip later."""
        space = self._spaces[Epoch.ONE_RTT]
        unread = [
            packet for packet in space.sent_packets.values() if packet.packet_type is QuicPacketType.ZERO_RTT
        ]
        self._loss._on_packets_lost(congestion_event=False, now=now, packets=unread, space=space)

    def _path_to_validate(self) -> QuicNetworkPath | None:
        path = self._probed
        return None if path is None or path.is_validated else path

    def _probe_preferred_address(self) -> None:
        if not self._migrate:
            return
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
