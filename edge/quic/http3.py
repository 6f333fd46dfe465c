"""An HTTP/3 connection: requests for a few small answers, and at most one WebTransport session.

Each stream of the peer belongs to the one or the other, as its first bytes say; aioquic is given those of HTTP/3
only. A session's streams may overtake its CONNECT request, and the owner takes its time to accept: until then they
are held back.

What a peer can make this hold is bounded: `MAX_STREAM_BYTES` on each stream of HTTP/3 and `MAX_ARRIVING_BYTES`
over all requests that have not ended, else the connection is closed; `MAX_HELD_BYTES` and `MAX_HELD_EVENTS` of
streams held back, else the stream is turned away; `MAX_UNSENT_BYTES` of answers, else the connection is closed. How
many streams there can be at a time is QUIC's to bound.
"""

from collections.abc import Iterator
from contextlib import suppress

from aioquic.h3 import events as h3
from aioquic.h3.connection import ErrorCode, H3Connection, ProtocolError
from aioquic.quic import events as quic

from edge.quic import webtransport_wire as wire
from edge.quic.connection import EdgeConnection
from edge.quic.events import (
    DatagramReceived,
    Event,
    SendingStopped,
    SessionRequested,
    StreamDataReceived,
    StreamReset,
)
from edge.quic.http3_requests import Headers, Requests, is_trailer, read_headers, without_pseudo
from edge.quic.webtransport import State, WebTransportSession

ALPN = "h3"
MAX_STREAM_BYTES = 68 * 1024
MAX_ARRIVING_BYTES = 128 * 1024
MAX_HELD_BYTES = 64 * 1024
MAX_HELD_EVENTS = 64
MAX_BIDIRECTIONAL = 8
"""Bidirectional streams that a session's peer may open before it is over; a voice session has one."""
TOO_MANY_SESSIONS = 429
NO_ERROR = ErrorCode.H3_NO_ERROR
EXCESSIVE_LOAD = ErrorCode.H3_EXCESSIVE_LOAD
MAX_UNSENT_BYTES = 1024 * 1024
"""Answers that wait for a client to read them; the largest has some ten thousand bytes."""

StreamEvent = StreamDataReceived | StreamReset | SendingStopped


class _Engine(H3Connection):
    """Announces WebTransport in the words of the later drafts too."""

    def _get_local_settings(self) -> dict[int, int]:
        return super()._get_local_settings() | wire.SETTINGS


