"""The way to a node over mutual TLS: both ends prove themselves, and nothing can be run."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

from edge.errors import UnreachableError, UsageError
from edge.fleet.transport import Completed, lease_headers
from edge.runtime.admin_client import ANSWER_LIMIT, Answer, request_over


class TlsTransport:
    """The node's certificate must be for ``host``, and signed by one of ``ca``."""

    def __init__(self, host: str, port: int, *, ca: Path, certificate: Path, private_key: Path) -> None:
        self._host = host
        self._port = port
        self._where = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
        self._files = (ca, certificate, private_key)
        self._context: ssl.SSLContext | None = None

    async def request(
        self, method: str, target: str, body: object = None, *, timeout_s: float, lease: str | None = None
    ) -> Answer:
        if self._context is None:
            self._context = _context(*self._files)
        context = self._context

        async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
            return await asyncio.open_connection(self._host, self._port, ssl=context, limit=ANSWER_LIMIT)

        try:
            return await request_over(
                connect,
                self._where,
                method,
                target,
                body,
                timeout_s=timeout_s,
                headers=lease_headers(lease),
            )
        except OSError as error:
            raise UnreachableError(f"{self._where}: {_why(error)}") from error

    async def run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        raise UsageError(f'{self._where}: nothing can be run over TLS; use transport = "ssh" for this')

    async def close(self) -> None:
        """There is nothing to close: each request is a connection of its own."""


def _context(ca: Path, certificate: Path, private_key: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        context.load_verify_locations(ca)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"{ca}: cannot be used as ca: {error.strerror or error}") from error
    try:
        context.load_cert_chain(certificate, private_key)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"{certificate}, {private_key}: cannot be used: {error.strerror or error}; they must be a certificate "
            "and its key, in PEM"
        ) from error
    return context


def _why(error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not to be trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason or error}); it may not know our certificate"
    return error.strerror or str(error)
