"""A ``Speaker`` made of BIRD processes: desired routes become its configuration, what it shows becomes events.

BIRD says nothing by itself, so it is asked, several times a second, how its sessions are. One question is under way
at a time, in one loop, which also gives it a new table as soon as that is wanted; a question without an answer ends
the life of the process.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path

from bgp import bird_conf, bird_control
from bgp.bird import Bird, BirdFailure, free_ports
from bgp.bird_conf import Local
from bgp.bird_heard import HeardChannel, read_paths
from bgp.bird_table import BirdTable
from bgp.child import md5_keys
from bgp.conf import BfdConfig, SpeakerConfig
from bgp.lives import SpeakerTiming, first_to_end
from bgp.neighbor import Advertisement, Role
from bgp.received import ReceivedEvent
from bgp.route import Address, Prefix
from bgp.speaker import BfdChanged, SpeakerEvent, TableSpeaker
from bgp.table import SpeakerFailed


class BirdSpeaker(TableSpeaker[Bird, BirdTable]):
    """``directory`` belongs to it alone. With ``bfd`` the sessions with upstreams on the same link end when BFD says so."""

    def __init__(
        self,
        config: SpeakerConfig,
        directory: Path,
        on_event: Callable[[SpeakerEvent], None],
        *,
        timing: SpeakerTiming | None = None,
        bfd: BfdConfig | None = None,
    ) -> None:
        timing = timing or SpeakerTiming()
        table = BirdTable(config.sessions(), reconcile_interval_s=timing.reconcile_interval_s)
        super().__init__(table, on_event, timing)
        self._config = config
        self._bfd = bfd
        self._directory = directory
        self._local = Local({}, {})
        self._neighbors = {
            bird_conf.session_name(index): neighbor for index, neighbor in enumerate(config.sessions())
        }
        self._failure = ""
        # Names of sessions with the families that both sides use.
        self._open: set[tuple[str, int]] = set()
        self._bfd_up: frozenset[Address] = frozenset()
        self._heard: dict[tuple[str, int], HeardChannel] = {}
        # Something is wanted; somebody has told something.
        self._wake = asyncio.Event()
        self._counted = asyncio.Event()

    # --- one life ---------------------------------------------------------------------------------------

    async def _begin(self) -> Bird:
        self._failure = ""
        return await Bird.start(
            self._config,
            self._directory,
            self._first_text,
            lease_s=self._timing.lease_s,
            timeout_s=self._timing.command_timeout_s,
            start_timeout_s=self._timing.start_timeout_s,
            bfd=self._bfd is not None,
        )

    def _first_text(self) -> str:
        """Sessions and no route: nothing is announced before it is told."""
        self._local = Local(
            free_ports(neighbor.local_address for neighbor in self._neighbors.values()),
            md5_keys(self._config),
        )
        return bird_conf.render(self._config, {}, self._local, self._bfd)

    async def _live(self, life: Bird) -> str:
        return await first_to_end(life.ended(), self._steer(life), self._listen(life))

    def _ended(self) -> None:
        self._heard.clear()
        self._bfd_seen(frozenset())
        super()._ended()

    # --- one question after the other -------------------------------------------------------------------

    async def _steer(self, bird: Bird) -> str:
        """Until it can't be steered any more; returns why."""
        try:
            while True:
                self._wake.clear()
                await self._give(bird)
                await self._look_at_sessions(bird)
                await self._look_at_told(bird)
                await self._look_at_bfd(bird)
                await self._pause(self._wake)
        except BirdFailure as failure:
            return str(failure)

    async def _give(self, bird: Bird) -> None:
        while (routes := self._table.routes_to_give()) is not None:
            await bird.configure(bird_conf.render(self._config, routes, self._local, self._bfd))
            self._table.given(routes, self._now())
            self._drain()

    async def _look_at_sessions(self, bird: Bird) -> None:
        sessions = bird_control.read_sessions(await bird.ask(bird_control.SHOW_SESSIONS))
        for session in sessions:
            if bird_control.NO_SOCKET in session.info:
                raise BirdFailure(f"bird cannot listen for neighbor {self._neighbors[session.name].address}")
        self._table.sessions_seen(
            {
                self._neighbors[session.name].address: "" if session.is_up else session.info
                for session in sessions
            }
        )
        self._drain()
        self._open = {
            (session.name, version)
            for session in sessions
            for version in self._neighbors[session.name].versions
            if session.is_up and f"ipv{version}" in session.open
        }
        for session in sessions:
            self._count_heard(session)
        self._counted.set()

    async def _look_at_told(self, bird: Bird) -> None:
        if not self._table.is_look_due(self._now()):
            return
        told: dict[tuple[Address, Prefix], Advertisement | None] = {}
        channels = set()
        for name, version in self._open:
            neighbor = self._neighbors[name]
            channels.add((neighbor.address, version))
            reply = await bird.ask(bird_control.show_told(f"{name}.ipv{version}"))
            for route in bird_control.read_routes(reply):
                told[neighbor.address, route.prefix] = bird_control.read_advertisement(route, neighbor)
        self._table.told_seen(told, channels, self._now())
        self._drain()
        if self._failure:
            raise BirdFailure(self._failure)

    async def _look_at_bfd(self, bird: Bird) -> None:
        if self._bfd is not None:
            found = bird_control.read_bfd(await bird.ask(bird_control.SHOW_BFD))
            self._bfd_seen(frozenset(address for address, is_up in found.items() if is_up))

    def _bfd_seen(self, up: frozenset[Address]) -> None:
        for address in sorted(up ^ self._bfd_up, key=str):
            self._report(BfdChanged(address, address in up))
        self._bfd_up = up

    def _count_heard(self, session: bird_control.Session) -> None:
        neighbor = self._neighbors[session.name]
        for version in neighbor.versions if neighbor.role is Role.FLEET else ():
            key, name = (session.name, version), f"ipv{version}"
            if key not in self._open:
                self._heard.pop(key, None)
                continue
            channel = self._heard.setdefault(key, HeardChannel(neighbor.address, version))
            self._report_all(channel.counted(session.received.get(name, ()), self._now()))
            if session.routes.get(name, 0) > neighbor.max_routes:
                self._report_all(channel.flooded(f"more than {neighbor.max_routes} routes"))

    async def _pause(self, news: asyncio.Event) -> None:
        """Until there is something to be done, or it is time to ask again."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._timing.poll_interval_s):
                await news.wait()

    # --- what neighbors of the fleet tell ----------------------------------------------------------------

    async def _listen(self, bird: Bird) -> str:
        """Beside the rest: however much they tell, routes are announced and withdrawn meanwhile."""
        while True:
            self._counted.clear()
            for key, channel in list(self._heard.items()):
                if channel.is_look_due(self._now()):
                    await self._look_at_heard(bird, *key, channel)
            await self._pause(self._counted)

    async def _look_at_heard(self, bird: Bird, session: str, version: int, channel: HeardChannel) -> None:
        count = channel.count
        table = bird_conf.table_name(session, version)
        try:
            reply = await bird.ask_at_length(bird_control.show_heard(session, table))
        except BirdFailure:
            # Whether that is the end of it is not decided here.
            return
        # A new table was given meanwhile: BIRD has stopped, and is asked again.
        if reply.is_error:
            return
        # In a thread, because thousands of paths are the neighbor's choice.
        paths = {} if reply.is_cut else await asyncio.to_thread(read_paths, reply)
        if self._heard.get((session, version)) is not channel:
            return
        if reply.is_cut:
            self._report_all(channel.flooded("more than is read at once"))
        else:
            self._report_all(channel.seen(count, paths, self._now()))

    # --- between the table and the world ----------------------------------------------------------------

    def _pump(self) -> None:
        self._drain()
        self._wake.set()

    def _drain(self) -> None:
        while (event := self._table.next_event()) is not None:
            self._report(event)
            if isinstance(event, SpeakerFailed):
                self._failure = event.reason
        self._changed.set()

    def _report_all(self, events: Iterable[ReceivedEvent]) -> None:
        for event in events:
            self._report(event)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
