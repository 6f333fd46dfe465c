"""The view against a reference that keeps every path and thinks anew each time, over whatever neighbors may say.

The view works out what changed as it changes. After any history, and once nothing has happened for ``steady_s``, it
must count exactly those that the paths alone make count; and at no moment anybody whom a neighbor that counts does
not show as announcing.
"""

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv4Network, ip_network

from hypothesis import given
from hypothesis import strategies as st

from bgp import control_route
from bgp.control_route import ControlState
from bgp.neighbor import Neighbor, Role
from bgp.received import EndOfRib, Flooded, Path, PathHeard, PathLost, ReceivedEvent
from bgp.route import Address, LargeCommunity
from bgp.state import ANNOUNCING, State
from bgp.table import NeighborChanged
from bgp.view import View, ViewParams

FLEET_AS = 64600
OWN = IPv4Address("192.0.2.3")
NODES = [IPv4Address("192.0.2.0") + number for number in range(1, 7)]
SERVICE = IPv4Network("203.0.113.77/32")
SOURCES = [IPv4Address("198.51.100.1"), IPv4Address("198.51.100.2")]
STRANGER = IPv4Address("198.51.100.9")
# Neither flapping nor claims that stand too long: the reference knows of no time but `sync_s`.
PARAMS = ViewParams(max_nodes=4096, steady_s=5.0, sync_s=10.0, flap_limit=10_000, claim_max_s=1e9)

states = st.builds(
    ControlState,
    state=st.sampled_from([State.ANNOUNCED] * 4 + [State.DEPREFERRED, State.WITHDRAWN]),
    claim=st.booleans(),
    load_tenths=st.sampled_from([0, 4, 20]),
    capacity=st.sampled_from([1, 100]),
)
originators = st.sampled_from([None, NODES[0]])
as_paths = st.sampled_from([()] * 9 + [(64501,)])


@st.composite
def control_paths(draw: st.DrawFn) -> Path:
    node = draw(st.sampled_from(NODES))
    route = draw(states).route(node, FLEET_AS)
    path = Path(
        route.prefix,
        draw(st.sampled_from([int(node), int(node), 1])),
        node,
        draw(as_paths),
        originator=draw(originators),
    )
    return replace(path, large_communities=route.large_communities)


@st.composite
def service_paths(draw: st.DrawFn) -> Path:
    node = draw(st.sampled_from(NODES))
    path_id = draw(st.sampled_from([int(node), int(node), 1]))
    return Path(SERVICE, path_id, node, draw(as_paths), originator=draw(originators))


any_number = st.one_of(st.integers(0, 7), st.integers(0, 2**32 - 1))
wild_paths = st.builds(
    Path,
    prefix=st.one_of(
        st.ip_addresses().map(ip_network),
        st.sampled_from([*NODES, OWN]).map(ip_network),
        st.sampled_from(["0.0.0.0/0", "::/0", "192.0.2.2/31", "2001:db8::/48"]).map(ip_network),
    ),
    path_id=st.integers(0, 2**32 - 1),
    next_hop=st.one_of(st.ip_addresses(), st.sampled_from(NODES)),
    as_path=as_paths,
    large_communities=st.frozensets(
        st.builds(LargeCommunity, st.sampled_from([FLEET_AS, 1]), any_number, any_number), max_size=6
    ),
    originator=st.one_of(st.none(), st.ip_addresses()),
)


def events(paths: st.SearchStrategy[Path], who: list[Address]) -> st.SearchStrategy[object]:
    sources = st.sampled_from(who)
    return st.one_of(
        st.builds(PathHeard, sources, paths),
        st.builds(PathHeard, sources, paths),
        st.builds(PathHeard, sources, paths),
        st.builds(lambda source, path: PathLost(source, path.prefix, path.path_id), sources, paths),
        st.builds(EndOfRib, sources, st.sampled_from([4, 4, 6])),
        st.builds(NeighborChanged, sources, st.sampled_from([True, True, False]), st.just("")),
        st.builds(Flooded, sources, st.just("too many")) if who != SOURCES else st.nothing(),
        st.sampled_from([0.1, 4.9, 6.0, 11.0]),
    )


def new_view(params: ViewParams = PARAMS) -> View:
    neighbors = [
        Neighbor(address, OWN, FLEET_AS, FLEET_AS, frozenset({4}), role=Role.FLEET) for address in SOURCES
    ]
    return View(params, OWN, FLEET_AS, [SERVICE], neighbors)


@dataclass
class Told:
    up_since: float | None = None
    is_done: bool = False
    is_reflector: bool = False
    paths: dict[tuple[object, int], Path] = field(default_factory=dict)

    def counts(self, now: float) -> bool:
        return self.up_since is not None and (self.is_done or now - self.up_since >= PARAMS.sync_s)

    def states(self, node: Address) -> list[ControlState]:
        read = [
            control_route.read(path, FLEET_AS)
            for path in self.paths.values()
            if path.prefix == ip_network(node)
        ]
        return [state for state in read if isinstance(state, ControlState)]

    def serves(self, node: Address) -> bool:
        return any(
            path.prefix == SERVICE and path.next_hop == node and not path.as_path
            for path in self.paths.values()
        )


