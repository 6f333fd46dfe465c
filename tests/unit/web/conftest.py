"""A node's TCP side as a worker would make it, on real sockets of this machine and with a real certificate."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from importlib.resources.abc import Traversable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from edge.errors import RefusedError
from edge.lab.certificates import write_certificate
from edge.runtime.page import Page
from edge.runtime.session_api import ApiSettings, pinnable_hash
from edge.runtime.sockets import listen_tcp
from edge.runtime.tls_listener import TlsLimits
from edge.runtime.web import Web, WebSettings
from edge.runtime.websocket_carrier import SUBPROTOCOL, WebSocketCarrier
from edge.voice.mux import MAX_MESSAGE

HOST = "127.0.0.1"
UNICAST = "127.0.0.2"
NAME = "unicast.example"
EXPIRES_AT = 2_000_000_000.0


def check_token(token: str | None) -> float | None:
    """One token is good, and none is needed."""
    if token not in (None, "good"):
        raise RefusedError("the token is not valid: it is bad")
    return None if token is None else EXPIRES_AT


class Ear:
    """A session that keeps what it hears; it may be told to do more."""

    def __init__(self) -> None:
        self.heard: list[tuple[Any, ...]] = []
        self.on_control: Callable[[bytes], None] = lambda _: None

    def receive_control(self, data: bytes, fin: bool, now: float) -> None:
        self.heard.append(("control", data, fin))
        self.on_control(data)

    def receive_stream(self, stream_id: int, data: bytes, fin: bool, now: float) -> None:
        self.heard.append(("stream", stream_id, data, fin))

    def receive_reset(self, stream_id: int, code: int, now: float) -> None:
        self.heard.append(("reset", stream_id, code))

    def receive_stop(self, stream: int, code: int, now: float) -> None:
        self.heard.append(("stop", stream, code))

    def receive_datagram(self, data: bytes, now: float) -> None:
        self.heard.append(("datagram", data))


@dataclass(eq=False)
class EarCall:
    carrier: WebSocketCarrier
    session: Any


class EarCalls:
    """A table of calls whose sessions only listen."""

    def __init__(self) -> None:
        self.calls: list[EarCall] = []
        self.endings: list[tuple[int, str, bool, bool]] = []
        self.happened = asyncio.Event()

    def begin(self, carrier: WebSocketCarrier) -> EarCall:
        call = EarCall(carrier, Ear())
        carrier.call = call  # type: ignore[assignment]
        self.calls.append(call)
        return call

    def wake(self, call: EarCall) -> None:
        self.happened.set()

    def ended(
        self, carrier: WebSocketCarrier, code: int, reason: str, *, by_peer: bool, by_application: bool
    ) -> None:
        self.endings.append((code, reason, by_peer, by_application))
        self.happened.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not holds():
                self.happened.clear()
                await self.happened.wait()


@dataclass
class Site:
    """A node's TCP side, and a way to it that trusts its certificate."""

    web: Web
    port: int
    calls: Any
    trust: ssl.SSLContext
    client: aiohttp.ClientSession

    def url(self, path: str, host: str = HOST, scheme: str = "https") -> str:
        return f"{scheme}://{host}:{self.port}{path}"

    def call(self, host: str = HOST, **options: Any) -> Any:
        """A WebSocket by a client that is not ours."""
        options = {"protocols": (SUBPROTOCOL,), "max_msg_size": MAX_MESSAGE, **options}
        return self.client.ws_connect(self.url("/v1/voice", host, "wss"), **options)


Serve = Callable[..., AbstractAsyncContextManager[Site]]


@pytest.fixture(scope="session")
def tls_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    directory = tmp_path_factory.mktemp("web-tls")
    certificate, key = directory / "cert.pem", directory / "key.pem"
    write_certificate(certificate, key, [NAME], [ip_address(HOST), ip_address(UNICAST)])
    return certificate, key


@pytest.fixture
def api(tls_files: tuple[Path, Path]) -> ApiSettings:
    return ApiSettings(
        node="unit",
        unicast_url=f"https://{NAME}:4433",
        lead_ms=1000,
        deadline_ms=500,
        certificate_hash=pinnable_hash(tls_files[0].read_bytes()),
        check_token=check_token,
        origin_allowed=lambda origin: origin == "https://app.example",
    )


@pytest.fixture
def serve(tls_files: tuple[Path, Path], api: ApiSettings) -> Serve:
    certificate, key = tls_files
    trust = ssl.create_default_context(cafile=str(certificate))

    @contextlib.asynccontextmanager
    async def serving(
        *,
        page: Traversable | None = None,
        calls: Any = None,
        admits: Callable[[], bool] = lambda: True,
        changed: Callable[[], None] = lambda: None,
        limits: TlsLimits | None = None,
        tls: bool = True,
        **answers: Any,
    ) -> AsyncIterator[Site]:
        calls = EarCalls() if calls is None else calls
        settings = WebSettings(
            api=replace(api, **answers),
            certificate=certificate.read_bytes(),
            private_key=key.read_bytes(),
            service=frozenset({HOST}),
            page=None if page is None else Page(page),
            admits=admits,
            changed=changed,
            limits=limits or TlsLimits(),
            tls=tls,
        )
        anycast = listen_tcp(HOST, 0)
        port = anycast.getsockname()[1]
        unicast = listen_tcp(UNICAST, port)
        web = Web(settings, [anycast, unicast], calls)
        web.serve()
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust, limit=0)) as client:
            try:
                yield Site(web, port, calls, trust, client)
            finally:
                await web.close(4, "the test is over")

    return serving
