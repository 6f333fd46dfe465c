"""A WebTransport session as its page sees it, and as an unpleasant page tries it."""

import pytest
from aioquic.buffer import encode_uint_var
from aioquic.h3.connection import ErrorCode
from sim.direct import Direct
from sim.nodes import make_endpoint
from sim.page import CONNECT, Page, http_code

from edge.quic import (
    ConnectionClosed,
    DatagramReceived,
    Event,
    RequestReceived,
    SendingStopped,
    SessionClosed,
    SessionRequested,
    StreamDataReceived,
    StreamReset,
)
from edge.quic.capsules import CloseSession
from edge.quic.http3 import MAX_BIDIRECTIONAL, MAX_HELD_BYTES
from edge.quic.webtransport_wire import BUFFERED_STREAM_REJECTED, SESSION_GONE, from_http_code, to_http_code

GREASE = encode_uint_var(0x1F * 7 + 0x21) + b"\x03xyz"


class Visit:
    """A page on an endpoint, with nothing between them."""

    def __init__(self, *, ask: bool = True, accept: bool = True) -> None:
        self.page = Page()
        self.direct = Direct(make_endpoint(), alpn="h3")
        self.direct.client = self.page  # type: ignore[assignment]
        self.endpoint = self.direct.endpoint
        self.direct.connect()
        self.direct.exchange()
        (self.connection,) = self.endpoint.connections
        if ask:
            self.page.ask()
            self.exchange()
        if ask and accept:
            assert self.endpoint.accept_session(self.connection, self.page.session)
            self.exchange()
            self.direct.events.clear()

    def exchange(self, seconds: float = 0.2) -> None:
        self.direct.exchange()
        self.direct.pass_time(seconds)

    def told(self, kind: type[Event]) -> list[Event]:
        return [event for event in self.direct.events if isinstance(event, kind)]


def test_a_page_asks_with_all_that_its_owner_has_to_judge_it_by() -> None:
    visit = Visit(accept=False)
    (asked,) = visit.told(SessionRequested)
    assert isinstance(asked, SessionRequested)
    assert (asked.path, asked.authority, asked.origin) == (
        "/v1/voice",
        "voice.example",
        "https://page.example",
    )
    assert asked.headers["sec-webtransport-http3-draft02"] == "1"
    assert not visit.told(RequestReceived)


def test_settings_name_webtransport_in_the_words_of_every_draft() -> None:
    visit = Visit(ask=False)
    assert visit.page.http is not None
    settings = visit.page.http.received_settings or {}
    names = {0x08: 1, 0x33: 1, 0x2B603742: 1, 0xC671706A: 1, 0x14E9CD29: 1}
    assert names.items() <= settings.items()


def test_streams_and_datagrams_both_ways() -> None:
    visit = Visit()
    page, endpoint, connection = visit.page, visit.endpoint, visit.connection
    assert page.status == b"200"
    control = page.open(b"hello", unidirectional=False)
    group = page.open(b"speech", unidirectional=True, fin=True)
    page.say(b"report")
    visit.exchange()
    assert set(visit.direct.events) == {
        StreamDataReceived(connection, control, b"hello", False),
        StreamDataReceived(connection, group, b"speech", True),
        DatagramReceived(connection, b"report"),
    }
    item = endpoint.open_stream(connection)
    assert endpoint.send_stream(connection, item, b"reply", fin=True)
    assert endpoint.send_stream(connection, control, b"welcome")
    assert endpoint.send_datagram(connection, b"frame")
    visit.exchange()
    assert page.heard == {item: b"reply", control: b"welcome"}
    assert item in page.ended
    assert page.datagrams == [b"frame"]


def test_codes_are_those_of_the_application_on_both_sides() -> None:
    visit = Visit()
    page, endpoint, connection = visit.page, visit.endpoint, visit.connection
    group = page.open(b"speech", unidirectional=True)
    item = endpoint.open_stream(connection)
    endpoint.send_stream(connection, item, b"reply", fin=True)
    late = endpoint.open_stream(connection)
    endpoint.send_stream(connection, late, b"late")
    other = page.open(b"unwanted", unidirectional=True)
    visit.exchange()
    visit.direct.events.clear()
    page.engine.reset_stream(group, http_code(2))
    item2 = endpoint.open_stream(connection)
    endpoint.send_stream(connection, item2, b"more")
    visit.exchange()
    page.engine.stop_stream(item2, http_code(1))
    endpoint.reset_stream(connection, late, 30)
    endpoint.stop_stream(connection, other, 8)
    visit.exchange()
    assert StreamReset(connection, group, 2) in visit.direct.events
    assert SendingStopped(connection, item2, 1) in visit.direct.events
    assert page.resets[late] == http_code(30)
    assert page.stops[other] == http_code(8)
    assert page.resets[item2] == http_code(1)


