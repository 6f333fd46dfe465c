"""How a node is reached: what every way there can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from edge.errors import EdgeError
from edge.runtime.admin_client import Answer

LEASE_FIELD = "Edge-Lease"


@dataclass(frozen=True, slots=True)
class Completed:
    """A program on a node has ended."""

    exit_code: int
    stdout: bytes
    stderr: bytes

    def checked(self, what: str) -> bytes:
        """Its stdout. Raises `EdgeError` with the last thing it said if it failed at ``what``."""
        if self.exit_code == 0:
            return self.stdout
        said = self.stderr.decode("utf-8", "replace").strip().splitlines()
        raise EdgeError(f"{what} ended with {self.exit_code}" + (f": {said[-1]}" if said else ""))


class Transport(Protocol):
    """The way to one node. It connects when it is first used, and `close` leaves nothing behind.

    Everything raises `UnreachableError` where the node cannot be reached or does not let us, and `DeadlineError` where it
    does not answer in ``timeout_s``, which includes the time to connect.
    """

    async def request(
        self,
        method: str,
        target: str,
        body: object = None,
        *,
        timeout_s: float,
        lease: str | None = None,
    ) -> Answer:
        """Ask the node's daemon; ``lease`` is the token of the one that we hold."""

    async def run(self, argv: list[str], *, stdin: bytes = b"", timeout_s: float) -> Completed:
        """Run a program on the node, with exactly these arguments; any exit code is an answer."""

    async def close(self) -> None: ...


def lease_headers(lease: str | None) -> dict[str, str]:
    return {} if lease is None else {LEASE_FIELD: lease}
