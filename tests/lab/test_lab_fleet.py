"""Real nodes that know each other by route reflectors, with either speaker; the story is in `inside_fleet`."""

from __future__ import annotations

import os
from typing import Any

import pytest

pytestmark = [
    pytest.mark.needs("bird", "bgpd"),
    pytest.mark.timeout(120),
    pytest.mark.parametrize(
        "caller", ["root" if os.geteuid() == 0 else "user"], indirect=True, scope="module"
    ),
]

ADDRESSES = {"e1": "203.0.113.11", "e2": "203.0.113.31", "e3": "203.0.113.51"}
REFLECTORS = {
    4: {"203.0.113.101", "203.0.113.111"},
    6: {"2001:db8:31::2", "2001:db8:32::2"},
}
CAPACITY_CALLS = 10
GONE_S = 0.5


@pytest.mark.parametrize("speaker", ["exabgp", "bird"])
def test_nodes_know_each_other_and_stand_in_for_each_other(caller: Any, speaker: str) -> None:
    found = caller.inside("fleet", module="inside_fleet", speaker=speaker)
    for moment in ("views", "with_one", "with_both"):  # one reflector is enough
        for edge, view in found[moment].items():
            assert {node["address"] for node in view["nodes"]} == {
                address for name, address in ADDRESSES.items() if name != edge
            }
            assert {node["capacity"] for node in view["nodes"]} == {CAPACITY_CALLS}
            assert {node["state"] for node in view["nodes"]} == {"announced"}
    assert found["moves"] == 0

    # Its own service prefixes and its own address come back to every node from both reflectors.
    for edge, paths in found["own"].items():
        expected = {
            *((reflector, "198.51.100.0/24") for reflector in REFLECTORS[4]),
            *((reflector, "2001:db8:a::/48") for reflector in REFLECTORS[6]),
            *((reflector, f"{ADDRESSES[edge]}/32") for reflector in REFLECTORS[4]),
        }
        assert {tuple(path) for path in paths} == expected, edge

    # The site's router prefers e3, and has the others as a standby behind another link.
    assert found["gone_s"] < GONE_S
    assert found["then"] == [["e1", "e2"], ["e1", "e2"]]
    assert found["converged"] >= 2  # its withdrawal came back in both families
    before, *behind = found["served"]
    assert before == "e3"
    assert set(behind) <= {"e1", "e2"}
    assert (found["endings"], found["failed"]) == (["hung_up"] * 3, {})
