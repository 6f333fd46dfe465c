"""A fleet in virtual time: nodes with the view and the policy they have in life, and two reflectors between them.

Every message takes its time, sessions can be cut without a sign, and each end notices when its hold time is over.
The reflectors follow RFC 4456 with add-path: what a node says goes to everybody else, what the other reflector says
goes to the nodes; so a node hears of itself through the reflector it did not tell.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv4Network, ip_network

from bgp.control_route import Publisher
from bgp.neighbor import Neighbor, Role
from bgp.policy import Decision, Policy, PolicyInput, PolicyParams
from bgp.received import EndOfRib, Path, PathHeard, PathLost, ReceivedEvent
from bgp.route import Route
from bgp.table import NeighborChanged
from bgp.view import View, ViewParams

FLEET_AS = 64600
SERVICE = IPv4Network("203.0.113.0/24")
TICK_S = 0.25
CAPACITY = 100


class Clock:
    """What happens when. Nothing is random but what ``dice`` decide."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.dice = random.Random(seed)
        self._order = itertools.count()
        self._due: list[tuple[float, int, Callable[[], None]]] = []

    def after(self, seconds: float, do: Callable[[], None]) -> None:
        heapq.heappush(self._due, (self.now + seconds, next(self._order), do))

    def run(self, until: float) -> None:
        while self._due and self._due[0][0] <= until:
            self.now, _, do = heapq.heappop(self._due)
            do()
        self.now = until


class Speaker:
    """One end of sessions: who it is, and what it has to say to another."""

    def __init__(self, address: IPv4Address) -> None:
        self.address = address
        self.sessions: list[Session] = []

    def table_for(self, peer: Speaker) -> Iterator[Path]:
        raise NotImplementedError

    def heard(self, event: ReceivedEvent) -> None:
        raise NotImplementedError

    def changed(self, peer: Speaker, is_up: bool) -> None:
        raise NotImplementedError


class Session:
    """Between two speakers. A cut is silent; each end gives up after at most ``hold_s``, and both must before it heals."""

    def __init__(self, clock: Clock, one: Speaker, other: Speaker, *, delay_s: float, hold_s: float) -> None:
        self._clock = clock
        self._delay_s = delay_s
        self._hold_s = hold_s
        self._ends = {one: other, other: one}
        self._epoch = 0
        self._arrives_at = dict.fromkeys(self._ends, 0.0)
        self.is_up = False
        for end in self._ends:
            end.sessions.append(self)
        self.come_up()

    def other(self, end: Speaker) -> Speaker:
        return self._ends[end]

    def come_up(self) -> None:
        self.is_up = True
        for end, other in self._ends.items():
            end.changed(other, True)
        for end, other in self._ends.items():
            for path in end.table_for(other):
                self.say(end, PathHeard(end.address, path))
            self.say(end, EndOfRib(end.address, 4))

    def say(self, end: Speaker, event: ReceivedEvent) -> None:
        """In order, as TCP has it; into nowhere while it is cut."""
        if not self.is_up:
            return
        other, epoch, now = self._ends[end], self._epoch, self._clock.now
        self._arrives_at[end] = max(self._arrives_at[end], now + self._clock.dice.uniform(0, self._delay_s))
        self._clock.after(
            self._arrives_at[end] - now, lambda: other.heard(event) if epoch == self._epoch else None
        )

    def cut(self, for_s: float) -> None:
        if not self.is_up:
            return
        self.is_up = False
        self._epoch += 1
        for end, other in self._ends.items():
            notices_s = self._clock.dice.uniform(0, self._hold_s)
            self._clock.after(notices_s, lambda end=end, other=other: end.changed(other, False))  # type: ignore[misc]
        self._clock.after(self._hold_s + for_s, self.come_up)


class Reflector(Speaker):
    def __init__(self, address: IPv4Address) -> None:
        super().__init__(address)
        # By whom it was told and the key of the path there.
        self._rib: dict[Speaker, dict[tuple[object, int], Path]] = {}

    def _passes_on(self, source: Speaker, to: Speaker) -> bool:
        return source is not to and not (isinstance(source, Reflector) and isinstance(to, Reflector))

    def table_for(self, peer: Speaker) -> Iterator[Path]:
        for source, paths in self._rib.items():
            if self._passes_on(source, peer):
                yield from paths.values()

    def _tell(self, source: Speaker, event: Callable[[], ReceivedEvent]) -> None:
        for session in self.sessions:
            if self._passes_on(source, session.other(self)):
                session.say(self, event())

    def heard(self, event: ReceivedEvent) -> None:
        source = next(
            session.other(self) for session in self.sessions if session.other(self).address == event.neighbor
        )
        # A path ID for each node and the way it came.
        match event:
            case PathHeard(path=path):
                path_id = int(path.next_hop) * 2 + isinstance(source, Reflector)
                passed = Path(
                    path.prefix,
                    path_id,
                    path.next_hop,
                    (),
                    path.communities,
                    path.large_communities,
                    originator=path.next_hop,
                )
                self._rib[source][path.prefix, path.path_id] = passed
                self._tell(source, lambda: PathHeard(self.address, passed))
            case PathLost(prefix=prefix, path_id=path_id):
                lost = self._rib[source].pop((prefix, path_id), None)
                if lost is not None:
                    self._tell(source, lambda: PathLost(self.address, prefix, lost.path_id))

    def changed(self, peer: Speaker, is_up: bool) -> None:
        lost = self._rib.pop(peer, {})
        if is_up:
            self._rib[peer] = {}
        for path in lost.values():
            self._tell(peer, lambda path=path: PathLost(self.address, path.prefix, path.path_id))  # type: ignore[misc]


