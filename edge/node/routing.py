"""The node's side of routing: what is told to whom, what it has cost, and who else is there.

`Control` decides whether the node announces; `Routing` makes it so. It owns the speaker, and all that the speaker
says comes here: what neighbors hear is charged to the ledger, what the fleet says makes the view, and what comes
back of our own shows whether the speaker does what it acknowledges.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from dataclasses import replace
from ipaddress import ip_address
from typing import Final

from bgp.bfd import BfdLost, BfdSideCar
from bgp.bird_speaker import BirdSpeaker
from bgp.child import SpeakerError
from bgp.control_route import Publisher
from bgp.echo import Alarm, Converged, Echo, EchoParams, KillSpeaker
from bgp.neighbor import Role
from bgp.node_seen import NodeSeen
from bgp.received import EndOfRib, Flooded, PathHeard, PathLost
from bgp.route import GRACEFUL_SHUTDOWN, Route
from bgp.speaker import BfdChanged, ExaBgpSpeaker, Speaker, SpeakerEvent, SpeakerLost
from bgp.state import ANNOUNCING, State
from bgp.table import Diverged, NeighborChanged
from bgp.view import NO_VIEW, Others, View
from edge.config import NodeConfig
from edge.config.schema import Bgp
from edge.errors import UnreachableError
from edge.node.costs import Costs
from edge.node.peers import Peers
from edge.runtime import metric_table as metric
from edge.runtime.documents import BgpPeers, BgpRoutes
from edge.runtime.metrics import NodeMetrics

log = logging.getLogger("edge.routing")

PREPEND: Final = 2
"""Beyond the one time that eBGP asks for. With 65535:0 in the same update: apart, they would cost twice."""


class Routing:
    """Everything of one node that is about BGP. Times are of the event loop's clock."""

    def __init__(self, config: NodeConfig, bgp: Bgp, metrics: NodeMetrics, now: float) -> None:
        sessions = bgp.sessions()
        own = ip_address(config.unicast.addresses[0])
        prefixes = tuple(route.prefix for route in bgp.routes())
        self.peers = Peers(bgp)
        self.costs = Costs(config, bgp, now)
        in_fleet = any(session.role is Role.FLEET for session in sessions)
        self._view = View(config.view, own, bgp.local_as, prefixes, sessions) if in_fleet else None
        self._routes = bgp.routes()
        self._metrics = metrics
        self._publisher = Publisher(own, bgp.local_as)
        # A reflector that sends us our own route has put itself in as the next hop; the originator is left (RFC 4456).
        router_ids = (bgp.router_id, *(neighbor.router_id or bgp.router_id for neighbor in bgp.neighbors))
        self._own = frozenset(
            (*map(ip_address, (*config.unicast.addresses, *router_ids)), *(s.local_address for s in sessions))
        )
        self._echo = Echo(EchoParams(), self._own, prefixes, sessions)
        self._told = State.STARTING
        directory = config.state.directory / "speaker"
        self.speaker: Speaker
        self._side_car: BfdSideCar | None = None
        if bgp.speaker == "bird":
            self.speaker = BirdSpeaker(bgp, directory, self._speaker_event, bfd=bgp.bfd)
        else:
            self.speaker = ExaBgpSpeaker(bgp, directory, self._speaker_event)
            if bgp.bfd is not None:
                self._side_car = BfdSideCar(bgp, bgp.bfd, config.state.directory / "bfd", self._bfd_event)

    async def start(self, stack: AsyncExitStack) -> None:
        """Start the speaker, which announces nothing yet. Raises `UnreachableError`."""
        stack.push_async_callback(self.costs.close)
        try:
            if self._side_car is not None:
                await self._side_car.start()
                stack.push_async_callback(self._side_car.stop)
            await self.speaker.start()
            stack.push_async_callback(self.speaker.stop)
        except SpeakerError as error:
            raise UnreachableError(f"$.bgp: {error}") from error

    def others(self, now: float) -> Others:
        return NO_VIEW if self._view is None else self._view.others(now)

    def nodes_seen(self, now: float) -> tuple[NodeSeen, ...]:
        """The other nodes, as the fleet's sessions tell of them."""
        return () if self._view is None else self._view.nodes(now)

    def tell(self, state: State, now: float) -> None:
        """Have neighbors hear what belongs to a node in ``state``; the same again changes nothing."""
        if state is self._told:
            return
        self._told = state
        announced = []
        for route in self._routes:
            if (wanted := _in_state(route, state)) is None:
                self.speaker.withdraw(route.prefix)
            else:
                self.speaker.announce(wanted)
                announced.append(route.prefix)
        self._echo.desire(announced, now)

    @property
    def is_withdrawn(self) -> bool:
        """Whether the speaker was seen to tell none of our routes to anybody."""
        ours = {route.prefix for route in self._routes}
        return self._told not in ANNOUNCING and ours.isdisjoint(
            prefix for _, prefix in self.speaker.routes_out()
        )

    def is_visible(self, now: float) -> bool | None:
        """Whether the fleet's neighbors still tell our routes back to us; None where nobody could."""
        return self._echo.is_visible(now)

    def tell_fleet(self, state: State, *, claim: bool, load: float, capacity: float, now: float) -> None:
        """Let the other nodes know where this one stands. Call it at every tick; ``load`` is a fraction."""
        if self._view is None:
            return
        route = self._publisher.update(state=state, claim=claim, load=load, capacity=int(capacity), now=now)
        if route is not None:
            self.speaker.announce(route)

    def tick(self, now: float) -> None:
        """What is due with time: alarms about our own routes, and keeping the ledger."""
        for event in self._echo.events(now):
            match event:
                case Converged(prefix=prefix, convergence_s=convergence_s):
                    log.info("event=converged prefix=%s after_s=%.3f", prefix, convergence_s)
                    self._metrics.observe(metric.CONVERGENCE, convergence_s)
                case Alarm(prefix=prefix, announced=announced, neighbors=neighbors, lasted_s=lasted_s):
                    kind = "not-announced" if announced else "still-announced"
                    self._metrics.increment(metric.ECHO_ALARMS, kind)
                    log.error(
                        "event=echo_alarm kind=%s prefix=%s for_s=%.1f seen_by=%s",
                        *(kind, prefix, lasted_s, ",".join(map(str, neighbors))),
                    )
                case KillSpeaker(prefix=prefix, lasted_s=lasted_s):
                    self.speaker.restart(f"{prefix} is still seen {lasted_s:.1f} s after its withdrawal")
        self.costs.keep(now)

    async def stop(self, timeout_s: float) -> bool:
        """Withdraw everything; whether that is certain within ``timeout_s``."""
        self._told = State.STARTING
        self._echo.desire((), asyncio.get_running_loop().time())
        self.speaker.withdraw_all()
        return await self.speaker.wait_withdrawn(timeout_s)

    def _speaker_event(self, event: SpeakerEvent) -> None:
        now = asyncio.get_running_loop().time()
        self.peers.take(event, now)
        self.costs.take(event, now)
        match event:
            case PathHeard() | PathLost() | EndOfRib() | Flooded() | NeighborChanged():
                if self._view is not None:
                    self._view.take(event, now)
                self._echo.take(event, now)
            case SpeakerLost():
                if self._view is not None:
                    self._view.speaker_lost(now)
                self._echo.speaker_lost(now)
                self._metrics.increment(metric.SPEAKER_RESTARTS)
            case Diverged(divergence=divergence):
                self._metrics.increment(metric.ROUTE_DIVERGENCES, divergence.value)
            case _:
                pass

    def peers_document(self, node: str, now: float) -> BgpPeers:
        return self.peers.peers_document(node, now)

    def routes_document(self, node: str) -> BgpRoutes:
        return self.peers.routes_document(node, self._own, self.speaker.routes_out())

    def _bfd_event(self, event: BfdChanged | BfdLost) -> None:
        if isinstance(event, BfdChanged):
            self.peers.take(event, asyncio.get_running_loop().time())

    def publish(self, now: float) -> None:
        """Bring the metrics up to date."""
        metrics = self._metrics
        for route in self._routes:
            wanted = _in_state(route, self._told)
            state = "withdrawn" if wanted is None else "depreferred" if wanted.prepend else "announced"
            metrics.set_state(metric.ROUTE_STATE, state, str(route.prefix))
        for address, peer in self.peers.items():
            (version, *more) = peer.neighbor.versions
            carries = "both" if more else f"ipv{version}"
            metrics.set(metric.BGP_NEIGHBOR_UP, peer.is_up, str(address), peer.neighbor.role.value, carries)
        for (neighbor, prefix), penalty in self.costs.penalties(now).items():
            metrics.set(metric.FLAP_PENALTY, penalty, str(prefix), str(neighbor))
        if self._view is not None:
            others = self._view.others(now)
            metrics.set(metric.VIEW_RELIABLE, not others.problem)
            metrics.set(metric.VIEW_AGE, self._view.age_s(now))
            metrics.set(metric.OTHERS_SPARE, 0.0 if others.problem else others.spare)
        seen = [node.state for node in self.nodes_seen(now)]
        for known in State:
            metrics.set(metric.VIEW_NODES, seen.count(known), known.value)


def _in_state(route: Route, state: State) -> Route | None:
    """What neighbors hear of a route of ours, None for nothing."""
    match state:
        case State.ANNOUNCED:
            return route
        case State.DEPREFERRED:
            return replace(
                route, prepend=route.prepend + PREPEND, communities=route.communities | {GRACEFUL_SHUTDOWN}
            )
        case _:
            return None
