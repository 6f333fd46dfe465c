"""BFD beside a speaker that has none: a BIRD that speaks it to upstreams on the same link, and nothing else.

BGP notices within its hold time, 9 s, that a node was unplugged; BFD (RFC 5880) within a few of its intervals. The
routers do the work: they end the BGP session when this side falls silent. So this process is a fence of its own kind.
It dies with the supervisor and by the same lease as a speaker (``bgp.keeper``), and when it dies alone, **the routers
drop our routes** as if the node were gone, until it is back. It sees neither a hung speaker nor a hung worker.

A speaker that is BIRD needs none of this: its sessions carry BFD themselves.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bgp import bird_conf, bird_control
from bgp.bird import Bird, BirdFailure
from bgp.child import SpeakerError
from bgp.conf import BfdConfig, SpeakerConfig
from bgp.lives import Lives, SpeakerTiming, first_to_end
from bgp.route import Address
from bgp.speaker import BfdChanged

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BfdLost:
    """The process is gone, and routers will drop our routes; the next one starts in ``restart_in_s``."""

    reason: str
    restart_in_s: float


class BfdSideCar(Lives[Bird]):
    """``directory`` belongs to it alone; it runs as the speaker's user. ``on_event`` is called from the event loop.

    ``start`` must run on the main thread: the kernel kills BIRD when the *thread* that started it ends.
    """

    def __init__(
        self,
        config: SpeakerConfig,
        bfd: BfdConfig,
        directory: Path,
        on_event: Callable[[BfdChanged | BfdLost], None],
        *,
        timing: SpeakerTiming | None = None,
    ) -> None:
        super().__init__(timing or SpeakerTiming())
        self._config = config
        self._bfd = bfd
        self._directory = directory
        self._on_event = on_event
        self._neighbors_up: frozenset[Address] = frozenset()

    @property
    def neighbors_up(self) -> frozenset[Address]:
        """Those that are seen, and see us."""
        return self._neighbors_up

    async def _begin(self) -> Bird:
        if not bird_conf.bfd_neighbors(self._config):
            raise SpeakerError("bfd: no upstream neighbor is on the same link")
        return await Bird.start(
            self._config,
            self._directory,
            lambda: bird_conf.render_bfd(self._config, self._bfd),
            lease_s=self._timing.lease_s,
            timeout_s=self._timing.command_timeout_s,
            start_timeout_s=self._timing.start_timeout_s,
            bfd=True,
        )

    def _begun(self, life: Bird) -> None:
        logger.info("event=bfd-started pid=%d", life.pid)

    async def _live(self, life: Bird) -> str:
        return await first_to_end(life.ended(), self._look(life))

    def _ended(self) -> None:
        self._seen(frozenset())

    def _lost(self, reason: str, restart_in_s: float) -> None:
        logger.warning("event=bfd-lost reason=%r restart_in_s=%g", reason, restart_in_s)
        self._on_event(BfdLost(reason, restart_in_s))

    async def _look(self, bird: Bird) -> str:
        try:
            while True:
                found = bird_control.read_bfd(await bird.ask(bird_control.SHOW_BFD))
                self._seen(frozenset(address for address, is_up in found.items() if is_up))
                await asyncio.sleep(self._timing.poll_interval_s)
        except BirdFailure as failure:
            return str(failure)

    def _seen(self, neighbors_up: frozenset[Address]) -> None:
        for address in sorted(neighbors_up ^ self._neighbors_up, key=str):
            is_up = address in neighbors_up
            logger.info("event=BfdChanged neighbor=%s is_up=%s", address, is_up)
            self._on_event(BfdChanged(address, is_up))
        self._neighbors_up = neighbors_up
