"""One WebTransport session: streams and datagrams of a page, on the HTTP/3 connection it asked on.

    asked for ──accept──▶ open ──either side closes──▶ over
        └───────refuse, or the page gives up──────────▶

The session lives as long as the stream of its CONNECT request, on which only capsules travel. The verbs are those
of a raw QUIC connection; what differs on the wire is added here.
"""

from collections.abc import Iterable
from contextlib import suppress
from enum import Enum

from aioquic.buffer import encode_uint_var
from aioquic.h3.connection import ErrorCode, H3Connection, ProtocolError

from edge.quic import webtransport_wire as wire
from edge.quic.capsules import CapsuleError, CapsuleReader, CloseSession
from edge.quic.connection import EdgeConnection
from edge.quic.events import SessionClosed


class State(Enum):
    ASKED_FOR = "asked for"
    OPEN = "open"
    OVER = "over"


class WebTransportSession:
    """``session_id`` is the stream ID of its CONNECT request, whose header section has been read."""

    def __init__(self, connection: int, session_id: int, engine: EdgeConnection, http: H3Connection) -> None:
        self.id = session_id
        self.state = State.ASKED_FOR
        self._connection = connection
        self._engine = engine
        self._http = http
        self._capsules = CapsuleReader()

    # What the owner decides

    def accept(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        if self.state is not State.ASKED_FOR:
            return False
        self.state = State.OPEN
        self._http.send_headers(self.id, [(b":status", b"200"), *wire.ACCEPTED, *headers])
        return True

    def refuse(self, status: int) -> bool:
        if self.state is not State.ASKED_FOR:
            return False
        self.state = State.OVER
        self._http.send_headers(self.id, [(b":status", b"%d" % status)], end_stream=True)
        return True

    def close(self, code: int, reason: str) -> SessionClosed | None:
        """End it; None when it is not open."""
        if self.state is not State.OPEN:
            return None
        self.state = State.OVER
        self._end_stream(CloseSession(code, reason).encode())
        return SessionClosed(self._connection, self.id, code, reason, by_peer=False)

    # What the peer did to the CONNECT stream

    def receive_capsules(self, data: bytes, ended: bool) -> SessionClosed | None:
        if self.state is State.OVER:
            return None
        try:
            closing = self._capsules.receive(data)
        except CapsuleError as error:
            with suppress(ValueError):
                self._engine.reset_stream(self.id, ErrorCode.H3_MESSAGE_ERROR)
                self._engine.stop_stream(self.id, ErrorCode.H3_MESSAGE_ERROR)
            return self._over(0, f"{error}")
        if closing is None and not ended:
            return None
        self._end_stream(b"")
        return self._over(0, "") if closing is None else self._over(closing.code, closing.reason)

    def receive_abort(self) -> SessionClosed | None:
        """The peer has given up the CONNECT stream in one of its directions."""
        if self.state is State.OVER:
            return None
        with suppress(ValueError):
            self._engine.reset_stream(self.id, ErrorCode.H3_REQUEST_CANCELLED)
        return self._over(0, "")

    @property
    def has_left(self) -> bool:
        """Whether it is over and the peer knows."""
        return self.state is State.OVER and self._engine.is_delivered(self.id)

    # The verbs of a connection, as `edge.quic.streams.Streams` has them

    def open_stream(self, *, unidirectional: bool) -> int:
        self._require_open()
        stream_id = self._engine.open_stream(unidirectional=unidirectional)
        self._engine.send_stream_data(stream_id, wire.stream_header(stream_id, self.id))
        return stream_id

    def send_stream_data(self, stream_id: int, data: bytes, end_stream: bool = False) -> None:
        self._require_open()
        self._engine.send_stream_data(stream_id, data, end_stream)

    def reset_stream(self, stream_id: int, error_code: int) -> None:
        self._require_open()
        self._engine.reset_stream(stream_id, wire.to_http_code(error_code))

    def expire_stream(self, stream_id: int, error_code: int) -> None:
        self._require_open()
        self._engine.expire_stream(stream_id, wire.to_http_code(error_code))

    def stop_stream(self, stream_id: int, error_code: int) -> None:
        self._require_open()
        self._engine.stop_stream(stream_id, wire.to_http_code(error_code))

    def try_send_datagram(self, data: bytes) -> bool:
        self._require_open()
        # The quarter of the stream ID (RFC 9297 section 2.1).
        return self._engine.try_send_datagram(encode_uint_var(self.id // 4) + data)

    def _require_open(self) -> None:
        if self.state is not State.OPEN:
            raise ValueError("the session is not open")

    def _end_stream(self, capsule: bytes) -> None:
        with suppress(ProtocolError, RuntimeError, ValueError):  # the peer no longer reads it
            self._http.send_data(self.id, capsule, end_stream=True)

    def _over(self, code: int, reason: str) -> SessionClosed:
        self.state = State.OVER
        return SessionClosed(self._connection, self.id, code, reason, by_peer=True)
