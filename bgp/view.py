"""Who else announces, and how much they can take: what the guard of the policy looks at.

Theory. Every node tells the fleet where it stands on its control route, and shows that it does what it says by the
service routes that lead to it. *Sources*, the neighbors with the role ``fleet``, carry both: route reflectors for
everybody, or nodes directly, each for itself.

1. Only sources that can be relied on count (``bgp.source``). Without one there is no view, and a node that does not
   know stays where it is. A reflector knows of everybody, so what it does not tell is not there; other sources have
   no opinion about those they never tell of. A reflector is known by the originators in its paths (RFC 4456).
2. Where sources disagree the worse counts: not announcing before announcing, the smaller spare, a claim before none.
   So one honest reflector is enough to be safe, and a false one can do no more than keep us where we are.
3. A node announces when its control route says so *and* each service prefix of its family is there with that node
   as the next hop, both without a break for ``steady_s``. The family is that of our own control route.
4. **Who is ignored is ignored altogether: neither counted upon nor waited for.** That is the fate of a node that
   comes and goes too often, or claims to leave and stays (``bgp.flap_damper``). So no node can block all others
   for ever, and ignoring it never makes the others look better. What changes because a source comes or goes is not
   held against a node.
5. Therefore several that leave at once never leave darkness. Of those that do, look at the one with the highest
   address. It waited for the claim of every lower node that it counted upon, so none of these was leaving; it had no
   higher one beside it. All it counted upon are still there. (Claims must arrive within the policy's
   ``claim_min_s``. A session that is cut without a sign keeps its routes for the hold time; a claim that is raised
   behind such a cut is not seen, which is why ``min_announcing`` is 2 and not 1, and why sessions deserve BFD.)

What a node says of itself cannot be checked from afar: its load, its capacity. Nor can a view tell who speaks:
reflectors must take from each node its own control route and no other, and ``members`` says where those may lie.

Pure and bounded: at most ``max_nodes`` nodes, and some copies of what each of them says per source.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import fsum

from bgp import control_route
from bgp.adj_rib_in import AdjRibIn, TooManyPaths
from bgp.control_route import ControlState, Rejection
from bgp.flap_damper import FlapDamper
from bgp.members import Members
from bgp.neighbor import Neighbor, Role
from bgp.node_seen import NodeRecord, NodeSeen, merge
from bgp.received import EndOfRib, Flooded, Path, PathHeard, PathLost
from bgp.route import Address, Prefix, RouteError
from bgp.source import FleetEvent, Source
from bgp.table import NeighborChanged
from bgp.view_params import ViewParams

__all__ = ["NO_VIEW", "NodeSeen", "Others", "View", "ViewParams"]


@dataclass(frozen=True, slots=True)
class Others:
    """The rest of the fleet at one moment, without ourselves.

    ``problem`` says why the view cannot be relied on, empty if it can; then the numbers mean nothing.
    ``synced`` is true once a neighbor of the fleet has told everything it knew (RFC 4724, End-of-RIB).
    ``announcing`` nodes are seen with their service route, steadily; ``spare`` is what those of them that are not
    shedding can still take, in calls. ``claimant`` is the node that goes before us among those that want to
    leave (a lower address), empty if none; ``settled_s`` is how long ago the last of the others left or came back.
    """

    problem: str
    synced: bool = False
    announcing: int = 0
    spare: float = 0.0
    claimant: str = ""
    settled_s: float = float("inf")


NO_VIEW = Others("no neighbor has the role 'fleet'")


@dataclass(frozen=True, slots=True)
class _Neighbor:
    source: Source
    rib: AdjRibIn


class View:
    """See the module. ``now`` is in seconds, from a clock that never goes back."""

    def __init__(
        self,
        params: ViewParams,
        own: Address,
        fleet_as: int,
        service: Iterable[Prefix],
        neighbors: Iterable[Neighbor],
    ) -> None:
        """``own`` is the address of our control route; of ``neighbors`` those of the fleet that carry its family count.

        Raises RouteError when no prefix of ``service`` is of that family too: nothing would show who serves.
        """
        self._params = params
        self._own = own
        self._fleet_as = fleet_as
        self._service = frozenset(prefix for prefix in service if prefix.version == own.version)
        self._members = Members(params.members, own.version)
        self._neighbors = {
            neighbor.address: _Neighbor(
                Source(
                    neighbor.address,
                    own.version,
                    sync_s=params.sync_s,
                    flaps=FlapDamper(params.flap_limit, params.flap_half_life_s),
                ),
                AdjRibIn(self._service, params.max_nodes),
            )
            for neighbor in neighbors
            if neighbor.role is Role.FLEET and own.version in neighbor.versions
        }
        if self._neighbors and not self._service:
            raise RouteError(f"no service prefix is of the family of {own}, the address of the control route")
        self._counting: tuple[Address, ...] = ()
        self._joined_at = float("-inf")
        self._counted_at = float("-inf")
        self._nodes: dict[Address, NodeRecord] = {}
        self._rejections: Counter[Rejection] = Counter()

    # --- what happens -----------------------------------------------------------------------------------

    def take(self, event: FleetEvent, now: float) -> None:
        """Any event of a speaker that is about a neighbor; those of other neighbors change nothing."""
        neighbor = self._neighbors.get(event.neighbor)
        if neighbor is None:
            return
        try:
            self._take(event, neighbor, now)
        except TooManyPaths as error:
            self._take(Flooded(event.neighbor, str(error)), neighbor, now)

    def speaker_lost(self, now: float) -> None:
        """The speaker is gone, and every session with it."""
        for neighbor in self._neighbors.values():
            neighbor.source.lost()
            neighbor.rib.clear()
        self._look_at_sources(now)

    def _take(self, event: FleetEvent, neighbor: _Neighbor, now: float) -> None:
        match event:
            case PathHeard(path=path):
                if neighbor.source.listens:
                    self._hear(path, neighbor.rib, now)
            case PathLost(prefix=prefix, path_id=path_id):
                self._lose(prefix, path_id, neighbor.rib, now)
            case NeighborChanged() | EndOfRib() | Flooded():
                void = neighbor.source.take(event, now) and neighbor.rib.clear()
                self._look_at_sources(now, anew=void)

    def _hear(self, path: Path, rib: AdjRibIn, now: float) -> None:
        prefix = path.prefix
        if path.originator is not None and not rib.knows_everybody:
            rib.knows_everybody = True
            self._look_at_sources(now, anew=True)
        if prefix in self._service:
            self._judge(rib.set_next_hop(prefix, path.path_id, None if path.as_path else path.next_hop), now)
            return
        state = self._read(path, now)
        if isinstance(state, ControlState):
            rib.set_state(path.next_hop, path.path_id, state)
            self._judge({path.next_hop}, now)
        else:
            # What it says no more, it does not say.
            self._lose(prefix, path.path_id, rib, now)

    def _read(self, path: Path, now: float) -> ControlState | None:
        address = path.prefix.network_address
        if address == self._own:
            return None
        state = control_route.read(path, self._fleet_as)
        if isinstance(state, ControlState):
            if address.version != self._own.version or address not in self._members:
                state = Rejection.OUTSIDE
            elif address not in self._nodes and len(self._nodes) >= self._params.max_nodes:
                state = Rejection.TOO_MANY
        if isinstance(state, Rejection):
            self._rejections[state] += 1
            return None
        if address not in self._nodes:
            self._nodes[address] = NodeRecord(self._params, now)
        return state

    def _lose(self, prefix: Prefix, path_id: int, rib: AdjRibIn, now: float) -> None:
        if prefix in self._service:
            self._judge(rib.set_next_hop(prefix, path_id, None), now)
        elif prefix.prefixlen == prefix.max_prefixlen:
            rib.set_state(prefix.network_address, path_id, None)
            self._judge({prefix.network_address}, now)

    # --- what it means ----------------------------------------------------------------------------------

    def _judge(self, addresses: Iterable[Address], now: float) -> None:
        self._look_at_sources(now)
        for address in addresses:
            if (node := self._nodes.get(address)) is not None:
                node.update(merge(address, self._believed), now, is_charged=True)

    def _look_at_sources(self, now: float, *, anew: bool = False) -> None:
        """Who counts changes with time, too. ``anew``: what one of them told has changed as a whole."""
        counting = tuple(
            address for address, neighbor in self._neighbors.items() if neighbor.source.counts(now)
        )
        if self._counting:
            self._counted_at = now
        if not set(counting) <= set(self._counting):
            self._joined_at = now
        if anew or counting != self._counting:
            self._counting = counting
            for address, node in self._nodes.items():
                node.update(merge(address, self._believed), now, is_charged=False)

    @property
    def _believed(self) -> list[AdjRibIn]:
        return [self._neighbors[address].rib for address in self._counting]

    def _forget(self, now: float) -> None:
        """Those that nobody tells of any more, once nothing is held against them."""
        kept_s = 2 * self._params.flap_half_life_s
        told = {address for neighbor in self._neighbors.values() for address in neighbor.rib.nodes()}
        for address in self._nodes.keys() - told:
            if now - self._nodes[address].state_since > kept_s:
                del self._nodes[address]

    # --- what the owner may ask -------------------------------------------------------------------------

    def others(self, now: float) -> Others:
        """``NO_VIEW`` when there is nobody to tell of them."""
        if not self._neighbors:
            return NO_VIEW
        self._look_at_sources(now)
        self._forget(now)
        if not self._counting:
            reasons = (f"{address} {one.source.problem(now)}" for address, one in self._neighbors.items())
            return Others(", ".join(reasons))
        moved_at = float("-inf")
        claimants, spares = [], []
        for address, node in self._nodes.items():
            if node.is_ignored(now):
                continue
            moved_at = max(moved_at, node.moved_at)
            if node.merged.claims and int(address) < int(self._own):
                claimants.append(address)
            if node.is_steady(now):
                spares.append(node.merged.spare)
        steady_s = self._params.steady_s
        young = now - self._joined_at < steady_s
        return Others(
            problem=f"heard for less than {steady_s:g} s" if young else "",
            synced=True,
            announcing=len(spares),
            spare=fsum(spares),
            claimant=str(min(claimants, key=int, default="")),
            settled_s=now - moved_at,
        )

    def nodes(self, now: float) -> tuple[NodeSeen, ...]:
        """Everybody that is told of now, by address."""
        self._look_at_sources(now)
        seen = (
            node.seen(address, self._tellers(address), now)
            for address, node in sorted(self._nodes.items(), key=lambda item: int(item[0]))
        )
        return tuple(node for node in seen if node is not None)

    def _tellers(self, node: Address) -> tuple[Address, ...]:
        return tuple(source for source in self._counting if self._neighbors[source].rib.states(node))

    @property
    def rejections(self) -> Mapping[Rejection, int]:
        """How many paths were not taken for a control route, and why."""
        return self._rejections

    def is_fresh(self, now: float) -> bool:
        return self.age_s(now) == 0

    def age_s(self, now: float) -> float:
        """How long nobody has told us anything that counts: 0 while somebody does, inf when nobody ever did."""
        self._look_at_sources(now)
        return 0.0 if self._counting else now - self._counted_at