class Node(Speaker):
    """Overloaded for good, with room at the others as far as they announce plainly: it leaves when it may."""

    def __init__(
        self,
        clock: Clock,
        number: int,
        reflectors: list[IPv4Address],
        view_params: ViewParams,
        policy_params: PolicyParams,
    ) -> None:
        super().__init__(IPv4Address("192.0.2.0") + number)
        self._clock = clock
        self.view = View(
            view_params,
            self.address,
            FLEET_AS,
            [SERVICE],
            [
                Neighbor(address, self.address, FLEET_AS, FLEET_AS, frozenset({4}), role=Role.FLEET)
                for address in reflectors
            ],
        )
        self.policy = Policy(policy_params)
        self.busy = True
        self.broken = False
        self.moves: list[Decision] = []
        # When it last attracted callers: infinity while it does.
        self.announced_until = float("-inf")
        self._publisher = Publisher(self.address, FLEET_AS)
        self._says: dict[IPv4Network, Path] = {}
        clock.after(clock.dice.uniform(0, TICK_S), self._tick)

    @property
    def announces(self) -> bool:
        return SERVICE in self._says

    def _tick(self) -> None:
        now, dice = self._clock.now, self._clock.dice
        decision = self.policy.decide(
            PolicyInput(
                now=now,
                probes_passed=0 if self.broken else 3,
                probes_failed=3 if self.broken else 0,
                unicast_failed=3 if self.broken else 0,
                pressure=0.95 if self.busy else 0.1,
                refusal_ratio=0.1 if self.busy else 0.0,
                shedding=self.busy,
                load=CAPACITY / 2,
                others=self.view.others(now),
            ),
            jitter=dice.uniform(-1, 1),
            delay=dice.random(),
        )
        if decision is not None:
            self.moves.append(decision)
        if self.policy.announce and not self.announces:
            self._say(Path(SERVICE, 0, self.address))
            self.announced_until = float("inf")
        elif not self.policy.announce and self.announces:
            del self._says[SERVICE]
            self._tell(PathLost(self.address, SERVICE, 0))
            self.announced_until = now
        route = self._publisher.update(
            state=self.policy.state,
            claim=self.policy.wants_to_move,
            load=0.5,
            capacity=CAPACITY,
            now=now,
        )
        if route is not None:
            self._say(_path(route, self.address))
        self._clock.after(TICK_S, self._tick)

    def _say(self, path: Path) -> None:
        self._says[path.prefix] = path  # type: ignore[index]
        self._tell(PathHeard(self.address, path))

    def _tell(self, event: ReceivedEvent) -> None:
        for session in self.sessions:
            session.say(self, event)

    def table_for(self, peer: Speaker) -> Iterator[Path]:
        yield from self._says.values()

    def heard(self, event: ReceivedEvent) -> None:
        self.view.take(event, self._clock.now)

    def changed(self, peer: Speaker, is_up: bool) -> None:
        self.view.take(NeighborChanged(peer.address, is_up, ""), self._clock.now)


def _path(route: Route, address: IPv4Address) -> Path:
    return Path(ip_network(address), 0, address, (), route.communities, route.large_communities)


class Fleet:
    """``size`` nodes, each with a session to both reflectors, which have one between them."""

    def __init__(
        self,
        size: int,
        seed: int,
        *,
        delay_s: float = 0.3,
        hold_s: float = 9.0,
        policy: PolicyParams | None = None,
    ) -> None:
        self.clock = Clock(seed)
        self.hold_s = hold_s
        self.delay_s = delay_s
        addresses = [IPv4Address("198.51.100.1"), IPv4Address("198.51.100.2")]
        self.reflectors = [Reflector(address) for address in addresses]
        self.nodes = [
            Node(self.clock, number, addresses, ViewParams(), policy or PolicyParams())
            for number in range(1, size + 1)
        ]
        pairs = [(node, reflector) for node in self.nodes for reflector in self.reflectors]
        self.sessions = [
            Session(self.clock, one, other, delay_s=delay_s, hold_s=hold_s)
            for one, other in [*pairs, (self.reflectors[0], self.reflectors[1])]
        ]

    @property
    def announcing(self) -> int:
        return sum(node.announces for node in self.nodes)

    def every(self, seconds: float, do: Callable[[], None]) -> None:
        def again() -> None:
            do()
            self.clock.after(seconds, again)

        self.clock.after(seconds, again)
