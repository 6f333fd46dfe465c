"""What may stand in a node's configuration file: one struct a table, one field a key.

Keys without a default must be given. What the keys mean to an operator is told in docs/reference/node.toml.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from bgp.conf import BfdConfig, NeighborConfig, SpeakerConfig
from bgp.policy import Mode, PolicyParams
from bgp.route import MAX_MED, Community, LargeCommunity, Route, RouteError, parse_prefix
from bgp.starts import DELAYS_S, STABLE_S
from bgp.view_params import ViewParams
from edge.cid.steering import MAX_SLOTS
from edge.config.values import Address, Name, ServerId, SocketAddress
from edge.drain import DrainParams
from edge.forward import ReturnPath
from edge.overload import Capacity, OverloadParams
from edge.overload.limits import Limits
from edge.quic import CidProfile
from edge.voice.lead import DEFAULT_LEAD_MS, MAX_LEAD_MS, MIN_LEAD_MS

Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(gt=0)]
Wait = Annotated[float, msgspec.Meta(ge=0)]
RoutingTable = Annotated[int, msgspec.Meta(ge=1, le=2**32 - 1)]

MAX_WORKERS: Final = MAX_SLOTS // 2  # two generations of them fit the worker octet of a connection ID


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The common base: immutable, and no key that nobody reads."""


class Node(Table, frozen=True):
    name: Name
    site: Name
    server_id: ServerId


class Service(Table, frozen=True):
    """The anycast side; ``manage_addresses``: the node puts them on ``lo`` and takes them off again."""

    addresses: Annotated[tuple[Address, ...], msgspec.Meta(min_length=1)]
    port: Port = 443
    manage_addresses: bool = True


class Unicast(Table, frozen=True):
    """Where callers move to: at most one address of each family, and the host name that stands for them."""

    addresses: Annotated[tuple[Address, ...], msgspec.Meta(min_length=1)]
    name: str | None = None


class Tls(Table, frozen=True):
    """Files in PEM: the chain, leaf first, and its key without a passphrase."""

    certificate: Path
    private_key: Path


class Keys(Table, frozen=True):
    """``file``: the fleet's key ring, which `edgectl keys` makes; without it the node makes its own."""

    file: Path | None = None


class Fleet(Table, frozen=True):
    """``file``: who is in the fleet (`edge.config.fleet_file`); without it this node passes nothing on to others."""

    file: Path | None = None


class Forward(Table, frozen=True):
    """Packets for other nodes' calls, and theirs for ours: from and to this port of the unicast addresses, over UDP.

    ``return_path``: whether answers to callers whose packets reach another node leave from here, or from there.
    """

    port: Port = 4434
    return_path: ReturnPath = ReturnPath.DIRECT


class Cid(Table, frozen=True):
    profile: CidProfile = "edge"


class Quic(Table, frozen=True):
    """``unicast_goaway``: ask callers that are on the service address after a second to call the unicast one."""

    preferred_address: bool = True
    unicast_goaway: bool = True
    idle_timeout_s: Annotated[float, msgspec.Meta(ge=1)] = 30.0
    max_connections: Count = 1000
    max_handshakes: Count = 256


class Voice(Table, frozen=True):
    """What a call gets that asks for nothing. ``backends``: those that a caller, or its token, may choose besides.

    ``resume_s``: how long a call whose connection is lost waits for the caller to come back.
    """

    backend: str = "echo"
    backends: tuple[str, ...] = ()
    lead_ms: Annotated[int, msgspec.Meta(ge=MIN_LEAD_MS, le=MAX_LEAD_MS)] | Literal["auto"] = DEFAULT_LEAD_MS
    deadline: Literal["live", "chat", "accurate"] = "chat"
    resume_s: Wait = 30.0


class Auth(Table, frozen=True):
    """Who may call. With "token" a caller needs a signed one (see `edge.auth`); ``origins`` are the web pages that may.

    ``origins`` empty: pages from this node only. "none" is for a laptop and for a lab.
    """

    mode: Literal["none", "token"] = "none"
    keys_file: Path | None = None
    audience: str | None = None
    origins: tuple[str, ...] = ()


class Web(Table, frozen=True):
    """HTTPS and WebSocket, on the service port over TCP. ``page``: serve the browser client, too.

    ``plain_listen``: the same without TLS, for a browser on this machine: loopback only.
    """

    enabled: bool = True
    page: bool = True
    plain_listen: SocketAddress | None = None


