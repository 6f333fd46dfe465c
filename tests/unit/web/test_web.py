"""HTTPS over real sockets: what strangers may make a worker hold, and for how long."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
import time
from collections.abc import Callable
from itertools import count
from typing import Any

import aiohttp
import pytest

from edge.overload.clients import client_of
from edge.runtime import web as module
from edge.runtime.session_api import MAX_BODY
from edge.runtime.sockets import listen_tcp
from edge.runtime.tls_listener import TlsLimits
from edge.runtime.websocket_carrier import SUBPROTOCOL

HOST = "127.0.0.1"
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",  # of RFC 6455 section 1.3
    "Sec-WebSocket-Protocol": SUBPROTOCOL,
}


async def connect(site: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(HOST, site.port, ssl=site.trust, server_hostname=HOST)


async def told(site: Any, text: bytes) -> bytes:
    """All that one connection answers to ``text``."""
    reader, writer = await connect(site)
    writer.write(text)
    try:
        return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def test_the_session_api_over_https(serve: Callable[..., Any]) -> None:
    async def main() -> None:
        async with serve() as site, asyncio.timeout(20):
            url = site.url("/v1/session")
            async with site.client.post(url, headers={"Authorization": "Bearer good"}) as response:
                assert response.status == 200
                assert (await response.json())["token"] == "good"
            async with site.client.post(url, json={"token": "bad"}) as response:
                assert response.status == 401
                assert response.headers["WWW-Authenticate"] == "Bearer"
            async with site.client.options(url, headers={"Origin": "https://app.example"}) as response:
                assert response.status == 204
                assert await response.read() == b""
            async with site.client.get(site.url("/livez?x=1")) as response:
                assert await response.json() == {"status": "ok", "node": "unit"}
            assert site.web.counters() == {
                "tcp_accepted": 1,
                "tcp_refused": 0,
                "tls_failed": 0,
            }  # it was kept

    asyncio.run(main())


def test_a_large_body_is_refused_unread(serve: Callable[..., Any]) -> None:
    async def main() -> None:
        async with serve() as site, asyncio.timeout(20):
            url = site.url("/v1/session")
            async with site.client.post(url, data=bytes(MAX_BODY + 1)) as response:
                assert response.status == 413
            announced = b"POST /v1/session HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"
            reader, writer = await connect(site)
            writer.write(announced + bytes(2 * MAX_BODY))
            assert b" 413 " in await reader.readline()
            writer.close()

    asyncio.run(main())


def test_a_bomb_is_not_unpacked(serve: Callable[..., Any]) -> None:
    """16 KiB of gzip hold 16 MiB of spaces."""

    async def main() -> None:
        async with serve() as site, asyncio.timeout(20):
            headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
            async with site.client.post(
                site.url("/v1/session"), data=b"\x1f\x8b\x08", headers=headers
            ) as response:
                assert response.status == 400
                assert "body: " in (await response.json())["error"]

    asyncio.run(main())


@pytest.mark.parametrize(
    "text",
    [
        b"\x00\xff" * 50,
        b"SIP/2.0 200 OK\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /livez HTTP/1.1\r\n: x\r\n\r\n",
    ],
)
def test_who_speaks_no_http_is_told_and_not_logged(
    serve: Callable[..., Any], text: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with serve() as site, asyncio.timeout(20):
            assert (await told(site, text)).split(b"\r\n")[0].endswith(b" 400 Bad Request")

    caplog.set_level(logging.INFO)
    asyncio.run(main())
    assert caplog.records == []


def test_a_head_has_a_bound(serve: Callable[..., Any]) -> None:
    async def main() -> None:
        async with serve() as site, asyncio.timeout(20):
            long = b"GET /livez HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 20_000 + b"\r\n\r\n"
            assert b" 400 " in (await told(site, long))[:20]
            many = (
                b"GET /livez HTTP/1.1\r\nHost: x\r\n"
                + b"".join(b"X%d: y\r\n" % n for n in range(500))
                + b"\r\n"
            )
            assert b" 400 " in (await told(site, many))[:20]

    asyncio.run(main())


def test_who_sends_slowly_is_cut(serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A byte now and then keeps no connection: heads and bodies have to be there in time."""
    monkeypatch.setattr(module, "IDLE_S", 0.5)
    monkeypatch.setattr(module, "BODY_S", 0.5)

    async def drip(site: Any, start: bytes) -> bytes:
        reader, writer = await connect(site)
        writer.write(start)
        answer = asyncio.create_task(reader.read())
        while not answer.done():
            writer.write(b"x")
            await asyncio.wait({answer}, timeout=0.05)
        writer.close()
        return b"" if answer.exception() else answer.result()

    async def main() -> None:
        async with serve() as site, asyncio.timeout(20):
            heads, bodies, silent = await asyncio.gather(
                drip(site, b"GET /livez HTTP/1.1\r\nX: "),
                drip(site, b"POST /v1/session HTTP/1.1\r\nHost: x\r\nContent-Length: 10000\r\n\r\n"),
                told(site, b""),
            )
            assert (heads, silent) == (b"", b"")
            assert bodies.startswith(b"HTTP/1.1 408 ")

    asyncio.run(main())


