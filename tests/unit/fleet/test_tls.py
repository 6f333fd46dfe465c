"""The way over mutual TLS, to the real listener of a node."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from edge.errors import DeadlineError, EdgeError, UnreachableError, UsageError
from edge.fleet.tls import TlsTransport
from edge.lab.certificates import write_certificate
from edge.runtime.admin_tls import AdminTls, TlsFiles
from edge.runtime.http1 import Request, Response, json_response

HOST = "127.0.0.1"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Certificates that are their own authority: of the node, of ops, and of a stranger."""
    for name in ("node", "ops", "stranger"):
        write_certificate(tmp_path / f"{name}.pem", tmp_path / f"{name}.key", [name], [ip_address(HOST)])
    return tmp_path


@contextlib.asynccontextmanager
async def listening(files: Path) -> AsyncIterator[int]:
    """The port of a node that trusts ops."""

    async def status(request: Request) -> Response:
        return json_response({"node": "ams-1", "body": request.body.decode()})

    async def silent(_: Request) -> Response:
        await asyncio.Event().wait()
        raise AssertionError

    routes = {("GET", "/status"): status, ("POST", "/drain"): status, ("GET", "/silent"): silent}
    sock = socket.create_server((HOST, 0))
    node = AdminTls(sock, TlsFiles(files / "ops.pem", files / "node.pem", files / "node.key"), routes)
    try:
        yield sock.getsockname()[1]
    finally:
        await node.close()


def way(files: Path, port: int, *, ca: str = "node", own: str = "ops", host: str = HOST) -> TlsTransport:
    return TlsTransport(
        host,
        port,
        ca=files / f"{ca}.pem",
        certificate=files / f"{own}.pem",
        private_key=files / f"{own}.key",
    )


def test_who_proves_himself_may_ask(files: Path) -> None:
    async def main() -> list[object]:
        async with listening(files) as port:
            transport = way(files, port)
            return [
                (await transport.request("GET", "/status", timeout_s=10.0)).checked(),
                (await transport.request("POST", "/drain", {"who": "ops"}, timeout_s=10.0)).checked(),
            ]

    assert asyncio.run(main()) == [
        {"node": "ams-1", "body": ""},
        {"node": "ams-1", "body": '{"who":"ops"}'},
    ]


@pytest.mark.parametrize(
    "ca,own,says",
    [
        ("stranger", "ops", r"^https://127\.0\.0\.1:\d+: its certificate is not to be trusted: self-signed"),
        ("node", "stranger", r"^https://127\.0\.0\.1:\d+: "),
    ],
)
def test_both_ends_have_to_be_known(files: Path, ca: str, own: str, says: str) -> None:
    async def main() -> None:
        async with listening(files) as port:
            await way(files, port, ca=ca, own=own).request("GET", "/status", timeout_s=10.0)

    with pytest.raises(UnreachableError, match=says):
        asyncio.run(main())


def test_one_that_does_not_answer(files: Path) -> None:
    async def main() -> None:
        async with listening(files) as port:
            await way(files, port).request("GET", "/silent", timeout_s=0.5)

    with pytest.raises(DeadlineError, match=r"the node did not answer /silent within 0\.5 s"):
        asyncio.run(main())


def test_one_that_is_not_there(files: Path) -> None:
    with socket.create_server((HOST, 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(UnreachableError, match=rf"^https://127\.0\.0\.1:{port}: Connect"):
        asyncio.run(way(files, port).request("GET", "/status", timeout_s=10.0))


@pytest.mark.parametrize(
    "spoiled,says", [("node.pem", "cannot be used as ca"), ("ops.key", "a certificate and its key")]
)
def test_files_that_cannot_be_used_are_named(files: Path, spoiled: str, says: str) -> None:
    for damage in (lambda path: path.write_text("spoiled"), Path.unlink):
        damage(files / spoiled)
        with pytest.raises(UsageError, match=rf"{spoiled}.*{says}"):
            asyncio.run(way(files, 4435).request("GET", "/status", timeout_s=10.0))


def test_nothing_is_run_over_it(files: Path) -> None:
    with pytest.raises(EdgeError, match='use transport = "ssh"'):
        asyncio.run(way(files, 4435).run(["true"], timeout_s=1.0))