@pytest.mark.parametrize("code", [0, 1, 29, 30, 31, 255, 2**32 - 1])
def test_every_application_code_comes_back(code: int) -> None:
    assert from_http_code(to_http_code(code)) == code
    assert to_http_code(code) == http_code(code)


@pytest.mark.parametrize("code", [0, 0x10C, 0x52E4A40FA8DA, 0x52E5AC983163, 0x52E4A40FA8F9])
def test_a_code_of_http_itself_says_nothing_to_the_application(code: int) -> None:
    assert from_http_code(code) == 0


def test_what_overtakes_the_answer_is_held_and_told_in_order() -> None:
    visit = Visit(accept=False)
    control = visit.page.open(b"one", unidirectional=False)
    group = visit.page.open(b"two", unidirectional=True, fin=True)
    visit.exchange()
    visit.page.engine.send_stream_data(control, b"three")
    visit.exchange()
    assert not visit.told(StreamDataReceived)
    visit.direct.events.clear()
    assert visit.endpoint.accept_session(visit.connection, visit.page.session)
    visit.exchange()
    assert visit.direct.events == [
        StreamDataReceived(visit.connection, control, b"one", False),
        StreamDataReceived(visit.connection, group, b"two", True),
        StreamDataReceived(visit.connection, control, b"three", False),
    ]


def test_too_much_before_the_answer_is_turned_away() -> None:
    visit = Visit(accept=False)
    group = visit.page.open(bytes(MAX_HELD_BYTES + 1), unidirectional=True)
    small = visit.page.open(b"small", unidirectional=True)
    visit.exchange()
    assert visit.page.stops == {group: BUFFERED_STREAM_REJECTED}
    visit.endpoint.accept_session(visit.connection, visit.page.session)
    visit.exchange()
    assert visit.told(StreamDataReceived) == [StreamDataReceived(visit.connection, small, b"small", False)]


def test_a_refused_page_is_told_the_status_and_its_streams_are_gone() -> None:
    visit = Visit(accept=False)
    control = visit.page.open(b"hello", unidirectional=False)
    visit.exchange()
    assert visit.endpoint.refuse_session(visit.connection, visit.page.session, 403)
    assert not visit.endpoint.accept_session(visit.connection, visit.page.session)
    visit.direct.exchange()
    assert visit.page.status == b"403"
    assert visit.page.stops[control] == SESSION_GONE
    assert visit.page.resets[control] == SESSION_GONE
    assert not visit.told(StreamDataReceived)


def test_a_connection_has_one_session() -> None:
    visit = Visit()
    visit.page.ask()
    visit.exchange()
    assert visit.page.status == b"429"
    assert not visit.told(SessionRequested)
    stray = visit.page.open(b"x", unidirectional=True, session=visit.page.session + 4)
    visit.exchange()
    assert visit.page.stops == {stray: SESSION_GONE}
    assert visit.endpoint.connections


def test_requests_are_answered_beside_a_session() -> None:
    visit = Visit()
    stream_id = visit.page.request([(b":method", b"GET"), *CONNECT[1:4]], fin=True)
    visit.exchange()
    assert len(visit.told(RequestReceived)) == 1
    assert visit.endpoint.respond(visit.connection, stream_id, 200, [], b"")


@pytest.mark.parametrize("fin", [True, False])
def test_the_page_closes_with_a_capsule(fin: bool) -> None:
    visit = Visit()
    visit.page.send_capsules(GREASE + CloseSession(7, "bye").encode(), fin=fin)
    visit.exchange()
    closed = SessionClosed(visit.connection, visit.page.session, 7, "bye", by_peer=True)
    assert visit.told(SessionClosed) == [closed]
    assert not visit.endpoint.send_datagram(visit.connection, b"late")
    assert visit.endpoint.open_stream(visit.connection) == -1
    visit.exchange(5.0)
    assert visit.page.closed is not None
    assert visit.page.closed.error_code == ErrorCode.H3_NO_ERROR