def test_a_handshake_that_stalls_is_cut_and_takes_room_until_then(serve: Callable[..., Any]) -> None:
    async def main() -> None:
        limits = TlsLimits(handshakes=2, handshake_s=0.5)
        async with serve(limits=limits) as site, asyncio.timeout(20):
            silent = [await asyncio.open_connection(HOST, site.port) for _ in range(2)]
            reader, writer = await asyncio.open_connection(HOST, site.port)
            assert await reader.read() == b""  # turned away at once
            for waiting, _ in silent:
                assert await waiting.read() == b""  # in time
            for one in (writer, *(writer for _, writer in silent)):
                one.close()
            async with site.client.get(site.url("/livez")) as response:
                assert response.status == 200
            assert site.web.counters() == {"tcp_accepted": 3, "tcp_refused": 1, "tls_failed": 2}

    asyncio.run(main())


def test_one_address_has_a_share(serve: Callable[..., Any]) -> None:
    async def main() -> None:
        async with (
            serve(limits=TlsLimits(per_address=2, per_address_per_s=1000)) as site,
            asyncio.timeout(20),
        ):
            first, _second = [await connect(site) for _ in range(2)]
            with pytest.raises((ConnectionError, ssl.SSLError)):
                await connect(site)
            neighbour = socket.create_connection((HOST, site.port), source_address=("127.0.0.9", 0))
            neighbour.setblocking(False)
            _, writer = await asyncio.open_connection(sock=neighbour, ssl=site.trust, server_hostname=HOST)
            first[1].close()
            await first[1].wait_closed()
            async with site.client.get(site.url("/livez")) as response:  # there is room again
                assert response.status == 200
            for one in (writer, _second[1]):
                one.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    "one,other,same",
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
    ],
)
def test_a_customer_is_an_address_or_a_64(one: str, other: str, same: bool) -> None:
    """Whoever has an IPv6 address has 2**64 of them."""
    assert (client_of(one) == client_of(other)) == same


def test_one_address_cannot_come_again_and_again(serve: Callable[..., Any]) -> None:
    """Each handshake costs a millisecond of the worker's; whoever asks for more than its share gets none."""

    async def main() -> None:
        limits = TlsLimits(per_address=5, per_address_per_s=0.001)
        async with serve(limits=limits) as site, asyncio.timeout(20):
            for _ in range(20):
                try:
                    _, writer = await connect(site)
                except (ConnectionError, ssl.SSLError):
                    continue
                writer.close()
                await writer.wait_closed()
            counters = site.web.counters()
            assert (counters["tcp_accepted"], counters["tcp_refused"]) == (5, 15)

    asyncio.run(main())


def test_a_gate_that_refuses_costs_no_handshake(serve: Callable[..., Any]) -> None:
    async def main() -> None:
        async with serve(admits=lambda: False) as site, asyncio.timeout(20):
            with pytest.raises(aiohttp.ClientError):
                await site.client.get(site.url("/livez"))
            assert site.web.counters()["tls_failed"] == 0
            assert site.web.counters()["tcp_refused"] > 0

    asyncio.run(main())


