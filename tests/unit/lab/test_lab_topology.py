"""The topology as data: the default, its way through JSON and TOML, and every way to get it wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge.errors import ConfigError, UsageError
from edge.lab.parts import Role, Software
from edge.lab.topologies import balanced_topology, default_topology, fleet_topology
from edge.lab.topology import decode, encode, load

TOML = """
[[nodes]]
name = "r"
role = "router"
asn = 64501

[[nodes]]
name = "c"
role = "client"

[[links]]
a = { node = "r", v4 = "192.0.2.0/31", v6 = "2001:db8:1::1/64" }
b = { node = "c", v4 = "192.0.2.1/31", v6 = "2001:db8:1::2/64" }
impairment = { delay_ms = 20, loss = 0.01 }
"""


def test_default_is_what_the_documentation_draws() -> None:
    topology = default_topology()
    assert topology.names(Role.ROUTER) == ("t1", "t2")
    assert {edge: topology.uplink(edge).peer.node for edge in topology.names(Role.EDGE)} == {
        "e1": "t1",
        "e2": "t2",
        "e3": "t2",
    }
    one_way_ms = sum(topology.link(name).impairment.delay_ms for name in ("c1-t1", "t1-e1"))
    assert 2 * one_way_ms == 30
    assert [str(address) for address in topology.addresses("e3")] == ["203.0.113.31", "2001:db8:23::2"]
    assert [adjacency.peer.node for adjacency in topology.adjacencies("t2")] == [
        *("t1", "c2", "e2", "e3", "rr2")
    ]


def test_every_edge_of_the_fleet_has_two_upstreams_who_prefer_one_site() -> None:
    topology = fleet_topology()
    preferences: dict[str, dict[str, int | None]] = {}
    for edge in topology.names(Role.EDGE):
        for link, _, peer in topology.adjacencies(edge):
            assert link.bgp is not None
            preferences.setdefault(peer.node, {})[edge] = link.bgp.local_pref
    assert preferences == {
        "t1": {"e1": 200, "e2": 200, "e3": 100},
        "t2": {"e1": 100, "e2": 100, "e3": 200, "e4": 200},
        "t3": {"e4": 200},
    }
    assert [topology.uplink(edge).peer.node for edge in topology.names(Role.EDGE)] == ["t1", "t1", "t2", "t2"]
    between = topology.link("t1-t3").bgp
    assert between is not None
    assert between.local_pref == 80  # customers before peers
    assert topology.node("t2").software is Software.FRR


def test_behind_a_balancer_nobody_speaks_bgp() -> None:
    topology = balanced_topology()
    assert decode(encode(topology)) == topology
    assert {name: topology.uplink(name).peer.node for name in ("e1", "e2", "e3", "h1", "c1", "c2")} == {
        **dict.fromkeys(("e1", "e2", "e3", "h1"), "b1"),
        "c1": "h1",
        "c2": "h2",
    }
    assert topology.names(Role.ROUTER, Role.REFLECTOR) == ()


def test_who_speaks_with_whom_within_the_fleet() -> None:
    topology = default_topology()
    assert topology.fleet_peers("e2") == ("rr1", "rr2")
    assert topology.fleet_peers("rr1") == ("e1", "e2", "e3", "rr2")
    assert topology.fleet_peers("t1") == topology.fleet_peers("c1") == ()
    assert topology.fleet_hops == 3


def test_the_same_but_for_one_link_or_node() -> None:
    topology = default_topology()
    changed = topology.with_bgp("e1-t1", local_pref=50).with_node("t2", software=Software.FRR, damping=True)
    bgp = changed.link("t1-e1").bgp
    assert bgp is not None
    assert (bgp.local_pref, bgp.md5) == (50, "between-neighbours")
    assert changed.node("t2").damping
    assert (
        changed.with_bgp("t1-e1", local_pref=None).with_node("t2", software=Software.BIRD, damping=False)
        == topology
    )


def test_jitter_follows_a_link_that_is_faster_than_it() -> None:
    assert default_topology(edge_delay_ms=0).link("t1-e1").impairment.jitter_ms == 0


def test_json_values_and_back() -> None:
    topology = default_topology(loss=0.25)
    assert decode(encode(topology)) == topology
    assert decode(encode(fleet_topology(damping=True, bfd=True))) == fleet_topology(damping=True, bfd=True)


def test_toml_file(tmp_path: Path) -> None:
    path = tmp_path / "two.toml"
    path.write_text(TOML)
    topology = load(path)
    assert topology.link("c-r").impairment.delay_ms == 20
    assert str(topology.addresses("c").v4) == "192.0.2.1"
    assert str(topology.service_v6) == "2001:db8:a::1/48"


def test_broken_toml_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text("[[nodes]")
    with pytest.raises(ConfigError, match=r"broken\.toml"):
        load(path)
    with pytest.raises(UsageError, match="No such file"):
        load(tmp_path / "absent.toml")


def at(*keys: Any, value: Any) -> Callable[[Any], None]:
    """A change of one value deep in the JSON form."""

    def change(document: Any) -> None:
        for key in keys[:-1]:
            document = document[key]
        document[keys[-1]] = value

    return change


WRONG = {
    "unknown key": (at("speed", value=1), "$", "speed"),
    "not an address": (at("links", 0, "a", "v4", value="203.0.113.256/31"), "$.links[0].a.v4", "256"),
    "role nobody has": (at("nodes", 0, "role", value="switch"), "$.nodes[0].role", "switch"),
    "name too long for an interface": (
        at("nodes", 0, "name", value="n" * 16),
        "$.nodes[0].name",
        "interface",
    ),
    "name that the kernel has": (at("nodes", 0, "name", value="lo"), "$.nodes[0].name", "interface"),
    "two nodes of one name": (at("nodes", 1, "name", value="t1"), "$.nodes[1].name", "another"),
    "client with an AS": (at("nodes", 5, "asn", value=64600), "$.nodes[5].asn", "others have none"),
    "router without an AS": (at("nodes", 0, "asn", value=None), "$.nodes[0].asn", "have an AS"),
    "AS out of range": (at("nodes", 0, "asn", value=2**32), "$.nodes[0].asn", "4294967295"),
    "link to nowhere": (at("links", 1, "b", "node", value="c9"), "$.nodes[5]", "no link"),
    "unknown end": (at("nodes", 5, "name", value="c9"), "$.nodes[5]", "no link"),
    "link to itself": (at("links", 0, "b", "node", value="t1"), "$.links[0]", "joined to itself"),
    "two ends, two networks": (
        at("links", 0, "b", "v4", value="203.0.113.5/31"),
        "$.links[0].b.v4",
        "one network",
    ),
    "two ends, one address": (
        at("links", 0, "b", "v4", value="203.0.113.2/31"),
        "$.links[0].b.v4",
        "one network",
    ),
    "service inside a link": (at("service_v4", value="203.0.113.1/24"), "$.links[0].b.v4", "overlaps"),
    "BGP inside an AS": (at("nodes", 1, "asn", value=64501), "$.links[0].bgp", "two autonomous"),
    "BGP with a client": (at("links", 1, "bgp", value={}), "$.links[1].bgp", "two autonomous"),
    "password that ends the string": (
        at("links", 0, "bgp", value={"md5": 'a"; import all'}),
        "$.links[0].bgp.md5",
        "no quotes",
    ),
    "reflector with BGP to its router": (
        at("links", 6, "bgp", value={}),
        "$.links[6].bgp",
        "speaks with the fleet alone",
    ),
    "reflector of another AS": (
        at("nodes", 7, "asn", value=64601),
        "$.nodes[7].asn",
        "one autonomous system",
    ),
    "reflector with a choice of software": (
        at("nodes", 7, "software", value="frr"),
        "$.nodes[7].software",
        "only a router",
    ),
    "BIRD that damps": (at("nodes", 0, "damping", value=True), "$.nodes[0].damping", 'software = "frr"'),
    "FRR that speaks BFD": (
        lambda document: (
            at("nodes", 0, "software", value="frr")(document),
            at("links", 3, "bgp", "bfd", value=True)(document),
        ),
        "$.links[3].bgp.bfd",
        "only BIRD",
    ),
    "preference below zero": (
        at("links", 3, "bgp", "local_pref", value=-1),
        "$.links[3].bgp.local_pref",
        "between 0",
    ),
    "password of the fleet that ends the string": (
        at("fleet", "md5", value='"'),
        "$.fleet.md5",
        "no quotes",
    ),
    "jitter above delay": (
        at("links", 0, "impairment", value={"delay_ms": 1, "jitter_ms": 2}),
        "$.links[0].impairment",
        "jitter_ms <= delay_ms",
    ),
    "loss in percent": (
        at("links", 0, "impairment", "loss", value=5),
        "$.links[0].impairment",
        "probability",
    ),
}


@pytest.mark.parametrize("change, where, problem", WRONG.values(), ids=WRONG.keys())
def test_wrong_values_say_where(change: Callable[[Any], None], where: str, problem: str) -> None:
    document = encode(default_topology())
    change(document)
    with pytest.raises(ConfigError) as caught:
        decode(document)
    assert caught.value.where == where
    assert problem in caught.value.problem


def test_overlapping_links_name_both() -> None:
    document = encode(default_topology())
    document["links"][3]["a"]["v4"] = "203.0.113.3/28"
    document["links"][3]["b"]["v4"] = "203.0.113.5/28"
    with pytest.raises(ConfigError, match=r"\$\.links\[3\]\.b\.v4: 203.0.113.0/28 overlaps 203.0.113.2/31"):
        decode(document)


def test_names_that_do_not_exist_list_those_that_do() -> None:
    with pytest.raises(UsageError, match=r"e9.*t1, t2, e1"):
        default_topology().addresses("e9")
    with pytest.raises(UsageError, match=r"t1-e9.*t1-t2"):
        default_topology().link("t1-e9")


def test_an_edge_without_bgp_is_refused() -> None:
    value = encode(default_topology())
    index = next(i for i, link in enumerate(value["links"]) if link["b"]["node"] == "e1")
    value["links"][index]["bgp"] = None
    with pytest.raises(ConfigError, match=rf"\$\.links\[{index}\]\.bgp: an edge announces"):
        decode(value)
