"""FRR beside BIRD as transit, edges with two upstreams, and route reflectors: as root and without any privilege."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

pytestmark = pytest.mark.needs("bird", "bgpd", "ip")


class Addresses(NamedTuple):
    """A node's unicast addresses."""

    v4: str
    v6: str


E4 = Addresses("203.0.113.71", "2001:db8:27::2")
RR1 = Addresses("203.0.113.101", "2001:db8:31::2")
RR2 = Addresses("203.0.113.111", "2001:db8:32::2")

GONE_S = 0.5  # FRR takes some 65 ms from the update to the kernel


def test_transit_of_both_makes(caller: Any) -> None:
    found = caller.inside("transit", module="inside_routers")
    assert found["before"] == [[], []]
    # Who is deaf to the graceful shutdown keeps to what it prefers; for the others the route is the last resort.
    assert {"e1_v4": 0, "e2_v4": 200, "e3_v4": 0}.items() <= found["last_resort"]["t1"].items()
    assert {"e3_v4": 0, "e4_v4": 200}.items() <= found["last_resort"]["t2"].items()
    assert found["gone_s"] < GONE_S
    for flows in found["second_uplink"]:
        assert {answer for flow in flows for answer in flow} == {"e1", "e2"}
    (damped,) = found["damped"]
    assert damped["suppressed"]
    assert damped["penalty"] >= 1900  # 2000, of which a little has decayed
    assert damped["reuse_s"] > 15 * 60
    assert found["kernel"] == ["e1", "e2"]  # although e3 announces


def test_reflectors_tell_edges_of_each_other_and_of_themselves(caller: Any) -> None:
    found = caller.inside("reflection", module="inside_routers")
    # e1 hears of e4 from both, from each by both ways, and of itself what it told the other one.
    assert found["heard"][0] == [
        ["to_rr1_v4", RR1.v4, "241.0.113.11"],
        ["to_rr1_v4", E4.v4, "203.0.113.71"],
        ["to_rr1_v4", E4.v4, "241.0.113.71"],
        ["to_rr2_v4", RR2.v4, "203.0.113.11"],
        ["to_rr2_v4", E4.v4, "203.0.113.71"],
        ["to_rr2_v4", E4.v4, "241.0.113.71"],
    ]
    assert {next_hop for _, next_hop, _ in found["heard"][1]} == {E4.v6, RR1.v6, RR2.v6}
    no_export, load = [65535, 65281], [64600, 3, 7]
    assert found["control"] == [[[no_export], [load]]] * 4
    assert found["claimed"] == [[], []]  # nobody may speak for another
    assert found["without_rr1"] == [["to_rr2_v4", E4.v4, "241.0.113.71"]]
