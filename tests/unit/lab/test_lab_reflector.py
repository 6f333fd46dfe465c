"""The reflectors' configuration as text. What nodes hear through them is for tests/lab."""

from __future__ import annotations

import re

from edge.lab import reflector
from edge.lab.parts import Protection, Role
from edge.lab.topologies import default_topology, fleet_topology
from edge.lab.topology import Topology, decode, encode


def session(topology: Topology, name: str, of: str) -> str:
    """The block of one session."""
    text = reflector.config(topology, of)
    match = re.search(rf"protocol bgp {name} .*?^}}", text, re.DOTALL | re.MULTILINE)
    assert match, text
    return match[0]


def test_a_session_with_each_edge_and_each_other_reflector() -> None:
    names = re.findall(r"protocol bgp (\w+)_v4", reflector.config(fleet_topology(), "rr2"))
    assert sorted(names) == ["e1", "e2", "e3", "e4", "rr1"]


def test_an_edge_speaks_for_itself_alone() -> None:
    block = session(default_topology(), "e1_v6", "rr1")
    allowed = "net ~ [ 2001:db8:a::/48, 2001:db8:21::2/128 ] && bgp_next_hop = 2001:db8:21::2 then accept"
    assert f"import filter {{ if {allowed}; reject; }}" in block
    assert "rr client" in block


def test_an_edge_hears_its_own_routes_with_a_next_hop_that_may_be_told() -> None:
    assert "if bgp_next_hop = 203.0.113.11 then bgp_next_hop = 203.0.113.41;" in session(
        default_topology(), "e1_v4", "rr1"
    )


def test_each_reflector_is_a_cluster_of_its_own_and_one_dials() -> None:
    topology = default_topology()
    there, back = session(topology, "rr2_v4", "rr1"), session(topology, "rr1_v4", "rr2")
    assert "rr cluster id 203.0.113.41" in there
    assert "rr cluster id 203.0.113.51" in back
    assert ("passive on" in there, "passive on" in back) == (False, True)
    assert "passive on" in session(topology, "e1_v4", "rr1")
    assert "rr client" not in there


def test_the_end_of_what_a_reflector_knows_is_told() -> None:
    """Without it an edge waits before it relies on a reflector, and cannot time its first announcement."""
    for name in ("e1_v4", "rr2_v6"):
        assert "graceful restart aware;" in session(default_topology(), name, "rr1")


def test_gtsm_allows_the_way_through_every_router_and_no_more() -> None:
    for topology in (default_topology(), fleet_topology()):
        block = session(topology, "e1_v4", "rr1")
        assert f"multihop {len(topology.names(Role.ROUTER)) + 1};" in block
        assert "ttl security on;" in block
        assert 'password "within-the-fleet";' in block


def test_a_fleet_without_secrets() -> None:
    document = encode(default_topology())
    del document["fleet"]
    topology = decode(document)
    assert topology.fleet == Protection()
    block = session(topology, "e1_v4", "rr1")
    assert "password" not in block
    assert "ttl security" not in block
