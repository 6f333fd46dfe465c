"""What no single key of a configuration file can get wrong, but two of them together can."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_address, ip_network

from bgp.neighbor import Role
from bgp.route import RouteError
from edge.config.schema import Bgp, NodeConfig
from edge.config.values import Address, SocketAddress
from edge.errors import ConfigError
from edge.forward import ReturnPath
from edge.quic import BEHIND_NLB

# What the filters of the Internet let through.
_LONGEST_PREFIX = {4: 24, 6: 48}
_KERNEL_TABLES = range(253, 256)  # default, main, local
# RFC 5737, RFC 3849, RFC 9637: nobody on the Internet can reach them, so they are what laboratories use.
_DOCUMENTATION = tuple(
    map(ip_network, ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"))
)
_UNIX_PATH_LIMIT = 107  # bytes; sun_path of unix(7) less its end


def check(config: NodeConfig) -> None:
    """Raise the first `ConfigError` of ``config``, if it has any."""
    for error in problems(config):
        raise error


def problems(config: NodeConfig) -> Iterator[ConfigError]:
    """All of them."""
    yield from _addresses(config)
    yield from _behind_nlb(config)
    yield from _callers(config)
    yield from _source_routes(config)
    yield from _operators_side(config)
    if config.bgp is not None:
        yield from _bgp(config, config.bgp)


def _addresses(config: NodeConfig) -> Iterator[ConfigError]:
    seen: dict[Address, str] = {}
    for table, addresses in (("service", config.service.addresses), ("unicast", config.unicast.addresses)):
        for index, address in enumerate(addresses):
            where = f"$.{table}.addresses[{index}]"
            # A target has one address for everything; the balancer has the one that they share.
            if address in seen and (
                config.cid.profile != BEHIND_NLB or seen[address].startswith(f"$.{table}.")
            ):
                yield ConfigError(where, f"{address} is also {seen[address]}; one address has one purpose")
            seen[address] = where
    versions = [address.version for address in config.unicast.addresses]
    if len(versions) != len(set(versions)):
        yield ConfigError("$.unicast.addresses", "at most one IPv4 and one IPv6 address; remove the others")


def _behind_nlb(config: NodeConfig) -> Iterator[ConfigError]:
    if config.cid.profile != BEHIND_NLB:
        return
    versions = [address.version for address in config.service.addresses]
    if len(versions) != len(set(versions)):
        yield ConfigError(
            "$.service.addresses",
            f"behind the balancer ({BEHIND_NLB}) at most one of each family: the one it is registered with",
        )
    if config.fleet.file is not None and config.forward.return_path is not ReturnPath.INGRESS:
        yield ConfigError(
            "$.forward.return_path",
            "answers have to leave from the target that the balancer has sent the packets to; "
            f'set "{ReturnPath.INGRESS}"',
        )
    private = set(config.service.addresses) & set(config.unicast.addresses)
    if private and config.quic.preferred_address:
        yield ConfigError(
            "$.quic.preferred_address",
            f"callers cannot move from the balancer to {min(map(str, private))}; set false",
        )
    if private and config.unicast.name is None:
        yield ConfigError(
            "$.unicast.name",
            f"callers whose connection is lost would look for {min(map(str, private))}; set the balancer's name",
        )


def _callers(config: NodeConfig) -> Iterator[ConfigError]:
    auth, voice = config.auth, config.voice
    if auth.mode == "none":
        for index, address in enumerate(config.service.addresses):
            if not _is_for_tests(address):
                yield ConfigError(
                    "$.auth.mode",
                    f"none lets everybody call who can reach {address} (service.addresses[{index}]), which is neither "
                    'loopback nor a documentation address; set mode = "token", with keys_file and audience',
                )
                break
    else:
        for key in ("keys_file", "audience"):
            if getattr(auth, key) is None:
                yield ConfigError(f"$.auth.{key}", 'is missing; mode = "token" needs it')
    plain = config.web.plain_listen
    if plain is not None and not ip_address(plain.host).is_loopback:
        yield ConfigError(
            "$.web.plain_listen", f"{plain.host} is not loopback, and plain HTTP is for loopback only"
        )
    for name in config.backends:
        if name != voice.backend and name not in voice.backends:
            yield ConfigError(
                f"$.backends.{name}",
                "nobody can reach this backend; name it in voice.backend or voice.backends",
            )


def _is_for_tests(address: Address) -> bool:
    parsed = ip_address(address)
    return parsed.is_loopback or any(
        parsed in network for network in _DOCUMENTATION if network.version == parsed.version
    )


def _source_routes(config: NodeConfig) -> Iterator[ConfigError]:
    own = {*config.service.addresses, *config.unicast.addresses}
    for index, route in enumerate(config.source_routes):
        where = f"$.source_routes[{index}]"
        if route.source not in own:
            yield ConfigError(
                f"{where}.source", f"{route.source} is no service or unicast address of this node"
            )
        if route.gateway.version != route.source.version:
            yield ConfigError(f"{where}.gateway", f"{route.gateway} is not of the family of {route.source}")
        if route.table in _KERNEL_TABLES:
            yield ConfigError(
                f"{where}.table", f"{route.table} is one of the kernel's own; choose another number"
            )


def _operators_side(config: NodeConfig) -> Iterator[ConfigError]:
    admin = config.admin
    places = {
        "metrics.listen": config.metrics.listen,
        "admin.listen": admin.listen,
        "admin.page_listen": admin.page_listen,
    }
    seen: dict[SocketAddress, str] = {}
    for key, listen in places.items():
        if listen is None:
            continue
        if listen.host in config.service.addresses and listen.host not in config.unicast.addresses:
            yield ConfigError(
                f"$.{key}",
                f"{listen.host} is a service address, which the whole world reaches; use loopback or unicast",
            )
        if listen in seen:
            yield ConfigError(f"$.{key}", f"{listen} is also {seen[listen]}; choose another port")
        seen[listen] = f"$.{key}"
    needed = ("ca", "certificate", "private_key")
    for key in needed:
        if admin.listen is not None and getattr(admin, key) is None:
            yield ConfigError(f"$.admin.{key}", f"is missing; admin.listen needs {', '.join(needed)}")
        if admin.listen is None and getattr(admin, key) is not None:
            yield ConfigError(f"$.admin.{key}", "is for admin.listen, which is missing")
    length = len(bytes(admin.socket))
    if length > _UNIX_PATH_LIMIT:
        yield ConfigError(
            "$.admin.socket",
            f"the path has {length} bytes, a Unix socket's at most {_UNIX_PATH_LIMIT}; choose a shorter one",
        )


def _bgp(config: NodeConfig, bgp: Bgp) -> Iterator[ConfigError]:
    yield from _prefixes(config, bgp)
    for index, neighbor in enumerate(bgp.sessions()):
        where = f"$.bgp.neighbors[{index}]"
        if str(neighbor.local_address) in config.service.addresses:
            yield ConfigError(
                f"{where}.local_address",
                f"{neighbor.local_address} is a service address; a session must not depend on the route it announces",
            )
    for index, route in enumerate(bgp.routes()):
        try:
            carried = any(
                neighbor.advertisement(route) is not None
                for neighbor in bgp.sessions()
                if neighbor.role is Role.UPSTREAM
            )
        except RouteError as error:
            yield ConfigError("$.bgp.neighbors", str(error))
            continue
        if not carried:
            yield ConfigError(
                f"$.bgp.prefixes[{index}]",
                f"no upstream carries IPv{route.prefix.version}, so {route.prefix} would be announced to nobody",
            )
    yield from _fleet(config, bgp)


def _fleet(config: NodeConfig, bgp: Bgp) -> Iterator[ConfigError]:
    """The sessions on which nodes know each other by their unicast addresses."""
    known_as = config.unicast.addresses[0]
    fleet = [
        (index, neighbor) for index, neighbor in enumerate(bgp.sessions()) if neighbor.role is Role.FLEET
    ]
    for index, neighbor in fleet:
        if str(neighbor.local_address) not in config.unicast.addresses:
            yield ConfigError(
                f"$.bgp.neighbors[{index}].local_address",
                f"{neighbor.local_address} is no unicast address of this node, by which the fleet knows it",
            )
    if fleet and not any(known_as.version in neighbor.versions for _, neighbor in fleet):
        yield ConfigError(
            "$.bgp.neighbors",
            f"no session of the fleet carries IPv{known_as.version}, so {known_as} (unicast.addresses[0]), by which "
            "the fleet knows this node, would be told to nobody",
        )
    if fleet and not any(ip_network(prefix).version == known_as.version for prefix in bgp.prefixes):
        yield ConfigError(
            "$.unicast.addresses[0]",
            f"{known_as}, by which the fleet knows this node, is not of the family of any prefix it announces; put an "
            "address of the other family first",
        )
    policy = config.policy
    if fleet and policy.claim_min_s + policy.claim_spread_s >= config.view.claim_max_s:
        yield ConfigError(
            "$.view.claim_max_s",
            f"{config.view.claim_max_s:g}: a node that claims to leave for longer is ignored, and one may claim for "
            f"claim_min_s + claim_spread_s = {policy.claim_min_s + policy.claim_spread_s:g} s; allow more",
        )


def _prefixes(config: NodeConfig, bgp: Bgp) -> Iterator[ConfigError]:
    prefixes = [ip_network(prefix) for prefix in bgp.prefixes]
    service = [ip_address(address) for address in config.service.addresses]
    for index, prefix in enumerate(prefixes):
        where = f"$.bgp.prefixes[{index}]"
        if prefix in prefixes[:index]:
            yield ConfigError(where, f"{prefix} is there twice; remove one")
        if prefix.prefixlen > _LONGEST_PREFIX[prefix.version] and not bgp.long_prefixes:
            yield ConfigError(
                where,
                f"the Internet accepts nothing longer than /{_LONGEST_PREFIX[prefix.version]}, so not {prefix}; "
                "where your upstream does, set long_prefixes = true",
            )
        if not any(address in prefix for address in service):
            yield ConfigError(
                where, f"{prefix} has no service address; callers would be drawn here for nothing"
            )
    for index, address in enumerate(service):
        if not any(address in prefix for prefix in prefixes):
            yield ConfigError(
                f"$.service.addresses[{index}]", f"{address} is in no prefix of bgp.prefixes; add its prefix"
            )
    for index, unicast in enumerate(config.unicast.addresses):
        if any(ip_address(unicast) in prefix for prefix in prefixes):
            yield ConfigError(
                f"$.unicast.addresses[{index}]",
                f"{unicast} is in an announced prefix; calls on it would be lost when that is withdrawn",
            )
