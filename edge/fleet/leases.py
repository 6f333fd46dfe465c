"""The word of one operator on many nodes: taken on all of them before anything is done, renewed while it lasts."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Final

import msgspec

from edge.errors import DeadlineError, EdgeError, RefusedError, UnreachableError
from edge.fleet.transport import Transport

log = logging.getLogger("edge.fleet")

TTL_S: Final = 60.0
"""So long a fleet is closed to others after its operator has vanished."""
RENEW_S: Final = 15.0
RELEASE_S: Final = 5.0
LOOK_AGAIN_S: Final = 0.5


class _Granted(msgspec.Struct, frozen=True):
    token: str


class Leases:
    """Nodes that do not answer have none; `take` them once they do."""

    def __init__(
        self,
        ways: Mapping[str, Transport],
        *,
        who: str,
        what: str,
        timeout_s: float,
        ttl_s: float = TTL_S,
        renew_s: float = RENEW_S,
        wall: Callable[[], float] = time.time,
    ) -> None:
        """``wall``: beside the clock of the loop, which may stand still while a laptop sleeps."""
        self._ways = ways
        self._request = {"who": who, "what": what, "ttl_s": ttl_s}
        self._timeout_s = timeout_s
        self._ttl_s = ttl_s
        self._renew_s = renew_s
        self._wall = wall
        self._tokens: dict[str, str] = {}
        self._taken: dict[str, tuple[float, float]] = {}
        self._lost = ""

    async def token(self, node: str) -> str:
        """For an order to ``node`` now, also if it did not answer when leases were taken or renewed.

        Raises as `take` and as `check`.
        """
        self.check()
        if node not in self._tokens:
            await self._take_late(node)
        elif not self._is_fresh(node):
            await self.take(node)
        return self._tokens[node]

    async def _take_late(self, node: str) -> None:
        """A node that was down when an operation ended still keeps that one's lease, and nobody renews it: wait for its end."""
        clock = asyncio.get_running_loop().time
        gives_up_at = clock() + self._ttl_s + self._renew_s
        while True:
            try:
                return await self.take(node)
            except RefusedError:
                if clock() > gives_up_at:
                    raise
            await asyncio.sleep(LOOK_AGAIN_S)

    def check(self) -> None:
        """Raises `RefusedError` if a lease went to somebody else: this operation is not alone any more."""
        if self._lost:
            raise RefusedError(self._lost)

    def _is_fresh(self, node: str) -> bool:
        """A clock that was set, either way, makes it old: it may be over."""
        ages = (now - then for now, then in zip(self._now(), self._taken[node], strict=True))
        return all(0 <= age <= self._renew_s for age in ages)

    def _now(self) -> tuple[float, float]:
        return asyncio.get_running_loop().time(), self._wall()

    async def take(self, node: str) -> None:
        """Take or renew that of one node. Raises `RefusedError`, naming who has it, and as `Transport` does.

        A new one in the place of ours says that ours was over, and that somebody else had one and gave it back: what
        they did we do not know.
        """
        now, before = self._now(), self._tokens.get(node)
        body = {**self._request, "token": before} if before is not None else self._request
        answer = await self._ways[node].request("POST", "/lease", body, timeout_s=self._timeout_s)
        try:
            token = msgspec.convert(answer.checked(), _Granted).token
        except RefusedError as error:
            raise RefusedError(f"{node}: {error}") from error
        except msgspec.ValidationError as error:
            raise EdgeError(f"{node}: its answer is of another version: {error}") from error
        self._tokens[node], self._taken[node] = token, now
        if before is not None and token != before:
            self._lost = self._lost or (
                f"{node}: its lease was over, and another operator's meanwhile; look at what has been done: edgectl status"
            )
            self.check()

    async def take_all(self, nodes: Iterable[str]) -> None:
        """One after the other, so that of two operators one is first. Raises `RefusedError`; who is silent has none."""
        for node in nodes:
            try:
                await self.take(node)
            except (UnreachableError, DeadlineError) as error:
                log.info("event=lease_not_taken node=%s problem=%s", node, error)

    @contextlib.asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """While it lasts those that were taken are renewed; then they are given back, however it ends."""
        renewal = asyncio.create_task(self._keep())
        try:
            yield
        finally:
            renewal.cancel()
            await asyncio.gather(renewal, return_exceptions=True)
            await asyncio.gather(*map(self._release, tuple(self._tokens)))

    async def _keep(self) -> None:
        while True:
            await asyncio.sleep(self._renew_s)
            await asyncio.gather(*map(self._renew, tuple(self._tokens)))

    async def _renew(self, node: str) -> None:
        try:
            # One that hangs must not keep the others from their turn.
            async with asyncio.timeout(self._renew_s):
                await self.take(node)
        except TimeoutError:
            log.info("event=lease_not_renewed node=%s problem=late", node)
        except RefusedError as error:
            self._lost = self._lost or str(error)
        except EdgeError as error:
            log.info("event=lease_not_renewed node=%s problem=%s", node, error)  # it restarts, or it is gone

    async def _release(self, node: str) -> None:
        body = {"token": self._tokens.pop(node)}
        try:
            await self._ways[node].request("POST", "/lease/release", body, timeout_s=RELEASE_S)
        except EdgeError as error:
            log.info("event=lease_not_released node=%s problem=%s", node, error)  # it ends by itself
