"""A real browser's WebTransport on the endpoint: what the drafts leave open, Chromium decides.

The page's script drives each case and says what it saw; the server beside it answers by a few fixed rules and notes
what it was told.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import IPv4Address
from pathlib import Path as File
from typing import Any, cast

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from interop.chromium import Chromium, Page
from sim.nodes import make_endpoint

from edge.lab.certificates import write_certificate
from edge.quic import (
    DatagramReceived,
    Endpoint,
    Event,
    Identity,
    Path,
    SendingStopped,
    SessionClosed,
    SessionRequested,
    StreamDataReceived,
    StreamReset,
)

pytestmark = pytest.mark.needs("chromium")

PATIENCE_S = 10.0

SCRIPT = """
const options = hash => ({serverCertificateHashes: [{algorithm: "sha-256", value: new Uint8Array(hash)}]});
const text = bytes => new TextDecoder().decode(bytes);
const bytes = text => new TextEncoder().encode(text);
// Chromium takes one argument where the specification has come to have two.
const withCode = streamErrorCode => new WebTransportError({message: "", streamErrorCode});
const failure = error => ({code: error.streamErrorCode, source: error.source});

async function open(url, hash) {
  const session = new WebTransport(url, options(hash));
  await session.ready;
  return session;
}

async function incoming(session) {
  const streams = session.incomingUnidirectionalStreams.getReader();
  const {value} = await streams.read();
  streams.releaseLock();
  return value.getReader();
}

const cases = {
  async streams(url, hash) {
    const session = await open(url, hash);
    const control = await session.createBidirectionalStream();
    const writer = control.writable.getWriter(), reader = control.readable.getReader();
    await writer.write(bytes("hello"));
    const echo = text((await reader.read()).value);
    const group = (await session.createUnidirectionalStream()).getWriter();
    await group.write(bytes("speech"));
    await group.close();
    const item = await incoming(session);
    const reply = text((await item.read()).value);
    const ended = (await item.read()).done;
    session.datagrams.writable.getWriter().write(bytes("report"));
    const datagram = text((await session.datagrams.readable.getReader().read()).value);
    session.close({closeCode: 9, reason: "bye"});
    return {echo, reply, ended, datagram};
  },
  async resets(url, hash) {
    const session = await open(url, hash);
    const group = (await session.createUnidirectionalStream()).getWriter();
    await group.write(bytes("speak"));
    const unwanted = await incoming(session);
    await unwanted.read();
    await group.write(bytes("reset yours"));
    const reset = await unwanted.closed.catch(failure);
    await group.abort(withCode(2));
    const other = (await session.createUnidirectionalStream()).getWriter();
    await other.write(bytes("stop mine"));
    const stopped = await other.closed.catch(failure);
    const third = (await session.createUnidirectionalStream()).getWriter();
    await third.write(bytes("speak"));
    const item = await incoming(session);
    await item.read();
    await item.cancel(withCode(31));
    await third.write(bytes("more"));
    return {reset, stopped};
  },
  async closed_by_server(url, hash) {
    const session = await open(url, hash);
    const group = (await session.createUnidirectionalStream()).getWriter();
    await group.write(bytes("close"));
    const {closeCode, reason} = await session.closed;
    return {closeCode, reason};
  },
  async refused(url, hash) {
    return await open(url + "/nowhere", hash).then(() => "opened", error => error.name);
  },
};
"""


class Server(asyncio.DatagramProtocol):
    """An endpoint on a socket. ``told`` is every event, in order."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.told: list[Event] = []
        self._endpoint = endpoint
        self._loop = asyncio.get_running_loop()
        self._happened = asyncio.Event()
        self._session = self._item = -1
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._endpoint.receive_datagram(data, Path(*addr, local="127.0.0.1"), self._loop.time())
        self._turn()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self._happened.clear()
                await self._happened.wait()

    def _turn(self) -> None:
        now = self._loop.time()
        self._endpoint.handle_timer(now)
        while (event := self._endpoint.next_event()) is not None:
            self.told.append(event)
            self._answer(event)
            self._happened.set()
        assert self._transport is not None
        for data, path in self._endpoint.datagrams_to_send(now):
            self._transport.sendto(data, (path.host, path.port))
        if self._timer is not None:
            self._timer.cancel()
        at = self._endpoint.get_timer()
        self._timer = None if at is None else self._loop.call_at(at, self._turn)

    def _answer(self, event: Event) -> None:
        endpoint = self._endpoint
        match event:
            case SessionRequested(connection, session, path="/v1/voice"):
                self._session = session
                endpoint.accept_session(connection, session)
            case SessionRequested(connection, session):
                endpoint.refuse_session(connection, session, 404)
            case StreamDataReceived(connection, stream_id, data) if not stream_id & 2:
                endpoint.send_stream(connection, stream_id, data)
            case StreamDataReceived(connection, _, b"reset yours"):
                endpoint.reset_stream(connection, self._item, 30)
            case StreamDataReceived(connection, stream_id, b"stop mine"):
                endpoint.stop_stream(connection, stream_id, 8)
            case StreamDataReceived(connection, _, b"close"):
                endpoint.close_session(connection, self._session, 4, "going away")
            case StreamDataReceived(connection, _, b"speech" | b"speak" as data):
                self._item = endpoint.open_stream(connection)
                endpoint.send_stream(connection, self._item, b"reply", fin=data == b"speech")
            case DatagramReceived(connection, data):
                endpoint.send_datagram(connection, data)


