"""A web page with a WebTransport session, as far as a server can tell: aioquic's own HTTP/3 on a client's connection.

Everything is written out here that a browser does by itself: the CONNECT request, the marks on its streams and the
mapping of codes, from the text of the draft and not from the code under test.
"""

from collections import deque
from typing import Any

from aioquic.buffer import Buffer, encode_uint_var
from aioquic.h3.connection import H3Connection
from aioquic.h3.events import DatagramReceived, DataReceived, HeadersReceived, WebTransportStreamDataReceived
from aioquic.quic import events as quic
from aioquic.quic.configuration import QuicConfiguration
from sim.world import SERVER_NAME, make_identity

from edge.quic.probing import ProbingConnection

CONNECT = [
    (b":method", b"CONNECT"),
    (b":scheme", b"https"),
    (b":authority", SERVER_NAME.encode()),
    (b":path", b"/v1/voice"),
    (b":protocol", b"webtransport"),
    (b"origin", b"https://page.example"),
    (b"sec-webtransport-http3-draft02", b"1"),
]


def http_code(code: int) -> int:
    """Section 4.4 of the draft: every 31st code is left out."""
    return 0x52E4A40FA8DB + code + code // 30


class Page:
    """Driven as a `ClientConnection` is. What it has heard of the session is in its attributes, by stream ID."""

    def __init__(self) -> None:
        configuration = QuicConfiguration(
            is_client=True,
            alpn_protocols=["h3"],
            server_name=SERVER_NAME,
            cadata=make_identity()[1],
            max_datagram_frame_size=65535,
        )
        self.engine = ProbingConnection(configuration=configuration)
        self.http: H3Connection | None = None
        self.session = -1
        self.requests: set[int] = set()
        self.status: bytes | None = None
        self.headers: dict[bytes, bytes] = {}
        self.heard: dict[int, bytearray] = {}
        self.ended: set[int] = set()
        self.resets: dict[int, int] = {}
        self.stops: dict[int, int] = {}
        self.datagrams: list[bytes] = []
        self.capsules = bytearray()
        self.closed: quic.ConnectionTerminated | None = None
        self._told: deque[quic.QuicEvent] = deque()

    # As `ClientConnection`

    def connect(self, address: tuple[str, int], now: float) -> None:
        self.engine.connect(address, now)

    def receive_datagram(self, data: bytes, address: tuple[str, int], now: float) -> None:
        self.engine.receive_datagram(data, address, now)

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Any]]:
        return self.engine.datagrams_to_send(now)

    def get_timer(self) -> float | None:
        return self.engine.get_timer()

    def handle_timer(self, now: float) -> None:
        self.engine.handle_timer(now)

    def next_event(self) -> quic.QuicEvent | None:
        while (event := self.engine.next_event()) is not None:
            self.receive(event)
            self._told.append(event)
        return self._told.popleft() if self._told else None

    # What the page does

    def ask(self) -> None:
        """Ask for a session, once the handshake is complete."""
        stream_id = self.request(CONNECT)
        if self.session < 0:
            self.session = stream_id

    def request(self, headers: list[tuple[bytes, bytes]], *, fin: bool = False) -> int:
        assert self.http is not None
        stream_id = self.engine.get_next_available_stream_id()
        self.requests.add(stream_id)
        self.http.send_headers(stream_id, headers, end_stream=fin)
        return stream_id

    def open(
        self, data: bytes, *, unidirectional: bool, fin: bool = False, session: int | None = None
    ) -> int:
        stream_id = self.engine.get_next_available_stream_id(is_unidirectional=unidirectional)
        mark = 0x54 if unidirectional else 0x41
        claim = self.session if session is None else session
        self.engine.send_stream_data(stream_id, encode_uint_var(mark) + encode_uint_var(claim) + data, fin)
        return stream_id

    def say(self, data: bytes) -> None:
        self.engine.send_datagram_frame(encode_uint_var(self.session // 4) + data)

    def send_capsules(self, data: bytes, *, fin: bool = False) -> None:
        assert self.http is not None
        self.http.send_data(self.session, data, end_stream=fin)

    # What it hears

    def receive(self, event: quic.QuicEvent) -> None:
        match event:
            case quic.HandshakeCompleted():
                self.http = H3Connection(self.engine, enable_webtransport=True)
            case quic.StreamReset():
                self.resets[event.stream_id] = event.error_code
            case quic.StopSendingReceived():
                self.stops[event.stream_id] = event.error_code
            case quic.ConnectionTerminated():
                self.closed = event
            case quic.StreamDataReceived() if (
                not event.stream_id & 3 and event.stream_id not in self.requests
            ):
                # What the server writes on a stream of ours begins without a mark.
                self._hear(event.stream_id, event.data, event.end_stream)
                return
        if self.http is None:
            return
        for told in self.http.handle_event(event):
            match told:
                case HeadersReceived():
                    self.headers = dict(told.headers)
                    self.status = self.headers[b":status"]
                case DataReceived():
                    self.capsules += told.data
                    if told.stream_ended:
                        self.ended.add(told.stream_id)
                case WebTransportStreamDataReceived():
                    assert told.session_id == self.session
                    self._hear(told.stream_id, told.data, told.stream_ended)
                case DatagramReceived():
                    assert told.stream_id == self.session
                    self.datagrams.append(told.data)

    def _hear(self, stream_id: int, data: bytes, ended: bool) -> None:
        self.heard.setdefault(stream_id, bytearray()).extend(data)
        if ended:
            self.ended.add(stream_id)

    def read_close(self) -> tuple[int, str] | None:
        """Code and reason of the capsule that closed the session, if it came."""
        buffer = Buffer(data=bytes(self.capsules))
        if buffer.eof() or buffer.pull_uint_var() != 0x2843:
            return None
        value = buffer.pull_bytes(buffer.pull_uint_var())
        return int.from_bytes(value[:4], "big"), value[4:].decode()
