"""What neighbors tell us: routes heard on the sessions of the fleet, as events of a speaker."""

from __future__ import annotations

from dataclasses import dataclass

from bgp.route import Address, Community, LargeCommunity, Prefix


@dataclass(frozen=True, slots=True)
class Path:
    """One way to a prefix as a neighbor told it.

    ``path_id`` tells the paths of one prefix from each other (add-path, RFC 7911); 0 on a session without them.
    ``originator`` is the router ID of who announced it within the AS (RFC 4456), None where no reflector said.
    """

    prefix: Prefix
    path_id: int
    next_hop: Address
    as_path: tuple[int, ...] = ()
    communities: frozenset[Community] = frozenset()
    large_communities: frozenset[LargeCommunity] = frozenset()
    originator: Address | None = None


@dataclass(frozen=True, slots=True)
class PathHeard:
    """``neighbor`` announced ``path``, in place of an earlier one of the same prefix and path ID."""

    neighbor: Address
    path: Path


@dataclass(frozen=True, slots=True)
class PathLost:
    """``neighbor`` withdrew a path. The end of its session withdraws all of them, without a word of each."""

    neighbor: Address
    prefix: Prefix
    path_id: int


@dataclass(frozen=True, slots=True)
class EndOfRib:
    """``neighbor`` has told everything it had at the start of the session, for one address family (4 or 6)."""

    neighbor: Address
    version: int


@dataclass(frozen=True, slots=True)
class Flooded:
    """``neighbor`` said more than is listened to; nothing it says counts until its session comes up anew."""

    neighbor: Address
    reason: str


ReceivedEvent = PathHeard | PathLost | EndOfRib | Flooded