@contextlib.asynccontextmanager
async def serving(directory: File) -> AsyncIterator[tuple[Server, str, list[int]]]:
    """The server, its URL, and what the page has to know its certificate by."""
    certificate, key = directory / "cert.pem", directory / "key.pem"
    write_certificate(certificate, key, ["localhost"], [IPv4Address("127.0.0.1")])
    identity = Identity.from_pem(certificate.read_bytes(), key.read_bytes())
    der = x509.load_pem_x509_certificate(certificate.read_bytes()).public_bytes(Encoding.DER)
    endpoint = make_endpoint(identity=identity, alpn=("h3",), service=frozenset())
    loop = asyncio.get_running_loop()
    transport, server = await loop.create_datagram_endpoint(
        lambda: Server(endpoint), local_addr=("127.0.0.1", 0)
    )
    try:
        _, port = transport.get_extra_info("sockname")
        yield server, f"https://127.0.0.1:{port}/v1/voice", list(hashlib.sha256(der).digest())
    finally:
        transport.close()


@contextlib.asynccontextmanager
async def open_page(directory: File) -> AsyncIterator[Page]:
    """A page on a loopback address, which is as good as TLS to be trusted with WebTransport."""

    async def index(_request: web.Request) -> web.Response:
        return web.Response(text=f"<script>{SCRIPT}</script>", content_type="text/html")

    application = web.Application()
    application.router.add_get("/", index)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        async with Chromium.started(directory / "profile") as browser:
            yield await browser.open(runner_url(runner))
    finally:
        await runner.cleanup()


def runner_url(runner: web.AppRunner) -> str:
    host, port = runner.addresses[0]
    return f"http://{host}:{port}/"


def test_sessions_of_a_browser(tmp_path: File) -> None:
    async def scenario() -> None:
        async with serving(tmp_path) as (server, url, certificate_hash), open_page(tmp_path) as page:

            def run(case: str) -> Awaitable[Any]:
                return page.evaluate(f"cases.{case}({json.dumps(url)}, {json.dumps(certificate_hash)})")

            def closed() -> list[tuple[int, str, bool]]:
                events = [event for event in server.told if isinstance(event, SessionClosed)]
                return [(event.code, event.reason, event.by_peer) for event in events]

            seen = await run("streams")
            assert seen == {"echo": "hello", "reply": "reply", "ended": True, "datagram": "report"}
            await server.until(lambda: closed() == [(9, "bye", True)])
            (asked,) = [event for event in server.told if isinstance(event, SessionRequested)]
            assert asked.origin.startswith("http://127.0.0.1:")

            seen = await run("resets")
            assert seen == {
                "reset": {"code": 30, "source": "stream"},
                "stopped": {"code": 8, "source": "stream"},
            }
            await server.until(lambda: any(isinstance(event, SendingStopped) for event in server.told))
            assert [event.code for event in server.told if isinstance(event, StreamReset)][:1] == [2]
            assert [event.code for event in server.told if isinstance(event, SendingStopped)] == [31]

            seen = await run("closed_by_server")
            assert seen == {"closeCode": 4, "reason": "going away"}
            assert closed()[-1] == (4, "going away", False)

            assert await run("refused") == "WebTransportError"

    asyncio.run(scenario())
