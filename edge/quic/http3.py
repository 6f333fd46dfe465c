"""HTTP/3, as far as a health check and a stock client need it: requests in, one response each out.

Request bodies are read and thrown away. A connection here has little to say, so a client that sends more than
`MAX_STREAM_BYTES` on any one stream is closed: whatever HTTP/3 has to buffer is bounded by that.
"""

from typing import NamedTuple

from aioquic.h3.connection import ErrorCode, H3Connection, ProtocolError
from aioquic.h3.events import HeadersReceived
from aioquic.quic.connection import QuicConnection
from aioquic.quic.events import QuicEvent, StopSendingReceived, StreamDataReceived, StreamReset

ALPN = "h3"
MAX_STREAM_BYTES = 64 * 1024

Headers = list[tuple[bytes, bytes]]


class Request(NamedTuple):
    stream_id: int
    method: str
    path: str
    authority: str


class Http3Session:
    """The HTTP/3 state of one connection whose handshake is complete."""

    def __init__(self, engine: QuicConnection) -> None:
        self._engine = engine
        self._http = H3Connection(engine)
        self._stream_bytes: dict[int, int] = {}
        self._unanswered: set[int] = set()

    def receive(self, event: QuicEvent) -> list[Request]:
        """Take in what happened on the connection; returns the requests whose header section that completed.

        A violation of the protocol closes the connection.
        """
        if isinstance(event, StreamDataReceived) and not self._within_bounds(event):
            self._engine.close(error_code=ErrorCode.H3_EXCESSIVE_LOAD, reason_phrase="too much data")
            return []
        requests = [
            self._request(http_event)
            for http_event in self._http.handle_event(event)
            if isinstance(http_event, HeadersReceived) and not _is_trailer(http_event)
        ]
        if isinstance(event, StreamReset | StopSendingReceived):
            self._stream_bytes.pop(event.stream_id, None)
            self._unanswered.discard(event.stream_id)
        return requests

    def respond(self, stream_id: int, status: int, headers: Headers, body: bytes) -> bool:
        """Answer a request; False when it is not waiting for an answer."""
        if stream_id not in self._unanswered:
            return False
        self._unanswered.discard(stream_id)
        try:
            self._http.send_headers(stream_id, [(b":status", b"%d" % status), *headers])
            self._http.send_data(stream_id, body, end_stream=True)
        except (ProtocolError, RuntimeError):
            return False
        return True

    def _within_bounds(self, event: StreamDataReceived) -> bool:
        received = self._stream_bytes.pop(event.stream_id, 0) + len(event.data)
        if not event.end_stream:
            self._stream_bytes[event.stream_id] = received
        return received <= MAX_STREAM_BYTES

    def _request(self, event: HeadersReceived) -> Request:
        self._unanswered.add(event.stream_id)
        fields = dict(event.headers)
        return Request(
            event.stream_id,
            *(fields.get(name, b"").decode("latin-1") for name in (b":method", b":path", b":authority")),
        )


def _is_trailer(event: HeadersReceived) -> bool:
    """Only a request's own header section has pseudo-header fields (RFC 9114 section 4.3)."""
    return not event.headers or not event.headers[0][0].startswith(b":")