class Http3Connection:
    """The HTTP/3 state of one connection whose handshake is complete. ``connection`` is its handle."""

    def __init__(self, connection: int, engine: EdgeConnection) -> None:
        self.session: WebTransportSession | None = None
        self._connection = connection
        self._engine = engine
        self._http = _Engine(engine, enable_webtransport=True)
        self._requests = Requests(connection)
        self._first_own_stream = engine.get_next_available_stream_id(is_unidirectional=True)
        self._undecided: dict[int, bytes] = {}  # streams whose first bytes are too few to tell whose they are
        self._http_bytes: dict[int, int] = {}  # streams of HTTP/3, and what they have brought
        self._claims: dict[int, int] = {}  # streams of sessions, and the session they say they belong to
        self._turned_away: set[int] = set()  # and not ended yet
        self._held: list[tuple[int, StreamEvent]] = []  # with the session it is for

    @property
    def is_done(self) -> bool:
        """Whether there was a session and nothing else, and it is over."""
        return self.session is not None and self.session.has_left and self._requests.were_none

    # What the owner asks for

    def respond(self, stream_id: int, status: int, headers: Headers, body: bytes) -> bool:
        """Answer a request; False when it is not waiting for an answer."""
        if not self._requests.answer(stream_id):
            return False
        if self._engine.unsent_bytes + len(body) > MAX_UNSENT_BYTES:
            self._close(EXCESSIVE_LOAD, "it asks, and does not read the answers")
            return False
        try:
            self._http.send_headers(stream_id, [(b":status", b"%d" % status), *headers])
            self._http.send_data(stream_id, body, end_stream=True)
        except (ProtocolError, RuntimeError):
            return False
        return True

    def decide_session(self) -> list[Event]:
        """To be called when the owner has accepted or refused: what had been held back for it."""
        held, self._held = self._held, []
        return [told for claim, event in held for told in self._route(claim, event)]

    # What happens on the connection

    def receive(self, event: quic.QuicEvent) -> Iterator[Event]:
        """Take in what happened on the connection; a violation of the protocol closes it."""
        match event:
            case quic.StreamDataReceived():
                yield from self._receive_data(event)
            case quic.StreamReset():
                yield from self._receive_reset(event)
            case quic.StopSendingReceived():
                yield from self._receive_stop(event)
            case quic.DatagramFrameReceived():
                yield from self._receive_http(event)

    def _receive_data(self, event: quic.StreamDataReceived) -> Iterator[Event]:
        stream_id, data = event.stream_id, event.data
        if stream_id in self._http_bytes:
            yield from self._receive_http_data(event)
            return
        if stream_id in self._turned_away:
            if event.end_stream:
                self._turned_away.discard(stream_id)
            return
        claim = self._claim_of(stream_id)
        if claim is None:
            event.data = data = self._undecided.pop(stream_id, b"") + data
            header = wire.read_stream_header(stream_id, data)
            if header is None and not event.end_stream:
                self._undecided[stream_id] = data
                return
            if header is None or header.session is None:
                yield from self._receive_http_data(event)
                return
            claim, data = header.session, data[header.size :]
            if not self._admit(stream_id, claim):
                return
        if data or event.end_stream:
            told = StreamDataReceived(self._connection, stream_id, data, event.end_stream)
            yield from self._route(claim, told)
        if event.end_stream:
            self._forget(stream_id)

    def _receive_reset(self, event: quic.StreamReset) -> Iterator[Event]:
        stream_id = event.stream_id
        self._turned_away.discard(stream_id)
        self._undecided.pop(stream_id, None)
        claim = self._claim_of(stream_id)
        if claim is not None:
            code = wire.from_http_code(event.error_code)
            yield from self._route(claim, StreamReset(self._connection, stream_id, code))
            self._forget(stream_id)
        else:
            yield from self._give_up(event)

    def _receive_stop(self, event: quic.StopSendingReceived) -> Iterator[Event]:
        claim = self._claim_of(event.stream_id)
        if claim is not None:
            code = wire.from_http_code(event.error_code)
            yield from self._route(claim, SendingStopped(self._connection, event.stream_id, code))
        else:
            yield from self._give_up(event)

    def _give_up(self, event: quic.StreamReset | quic.StopSendingReceived) -> Iterator[Event]:
        """The peer has ended one direction of a stream of HTTP/3."""
        self._http_bytes.pop(event.stream_id, None)
        self._requests.forget(event.stream_id)
        yield from self._receive_http(event)
        if self.session is not None and event.stream_id == self.session.id:
            yield from self._told(self.session.receive_abort())

    # Streams of the session

    def _claim_of(self, stream_id: int) -> int | None:
        """The session that a stream belongs to, if it is known to belong to one."""
        ours = stream_id & 1 and (not stream_id & 2 or stream_id >= self._first_own_stream)
        if ours:
            return None if self.session is None else self.session.id
        return self._claims.get(stream_id)

    def _admit(self, stream_id: int, claim: int) -> bool:
        """Whether a new stream of the peer may belong to session ``claim``."""
        if claim & 3:
            self._close(ErrorCode.H3_ID_ERROR, "not the ID of a session")
            return False
        bidirectional = sum(not known & 2 for known in self._claims)
        if not stream_id & 2 and bidirectional >= MAX_BIDIRECTIONAL:
            self._turn_away(stream_id, ErrorCode.H3_EXCESSIVE_LOAD)
            return False
        self._claims[stream_id] = claim
        return True

    def _route(self, claim: int, event: StreamEvent) -> Iterator[Event]:
        session = self.session
        if session is None or (session.id == claim and session.state is State.ASKED_FOR):
            self._hold(claim, event)
        elif session.id == claim and session.state is State.OPEN:
            yield event
        else:
            self._turn_away(event.stream_id, wire.SESSION_GONE)

    def _hold(self, claim: int, event: StreamEvent) -> None:
        self._held.append((claim, event))
        held_bytes = sum(len(held.data) for _, held in self._held if isinstance(held, StreamDataReceived))
        if len(self._held) > MAX_HELD_EVENTS or held_bytes > MAX_HELD_BYTES:
            self._held = [(claim, held) for claim, held in self._held if held.stream_id != event.stream_id]
            self._turn_away(event.stream_id, wire.BUFFERED_STREAM_REJECTED)

    def _turn_away(self, stream_id: int, code: int) -> None:
        """Neither read a stream of the peer nor write to it."""
        if stream_id & 1:
            return
        self._claims.pop(stream_id, None)
        self._turned_away.add(stream_id)
        for verb in (self._engine.stop_stream, self._engine.reset_stream):
            with suppress(ValueError):  # the direction it does not have, or that is finished
                verb(stream_id, code)

    def _forget(self, stream_id: int) -> None:
        """The peer has ended a stream. In one with two directions it may still ask to stop the other."""
        self._turned_away.discard(stream_id)
        if stream_id & 2:
            self._claims.pop(stream_id, None)

    # HTTP/3

    def _receive_http_data(self, event: quic.StreamDataReceived) -> Iterator[Event]:
        received = self._http_bytes.pop(event.stream_id, 0) + len(event.data)
        if not event.end_stream:
            self._http_bytes[event.stream_id] = received
        arriving = sum(size for stream_id, size in self._http_bytes.items() if not stream_id & 3)
        if received > MAX_STREAM_BYTES or arriving > MAX_ARRIVING_BYTES:
            self._close(ErrorCode.H3_EXCESSIVE_LOAD, "too much data")
        else:
            yield from self._receive_http(event)

    def _receive_http(self, event: quic.QuicEvent) -> Iterator[Event]:
        for part in self._http.handle_event(event):
            yield from self._receive_part(part)

    def _receive_part(self, part: h3.H3Event) -> Iterator[Event]:
        session = self.session
        match part:
            case h3.HeadersReceived() if _asks_for_session(part):
                yield from self._told(self._ask_owner(part))
            case h3.HeadersReceived() | h3.DataReceived() if session and part.stream_id == session.id:
                data = part.data if isinstance(part, h3.DataReceived) else b""
                yield from self._told(session.receive_capsules(data, part.stream_ended))
            case h3.HeadersReceived() | h3.DataReceived():
                yield from self._told(self._requests.receive(part))
            case h3.DatagramReceived() if session and part.stream_id == session.id:
                if session.state is State.OPEN:
                    yield DatagramReceived(self._connection, part.data)

    def _ask_owner(self, part: h3.HeadersReceived) -> SessionRequested | None:
        if self.session is not None:
            self._http.send_headers(
                part.stream_id, [(b":status", b"%d" % TOO_MANY_SESSIONS)], end_stream=True
            )
            return None
        self.session = WebTransportSession(self._connection, part.stream_id, self._engine, self._http)
        fields = read_headers(part.headers)
        return SessionRequested(
            self._connection,
            part.stream_id,
            path=fields.get(":path", ""),
            authority=fields.get(":authority", ""),
            origin=fields.get("origin", ""),
            headers=without_pseudo(fields),
        )

    def _told(self, event: Event | None) -> Iterator[Event]:
        if event is not None:
            yield event

    def _close(self, code: ErrorCode, reason: str) -> None:
        self._engine.close(error_code=code, reason_phrase=reason)


def _asks_for_session(part: h3.HeadersReceived) -> bool:
    fields = dict(part.headers)
    return (
        not is_trailer(part)
        and fields.get(b":method") == b"CONNECT"
        and fields.get(b":protocol") == wire.PROTOCOL
    )