@pytest.mark.parametrize("way", ["fin", "reset", "stop"])
def test_the_page_leaves_without_a_word(way: str) -> None:
    visit = Visit()
    page = visit.page
    if way == "fin":
        page.send_capsules(b"", fin=True)
    elif way == "reset":
        page.engine.reset_stream(page.session, ErrorCode.H3_REQUEST_CANCELLED)
    else:
        page.engine.stop_stream(page.session, ErrorCode.H3_REQUEST_CANCELLED)
    visit.exchange()
    assert visit.told(SessionClosed) == [SessionClosed(visit.connection, page.session, 0, "", by_peer=True)]


def test_a_page_that_leaves_before_the_answer_cannot_be_accepted() -> None:
    visit = Visit(accept=False)
    visit.page.engine.reset_stream(visit.page.session, ErrorCode.H3_REQUEST_CANCELLED)
    visit.exchange()
    assert len(visit.told(SessionClosed)) == 1
    assert not visit.endpoint.accept_session(visit.connection, visit.page.session)


def test_the_owner_closes_and_the_page_learns_why() -> None:
    visit = Visit()
    visit.endpoint.close_session(visit.connection, visit.page.session, 4, "going away")
    visit.endpoint.close_session(visit.connection, visit.page.session, 5, "again")
    visit.exchange()
    assert visit.told(SessionClosed) == [
        SessionClosed(visit.connection, visit.page.session, 4, "going away", by_peer=False)
    ]
    assert visit.page.read_close() == (4, "going away")
    assert visit.page.session in visit.page.ended
    visit.exchange(0.5)
    assert not visit.told(ConnectionClosed)  # a browser that knows has still to tell its page
    visit.exchange(1.0)
    assert [type(event) for event in visit.told(ConnectionClosed)] == [ConnectionClosed]


@pytest.mark.parametrize(
    "capsules",
    [
        encode_uint_var(0x2843) + b"\x03abc",
        encode_uint_var(0x2843) + b"\x05\x00\x00\x00\x00\xff",
        encode_uint_var(0x2843) + encode_uint_var(1029) + bytes(1029),
        CloseSession(0, "").encode() + GREASE,
    ],
)
def test_malformed_capsules_end_the_session(capsules: bytes) -> None:
    visit = Visit()
    visit.page.send_capsules(capsules)
    visit.exchange()
    (closed,) = visit.told(SessionClosed)
    assert isinstance(closed, SessionClosed)
    assert (closed.code, closed.by_peer) == (0, True)
    assert "capsule" in closed.reason
    assert visit.page.resets[visit.page.session] == ErrorCode.H3_MESSAGE_ERROR
    assert visit.endpoint.counters.engine_errors == 0


def test_a_page_may_not_open_streams_without_end() -> None:
    visit = Visit()
    streams = [visit.page.open(b"x", unidirectional=False) for _ in range(MAX_BIDIRECTIONAL + 1)]
    visit.exchange()
    assert visit.page.stops == {streams[-1]: ErrorCode.H3_EXCESSIVE_LOAD}
    for _ in range(300):
        visit.page.open(b"x", unidirectional=True, fin=True)
        visit.exchange(0.05)
    (record,) = visit.endpoint._table
    assert record.http3 is not None
    assert len(record.http3._claims) == MAX_BIDIRECTIONAL
    assert len(visit.told(StreamDataReceived)) == MAX_BIDIRECTIONAL + 300


def test_a_stream_is_given_up_only_while_some_of_it_may_be_lost() -> None:
    visit = Visit()
    endpoint, connection = visit.endpoint, visit.connection
    arrived, under_way = endpoint.open_stream(connection), endpoint.open_stream(connection)
    endpoint.send_stream(connection, arrived, b"x", fin=True)
    visit.exchange()
    endpoint.send_stream(connection, under_way, b"y" * 500, fin=True)
    assert endpoint.unsent_bytes(connection) >= 500
    endpoint.expire_stream(connection, arrived)
    endpoint.expire_stream(connection, under_way)
    visit.exchange()
    assert visit.page.resets == {under_way: http_code(2)}
    assert endpoint.unsent_bytes(connection) == 0


def test_a_claim_that_is_no_session_id_closes_the_connection() -> None:
    visit = Visit()
    visit.page.open(b"x", unidirectional=True, session=3)
    visit.exchange()
    (closed,) = visit.told(ConnectionClosed)
    assert isinstance(closed, ConnectionClosed)
    assert closed.code == ErrorCode.H3_ID_ERROR