class Overload(OverloadParams, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``capacity`` is the whole node's: all workers together, but for ``cpu`` and ``loop_lag_s``."""

    capacity: Capacity = Capacity()


_ROUTE_PARTS: Final[Mapping[str, Callable[[str], object]]] = {
    "prefixes": parse_prefix,
    "communities": Community.parse,
    "large_communities": LargeCommunity.parse,
}


class Bgp(SpeakerConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The speaker, and what it announces: every prefix with the same attributes, to every neighbor.

    ``bfd`` notices within a fraction of a second that an upstream on the same link is out of reach.
    """

    speaker: Literal["exabgp", "bird"] = "exabgp"
    prefixes: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
    neighbors: Annotated[tuple[NeighborConfig, ...], msgspec.Meta(min_length=1)]
    communities: tuple[str, ...] = ()
    large_communities: tuple[str, ...] = ()
    med: Annotated[int, msgspec.Meta(ge=0, le=MAX_MED)] | None = None
    long_prefixes: bool = False
    bfd: BfdConfig | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for key, parse in _ROUTE_PARTS.items():
            for index, text in enumerate(getattr(self, key)):
                try:
                    parse(text)
                except RouteError as error:
                    raise RouteError(f"{key}[{index}]: {error}") from None

    def routes(self) -> tuple[Route, ...]:
        return tuple(
            Route.parse(
                prefix, med=self.med, communities=self.communities, large_communities=self.large_communities
            )
            for prefix in self.prefixes
        )


class Policy(PolicyParams, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """With mode ``observe`` the node decides and says so, but does not move for load."""

    mode: Mode = "act"


class Drain(DrainParams, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How a node is emptied that an operator drains."""


class Probe(Table, frozen=True):
    """The node's own handshake through its service addresses.

    The defaults take a worker that hangs right after a good probe off the routes within 4 s: the rest of that
    interval and three time-outs, with time to spare for a busy machine.
    """

    interval_s: Seconds = 1.0
    timeout_s: Seconds = 0.75


class Shutdown(Table, frozen=True):
    """``grace_s``: between the withdrawal and the end, for routers far away to hear of it."""

    grace_s: Wait = 60.0


class Restart(Table, frozen=True):
    """``delays_s``: how long a node waits before it first announces, after no, one, two, ... lives that ended badly;
    the last one goes for all that follow. A life of ``stable_s`` makes good for those before it."""

    delays_s: Annotated[tuple[Wait, ...], msgspec.Meta(min_length=1)] = DELAYS_S
    stable_s: Seconds = STABLE_S


def _cores() -> int:
    return min(MAX_WORKERS, len(os.sched_getaffinity(0)))


class Workers(Table, frozen=True):
    """``count``: one for each core, if nothing is said. ``python`` runs them, if not the one that runs the supervisor."""

    count: Annotated[int, msgspec.Meta(ge=1, le=MAX_WORKERS)] = msgspec.field(default_factory=_cores)
    python: Path | None = None


class Admin(Table, frozen=True):
    """``listen``: the same over HTTPS, for clients with a certificate of ``ca``. ``page_listen``: a page to look at, for all."""

    socket: Path = Path("/run/edge/admin.sock")
    listen: SocketAddress | None = None
    ca: Path | None = None
    certificate: Path | None = None
    private_key: Path | None = None
    page_listen: SocketAddress | None = None


class Metrics(Table, frozen=True):
    """Without ``listen`` metrics are served on the admin socket alone."""

    listen: SocketAddress | None = None


class State(Table, frozen=True):
    directory: Path = Path("/var/lib/edge")


class SourceRoute(Table, frozen=True):
    """Packets from ``source`` leave through ``gateway``; see `edge.runtime.netlink.SourceRoute`."""

    source: Address
    gateway: Address
    table: RoutingTable


class NodeConfig(Table, frozen=True):
    """The whole file. Without ``bgp`` the node announces nothing."""

    node: Node
    service: Service
    unicast: Unicast
    tls: Tls
    keys: Keys = Keys()
    cid: Cid = Cid()
    fleet: Fleet = Fleet()
    forward: Forward = Forward()
    quic: Quic = Quic()
    voice: Voice = Voice()
    backends: dict[str, dict[str, Any]] = {}
    auth: Auth = Auth()
    web: Web = Web()
    limits: Limits = Limits()
    overload: Overload = Overload()
    bgp: Bgp | None = None
    policy: Policy = Policy()
    view: ViewParams = ViewParams()
    drain: Drain = Drain()
    probe: Probe = Probe()
    shutdown: Shutdown = Shutdown()
    restart: Restart = Restart()
    workers: Workers = msgspec.field(default_factory=Workers)
    admin: Admin = Admin()
    metrics: Metrics = Metrics()
    state: State = State()
    source_routes: tuple[SourceRoute, ...] = ()
