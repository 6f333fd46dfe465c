"""One QUIC connection from the caller's side, without a socket and without a clock.

The same contract as `Endpoint`, for one connection: its handle is 0, and addresses are (host, port), for one
socket serves for the service address and the preferred one.
"""

import math
import ssl
from collections import deque
from collections.abc import Callable

from aioquic.quic import events as engine_events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.packet import QuicErrorCode
from aioquic.tls import SessionTicket

from edge.quic.config import ClientConfig
from edge.quic.engine import EXPIRED, MAX_REASON, MIN_TIMER_S, Termination
from edge.quic.events import (
    AddressTokenIssued,
    ConnectionClosed,
    Event,
    HandshakeCompleted,
    PathChanged,
    TicketIssued,
)
from edge.quic.header import SUPPORTED_VERSIONS
from edge.quic.path import Path
from edge.quic.probing import ProbingConnection
from edge.quic.tickets import Ticket
from edge.quic.translation import TRANSLATIONS

HANDLE = 0

Address = tuple[str, int]


class ClientConnection:
    """Connects once, follows the server's preferred address, notices stateless resets.

    `peer` is where it sends to now. `migrated_at` is when the first answer from the preferred address
    arrived, on the clock of `now`.
    """

    def __init__(self, config: ClientConfig) -> None:
        self.config = config
        self.established = False
        self.closed = False
        self.migrated_at: float | None = None
        self._engine = ProbingConnection(
            configuration=QuicConfiguration(
                is_client=True,
                alpn_protocols=list(config.alpn),
                server_name=config.server_name,
                cadata=config.ca_pem,
                cafile=config.ca_file,
                verify_mode=ssl.CERT_REQUIRED if config.verify else ssl.CERT_NONE,
                connection_id_length=config.connection_id_length,
                idle_timeout=config.idle_timeout,
                initial_rtt=config.initial_rtt,
                max_datagram_frame_size=config.max_datagram_frame_size,
                session_ticket=None if config.ticket is None else config.ticket.engine,
                supported_versions=list(SUPPORTED_VERSIONS),
                token=config.address_token,
            ),
            session_ticket_handler=self._on_ticket,
            token_handler=self._on_token,
            migrate=config.migrate,
        )
        self._connected_to: Address | None = None
        self._failed = False
        self._woken_at = -math.inf
        self._events: deque[Event] = deque()

    @property
    def peer(self) -> Address | None:
        """The server's address in use; None before `connect`."""
        return self._engine.get_peer_address()

    @property
    def migrated(self) -> bool:
        """Whether it has left the address it connected to."""
        return self.migrated_at is not None

    @property
    def rtt_s(self) -> float | None:
        """Smoothed round-trip time in seconds, once it has been measured."""
        return self._engine.round_trip

    @property
    def unsent_bytes(self) -> int:
        """Bytes written to streams and datagrams that have not been sent even once."""
        return self._engine.unsent_bytes

    def connect(self, address: Address, now: float) -> None:
        """Begin the handshake; to be called once.

        From here on streams can be opened and written. With a ticket that leaves with the first packets, else
        when the handshake is complete.
        """
        self._connected_to = address
        self._engine.connect(address, now)

    def receive_datagram(self, data: bytes, address: Address, now: float) -> None:
        """A UDP payload arrived from ``address``."""
        if self._is_running():
            self._drive(lambda: self._engine.receive_datagram(data, address[:2], now), now)

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Address]]:
        """UDP payloads and where to send each."""
        datagrams: list[tuple[bytes, Address]] = []
        if self._is_running():
            self._drive(lambda: datagrams.extend(self._engine.datagrams_to_send(now)), now)
        return datagrams

    def get_timer(self) -> float | None:
        """When to call `handle_timer`, at the latest."""
        at = self._engine.get_timer() if self._is_running() else None
        # See MIN_TIMER_S.
        return None if at is None else max(at, self._woken_at + MIN_TIMER_S)

    def handle_timer(self, now: float) -> None:
        """Time has passed; calling it too early does no harm."""
        at = self.get_timer()
        if at is not None and at <= now:
            self._woken_at = now
            self._drive(lambda: self._engine.handle_timer(now), now)

    def next_event(self) -> Event | None:
        """What happened, oldest first; None when there is nothing more."""
        return self._events.popleft() if self._events else None

    def open_stream(self, unidirectional: bool = True) -> int:
        """The ID of a new stream."""
        return self._engine.open_stream(unidirectional=unidirectional)

    def send_stream(self, stream_id: int, data: bytes, fin: bool = False) -> bool:
        """Write to a stream; False when it takes nothing more (reset, finished, unknown)."""
        return self._ask(lambda engine: engine.send_stream_data(stream_id, data, fin))

    def reset_stream(self, stream_id: int, code: int) -> bool:
        """Give up sending on a stream; what is not acknowledged may be lost."""
        return self._ask(lambda engine: engine.reset_stream(stream_id, code))

    def expire_stream(self, stream_id: int, code: int = EXPIRED) -> bool:
        """Give up sending on a stream, unless all of it including its end has been acknowledged."""
        return self._ask(lambda engine: engine.expire_stream(stream_id, code))

    def stop_stream(self, stream_id: int, code: int) -> bool:
        """Ask the server to give up sending on a stream."""
        return self._ask(lambda engine: engine.stop_stream(stream_id, code))

    def send_datagram(self, data: bytes) -> bool:
        """Send unreliably; False when the server does not take datagrams, it is too long, or too many wait."""
        return self._ask(lambda engine: engine.try_send_datagram(data))

    def relocate(self) -> None:
        """Our own address has changed: let the server see the new one at once.

        It validates the path (RFC 9000 section 9.2). That both addresses are of one connection is nobody else's
        business, so the connection ID is another one from now on, if there is one to spare (section 9.5).
        """
        if self.established and not self.closed:
            self._engine.relocate()

    def close(self, code: int = 0, reason: str = "") -> None:
        """Close with an application error code; what is left to send goes with the next datagrams."""
        self._engine.close(error_code=code, reason_phrase=reason[:MAX_REASON])
        self._note_close()

    def unacknowledged(self, stream_id: int) -> int:
        """Bytes written to a stream that the server has not acknowledged."""
        return self._engine.unacknowledged(stream_id)

    def _is_running(self) -> bool:
        return self._connected_to is not None and not self._failed

    def _ask(self, verb: Callable[[ProbingConnection], bool | None]) -> bool:
        """Whether the engine did it. It refuses with ValueError and RuntimeError what a stream cannot do."""
        if self.closed:
            return False
        try:
            return verb(self._engine) is not False
        except (ValueError, RuntimeError):
            return False

    def _drive(self, step: Callable[[], object], now: float) -> None:
        try:
            step()
            for event in self._engine.take_events():
                self._translate(event)
        except Exception as error:  # noqa: BLE001 - whatever a server sends, the caller's loop goes on
            self._failed = True
            self._end(
                Termination(QuicErrorCode.INTERNAL_ERROR, f"{type(error).__name__}: {error}", False, False)
            )
            return
        peer = self.peer
        if peer != self._connected_to and not self.migrated and peer is not None:
            self.migrated_at = now
            self._events.append(PathChanged(HANDLE, _path(peer), on_service=False))
        self._note_close()

    def _translate(self, event: engine_events.QuicEvent) -> None:
        if isinstance(event, engine_events.HandshakeCompleted):
            self.established = True
            self._events.append(
                HandshakeCompleted(
                    HANDLE, _path(self.peer), event.alpn_protocol or "", event.early_data_accepted
                )
            )
            return
        translate = TRANSLATIONS.get(type(event))
        if translate is not None:
            self._events.append(translate(HANDLE, event))

    def _on_ticket(self, ticket: SessionTicket) -> None:
        self._events.append(TicketIssued(HANDLE, Ticket(ticket)))

    def _on_token(self, token: bytes) -> None:
        self._events.append(AddressTokenIssued(HANDLE, token))

    def _note_close(self) -> None:
        termination = self._engine.termination
        if termination is not None:
            self._end(termination)

    def _end(self, termination: Termination) -> None:
        if not self.closed:
            self.closed = True
            self._events.append(
                ConnectionClosed(
                    HANDLE,
                    termination.code,
                    termination.reason,
                    by_peer=termination.by_peer,
                    by_application=termination.by_application,
                )
            )


def _path(address: Address | None) -> Path:
    host, port = address or ("", 0)
    return Path(host, port, local="")
