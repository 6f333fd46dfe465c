"""What a route may be, and that nothing else can become one."""

from ipaddress import IPv4Address, IPv6Address, ip_network

import pytest

from bgp.neighbor import Neighbor, Role
from bgp.route import (
    GRACEFUL_SHUTDOWN,
    NO_EXPORT,
    Audience,
    Community,
    LargeCommunity,
    Route,
    RouteError,
    parse_prefix,
)


@pytest.mark.parametrize(
    "prefix", ["192.0.2.0/24", "192.0.2.1/32", "203.0.0.0/8", "2001:db8::/48", "2001:db8::1/128", "2001::/16"]
)
def test_prefixes_the_world_accepts(prefix: str) -> None:
    assert str(Route.parse(prefix).prefix) == prefix


@pytest.mark.parametrize(
    "prefix, complaint",
    [
        ("192.0.2.0/25", "/8 to /24 or /32"),
        ("0.0.0.0/0", "/8 to /24 or /32"),
        ("2001:db8::/49", "/16 to /48 or /128"),
        ("::/0", "/16 to /48 or /128"),
        ("192.0.2.1/24", "host bits"),
        ("224.0.0.0/24", "not unicast"),
        ("127.0.0.1/32", "not unicast"),
        ("fe80::1/128", "not unicast"),
        ("shutdown", "does not appear"),
        # `ipaddress` keeps any text behind the percent sign and prints it again.
        ("2001:db8::1%shutdown now/128", "scope"),
    ],
)
def test_prefixes_it_does_not(prefix: str, complaint: str) -> None:
    with pytest.raises(RouteError, match=complaint) as caught:
        parse_prefix(prefix)
    assert "\n" not in str(caught.value)


def test_attributes_are_checked_where_a_route_is_made() -> None:
    prefix = ip_network("192.0.2.0/24")
    with pytest.raises(RouteError, match="MED"):
        Route(prefix, med=2**32)
    with pytest.raises(RouteError, match="prepend"):
        Route(prefix, prepend=11)
    with pytest.raises(RouteError, match="family"):
        Route(prefix, next_hop=IPv6Address("2001:db8::1"))
    with pytest.raises(RouteError, match="scope"):
        Route(ip_network("2001:db8::/48"), next_hop=IPv6Address("2001:db8::1%reset"))


def test_communities_by_number_and_by_name() -> None:
    assert Community.parse("graceful-shutdown") == GRACEFUL_SHUTDOWN == Community(65535, 0)
    assert Community.parse("65535:65281") == NO_EXPORT
    assert str(Community.parse("no-export")) == "65535:65281"
    assert LargeCommunity.parse("64600:1:4294967295") == LargeCommunity(64600, 1, 2**32 - 1)


@pytest.mark.parametrize("text", ["65536:0", "-1:0", "1", "1:2:3", "a:b", "1:٣", "shutdown", "1:2 shutdown"])
def test_what_is_no_community(text: str) -> None:
    with pytest.raises(RouteError):
        Community.parse(text)


def session(**changes: object) -> Neighbor:
    values: dict[str, object] = {
        "address": IPv4Address("198.51.100.1"),
        "local_address": IPv4Address("198.51.100.2"),
        "local_as": 64601,
        "peer_as": 64501,
        "versions": frozenset({4, 6}),
    }
    return Neighbor(**(values | changes))  # type: ignore[arg-type]


def test_the_path_towards_an_external_neighbor_starts_with_our_own_as() -> None:
    plain = session().advertisement(Route.parse("192.0.2.0/24"))
    assert plain.as_path == (64601,)
    assert plain.next_hop == IPv4Address("198.51.100.2")
    assert session().advertisement(Route.parse("192.0.2.0/24", prepend=2)).as_path == (64601,) * 3


@pytest.mark.parametrize("role", Role)
def test_the_path_within_our_as_is_empty_and_nothing_is_prepended(role: Role) -> None:
    """One route goes to upstreams and the fleet alike: de-preferred for the world, it is still said."""
    internal = session(peer_as=64601, role=role)
    assert internal.advertisement(Route.parse("192.0.2.0/24")).as_path == ()
    assert internal.advertisement(Route.parse("192.0.2.0/24", prepend=2)).as_path == ()


def test_what_the_fleet_is_told_stays_within_the_as() -> None:
    """Or a reflector would pass on to its own upstreams what we never announced to ours."""
    route = Route.parse("192.0.2.0/24", communities=["65000:1"])
    told = session(peer_as=64601, role=Role.FLEET).advertisement(route)
    assert told.communities == {Community(65000, 1), NO_EXPORT}
    assert session(peer_as=64601).advertisement(route).communities == {Community(65000, 1)}


def test_what_is_for_the_fleet_is_not_told_to_upstreams() -> None:
    """Load in the routing table of the world would cost damping with each change, and is nobody's business."""
    control = Route(parse_prefix("192.0.2.9/32"), audience=Audience.FLEET)
    assert session().advertisement(control) is None
    assert session(peer_as=64601).advertisement(control) is None
    told = session(peer_as=64601, role=Role.FLEET).advertisement(control)
    assert told.communities == {NO_EXPORT}


def test_a_session_of_the_fleet_is_within_our_as() -> None:
    with pytest.raises(RouteError, match="within its AS"):
        session(role=Role.FLEET)


def test_self_is_our_address_of_the_family_of_the_route() -> None:
    other_family = session(next_hop_v6=IPv6Address("2001:db8::2"))
    assert other_family.advertisement(Route.parse("2001:db8::/48")).next_hop == IPv6Address("2001:db8::2")
    with pytest.raises(RouteError, match="next_hop_v6"):
        session().advertisement(Route.parse("2001:db8::/48"))
    explicit = Route(ip_network("2001:db8::/48"), next_hop=IPv6Address("2001:db8::3"))
    assert session().advertisement(explicit).next_hop == IPv6Address("2001:db8::3")


def test_a_session_says_nothing_of_a_family_it_does_not_carry() -> None:
    assert session(versions=frozenset({4})).advertisement(Route.parse("2001:db8::/48")) is None


@pytest.mark.parametrize(
    "changes",
    [
        {"local_as": 0},
        {"peer_as": 2**32 - 1},
        {"local_address": IPv6Address("2001:db8::2")},
        {"next_hop_v6": IPv6Address("fe80::1%shutdown ")},
    ],
)
def test_a_session_with_impossible_ends(changes: dict[str, object]) -> None:
    with pytest.raises(RouteError):
        session(**changes)
