"""The two ends of one BGP session, and what a route becomes on its way through it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv6Address

from bgp.route import (
    NO_EXPORT,
    Address,
    Audience,
    Community,
    LargeCommunity,
    NextHop,
    Prefix,
    Route,
    RouteError,
    check_address,
)


@dataclass(frozen=True, slots=True)
class Advertisement:
    """A route as one neighbor sees it: next hop and AS path are concrete, nothing is left to the speaker.

    ``as_path`` is the whole path as sent, nearest AS first.
    """

    prefix: Prefix
    next_hop: Address
    as_path: tuple[int, ...] = ()
    med: int | None = None
    communities: frozenset[Community] = frozenset()
    large_communities: frozenset[LargeCommunity] = frozenset()

    def __str__(self) -> str:
        """For people; what the speaker reads is made in ``bgp.text``."""
        words = [f"{self.prefix} via {self.next_hop}"]
        if self.as_path:
            words.append(f"path {' '.join(map(str, self.as_path))}")
        if self.med is not None:
            words.append(f"med {self.med}")
        words.extend(map(str, sorted(self.communities)))
        words.extend(map(str, sorted(self.large_communities)))
        return " ".join(words)


class Role(Enum):
    """What a session is for: to be reached by the world, or to know of the other nodes."""

    UPSTREAM = "upstream"
    FLEET = "fleet"


@dataclass(frozen=True, slots=True)
class Neighbor:
    """One session. ``versions`` are the address families it carries (4, 6, or both).

    ``next_hop_v4`` and ``next_hop_v6`` are what ``SELF`` means here. The family of the session itself falls
    back to ``local_address``; the other family has no such default, because a next hop of the session's family
    cannot stand in for it (RFC 4760, section 3). ``max_routes`` is how many paths a neighbor of the fleet may tell
    of before it is not listened to any more. Raises RouteError.
    """

    address: Address
    local_address: Address
    local_as: int
    peer_as: int
    versions: frozenset[int]
    next_hop_v4: IPv4Address | None = None
    next_hop_v6: IPv6Address | None = None
    role: Role = Role.UPSTREAM
    max_routes: int = 10_000

    def __post_init__(self) -> None:
        for address in (self.address, self.local_address, self.next_hop_v4, self.next_hop_v6):
            if address is not None:
                check_address(address)
        if self.address.version != self.local_address.version:
            raise RouteError(f"neighbor {self.address}: {self.local_address} is not of the same family")
        for asn in (self.local_as, self.peer_as):
            if not 0 < asn < 2**32 - 1:
                raise RouteError(f"neighbor {self.address}: {asn} is not an AS number")
        if self.role is Role.FLEET and self.is_external:
            raise RouteError(
                f"neighbor {self.address}: a session of the fleet is within its AS ({self.local_as})"
            )

    @property
    def is_external(self) -> bool:
        return self.local_as != self.peer_as

    def advertisement(self, route: Route) -> Advertisement | None:
        """What this neighbor is to be told for ``route``; None when that is nothing.

        What the fleet tells itself it does not tell the world: such a session adds NO_EXPORT (RFC 1997). Raises
        RouteError when the route is for this neighbor, but cannot be said.
        """
        prefix = route.prefix
        if prefix.version not in self.versions:
            return None
        if route.audience is Audience.FLEET and self.role is not Role.FLEET:
            return None
        return Advertisement(
            prefix=prefix,
            next_hop=self._next_hop(route),
            # RFC 4271, 5.1.2: the own AS leads the path towards an external peer, and is absent within the AS.
            as_path=(self.local_as,) * (1 + route.prepend) if self.is_external else (),
            med=route.med,
            communities=route.communities | ({NO_EXPORT} if self.role is Role.FLEET else set()),
            large_communities=route.large_communities,
        )

    def _next_hop(self, route: Route) -> Address:
        if not isinstance(route.next_hop, NextHop):
            return route.next_hop
        version = route.prefix.version
        own = self.next_hop_v4 if version == 4 else self.next_hop_v6
        if own is not None:
            return own
        if self.local_address.version == version:
            return self.local_address
        raise RouteError(
            f"neighbor {self.address} is reached over IPv{self.address.version}: "
            f"{route.prefix} needs next_hop_v{version}"
        )