def test_who_asks_and_does_not_read_is_cut(serve: Callable[..., Any], tmp_path: Any) -> None:
    """A megabyte of answers, a thousand times over: it stays with the client's own buffers."""
    (tmp_path / "index.html").write_bytes(bytes(100_000))

    async def main() -> None:
        async with serve(page=tmp_path) as site, asyncio.timeout(20):
            sock = socket.create_connection((HOST, site.port))
            sock.setblocking(False)
            _reader, writer = await asyncio.open_connection(
                sock=sock, ssl=site.trust, server_hostname=HOST, limit=1
            )
            asked = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 1000
            writer.transport.pause_reading()
            writer.write(asked)
            while not site.web._http._hosts:  # noqa: ASYNC110 - nobody tells when a stranger has come or gone
                await asyncio.sleep(0.01)
            held = 0
            while site.web._http._hosts:
                await asyncio.sleep(0.05)
                connections = site.web._http._connections.values()
                held = max(held, *(one.get_write_buffer_size() for one in connections), 0)
            assert held < 1_000_000
            writer.transport.abort()

    asyncio.run(main())


@pytest.mark.parametrize(
    "headers,status,says",
    [
        ({"Upgrade": ""}, 426, "a WebSocket is asked for"),
        ({"Sec-WebSocket-Version": "8"}, 426, "version 13"),
        ({"Origin": "https://evil.example"}, 403, "https://evil.example may not"),
        ({"Origin": "null"}, 403, "null may not"),
        ({"Sec-WebSocket-Protocol": ""}, 400, "subprotocol edge-voice-1"),
        ({"Sec-WebSocket-Protocol": "chat, edge-voice-2"}, 400, "subprotocol edge-voice-1"),
        ({"Sec-WebSocket-Key": "short"}, 400, "not a WebSocket handshake"),
        ({"Connection": "close"}, 400, "not a WebSocket handshake"),
    ],
)
def test_an_upgrade_that_is_refused_says_why(
    serve: Callable[..., Any], headers: dict[str, str], status: int, says: str
) -> None:
    async def main() -> None:
        async with serve() as site, asyncio.timeout(20):
            wanted = {name: value for name, value in (UPGRADE | headers).items() if value}
            lines = "".join(f"{name}: {value}\r\n" for name, value in wanted.items())
            reader, writer = await connect(site)
            writer.write(f"GET /v1/voice HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            assert head.startswith(f"HTTP/1.1 {status} ")
            length = next(
                int(line[16:]) for line in head.split("\r\n") if line.startswith("Content-Length: ")
            )
            assert says in json.loads(await reader.readexactly(length))["error"]
            assert not site.calls.calls
            writer.close()

    asyncio.run(main())


def test_voice_is_asked_for_with_get(serve: Callable[..., Any]) -> None:
    async def main() -> None:
        async with serve() as site, site.client.post(site.url("/v1/voice")) as response:
            assert (response.status, response.headers["Allow"]) == (405, "GET")

    asyncio.run(main())


def test_a_defect_is_a_500_and_the_next_request_works(
    serve: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    lives = count()

    def check(_token: str | None) -> float | None:
        if next(lives) == 0:
            raise ZeroDivisionError("of the test")
        return None

    async def main() -> None:
        async with serve(check_token=check) as site, asyncio.timeout(20):
            for status in (500, 200):
                async with site.client.post(site.url("/v1/session")) as response:
                    assert response.status == status
                    assert "of the test" not in await response.text()

    asyncio.run(main())
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_closing_takes_no_longer_than_it_must(serve: Callable[..., Any]) -> None:
    async def main() -> None:
        async with serve() as site, asyncio.timeout(20):
            _, idle = await connect(site)
            _, half = await connect(site)
            half.write(b"GET /livez HT")
            _, silent = await asyncio.open_connection(HOST, site.port)
            await asyncio.sleep(0.05)
            began = time.monotonic()
            await site.web.close(4, "going")
            assert time.monotonic() - began < 2 * module.SHUTDOWN_S + 1
            with pytest.raises(OSError, match="Connect call failed"):
                await asyncio.open_connection(HOST, site.port)
            for writer in (idle, half, silent):
                writer.close()

    asyncio.run(main())


def test_no_other_daemon_joins_a_listener() -> None:
    first = listen_tcp(HOST, 0)
    port = first.getsockname()[1]
    with (
        first,
        pytest.raises(Exception, match=rf"^{HOST}:{port}/tcp: another process has this port.*ss -ltnp"),
    ):
        listen_tcp(HOST, port)
    listen_tcp(HOST, port).close()  # at once, whatever is in TIME_WAIT
