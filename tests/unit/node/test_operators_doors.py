"""The doors of a whole node that are for operators alone: HTTPS with certificates both ways, and the page."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from node_rig import configured, running

from edge.config import NodeConfig
from edge.errors import ConfigError, EdgeError
from edge.runtime.admin_client import Answer, request_over

NODE = "127.0.0.2"


class Authority:
    """A CA of its own, in a file; `sign` writes a certificate and its key."""

    def __init__(self, directory: Path, name: str) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._directory = directory
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = directory / f"{name}.pem"
        self.file.write_bytes(self._signed(self._name, self._key, ca=True))

    def sign(self, name: str) -> tuple[Path, Path]:
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._directory / f"{name}.pem"
        private_key = self._directory / f"{name}.key"
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate.write_bytes(self._signed(subject, key, ca=False))
        private_key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return certificate, private_key

    def _signed(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, *, ca: bool) -> bytes:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(NODE))]), critical=False
            )
        )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def free_tcp_port() -> int:
    with socket.create_server((NODE, 0)) as free:
        port: int = free.getsockname()[1]
    return port


@pytest.fixture
def fleet(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "fleet-ca")


@pytest.fixture
def config(tmp_path: Path, fleet: Authority) -> NodeConfig:
    fleet.sign("node")
    admin = f"""
page_listen = "{NODE}:{free_tcp_port()}"
listen = "{NODE}:{free_tcp_port()}"
ca = "fleet-ca.pem"
certificate = "node.pem"
private_key = "node.key"
"""
    return configured(tmp_path, "[shutdown]\ngrace_s = 0.0\n[workers]\ncount = 1\n", admin=admin)


def client(
    ca: Path, own: tuple[Path, Path] | None, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.maximum_version = newest
    context.load_verify_locations(ca)
    if own is not None:
        context.load_cert_chain(*own)
    return context


async def ask(
    config: NodeConfig, context: ssl.SSLContext, target: str = "/status", method: str = "GET"
) -> Answer:
    listen = config.admin.listen
    assert listen is not None

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(listen.host, listen.port, ssl=context)

    return await request_over(connect, "node", method, target, None, timeout_s=10.0)


@contextlib.contextmanager
def refused() -> Iterator[None]:
    """In TLS 1.3 a server's verdict on a certificate comes after the client's handshake, and may find it writing."""
    with pytest.raises((OSError, EdgeError)):
        yield


def test_who_has_a_certificate_of_the_ca_may_ask_and_nobody_else(
    tmp_path: Path, config: NodeConfig, fleet: Authority
) -> None:
    own = fleet.sign("alice")
    (tmp_path / "other").mkdir()
    strange = Authority(tmp_path / "other", "strange-ca").sign("mallory")

    async def main() -> None:
        async with running(config):
            answer = await ask(config, client(fleet.file, own))
            assert (answer.status, type(answer.value)) == (200, dict)
            with refused():
                await ask(config, client(fleet.file, None))
            with refused():
                await ask(config, client(fleet.file, strange))
            with refused():
                await ask(config, client(fleet.file, own, ssl.TLSVersion.TLSv1_2))
            # A long answer comes whole, and an order is obeyed.
            assert "edge_build_info" in str((await ask(config, client(fleet.file, own), "/metrics")).value)
            drained = await ask(config, client(fleet.file, own), "/drain", "POST")
            assert drained.status == 200

    asyncio.run(main())


def test_other_files_are_taken_over_and_bad_ones_are_a_problem(
    tmp_path: Path, config: NodeConfig, fleet: Authority
) -> None:
    own = fleet.sign("alice")
    (tmp_path / "other").mkdir()
    successor = Authority(tmp_path / "other", "next-ca")
    theirs = successor.sign("bob")

    async def main() -> None:
        async with running(config) as node:
            assert node._admin_tls is not None
            good = fleet.file.read_bytes()
            fleet.file.write_bytes(b"spoiled")
            node._admin_tls.look()
            (problem,) = node.status()["problems"]
            assert problem.startswith("$.admin.ca: ")
            assert (await ask(config, _trusting(good, own))).status == 200
            fleet.file.write_bytes(successor.file.read_bytes())
            node._admin_tls.look()
            assert node.status()["problems"] == []
            assert (await ask(config, _trusting(good, theirs))).status == 200
            with refused():
                await ask(config, _trusting(good, own))

    asyncio.run(main())


def _trusting(ca: bytes, own: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=ca.decode())
    context.load_cert_chain(*own)
    return context


@pytest.mark.parametrize(
    "spoil,where", [("fleet-ca.pem", "ca"), ("node.key", "certificate"), ("node.pem", "certificate")]
)
def test_a_node_with_bad_files_does_not_start_and_names_the_key(
    tmp_path: Path, config: NodeConfig, spoil: str, where: str
) -> None:
    (tmp_path / spoil).write_text("spoiled")

    async def main() -> None:
        async with running(config):
            pass

    with pytest.raises(ConfigError) as caught:
        asyncio.run(main())
    assert caught.value.where == f"$.admin.{where}"
    assert "\n" not in str(caught.value)


def test_the_page_is_there_to_be_read_and_for_nothing_else(config: NodeConfig) -> None:
    listen = config.admin.page_listen
    assert listen is not None

    async def fetch(request: str) -> bytes:
        reader, writer = await asyncio.open_connection(listen.host, listen.port)
        writer.write(f"{request} HTTP/1.1\r\nHost: node\r\n\r\n".encode())
        answer = await reader.read()
        writer.close()
        return answer

    async def main() -> list[bytes]:
        async with running(config):
            return [
                await fetch(f"{method} {path}")
                for method, path in (("GET", "/"), ("POST", "/"), ("POST", "/drain"), ("GET", "/status"))
            ]

    page, *others = asyncio.run(main())
    head, _, body = page.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"Content-Security-Policy: default-src 'none'; " in head
    assert b"<title>unit: " in body
    assert [other.split(b" ")[1] for other in others] == [b"405", b"404", b"404"]
