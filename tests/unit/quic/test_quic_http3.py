"""HTTP/3 as a stock client sees it, and as an unpleasant one tries it."""

from typing import Any

import pytest
from aioquic.buffer import encode_uint_var
from aioquic.h3.connection import ErrorCode, H3Connection
from aioquic.h3.events import DataReceived, H3Event, HeadersReceived
from aioquic.quic.events import ConnectionTerminated
from sim.direct import Direct
from sim.nodes import make_endpoint

from edge.quic import ConnectionClosed, RequestReceived
from edge.quic.http3 import MAX_STREAM_BYTES

GET = [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"voice.example"), (b":path", b"/livez")]


class Browser:
    """A stock HTTP/3 client on a connection of its own."""

    def __init__(self) -> None:
        self.direct = Direct(make_endpoint(), alpn="h3").connect()
        self.http = H3Connection(self.direct.client)
        self.events: list[H3Event] = []
        self.exchange()

    @property
    def endpoint(self) -> Any:
        return self.direct.endpoint

    def exchange(self) -> None:
        self.direct.exchange()
        self.direct.pass_time(0.1)
        for event in self.direct.client_events:
            self.events += self.http.handle_event(event)
        self.direct.client_events.clear()

    def request(self, headers: list[tuple[bytes, bytes]], *, end_stream: bool = True) -> int:
        stream_id = self.direct.client.get_next_available_stream_id()
        self.http.send_headers(stream_id, headers, end_stream=end_stream)
        self.exchange()
        return stream_id

    def requests(self) -> list[RequestReceived]:
        return [event for event in self.direct.events if isinstance(event, RequestReceived)]

    def closed(self) -> ConnectionClosed | None:
        return next((event for event in self.direct.events if isinstance(event, ConnectionClosed)), None)


def test_a_request_is_reported_and_answered() -> None:
    browser = Browser()
    stream_id = browser.request(GET)
    (request,) = browser.requests()
    assert request == RequestReceived(
        request.connection, stream_id, "GET", "/livez", "voice.example", headers={}, body=b""
    )
    assert browser.endpoint.respond(
        request.connection, stream_id, 200, [(b"content-type", b"text/plain")], b"ok\n"
    )
    browser.exchange()
    headers, data = browser.events
    assert isinstance(headers, HeadersReceived)
    assert headers.headers == [(b":status", b"200"), (b"content-type", b"text/plain")]
    assert isinstance(data, DataReceived)
    assert (data.data, data.stream_ended) == (b"ok\n", True)


def test_a_request_is_answered_once_and_nothing_else_is_answered() -> None:
    browser = Browser()
    stream_id = browser.request(GET)
    (request,) = browser.requests()
    assert not browser.endpoint.respond(request.connection, stream_id + 4, 200, [], b"")
    assert browser.endpoint.respond(request.connection, stream_id, 200, [], b"")
    assert not browser.endpoint.respond(request.connection, stream_id, 200, [], b"")
    assert not browser.endpoint.respond(99, stream_id, 200, [], b"")
    browser.exchange()
    assert browser.closed() is None


@pytest.mark.parametrize("way", ["reset", "stop"])
def test_a_client_that_gave_up_gets_no_answer_and_keeps_its_connection(way: str) -> None:
    browser = Browser()
    browser.request(GET)
    connection = browser.requests()[0].connection
    stream_id = browser.request(GET, end_stream=way == "stop")
    if way == "reset":
        browser.direct.client.reset_stream(stream_id, ErrorCode.H3_REQUEST_CANCELLED)
    else:
        browser.direct.client.stop_stream(stream_id, ErrorCode.H3_REQUEST_CANCELLED)
    browser.exchange()
    assert not browser.endpoint.respond(connection, stream_id, 200, [], b"late")
    browser.request(GET)
    assert len(browser.requests()) == (3 if way == "stop" else 2)


def test_trailers_are_not_another_request() -> None:
    browser = Browser()
    stream_id = browser.request([*GET[1:], (b":method", b"POST")], end_stream=False)
    browser.http.send_data(stream_id, b"{}", end_stream=False)
    browser.exchange()
    assert not browser.requests()
    browser.http.send_headers(stream_id, [(b"x-trailer", b"1")], end_stream=True)
    browser.exchange()
    (request,) = browser.requests()
    assert (request.body, request.headers) == (b"{}", {})
    assert browser.endpoint.respond(request.connection, stream_id, 200, [], b"")
    assert browser.closed() is None


def test_a_request_is_told_with_its_headers_and_its_whole_body() -> None:
    browser = Browser()
    headers = [*GET[1:], (b":method", b"POST"), (b"origin", b"https://a"), (b"x", b"1"), (b"x", b"2")]
    stream_id = browser.request(headers, end_stream=False)
    body = bytes(range(256)) * 256
    browser.http.send_data(stream_id, body, end_stream=True)
    browser.exchange()
    (request,) = browser.requests()
    assert (request.method, request.path) == ("POST", "/livez")
    assert request.headers == {"origin": "https://a", "x": "1, 2"}
    assert request.body == body
    assert browser.closed() is None


def test_many_bodies_that_never_end_end_the_connection() -> None:
    browser = Browser()
    for _ in range(4):
        stream_id = browser.request(GET, end_stream=False)
        browser.http.send_data(stream_id, bytes(40_000), end_stream=False)
        browser.exchange()
    closed = browser.closed()
    assert closed is not None
    assert closed.code == ErrorCode.H3_EXCESSIVE_LOAD


def test_many_requests_on_one_connection_leave_nothing_behind() -> None:
    browser = Browser()
    for _ in range(300):
        stream_id = browser.request(GET)
        assert browser.endpoint.respond(browser.requests()[-1].connection, stream_id, 200, [], b"ok")
        browser.exchange()
    (record,) = browser.endpoint._table
    assert len(record.http3._http_bytes) <= 3
    assert not record.http3._requests._unanswered
    assert not record.http3._requests._arriving
    assert len(record.engine._streams) <= 10


@pytest.mark.parametrize("frame", [b"\x00", b"\x01"])
def test_a_request_larger_than_anything_reasonable_ends_the_connection(frame: bytes) -> None:
    browser = Browser()
    stream_id = browser.request(GET, end_stream=False) if frame == b"\x00" else 0
    data = frame + encode_uint_var(1 << 30) + b"x" * (MAX_STREAM_BYTES + 1)
    browser.direct.client.send_stream_data(stream_id, data)
    browser.exchange()
    closed = browser.closed()
    assert closed is not None
    assert (closed.code, closed.by_application) == (ErrorCode.H3_EXCESSIVE_LOAD, True)


@pytest.mark.parametrize(
    "stream_type_and_data",
    [b"\x00\x01\x00", b"\x01", b"\x02\x3f\xff\xff\xff\x7f", b"\x03\x81"],
)
def test_a_violation_closes_that_connection_and_raises_nothing(stream_type_and_data: bytes) -> None:
    direct = Direct(make_endpoint(), alpn="h3").connect()
    stream_id = direct.client.get_next_available_stream_id(is_unidirectional=True)
    direct.client.send_stream_data(stream_id, stream_type_and_data)
    direct.exchange()
    direct.pass_time(5.0)
    assert any(isinstance(event, ConnectionTerminated) for event in direct.client_events)
    assert not direct.endpoint.connections
    assert direct.endpoint.counters.engine_errors == 0
