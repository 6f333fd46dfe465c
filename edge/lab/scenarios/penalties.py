"""What a router that damps holds against the routes of one edge, asked again and again while a story is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from edge.errors import UnreachableError
from edge.lab.rib import Prefix, session_name
from edge.lab.scenarios.stage import Stage
from edge.lab.vty import Damped

INTERVAL_S: Final = 0.25
UNTOUCHED: Final = Damped("", 0, 0, suppressed=False, reuse_s=0.0)


class Penalties:
    """Of ``edge`` at ``router``, by prefix, as they are ``now`` and whether one was ever ``suppressed``."""

    def __init__(self, stage: Stage, router: str, edge: str) -> None:
        self.now: dict[Prefix, Damped] = dict.fromkeys(stage.lab.anycast_prefixes, UNTOUCHED)
        self.suppressed: set[Prefix] = set()
        self._stage = stage
        self._router = router
        self._edge = edge

    async def look(self) -> None:
        """Ask now. Raises `UnreachableError`."""
        for prefix in self.now:
            own = session_name(self._edge, f"v{prefix.version}")
            damped = await self._stage.lab.vty(self._router).damped(prefix)
            self._take(prefix, next((one for one in damped if one.session == own), UNTOUCHED))

    def _take(self, prefix: Prefix, damped: Damped) -> None:
        before, self.now[prefix] = self.now[prefix], damped
        where = f"{self._router} holds {damped.penalty} against {prefix} from {self._edge}"
        if damped.suppressed and not before.suppressed:
            self.suppressed.add(prefix)
            self._stage.timeline.event(f"{where} and ignores it for {damped.reuse_s / 60:.0f} min", mark=True)
        elif damped.penalty > before.penalty:
            self._stage.timeline.event(where)


@asynccontextmanager
async def watched(stage: Stage, router: str, edge: str) -> AsyncIterator[Penalties]:
    """Ask while the block lasts; a router that does not answer for a moment is asked again."""
    penalties = Penalties(stage, router, edge)

    async def keep_looking() -> None:
        while True:
            try:
                await penalties.look()
            except UnreachableError as error:
                stage.timeline.event(str(error))
            await asyncio.sleep(INTERVAL_S)

    looking = asyncio.create_task(keep_looking())
    try:
        yield penalties
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
