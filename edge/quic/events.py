"""What happened on a connection, as everything above this package sees it.

``connection`` is the handle: unique within its `Endpoint`, never used again, 0 on a client. A handle is first
seen in `HandshakeBegun` or `HandshakeCompleted` and last seen in `ConnectionClosed`. A handshake that fails is
counted on the endpoint and reported only to a client, and to who has been told that it had begun.

Streams and datagrams of a WebTransport session are told with the same events as those of a connection of their
own: stream IDs are QUIC's, codes the application's, and what WebTransport puts before the data is taken off.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from edge.quic.path import Path
from edge.quic.tickets import Ticket


class Outcome(StrEnum):
    """How a connection stands to the service address."""

    MIGRATED = "migrated"
    """It began on the service address and lives on a unicast one."""
    ON_ANYCAST = "on_anycast"
    """It began on the service address and is still there: a route change takes it away."""
    DIRECT = "direct"
    """It came to a unicast address in the first place."""


@dataclass(frozen=True, slots=True)
class HandshakeBegun:
    """Early data follows: anybody may have sent it, until `HandshakeCompleted` says that it was the client.

    Told only when there is early data. Data can be sent to the client already.
    """

    connection: int
    path: Path
    alpn: str


@dataclass(frozen=True, slots=True)
class HandshakeCompleted:
    """Data can be sent, and all that has arrived was from the peer.

    ``early_data_accepted``: some of it arrived before. On a client False also means that the engine sends again
    what it sent early.
    """

    connection: int
    path: Path
    alpn: str
    early_data_accepted: bool


@dataclass(frozen=True, slots=True)
class PathChanged:
    """The peer now uses this path, and it is validated: it moved to the preferred address or was rebound.

    ``on_service``: the server's end of it is a service address.
    """

    connection: int
    path: Path
    on_service: bool


@dataclass(frozen=True, slots=True)
class StreamDataReceived:
    """The next bytes of a stream, in order; ``data`` may be empty with ``fin``."""

    connection: int
    stream_id: int
    data: bytes
    fin: bool


@dataclass(frozen=True, slots=True)
class StreamReset:
    """The peer gave up sending on a stream (RESET_STREAM)."""

    connection: int
    stream_id: int
    code: int


@dataclass(frozen=True, slots=True)
class SendingStopped:
    """The peer reads a stream no longer (STOP_SENDING); our sending part has been reset with its code."""

    connection: int
    stream_id: int
    code: int


@dataclass(frozen=True, slots=True)
class DatagramReceived:
    """One unreliable datagram (RFC 9221)."""

    connection: int
    data: bytes


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """A whole HTTP/3 request; answered by `Endpoint.respond`.

    ``headers``: by name in lower case, without the pseudo-header fields. ``body``: less than 70 kB.
    """

    connection: int
    stream_id: int
    method: str
    path: str
    authority: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class SessionRequested:
    """A browser asks for a WebTransport session, the only one on its connection.

    Answered by `Endpoint.accept_session` or `Endpoint.refuse_session`. ``session`` is its ID; ``origin`` the page
    that asks, "" if it does not say; ``headers`` as in `RequestReceived`.
    """

    connection: int
    session: int
    path: str
    authority: str
    origin: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """A WebTransport session is over, its connection is not yet. Not told when the connection ends it.

    Also told when the page gave up before it was answered. ``code`` and ``reason`` are the application's; 0 and ""
    when the peer gave none.
    """

    connection: int
    session: int
    code: int
    reason: str
    by_peer: bool


@dataclass(frozen=True, slots=True)
class TicketIssued:
    """A client may begin its next connection with ``ticket`` in its `ClientConfig`."""

    connection: int
    ticket: Ticket


@dataclass(frozen=True, slots=True)
class AddressTokenIssued:
    """A client may bring ``token`` with its next connection, in its `ClientConfig`, and with no other after that."""

    connection: int
    token: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class ConnectionClosed:
    """The connection is over; nothing more can be sent.

    ``code`` is the application's when ``by_application``, else a transport error code (RFC 9000 section 20.1;
    0x100 + TLS alert).
    """

    connection: int
    code: int
    reason: str
    by_peer: bool
    by_application: bool


@dataclass(frozen=True, slots=True)
class PacketMisrouted:
    """A datagram for a connection of another worker, of the node that ``server_id`` names: its owner has to get it.

    ``path`` is as seen here; the owner answers the remote end of it, from the service address.
    """

    path: Path
    server_id: bytes
    worker: int
    data: bytes


Event = (
    HandshakeBegun
    | HandshakeCompleted
    | PathChanged
    | StreamDataReceived
    | StreamReset
    | SendingStopped
    | DatagramReceived
    | RequestReceived
    | SessionRequested
    | SessionClosed
    | TicketIssued
    | AddressTokenIssued
    | ConnectionClosed
    | PacketMisrouted
)
