"""Calls over real WebSockets whose far ends behave, break the rules, flood, or do not read."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import struct
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import WSMsgType

from edge.runtime import websocket_carrier as module
from edge.runtime.tls_listener import TlsLimits
from edge.runtime.websocket_carrier import MAX_UNSENT_BYTES, SUBPROTOCOL
from edge.voice.errors import Code
from edge.voice.mux import (
    MAX_MESSAGE,
    Close,
    DatagramFrame,
    Frame,
    StreamData,
    StreamReset,
    StreamStopped,
    decode,
    encode,
)

HOST, UNICAST = "127.0.0.1", "127.0.0.2"
HELLO = StreamData(0, b"hello", fin=False)


async def frame(ws: aiohttp.ClientWebSocketResponse) -> Frame:
    """The next that the edge sends."""
    async with asyncio.timeout(20):
        message = await ws.receive()
    assert message.type is WSMsgType.BINARY, message
    return decode(message.data)


async def last(ws: aiohttp.ClientWebSocketResponse) -> Close:
    """The CLOSE, whatever comes before it."""
    while not isinstance(received := await frame(ws), Close):
        pass
    return received


def test_frames_reach_the_session_and_what_it_asks_the_caller(serve: Callable[..., Any]) -> None:
    steps = []

    async def main() -> None:
        async with serve(changed=lambda: steps.append(1)) as site, site.call() as ws:
            sent: list[Frame] = [
                HELLO,
                StreamData(2, b"group", fin=False),
                StreamData(2, b"", fin=True),
                StreamReset(6, 2),
                DatagramFrame(b"report"),
            ]
            for one in sent:
                await ws.send_bytes(encode(one))
            await site.calls.until(
                lambda: site.calls.calls and len(site.calls.calls[0].session.heard) == len(sent)
            )
            (call,) = site.calls.calls
            assert call.session.heard == [
                ("control", b"hello", False),
                ("stream", 2, b"group", False),
                ("stream", 2, b"", True),
                ("reset", 6, 2),
                ("datagram", b"report"),
            ]
            carrier = call.carrier
            carrier.send_stream(0, b"item", fin=False)
            carrier.send_stream(1, b"late", fin=True)
            carrier.expire_stream(1)
            carrier.stop_stream(2, 1)
            carrier.send_datagram(b"audio")
            carrier.send_control(b"first")
            assert carrier.unsent_bytes == 14
            assert [await frame(ws) for _ in range(5)] == [
                StreamStopped(2, 1),
                StreamData(0, b"first", fin=False),
                DatagramFrame(b"audio"),
                StreamData(3, b"item", fin=False),
                StreamReset(7, 2),
            ]
            await ws.send_bytes(encode(StreamStopped(3, 1)))
            await site.calls.until(lambda: call.session.heard[-1] == ("stop", 0, 1))
            carrier.reset_stream(0, 1)
            assert await frame(ws) == StreamReset(3, 1)
            assert len(steps) >= len(sent) + 1
            await ws.send_bytes(encode(Close(0, "that was all")))
            await site.calls.until(lambda: site.calls.endings)
            assert site.calls.endings == [(0, "that was all", True, True)]
            assert (await ws.receive()).type is WSMsgType.CLOSE
            carrier.send_control(b"to nobody")  # nothing happens

    asyncio.run(main())


@pytest.mark.parametrize("host,outcome", [(HOST, "on_anycast"), (UNICAST, "direct")])
def test_a_carrier_knows_where_it_arrived_from_where_and_how_far_away(
    serve: Callable[..., Any], host: str, outcome: str
) -> None:
    async def main() -> None:
        async with serve() as site, site.call(host, origin="https://app.example") as ws:
            assert ws.protocol == SUBPROTOCOL
            listening = asyncio.create_task(ws.receive())  # aiohttp answers pings while it is read from
            await site.calls.until(lambda: site.calls.calls)
            carrier = site.calls.calls[0].carrier
            assert (carrier.name, carrier.outcome, carrier.origin) == (
                "websocket",
                outcome,
                "https://app.example",
            )
            while carrier.rtt_s() is None:  # noqa: ASYNC110 - nobody is told of it
                await asyncio.sleep(0.01)
            assert 0 < carrier.rtt_s() < 5
            await ws.ping(b"are you there?")
            carrier.close(Code.SESSION_CLOSED, "enough")
            message = await listening
            assert decode(message.data) == Close(3, "enough")

    asyncio.run(main())


def test_a_call_without_tls_is_for_this_machine(serve: Callable[..., Any]) -> None:
    async def main() -> None:
        ws_url = "ws://127.0.0.1:8080/v1/voice"
        async with serve(tls=False, ws_url=ws_url) as site:
            async with site.client.post(site.url("/v1/session", scheme="http")) as response:
                assert (await response.json())["ws_url"] == ws_url
            url = site.url("/v1/voice", scheme="ws")
            async with site.client.ws_connect(url, protocols=(SUBPROTOCOL,)) as ws:
                await ws.send_bytes(encode(HELLO))
                await site.calls.until(lambda: site.calls.calls and site.calls.calls[0].session.heard)
                site.calls.calls[0].carrier.close(0, "that was all")
                assert await last(ws) == Close(0, "that was all")

    asyncio.run(main())


def test_pings_are_answered_the_latest_at_least(serve: Callable[..., Any]) -> None:
    async def main() -> None:
        async with serve() as site, site.call(autoping=False) as ws, asyncio.timeout(20):
            for number in range(50):
                await ws.ping(b"%d" % number)
            while (message := await ws.receive()).type is not WSMsgType.PONG or message.data != b"49":
                assert message.type in (WSMsgType.PING, WSMsgType.PONG)

    asyncio.run(main())


@pytest.mark.parametrize(
    "message,code,says",
    [
        (b"", 16, "is empty"),
        (b"\xff\xff", 16, "frame of type 0xff"),
        (encode(StreamData(6, b"", fin=False)), 16, "stream 6: begins before stream 2"),
        (encode(StreamData(3, b"", fin=False)), 16, "stream 3: is not the sender's"),
        (encode(StreamStopped(3, 0)), 16, "stream 3: is asked to stop"),
        ("text", 16, "a text message"),
    ],
)
def test_a_broken_rule_ends_the_call_with_its_name(
    serve: Callable[..., Any], message: bytes | str, code: int, says: str
) -> None:
    async def main() -> None:
        async with serve() as site, site.call() as ws:
            await (ws.send_str(message) if isinstance(message, str) else ws.send_bytes(message))
            await ws.send_bytes(encode(HELLO))  # too late
            ended = await last(ws)
            assert ended.code == code
            assert says in ended.reason
            closing = await ws.receive()
            assert (closing.type, closing.data) == (WSMsgType.CLOSE, 1000)
            assert says in closing.extra  # where a browser shows it
            await site.calls.until(lambda: site.calls.endings)
            assert site.calls.endings == [(code, ended.reason, False, True)]
            assert site.calls.calls[0].session.heard == []

    asyncio.run(main())


def test_an_oversize_message_is_refused_before_it_is_here(serve: Callable[..., Any]) -> None:
    async def main() -> None:
        async with serve() as site, site.call() as ws:
            await ws.send_bytes(bytes(MAX_MESSAGE + 1))
            message = await ws.receive()
            assert (message.type, message.data) == (WSMsgType.CLOSE, 1009)
            await site.calls.until(lambda: site.calls.endings)
            ((code, reason, *_),) = site.calls.endings
            assert code == Code.PROTOCOL_ERROR
            assert str(MAX_MESSAGE) in reason

    asyncio.run(main())


def test_the_largest_message_is_taken_in_fragments_too(serve: Callable[..., Any]) -> None:
    """RFC 6455 section 5.4: a message may come in many frames."""
    message = encode(StreamData(2, bytes(64 * 1024), fin=True))

    async def main() -> None:
        async with serve() as site, site.call() as ws:
            transport = ws._writer.transport
            for start in range(0, len(message), 1000):
                piece = message[start : start + 1000]
                final = 0x80 if start + 1000 >= len(message) else 0
                head = bytes([final | (2 if start == 0 else 0), 0x80 | 126]) + struct.pack("!H", len(piece))
                transport.write(head + bytes(4) + piece)  # masked with zeros
            await site.calls.until(lambda: site.calls.calls and site.calls.calls[0].session.heard)
            assert site.calls.calls[0].session.heard == [("stream", 2, bytes(64 * 1024), True)]

    asyncio.run(main())


def test_ten_thousand_garbage_messages_and_a_neighbour(
    serve: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    """Each ends a call of its own or none; the neighbour hears nothing of it, and nothing is left behind."""
    seed = random.randrange(2**32)
    dice = random.Random(seed)

    async def vandal(site: Any) -> int:
        sent = 0
        async with site.call(autoclose=False) as ws:
            while not ws.closed and sent < 200:
                kind = bytes([dice.choice((0x04, 0x05, 0x08, 0x09, 0x1D, 0x30, 0x31))])
                head = dice.choice((b"\x00", b"\x02", b"\x02", b"\x30"))
                try:
                    await ws.send_bytes(kind + head + dice.randbytes(dice.randrange(30)))
                except ConnectionError:
                    break
                sent += 1
                if sent % 10 == 0:
                    await asyncio.sleep(0)
        return sent

    async def main() -> None:
        limits = TlsLimits(per_address=1000)
        async with serve(limits=limits) as site, site.call() as neighbour:
            await neighbour.send_bytes(encode(HELLO))
            sent = 0
            while sent < 10_000:
                sent += sum(await asyncio.gather(*(vandal(site) for _ in range(8))))
            await site.calls.until(lambda: len(site.calls.endings) == len(site.calls.calls) - 1)
            call = site.calls.calls[0]
            assert call.session.heard == [("control", b"hello", False)]
            call.carrier.send_control(b"still here")
            assert await frame(neighbour) == StreamData(0, b"still here", fin=False)
            assert len(site.web._carriers) == 1

    asyncio.run(main())
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == [], seed


@pytest.mark.parametrize("flood,what", [(b"\x30", "messages"), (b"\x30" + bytes(60_000), "bytes")])
def test_a_flood_is_cut_with_its_name(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, flood: bytes, what: str
) -> None:
    monkeypatch.setattr(module, "BYTES_AT_ONCE", 1024 * 1024)

    async def main() -> None:
        async with serve() as site, site.call() as ws:
            sent = 0

            async def send() -> None:
                nonlocal sent
                while True:
                    await ws.send_bytes(flood)
                    sent += 1

            flooding = asyncio.create_task(send())
            ended = await last(ws)
            flooding.cancel()
            assert ended.code == Code.LIMIT
            assert f"{what} a second" in ended.reason
            assert sent >= (2000 if what == "messages" else 17)
            assert len(site.calls.calls[0].session.heard) <= sent

    asyncio.run(main())


async def deaf(site: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A caller that has opened a WebSocket and then reads no more; nothing of it but the kernel takes anything in."""
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.connect((HOST, site.port))
    sock.setblocking(False)
    reader, writer = await asyncio.open_connection(
        sock=sock, ssl=site.trust, server_hostname=HOST, limit=1024
    )
    writer.write(
        b"GET /v1/voice HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Protocol: edge-voice-1\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    writer.transport.pause_reading()
    return reader, writer


def test_who_does_not_read_holds_a_bounded_amount_and_is_cut(serve: Callable[..., Any]) -> None:
    async def main() -> None:
        async with serve() as site, asyncio.timeout(30):
            _, writer = await deaf(site)
            await site.calls.until(lambda: site.calls.calls)
            carrier = site.calls.calls[0].carrier
            sent = 0
            while not site.calls.endings:
                if carrier.unsent_bytes <= MAX_UNSENT_BYTES:
                    carrier.send_stream(0, bytes(4000), fin=False)
                    sent += 4000
                await asyncio.sleep(0 if sent < MAX_UNSENT_BYTES else 0.002)
                assert carrier.unsent_bytes <= MAX_UNSENT_BYTES + 4000
            ((code, reason, by_peer, _),) = site.calls.endings
            assert (code, by_peer) == (Code.LIMIT, False)
            assert reason == f"does not read: more than {MAX_UNSENT_BYTES} bytes wait"
            # The kernel has had no more than it was told to take.
            assert sent < 2 * MAX_UNSENT_BYTES
            writer.transport.abort()

    asyncio.run(main())


def test_who_answers_no_ping_is_cut(serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Little waits for this one, and it may even talk: it does not read."""
    monkeypatch.setattr(module, "PING_INTERVAL_S", 0.05)
    monkeypatch.setattr(module, "LINGER_S", 0.2)

    async def main() -> None:
        async with serve() as site, asyncio.timeout(20):
            _, writer = await deaf(site)
            await site.calls.until(lambda: site.calls.endings)
            ((code, reason, by_peer, by_application),) = site.calls.endings
            assert (code, by_peer, by_application) == (Code.GOING_AWAY, False, False)
            assert reason.startswith("no answer to 5 pings")
            writer.transport.abort()

    asyncio.run(main())


def test_control_overtakes_what_waits_and_a_reset_takes_it_back(serve: Callable[..., Any]) -> None:
    """The wire is full; then it moves again."""

    async def main() -> None:
        async with serve() as site, asyncio.timeout(30):
            reader, writer = await deaf(site)
            await site.calls.until(lambda: site.calls.calls)
            carrier = site.calls.calls[0].carrier
            unsent = -1
            number = 0
            while carrier.unsent_bytes != unsent or unsent < 100_000:  # until nothing of it moves
                unsent = carrier.unsent_bytes
                if unsent < 100_000:
                    carrier.send_stream(0, b"%03d" % (number % 1000) + bytes(4000), fin=False)
                    number += 1
                await asyncio.sleep(0.02)
            carrier.send_control(b"urgent")
            carrier.send_stream(1, b"too late", fin=True)
            carrier.expire_stream(1)
            carrier.reset_stream(0, 1)
            assert carrier.unsent_bytes == len(b"urgent")
            writer.transport.resume_reading()
            received = 0
            frames: list[Frame] = []
            while len(frames) < 3:
                head = await reader.readexactly(2)
                (size,) = struct.unpack("!H", await reader.readexactly(2)) if head[1] == 126 else (head[1],)
                message = await reader.readexactly(size)
                if head[0] == 0x82:
                    one = decode(message)
                    if isinstance(one, StreamData) and one.stream == 3:
                        received += 1
                        assert not frames
                    else:
                        frames.append(one)
            assert frames == [StreamData(0, b"urgent", fin=False), StreamReset(3, 1), StreamReset(7, 2)]
            assert received < number - 20  # what waited was never sent
            writer.transport.abort()

    asyncio.run(main())


def test_a_connection_that_breaks_is_no_hanging_up(serve: Callable[..., Any]) -> None:
    """The call may come back on another; see `CallTable.ended`."""

    async def main() -> None:
        async with serve() as site, asyncio.timeout(20):
            for depart in ("abort", "close"):
                ws = await site.call()
                await ws.send_bytes(encode(HELLO))
                await site.calls.until(lambda: site.calls.calls and site.calls.calls[-1].session.heard)
                if depart == "abort":
                    ws._writer.transport.abort()
                else:
                    await ws.close()
                count = len(site.calls.calls)
                await site.calls.until(lambda count=count: len(site.calls.endings) == count)
                code, reason, by_peer, by_application = site.calls.endings[-1]
                assert (code, by_peer, by_application) == (Code.GOING_AWAY, True, False)
                assert reason.startswith("no CLOSE")

    asyncio.run(main())


def test_a_node_that_stops_tells_its_callers(serve: Callable[..., Any]) -> None:
    async def main() -> None:
        async with serve() as site, site.call() as ws:
            await site.calls.until(lambda: site.calls.calls)
            closing = asyncio.create_task(site.web.close(Code.GOING_AWAY, "the node stops"))
            assert await last(ws) == Close(4, "the node stops")
            await ws.receive()
            await closing
            assert site.calls.endings == [(4, "the node stops", False, True)]

    asyncio.run(main())


def test_a_session_that_fails_takes_no_other_call_along(
    serve: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with serve() as site, site.call() as ws, site.call() as neighbour:
            await site.calls.until(lambda: len(site.calls.calls) == 2)
            first, second = site.calls.calls

            def fail(_: bytes) -> None:
                raise ZeroDivisionError("of the test")

            first.session.on_control = fail
            await ws.send_bytes(encode(HELLO))
            assert await last(ws) == Close(3, "internal error")
            await neighbour.send_bytes(encode(HELLO))
            await site.calls.until(lambda: second.session.heard)
            await site.calls.until(lambda: site.calls.endings)

    asyncio.run(main())
    assert "of the test" in caplog.text
