"""The configuration of BIRD 2: sessions and what each neighbor is to hear in, the text of a bird.conf out.

Every neighbor has a table of its own for each family, and a static protocol that fills it with exactly what that
neighbor is to be told, attributes included. Its session is attached to that table and exports what comes from the
static protocol and nothing else. So a change of one route is a change of one static route: BIRD compares the old
configuration with the new one, sends that one update, and leaves the sessions alone. What a neighbor of the fleet
tells goes into the same table, and from there nowhere.

There is no kernel protocol: this BIRD touches no route of the machine. The rules of ``bgp.conf`` hold here, too:
no graceful restart, and no text that came from outside gets into the file, except a password, whose characters
are checked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from bgp.conf import MAX_MD5_KEY_LENGTH, BfdConfig, NeighborConfig, SpeakerConfig
from bgp.neighbor import Advertisement, Neighbor, Role
from bgp.route import Address, Prefix, RouteError, parse_address
from bgp.updates import MAX_AS_PATH, MAX_COMMUNITIES

# MED is announced to another AS only if the export filter itself sets it, so it comes there under this name.
MED: Final = "told_med"

# Debugging output would be a log of what neighbors do, for as long as they please.
_HEAD: Final = """\
log stderr {{ warning, error, auth, fatal, bug }};
router id {router_id};
protocol device {{ }}
"""

# Next hops are looked up in tables that are always empty: nothing here depends on where they lead.
_ROUTES: Final = f"""\
attribute int {MED};
ipv4 table nowhere4;
ipv6 table nowhere6;
filter told {{
  if source != RTS_STATIC then reject;
  if defined({MED}) then bgp_med = {MED};
  accept;
}}
filter heard {{
  if bgp_path.len > {MAX_AS_PATH} || bgp_cluster_list.len > {MAX_AS_PATH} then reject;
  if bgp_community.len > {MAX_COMMUNITIES} || bgp_large_community.len > {MAX_COMMUNITIES} then reject;
  accept;
}}
"""


@dataclass(frozen=True, slots=True)
class Local:
    """What a life of the process knows and the configuration does not.

    ``ports`` has the port to listen on for each local address of a session that is not passive: BIRD always
    listens, and 179 may need a privilege or belong to another one. ``md5_keys`` are those of each neighbor with
    an ``md5_file``, by its address.
    """

    ports: Mapping[Address, int]
    md5_keys: Mapping[Address, bytes]


def session_name(index: int) -> str:
    """What the session with the neighbor of this index is called in BIRD; a channel is ``NAME.ipv4``."""
    return f"n{index}"


def table_name(session: str, version: int) -> str:
    """The table of a session for one family."""
    return f"{session}_ipv{version}"


def bfd_neighbors(config: SpeakerConfig) -> tuple[Neighbor, ...]:
    """Those that BFD can watch: upstreams, on the same link as far as is known (RFC 5881, single hop)."""
    return tuple(
        session
        for neighbor, session in zip(config.neighbors, config.sessions(), strict=True)
        if _is_on_link(neighbor, session)
    )


def render(
    config: SpeakerConfig,
    told: Mapping[tuple[Address, Prefix], Advertisement],
    local: Local,
    bfd: BfdConfig | None = None,
) -> str:
    """A speaker that tells each neighbor what ``told`` has for it. With ``bfd`` the sessions depend on that.

    Raises RouteError for a key that can't be written.
    """
    blocks = [_HEAD.format(router_id=parse_address(config.router_id)), _ROUTES]
    if bfd is not None:
        blocks.append(_bfd_protocol(bfd))
    for index, (neighbor, session) in enumerate(zip(config.neighbors, config.sessions(), strict=True)):
        mine = [advertisement for (address, _), advertisement in told.items() if address == session.address]
        blocks += [_table(index, version, session, mine) for version in sorted(session.versions)]
        watched = bfd is not None and _is_on_link(neighbor, session)
        blocks.append(_session(config, index, neighbor, session, local, watched))
    return "".join(blocks)


def render_bfd(config: SpeakerConfig, bfd: BfdConfig) -> str:
    """A BIRD that speaks BFD to the neighbors that can have it, and nothing else."""
    neighbors = [
        f"neighbor {neighbor.address} local {neighbor.local_address};" for neighbor in bfd_neighbors(config)
    ]
    return _HEAD.format(router_id=parse_address(config.router_id)) + _bfd_protocol(bfd, neighbors)


def _is_on_link(neighbor: NeighborConfig, session: Neighbor) -> bool:
    return session.role is Role.UPSTREAM and neighbor.hops in (None, 1)


def _bfd_protocol(bfd: BfdConfig, neighbors: Iterable[str] = ()) -> str:
    timers = f"interval {bfd.interval_ms} ms; multiplier {bfd.multiplier};"
    return _block(
        "protocol bfd", ["strict bind on;", "accept direct;", f'interface "*" {{ {timers} }};', *neighbors]
    )


def _table(index: int, version: int, session: Neighbor, told: Iterable[Advertisement]) -> str:
    name = table_name(session_name(index), version)
    routes = [_route(session, route) for route in told if route.prefix.version == version]
    static = _block(f"protocol static {name}_told", [f"ipv{version} {{ table {name}; }};", *routes])
    return f"ipv{version} table {name};\n{static}"


def _route(session: Neighbor, told: Advertisement) -> str:
    """The static route that leaves as ``told``: BIRD itself adds our AS once towards an external peer."""
    own = told.as_path[1:] if session.is_external else told.as_path
    words = [f"bgp_next_hop = {told.next_hop};"]
    words += [f"bgp_path.prepend({asn});" for asn in reversed(own)]
    if told.med is not None:
        words.append(f"{MED} = {told.med};")
    words += [f"bgp_community.add(({c.asn}, {c.value}));" for c in sorted(told.communities)]
    words += [
        f"bgp_large_community.add(({c.administrator}, {c.function}, {c.parameter}));"
        for c in sorted(told.large_communities)
    ]
    return f"route {told.prefix} blackhole {{ {' '.join(words)} }};"


def _session(
    config: SpeakerConfig,
    index: int,
    neighbor: NeighborConfig,
    session: Neighbor,
    local: Local,
    watched: bool,
) -> str:
    port = neighbor.port if neighbor.passive else local.ports[session.local_address]
    peer_port = "" if neighbor.passive else f" port {neighbor.port}"
    statements = [
        f"local {session.local_address} port {port} as {session.local_as};",
        f"neighbor {session.address}{peer_port} as {session.peer_as};",
        f"router id {parse_address(neighbor.router_id or config.router_id)};",
        # One that comes and goes with its address does not take the others with it.
        "strict bind on; free bind on;",
        f"hold time {config.hold_time_s};",
        "graceful restart off; long lived graceful restart off;",
        # BIRD's own delays are minutes; the neighbor and the restart back-off set the pace here.
        "connect delay time 1; connect retry time 2; error wait time 1, 4;",
        # What NO_EXPORT asks for is the neighbor's to do; here it is one of the things to be said.
        "interpret communities off;",
        *_distance(neighbor, watched),
    ]
    if neighbor.passive:
        statements.append("passive on;")
    if neighbor.md5_file is not None:
        statements.append(f'password "{_password(session, local.md5_keys[session.address])}";')
    if watched:
        statements.append("bfd on;")
    statements += [_channel(index, version, neighbor, session) for version in sorted(session.versions)]
    return _block(f"protocol bgp {session_name(index)}", statements)


def _distance(neighbor: NeighborConfig, watched: bool) -> list[str]:
    """Only a session that BFD watches is held to its link: its BFD is for one hop."""
    hops = "direct;" if watched else "multihop;" if neighbor.hops is None else f"multihop {neighbor.hops};"
    return [hops, "ttl security on;"] if neighbor.hops is not None else [hops]


def _channel(index: int, version: int, neighbor: NeighborConfig, session: Neighbor) -> str:
    words = [f"table {table_name(session_name(index), version)};", "export filter told;", "next hop keep;"]
    default = session.next_hop_v4 if version == 4 else session.next_hop_v6
    if default is not None:
        # Every route has its own. Without this BIRD complains of a session of the other family.
        words.append(f"next hop address {default};")
    if session.role is Role.FLEET:
        # The one too many is let in, to be seen. BIRD's own mark of a limit that was reached does not outlive the next
        # `configure`, which every change of a route is.
        limit = f"import limit {neighbor.max_routes + 1} action block;"
        words += ["import filter heard;", limit, f"igp table nowhere{version};", "add paths rx;"]
    else:
        words.append("import none;")
    return f"ipv{version} {{ {' '.join(words)} }};"


def _password(session: Neighbor, key: bytes) -> str:
    """The key as it may stand between double quotes, where the file's syntax knows no escapes."""
    where = f"neighbor {session.address}: the MD5 key"
    if not 0 < len(key) <= MAX_MD5_KEY_LENGTH:
        raise RouteError(f"{where} has {len(key)} bytes, not 1 to {MAX_MD5_KEY_LENGTH}")
    if not all(0x20 <= byte < 0x7F for byte in key) or b'"' in key:
        raise RouteError(f'{where} has a character that BIRD cannot read: only printable ASCII without "')
    return key.decode("ascii")


def _block(head: str, statements: Iterable[str]) -> str:
    lines = "".join(f"  {statement}\n" for statement in statements)
    return f"{head} {{\n{lines}}}\n"