# Both reflectors tell of all nodes, as they should; what follows disturbs that.
PRELUDE = [
    *(NeighborChanged(source, is_up=True, reason="") for source in SOURCES),
    *(
        PathHeard(source, path)
        for source in SOURCES
        for node in NODES
        for route in [
            ControlState(State.ANNOUNCED, claim=False, load_tenths=4, capacity=100).route(node, FLEET_AS)
        ]
        for path in [
            Path(route.prefix, int(node), node, (), route.communities, route.large_communities, node),
            Path(SERVICE, int(node), node, originator=node),
        ]
    ),
    *(EndOfRib(source, 4) for source in SOURCES),
    10.0,
]


class Reference:
    def __init__(self) -> None:
        self.told = {source: Told() for source in SOURCES}

    def take(self, event: ReceivedEvent | NeighborChanged, now: float) -> None:
        told = self.told[event.neighbor]  # type: ignore[index]
        match event:
            case NeighborChanged(is_up=is_up):
                reflector = told.is_reflector
                self.told[event.neighbor] = Told(now if is_up else None, is_reflector=reflector)  # type: ignore[index]
            case EndOfRib(version=4):
                told.is_done = told.up_since is not None
            case PathHeard(path=path) if told.up_since is not None:
                told.is_reflector |= path.originator is not None
                told.paths[path.prefix, path.path_id] = path
            case PathLost(prefix=prefix, path_id=path_id):
                told.paths.pop((prefix, path_id), None)

    def spare(self, now: float) -> dict[Address, float]:
        """Of everybody who announces."""
        counting = [told for told in self.told.values() if told.counts(now)]
        spare = {}
        for node in NODES:
            states = [state for told in counting for state in told.states(node)]
            if (
                node != OWN
                and states
                and all(state.state in ANNOUNCING for state in states)
                and all(
                    told.states(node) and told.serves(node)
                    for told in counting
                    if told.states(node) or told.is_reflector
                )
            ):
                is_plain = all(state.state is State.ANNOUNCED for state in states)
                spare[node] = min(state.spare for state in states) if is_plain else 0.0
        return spare

    def claimant(self, now: float) -> str:
        claimants = [
            node
            for node in self.spare(now)
            if int(node) < int(OWN)
            and any(
                state.claim for told in self.told.values() if told.counts(now) for state in told.states(node)
            )
        ]
        return str(min(claimants, key=int, default=""))


@given(st.lists(events(st.one_of(control_paths(), service_paths()), SOURCES), max_size=60))
def test_the_view_counts_whom_the_paths_make_count(steps: list[object]) -> None:
    view, reference, now = new_view(), Reference(), 0.0
    for step in [*PRELUDE, *steps]:
        if isinstance(step, float):
            now += step
        else:
            view.take(step, now)  # type: ignore[arg-type]
            reference.take(step, now)  # type: ignore[arg-type]
        others = view.others(now)
        assert others.synced == any(told.counts(now) for told in reference.told.values())
        assert others.claimant == reference.claimant(now)
        counted = {seen.address for seen in view.nodes(now) if not seen.problem}
        assert counted <= reference.spare(now).keys()
        assert others.announcing == len(counted)
    # Twice: who begins to count by time alone begins the wait anew.
    for wait_s in (PARAMS.sync_s, PARAMS.steady_s):
        now += wait_s
        view.others(now)
    others, spare = view.others(now), reference.spare(now)
    if not others.problem:
        assert (others.announcing, others.spare) == (len(spare), sum(spare.values()))


@given(
    st.lists(
        events(st.one_of(wild_paths, control_paths(), service_paths()), [*SOURCES, STRANGER]), max_size=60
    )
)
def test_nothing_that_is_said_breaks_the_view_or_fills_it(steps: list[object]) -> None:
    view, now = new_view(_params(max_nodes=3, flap_limit=2, claim_max_s=3)), 0.0
    for step in [*(NeighborChanged(source, is_up=True, reason="") for source in SOURCES), *steps]:
        if isinstance(step, float):
            now += step
        else:
            view.take(step, now)  # type: ignore[arg-type]
        others, nodes = view.others(now), view.nodes(now)
        assert len(nodes) <= 3
        assert others.announcing <= len(nodes)
        assert others.spare >= 0
        assert OWN not in {node.address for node in nodes}


def _params(**changes: float) -> ViewParams:
    return ViewParams(**{name: getattr(PARAMS, name) for name in PARAMS.__struct_fields__} | changes)


@given(st.data())
def test_it_does_not_matter_in_which_order_neighbors_speak(data: st.DataObject) -> None:
    paths = data.draw(
        st.lists(
            st.one_of(control_paths(), service_paths()),
            max_size=12,
            unique_by=lambda path: (path.prefix, path.path_id),
        )
    )
    said = [PathHeard(source, path) for source in SOURCES for path in paths]
    results = []
    for order in (said, data.draw(st.permutations(said))):
        view = new_view()
        for source in SOURCES:
            view.take(NeighborChanged(source, is_up=True, reason=""), 0)
        for event in order:
            view.take(event, 0)
        for source in SOURCES:
            view.take(EndOfRib(source, 4), 0)
        results.append((view.others(60), view.nodes(60)))
    assert results[0] == results[1]
