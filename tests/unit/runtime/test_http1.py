"""Requests good and bad, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import socket
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.errors import DeadlineError, EdgeError, RefusedError, UnreachableError, UsageError
from edge.runtime import http1
from edge.runtime.http1 import BODY_LIMIT, HEAD_LIMIT, HttpServer, Request, Response, json_response

HOST = b"Host: node\r\n"


async def echo(request: Request) -> Response:
    return json_response({"path": request.path, "body": request.body.decode()})


async def refuse(_: Request) -> Response:
    raise RefusedError("the last announcer stays")


async def crash(_: Request) -> Response:
    raise RuntimeError("secret detail")


ROUTES = {
    ("GET", "/echo"): echo,
    ("POST", "/echo"): echo,
    ("GET", "/refuse"): refuse,
    ("GET", "/crash"): crash,
}


@contextlib.asynccontextmanager
async def server(routes: http1.Routes = ROUTES) -> AsyncIterator[tuple[str, int]]:
    sock = socket.create_server(("127.0.0.1", 0))
    http = HttpServer(routes)
    await http.listen(sock)
    try:
        yield sock.getsockname()
    finally:
        await http.close()


async def exchange(address: tuple[str, int], request: bytes, *, half_close: bool = False) -> bytes:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(request)
    if half_close:
        writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


def ask(request: bytes, *, half_close: bool = False) -> bytes:
    async def main() -> bytes:
        async with server() as address:
            return await exchange(address, request, half_close=half_close)

    return asyncio.run(main())


def status(answer: bytes) -> int:
    return int(answer.split(b" ")[1])


def test_a_request_and_its_answer() -> None:
    answer = ask(b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 5\r\n\r\nhello")
    head, body = answer.split(b"\r\n\r\n")
    assert head.split(b"\r\n")[0] == b"HTTP/1.1 200 OK"
    assert b"Connection: close" in head
    assert b"Content-Length: %d" % len(body) in head
    assert body == b'{"path":"/echo","body":"hello"}\n'


def test_http_1_0_needs_no_host() -> None:
    assert status(ask(b"GET /echo HTTP/1.0\r\n\r\n")) == 200


@pytest.mark.parametrize(
    "request_bytes,expected",
    [
        (b"GET /nothing HTTP/1.1\r\n" + HOST + b"\r\n", 404),
        (b"GET /echo?x=1 HTTP/1.1\r\n" + HOST + b"\r\n", 404),
        (b"DELETE /echo HTTP/1.1\r\n" + HOST + b"\r\n", 405),
        (b"GET /echo HTTP/2.0\r\n" + HOST + b"\r\n", 505),
        (b"GET /echo HTTP/1.1\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
        (b"GET  /echo HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET http://node/echo HTTP/1.1\r\n" + HOST + b"\r\n", 400),
        (b"GET /echo\r\n\r\n", 400),
        (b"GET /echo TLS/1.3\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\n" + HOST + b"X : 1\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\n" + HOST + b"X: 1\r\n folded\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\n" + HOST + b"X: a\nY: b\r\n\r\n", 400),
        (b"GET /echo HTTP/1.1\r\n" + HOST + b"X: a\0b\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 1_0\r\n\r\n", 400),
        (b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400),
        (b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % (BODY_LIMIT + 1), 413),
        (b"POST /echo HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
        (b"GET /echo HTTP/1.1\r\nX: " + b"x" * HEAD_LIMIT, 431),
    ],
)
def test_what_is_odd_is_refused(request_bytes: bytes, expected: int) -> None:
    assert status(ask(request_bytes)) == expected


def test_a_wrong_method_is_told_the_right_one() -> None:
    assert b"\r\nAllow: GET, POST\r\n" in ask(b"PUT /echo HTTP/1.1\r\n" + HOST + b"\r\n")


def test_an_early_refusal_arrives_although_the_body_was_not_read() -> None:
    """Closing over unread data resets the connection, and the client never sees why."""
    body = bytes(BODY_LIMIT + 100_000)
    head = b"POST /echo HTTP/1.1\r\n" + HOST + b"Content-Length: %d\r\n\r\n" % len(body)
    assert status(ask(head + body)) == 413


def test_a_client_that_leaves_gets_nothing_and_harms_nothing() -> None:
    assert ask(b"GET /echo HTT", half_close=True) == b""
    assert ask(b"", half_close=True) == b""


def test_a_slow_client_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "READ_TIMEOUT_S", 0.01)
    assert status(ask(b"GET /echo HTTP/1.1\r\n")) == 408


def test_connections_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http1, "MAX_CONNECTIONS", 1)

    async def main() -> list[int]:
        async with server() as address:
            _, idle = await asyncio.open_connection(*address)
            crowded = await exchange(address, b"GET /echo HTTP/1.0\r\n\r\n")
            idle.close()
            await idle.wait_closed()
            alone = await exchange(address, b"GET /echo HTTP/1.0\r\n\r\n")
            return [status(crowded), status(alone)]

    assert asyncio.run(main()) == [503, 200]


@pytest.mark.parametrize(
    "error,expected",
    [
        (UsageError("x"), 400),
        (RefusedError("x"), 409),
        (UnreachableError("x"), 503),
        (DeadlineError("x"), 504),
        (EdgeError("x"), 500),
    ],
)
def test_a_handlers_error_keeps_its_kind(error: EdgeError, expected: int) -> None:
    response = http1.error_response(error)
    assert response.status == expected
    assert response.body == b'{"error":"x","exit_code":%d}\n' % error.exit_code


def test_a_refusal_by_the_node_is_answered() -> None:
    assert b'{"error":"the last announcer stays","exit_code":6}' in ask(b"GET /refuse HTTP/1.0\r\n\r\n")


def test_a_bug_in_a_handler_is_logged_and_not_shown(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        answer = ask(b"GET /crash HTTP/1.0\r\n\r\n")
    assert status(answer) == 500
    assert b"secret" not in answer
    assert "secret detail" in caplog.text


def test_close_ends_open_connections() -> None:
    async def main() -> bytes:
        async with server() as address:
            reader, writer = await asyncio.open_connection(*address)
            await exchange(address, b"GET /echo HTTP/1.0\r\n\r\n")  # the first one is served by now
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""
        finally:
            writer.close()

    assert asyncio.run(main()) == b""


@pytest.mark.parametrize("turns", range(8))
def test_who_comes_as_it_closes_is_cut_off_and_not_left_open(turns: int) -> None:
    """Whichever turn of the loop his coming has got to. What is left open is a ResourceWarning, which is an error here."""

    async def main() -> bytes:
        listening = socket.create_server(("127.0.0.1", 0))
        http = HttpServer(ROUTES)
        await http.listen(listening)
        with socket.create_connection(listening.getsockname()) as client:
            for _ in range(turns):
                await asyncio.sleep(0)
            await http.close()
            await asyncio.sleep(0)
            gc.collect()
            client.settimeout(0)
            try:
                return client.recv(1)
            except ConnectionResetError:
                return b""

    assert asyncio.run(main()) == b""


async def parsed(raw: bytes) -> Request | int | None:
    reader = asyncio.StreamReader(limit=HEAD_LIMIT)
    reader.feed_data(raw)
    reader.feed_eof()
    try:
        return await http1.read_request(reader)
    except http1._Refused as refused:
        return refused.response.status
    except EOFError:
        return None


_PIECES = st.sampled_from(
    [b"GET", b" ", b"/", b"HTTP/1.1", b"\r\n", b"\n", b"Host: a", b":", b"Content-Length:", b"9", b"-", b"\0"]
)


@given(st.one_of(st.binary(max_size=200), st.lists(_PIECES, max_size=30).map(b"".join)))
def test_no_bytes_break_the_parser(raw: bytes) -> None:
    result = asyncio.run(parsed(raw))
    assert result is None or isinstance(result, Request) or 400 <= result < 600
