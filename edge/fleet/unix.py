"""The way to a node of this machine: its admin socket itself."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from edge.errors import DeadlineError, UnreachableError
from edge.fleet.processes import completed
from edge.fleet.transport import Completed, lease_headers
from edge.runtime.admin_client import Answer, admin_request


@dataclass(frozen=True, slots=True)
class UnixTransport:
    """Programs run here, as who we are."""

    socket: Path

    async def request(
        self, method: str, target: str, body: object = None, *, timeout_s: float, lease: str | None = None
    ) -> Answer:
        return await admin_request(
            self.socket, method, target, body, timeout_s=timeout_s, headers=lease_headers(lease)
        )

    async def run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        try:
            async with asyncio.timeout(timeout_s):
                return await completed(argv, stdin)
        except TimeoutError as error:
            raise DeadlineError(f"{argv[0]} did not end within {timeout_s:g} s") from error
        except OSError as error:
            raise UnreachableError(f"{argv[0]}: {error.strerror or error}") from error

    async def close(self) -> None:
        """There is nothing to close: each request is a connection of its own."""
