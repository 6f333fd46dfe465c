"""What an operator may see of the BGP sessions: who is up, what we tell them, what they tell us."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from bgp.conf import NeighborConfig
from bgp.neighbor import Advertisement, Neighbor
from bgp.received import Flooded, Path, PathHeard, PathLost
from bgp.route import Address, Prefix
from bgp.speaker import BfdChanged, SpeakerEvent, SpeakerLost
from bgp.table import NeighborChanged, RouteAcknowledged
from edge.config.schema import Bgp
from edge.runtime import documents


@dataclass(slots=True)
class Peer:
    """One session. ``changed_at`` is None before it was first up; ``bfd`` is None without a BFD session beside it."""

    config: NeighborConfig
    neighbor: Neighbor
    is_up: bool = False
    changed_at: float | None = None
    last_reason: str = ""
    bfd: bool | None = None
    paths: dict[tuple[Prefix, int], Path] = field(default_factory=dict)
    told: dict[Prefix, Advertisement] = field(default_factory=dict)


class Peers:
    """The sessions of one node, by the events of its speaker."""

    def __init__(self, bgp: Bgp) -> None:
        self._peers = {
            neighbor.address: Peer(config, neighbor)
            for config, neighbor in zip(bgp.neighbors, bgp.sessions(), strict=True)
        }

    def items(self) -> Iterator[tuple[Address, Peer]]:
        yield from self._peers.items()

    def take(self, event: SpeakerEvent, now: float) -> None:
        """Any event; those that are not about a session change nothing."""
        match event:
            case NeighborChanged(neighbor=address, is_up=is_up, reason=reason):
                peer = self._peers[address]
                peer.is_up, peer.changed_at = is_up, now
                if not is_up:
                    peer.last_reason = reason
                peer.paths.clear()
            case PathHeard(neighbor=address, path=path):
                self._peers[address].paths[path.prefix, path.path_id] = path
            case PathLost(neighbor=address, prefix=prefix, path_id=path_id):
                self._peers[address].paths.pop((prefix, path_id), None)
            case Flooded(neighbor=address):
                self._peers[address].paths.clear()
            case RouteAcknowledged(neighbor=address, prefix=prefix, advertisement=None):
                self._peers[address].told.pop(prefix, None)
            case RouteAcknowledged(neighbor=address, prefix=prefix, advertisement=Advertisement() as told):
                self._peers[address].told[prefix] = told
            case SpeakerLost():
                # What was withdrawn while there is no speaker is never acknowledged.
                for peer in self._peers.values():
                    peer.told.clear()
            case BfdChanged(neighbor=address, is_up=is_up):
                self._peers[address].bfd = is_up
            case _:
                pass

    def sessions(self) -> dict[str, str]:
        """``up`` or ``down``, by address."""
        return {str(address): "up" if peer.is_up else "down" for address, peer in self._peers.items()}

    def peers_document(self, node: str, now: float) -> documents.BgpPeers:
        return documents.BgpPeers(
            node=node,
            peers=tuple(
                documents.Peer(
                    address=str(address),
                    role=peer.config.role,
                    asn=peer.neighbor.peer_as,
                    state="up" if peer.is_up else "down",
                    since_s=None if peer.changed_at is None else now - peer.changed_at,
                    last_reason=peer.last_reason,
                    damping="off" if peer.config.role == "fleet" else peer.config.damping,
                    received=len(peer.paths),
                    bfd=None if peer.bfd is None else "up" if peer.bfd else "down",
                )
                for address, peer in self._peers.items()
            ),
        )

    def routes_document(
        self,
        node: str,
        own: Collection[Address],
        confirmed: Mapping[tuple[Address, Prefix], Advertisement | None],
    ) -> documents.BgpRoutes:
        """``own`` are our next hops and router IDs; ``confirmed`` is the speaker's own table of what it tells whom."""
        return documents.BgpRoutes(
            node=node,
            announced=tuple(
                documents.AnnouncedRoute(
                    neighbor=str(address),
                    prefix=str(prefix),
                    next_hop=str(told.next_hop),
                    as_path=told.as_path,
                    med=told.med,
                    communities=_communities(told),
                    confirmed=confirmed.get((address, prefix)) == told,
                )
                for address, peer in self._peers.items()
                for prefix, told in peer.told.items()
            ),
            received=tuple(
                documents.ReceivedRoute(
                    neighbor=str(address),
                    prefix=str(path.prefix),
                    path_id=path.path_id,
                    next_hop=str(path.next_hop),
                    originator=str(path.originator or ""),
                    communities=_communities(path),
                    own=path.next_hop in own or path.originator in own,
                )
                for address, peer in self._peers.items()
                for path in peer.paths.values()
            ),
        )


def _communities(route: Advertisement | Path) -> tuple[str, ...]:
    return (*map(str, sorted(route.communities)), *map(str, sorted(route.large_communities)))
