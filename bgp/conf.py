"""The speaker's configuration: typed structs in, the text of an ExaBGP configuration file out.

Rules that every session gets, and why: graceful restart is off, so that a dead speaker's routes go at once
instead of lingering for the restart time; hold time 9 s bounds how long a silent node keeps its catchment; the
adj-RIB-out is kept, because it is what the desired table is compared with.

Nothing here can put a statement of its own into the file: numbers and addresses are typed, the password is
base64, and a path that would need escaping is refused. The file holds a secret; write it with mode 0600, owned
by the user the speaker runs as.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Final, Literal, TypeVar

import msgspec

from bgp.neighbor import Neighbor, Role
from bgp.route import Address, RouteError, parse_address

# The name of the API process in the file.
PROCESS = "edge"
# RFC 2385: what Linux takes as a key (TCP_MD5SIG_MAXKEYLEN).
MAX_MD5_KEY_LENGTH = 80

# Without extended messages (RFC 8654) no message is longer than 4096 bytes, which bounds the line that tells it.
_PLAIN: Final = "graceful-restart disable; extended-message disable;"
_CAPABILITIES: Final = {Role.UPSTREAM: _PLAIN, Role.FLEET: f"{_PLAIN} add-path receive;"}
# What an upstream announces is not even decoded. `packets` and `open` are left out: nobody reads them.
_RECEIVE: Final = {Role.UPSTREAM: "", Role.FLEET: "receive { parsed; update; } "}

AsNumber = Annotated[int, msgspec.Meta(ge=1, le=2**32 - 2)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
# RFC 4271, 4.2: at least 3 s. Zero would mean "never", which no failure here may.
HoldTime = Annotated[int, msgspec.Meta(ge=3, le=65535)]
Family = Literal["ipv4", "ipv6"]
# How a neighbor's routers count flaps: see `bgp.ledger`.
Damping = Literal["cisco", "junos", "ripe580", "off"]
# RFC 5082: how many hops away the other end may be.
Hops = Annotated[int, msgspec.Meta(ge=1, le=16)]
AddressType = TypeVar("AddressType", IPv4Address, IPv6Address)


class BfdConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How fast the loss of an upstream is to be noticed (RFC 5880): after ``multiplier`` packets that did not come.

    ``interval_ms`` is offered for both directions; the slower side's counts. 100 ms and 3 are noticed in 0.3 s.
    """

    interval_ms: Annotated[int, msgspec.Meta(ge=10, le=10_000)] = 100
    multiplier: Annotated[int, msgspec.Meta(ge=1, le=50)] = 3


class NeighborConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One neighbor, usually a router of the provider.

    ``families`` are what the session carries: by default only its own, both for dual stack over one session.
    ``next_hop_ipv4`` and ``next_hop_ipv6`` are our addresses as the neighbor reaches them, needed for the family
    that is not the session's. ``md5_file`` is the path of a file whose content, without the line end, is the
    TCP MD5 key (RFC 2385). ``ttl_security`` is GTSM (RFC 5082): sent with TTL 255, accepted only with at least
    what is left of it after that many hops; ``true`` is one hop, the same link. With ``passive`` the speaker
    listens on ``port`` and waits; otherwise it connects to it.

    ``role`` is ``fleet`` for a route reflector of the fleet or another node of it: such a session is iBGP, and
    what it says is heard, up to ``max_routes`` routes. ``router_id`` is who we are on this session, by default
    the speaker's. ``damping`` is how the neighbor counts flaps; a session of the fleet counts none.
    """

    address: str
    local_address: str
    peer_as: AsNumber
    families: tuple[Family, ...] = ()
    next_hop_ipv4: str | None = None
    next_hop_ipv6: str | None = None
    md5_file: str | None = None
    ttl_security: bool | Hops = False
    port: Port = 179
    passive: bool = False
    role: Literal["upstream", "fleet"] = "upstream"
    router_id: str | None = None
    damping: Damping = "cisco"
    max_routes: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 10_000

    def __post_init__(self) -> None:
        # Parsed here only to find the mistake while it is still known where in the file it stands.
        neighbor = self.neighbor(local_as=self.peer_as)
        if self.router_id is not None:
            _check_router_id(self.router_id)
        if 6 in neighbor.versions and neighbor.address.version == 4 and neighbor.next_hop_v6 is None:
            raise RouteError("next_hop_ipv6: needed to carry ipv6 over a session between IPv4 addresses")
        if 4 in neighbor.versions and neighbor.address.version == 6 and neighbor.next_hop_v4 is None:
            raise RouteError("next_hop_ipv4: needed to carry ipv4 over a session between IPv6 addresses")

    def neighbor(self, local_as: int) -> Neighbor:
        """The session in values that cannot be wrong. Raises RouteError, which names the field."""
        address = _address("address", self.address)
        families = self.families or (f"ipv{address.version}",)
        return Neighbor(
            address=address,
            local_address=_address("local_address", self.local_address),
            local_as=local_as,
            peer_as=self.peer_as,
            versions=frozenset({"ipv4": 4, "ipv6": 6}[family] for family in families),
            next_hop_v4=_next_hop("next_hop_ipv4", self.next_hop_ipv4, IPv4Address),
            next_hop_v6=_next_hop("next_hop_ipv6", self.next_hop_ipv6, IPv6Address),
            role=Role(self.role),
            max_routes=self.max_routes,
        )

    @property
    def hops(self) -> int | None:
        """How far away GTSM lets the neighbor be; None without GTSM."""
        return int(self.ttl_security) or None


class SpeakerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The BGP side of one node. ``user`` is who the speaker runs as; None is whoever starts it."""

    router_id: str
    local_as: AsNumber
    neighbors: tuple[NeighborConfig, ...]
    hold_time_s: HoldTime = 9
    user: str | None = None

    def __post_init__(self) -> None:
        _check_router_id(self.router_id)
        addresses = [neighbor.address for neighbor in self.sessions()]
        if len(set(addresses)) != len(addresses):
            # A command names its neighbor by address alone.
            raise RouteError("neighbors: two have the same address")

    def sessions(self) -> tuple[Neighbor, ...]:
        return tuple(config.neighbor(self.local_as) for config in self.neighbors)


