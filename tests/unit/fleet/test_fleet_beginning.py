"""What `edgectl fleet init` writes is a fleet file with nothing wrong in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.errors import UsageError
from edge.fleet import Fleet, parse_fleet
from edge.fleet.beginning import Beginning, NewNode, NewUpstream, prefixes, written

AMS = [
    NewNode("ams-1", ("198.51.100.11", "2001:db8:a1::11")),
    NewNode("ams-2", ("198.51.100.12", "2001:db8:a1::12")),
]
FRA = NewNode("fra-1", ("203.0.113.11",))
UPSTREAM = NewUpstream("ams", "198.51.100.1", 64500)
BOTH = ("192.0.2.1", "2001:db8:1::1")


def read(beginning: Beginning) -> Fleet:
    fleet, problems = parse_fleet(written(beginning), Path("/srv/fleet.toml"))
    assert [str(problem) for problem in problems if not problem.note] == []
    assert fleet is not None
    return fleet


def test_one_session_carries_both_families() -> None:
    fleet = read(Beginning("voice", BOTH, (*AMS, FRA), (UPSTREAM,), 64601, "ops"))
    assert {node.name: node.announce for node in fleet.nodes} == {
        "ams-1": True,
        "ams-2": True,
        "fra-1": False,
    }
    assert fleet.node("fra-1").site == "fra"
    assert len({node.server_id for node in fleet.nodes}) == 3
    assert fleet.node("ams-1").config.policy.min_announcing == 1


def test_a_router_for_each_family_carries_its_own() -> None:
    other = NewUpstream("ams", "2001:db8:a1::1", 64500)
    bgp = read(Beginning("voice", BOTH, tuple(AMS), (UPSTREAM, other), 64601)).nodes[0].config.bgp
    assert bgp is not None
    assert [neighbor.families for neighbor in bgp.neighbors] == [("ipv4",), ("ipv6",)]


def test_a_fleet_that_announces_nothing() -> None:
    fleet = read(Beginning("voice", ("192.0.2.1",), (FRA,)))
    assert fleet.nodes[0].config.bgp is None


def test_on_the_internet_tokens_are_asked_for() -> None:
    fleet = read(Beginning("voice", BOTH, tuple(AMS), audience='vo"ice.example'))
    assert fleet.nodes[0].config.auth.mode == "token"
    assert fleet.nodes[0].config.auth.audience == 'vo"ice.example'
    assert fleet.secrets.token_keys == Path("/srv/secrets/tokens.jwks")


def test_enough_others_are_asked_for_where_there_are_enough() -> None:
    nodes = tuple(NewNode(f"ams-{number}", (f"198.51.100.{number}",)) for number in range(1, 5))
    upstream = NewUpstream("ams", "198.51.100.200", 64500)
    fleet = read(Beginning("voice", ("192.0.2.1",), nodes, (upstream,), 64601))
    assert fleet.nodes[0].config.policy.min_announcing == 2


def test_prefixes_are_what_the_internet_accepts() -> None:
    assert prefixes(("192.0.2.1", "192.0.2.2", "2001:db8:1:2::1")) == ["192.0.2.0/24", "2001:db8:1::/48"]


@pytest.mark.parametrize(
    "name,site", [("ams-1", "ams"), ("ams1", "ams"), ("eu-west-12", "eu-west"), ("7", "7")]
)
def test_the_site_is_the_name_without_its_number(name: str, site: str) -> None:
    assert NewNode(name, ("192.0.2.1",)).site == site


def test_answers_are_read() -> None:
    assert NewNode.parse("ams-1, 198.51.100.11,2001:DB8::1") == NewNode(
        "ams-1", ("198.51.100.11", "2001:db8::1")
    )
    assert NewUpstream.parse("ams,198.51.100.1,64500") == UPSTREAM


@pytest.mark.parametrize(
    "text", ["", "ams-1", "ams-1,", "ams-1,here", ",198.51.100.1", "a,192.0.2.1,192.0.2.2,192.0.2.3"]
)
def test_what_is_no_node(text: str) -> None:
    with pytest.raises(UsageError):
        NewNode.parse(text)


@pytest.mark.parametrize(
    "text", ["", "ams,198.51.100.1", "ams,198.51.100.1,AS1", ",198.51.100.1,1", "ams,x,1"]
)
def test_what_is_no_upstream(text: str) -> None:
    with pytest.raises(UsageError):
        NewUpstream.parse(text)


def test_what_does_not_go_together() -> None:
    with pytest.raises(UsageError, match="no node is at 'ams'"):
        Beginning("voice", BOTH, (FRA,), (UPSTREAM,), 64601)
    with pytest.raises(UsageError, match="--local-as"):
        Beginning("voice", BOTH, tuple(AMS), (UPSTREAM,))
    with pytest.raises(UsageError, match="node fra-1: has no IPv6 address"):
        Beginning("voice", BOTH, (FRA,), (NewUpstream("fra", "203.0.113.1", 64500),), 64601)
