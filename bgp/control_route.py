"""The control route: how a node tells its fleet where it stands, in large communities on its own host route.

Load must not ride on the service prefix: every change of it would cost damping points with every upstream, and
tell the world how busy we are. So each node announces one more route, to the fleet alone: its unicast address,
with large communities ``<fleet AS>:<function>:<parameter>`` (RFC 8092).

Nothing in it is believed without a look. A node speaks for itself only, so the next hop is the address it speaks
for; a route that has crossed another AS is not of the fleet; each function has a range and exactly one value.
Functions that are not known are passed over, so that a newer node can say more to those that understand it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from ipaddress import ip_network
from math import ceil
from typing import Final

from bgp.received import Path
from bgp.route import Address, Audience, LargeCommunity, Route, RouteError
from bgp.state import State

MAX_LOAD_TENTHS: Final = 20
MAX_CAPACITY: Final = 1_000_000

# IANA's registries of special-purpose addresses: what is no unicast address of a node. ::/8 holds the unspecified
# and the loopback address and the IPv4-mapped ones.
_NEVER_A_NODE: Final = {
    4: tuple(map(ip_network, ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4"))),
    6: tuple(map(ip_network, ("::/8", "fe80::/10", "ff00::/8"))),
}


class Function(IntEnum):
    """The second number of the communities: what the third one is about."""

    STATE = 1
    CLAIM = 2
    LOAD = 3
    CAPACITY = 4


# The greater of two is the worse to rely on.
CODES: Final = {
    State.ANNOUNCED: 1,
    State.DEPREFERRED: 2,
    State.WITHDRAWN: 3,
    State.FENCED: 4,
    State.HELD: 5,
    State.STARTING: 6,
}
_STATES: Final = {code: state for state, code in CODES.items()}

LIMITS: Final = {
    Function.STATE: range(1, len(CODES) + 1),
    Function.CLAIM: range(2),
    Function.LOAD: range(MAX_LOAD_TENTHS + 1),
    Function.CAPACITY: range(1, MAX_CAPACITY + 1),
}


class Rejection(Enum):
    """Why a path was not taken for the control route of a node."""

    FOREIGN = "foreign"
    """No host route, or without a community of the fleet."""
    NOT_UNICAST = "not-unicast"
    OUTSIDE = "outside"
    """Not among the members of the fleet."""
    OTHER_AS = "other-as"
    """It came through another autonomous system."""
    NEXT_HOP = "next-hop"
    """It speaks for somebody else."""
    INCOMPLETE = "incomplete"
    CONTRADICTORY = "contradictory"
    """Two values of one function."""
    OUT_OF_RANGE = "out-of-range"
    TOO_MANY = "too-many"


@dataclass(frozen=True, slots=True)
class ControlState:
    """What a node says of itself: load in tenths of its capacity, capacity in calls. Raises RouteError.

    With ``claim`` it wants to leave, and asks those with a higher address to stay.
    """

    state: State
    claim: bool
    load_tenths: int
    capacity: int

    def __post_init__(self) -> None:
        for function, value in self._parameters().items():
            if value not in LIMITS[function]:
                raise RouteError(f"{function.name.lower()} {value} of a control route is out of range")

    def _parameters(self) -> dict[Function, int]:
        return {
            Function.STATE: CODES[self.state],
            Function.CLAIM: int(self.claim),
            Function.LOAD: self.load_tenths,
            Function.CAPACITY: self.capacity,
        }

    @property
    def spare(self) -> float:
        """What the node can still take, in calls."""
        return self.capacity * max(0, 10 - self.load_tenths) / 10

    def route(self, address: Address, fleet_as: int) -> Route:
        """The control route of the node at ``address``. Raises RouteError where that is no unicast address."""
        return Route(
            prefix=ip_network(address),
            next_hop=address,
            large_communities=frozenset(
                LargeCommunity(fleet_as, function.value, value)
                for function, value in self._parameters().items()
            ),
            audience=Audience.FLEET,
        )


def read(path: Path, fleet_as: int) -> ControlState | Rejection:
    """What a node says with ``path``, or why it says nothing. Routes of others go first: there may be many."""
    values: dict[int, int] = {}
    if path.prefix.prefixlen != path.prefix.max_prefixlen:
        return Rejection.FOREIGN
    for community in path.large_communities:
        if community.administrator == fleet_as and community.function in LIMITS:
            if community.function in values:
                return Rejection.CONTRADICTORY
            values[community.function] = community.parameter
    if not values:
        return Rejection.FOREIGN
    if path.next_hop != path.prefix.network_address:
        return Rejection.NEXT_HOP
    if path.as_path:
        return Rejection.OTHER_AS
    if any(path.next_hop in special for special in _NEVER_A_NODE[path.prefix.version]):
        return Rejection.NOT_UNICAST
    if len(values) < len(LIMITS):
        return Rejection.INCOMPLETE
    if any(values[function] not in limits for function, limits in LIMITS.items()):
        return Rejection.OUT_OF_RANGE
    return ControlState(
        state=_STATES[values[Function.STATE]],
        claim=bool(values[Function.CLAIM]),
        load_tenths=values[Function.LOAD],
        capacity=values[Function.CAPACITY],
    )


# Load may fall this far below a step before the step is left, and is told at most this often.
_HYSTERESIS_TENTHS: Final = 0.5
_LOAD_INTERVAL_S: Final = 1.0


class Publisher:
    """When our own control route is to be announced anew.

    A change of state or claim is told at once, because others wait for it. Load and capacity are told at most
    once a second; load is rounded up, and told lower only when it has left the step by half a step more, so that
    what the fleet believes is never less than the truth of that second, nor a flicker.
    """

    def __init__(self, address: Address, fleet_as: int) -> None:
        self._address = address
        self._fleet_as = fleet_as
        self._published: ControlState | None = None
        self._load_told_at = float("-inf")

    def update(self, *, state: State, claim: bool, load: float, capacity: int, now: float) -> Route | None:
        """The route to announce, None when the one announced last still holds. Call it at every tick.

        ``load`` is a fraction of ``capacity``, which is in calls and clipped to what a control route can say.
        """
        last = self._published
        wanted = ControlState(
            state=state,
            claim=claim,
            load_tenths=_tenths(load, None if last is None else last.load_tenths),
            capacity=max(1, min(capacity, MAX_CAPACITY)),
        )
        if wanted == last:
            return None
        urgent = last is None or (state, claim) != (last.state, last.claim)
        if not urgent and now - self._load_told_at < _LOAD_INTERVAL_S:
            return None
        self._published = wanted
        self._load_told_at = now
        return wanted.route(self._address, self._fleet_as)


def _tenths(load: float, told: int | None) -> int:
    # Rounded first: 0.7 * 10 is a little more than 7 and must not become 8.
    tenths = round(max(0.0, min(load * 10, MAX_LOAD_TENTHS)), 6)
    if told is not None and tenths <= told:
        return min(told, ceil(tenths + _HYSTERESIS_TENTHS))
    return ceil(tenths)