def render(config: SpeakerConfig, *, run: tuple[str, ...], md5_keys: Mapping[Address, bytes]) -> str:
    """The configuration file.

    ``run`` is the command line of the API process; ``md5_keys`` has the key of each neighbor with an
    ``md5_file``, by address. Raises RouteError for what can't be written safely, and KeyError for a missing key.
    """
    blocks = [_process(run)]
    for neighbor_config, neighbor in zip(config.neighbors, config.sessions(), strict=True):
        md5_key = None if neighbor_config.md5_file is None else md5_keys[neighbor.address]
        blocks.append(_neighbor(config, neighbor_config, neighbor, md5_key))
    return "\n".join(blocks)


def _process(run: tuple[str, ...]) -> str:
    # `respawn false`: a bridge that died has lost its lease, and another one would not know what it held.
    words = " ".join(map(_quoted, run))
    return f"process {PROCESS} {{\n  run {words};\n  encoder json;\n  respawn false;\n}}\n"


def _neighbor(
    config: SpeakerConfig, neighbor_config: NeighborConfig, neighbor: Neighbor, md5_key: bytes | None
) -> str:
    statements = [
        f"router-id {parse_address(neighbor_config.router_id or config.router_id)}",
        f"local-address {neighbor.local_address}",
        f"local-as {neighbor.local_as}",
        f"peer-as {neighbor.peer_as}",
        f"hold-time {config.hold_time_s}",
        "adj-rib-out true",
        "adj-rib-in false",
    ]
    if neighbor_config.passive:
        statements += ["passive true", f"listen {neighbor_config.port}"]
    else:
        statements += [f"connect {neighbor_config.port}"]
    if neighbor_config.hops is not None:
        statements += ["outgoing-ttl 255", f"incoming-ttl {256 - neighbor_config.hops}"]
    if md5_key is not None:
        statements += [f"md5-password {_md5_text(neighbor, md5_key)}", "md5-base64 true"]
    families = " ".join(f"ipv{version} unicast;" for version in sorted(neighbor.versions))
    lines = [
        f"neighbor {neighbor.address} {{",
        *(f"  {statement};" for statement in statements),
        f"  capability {{ {_CAPABILITIES[neighbor.role]} }}",
        f"  family {{ {families} }}",
        f"  api {{ processes [ {PROCESS} ]; neighbor-changes; {_RECEIVE[neighbor.role]}}}",
        "}",
    ]
    return "\n".join(lines) + "\n"


def _md5_text(neighbor: Neighbor, key: bytes) -> str:
    if not 0 < len(key) <= MAX_MD5_KEY_LENGTH:
        raise RouteError(
            f"neighbor {neighbor.address}: the MD5 key has {len(key)} bytes, not 1 to {MAX_MD5_KEY_LENGTH}"
        )
    return base64.b64encode(key).decode("ascii")


def _check_router_id(text: str) -> None:
    if not isinstance(_address("router_id", text), IPv4Address):
        raise RouteError(f"router_id {text} is not written like an IPv4 address")


def _quoted(word: str) -> str:
    """A word between double quotes. The file's syntax has no way to escape some characters within them."""
    if not word.isascii() or not word.isprintable() or '"' in word or "\\" in word:
        raise RouteError(f"{word!r} cannot be written into the speaker's configuration")
    return f'"{word}"'


def _address(field: str, text: str) -> Address:
    try:
        return parse_address(text)
    except RouteError as error:
        raise RouteError(f"{field}: {error}") from None


def _next_hop(field: str, text: str | None, family: type[AddressType]) -> AddressType | None:
    if text is None:
        return None
    address = _address(field, text)
    if not isinstance(address, family):
        raise RouteError(f"{field}: {address} is of the other family")
    return address
