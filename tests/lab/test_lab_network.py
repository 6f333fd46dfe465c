"""The network of a lab: who reaches whom by which way, and what the routers' kernels say."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

pytestmark = pytest.mark.needs("bird", "ip")


def test_flows_follow_bgp_and_share_by_layer_4(caller: Any) -> None:
    """Also over sessions with TCP MD5 and GTSM: those of t1-t2 and t2-e3 have both."""
    found = caller.inside("anycast")
    assert found["before"] == [[], []]
    for address, flows in found["shared"].items():
        assert all(first == second for first, second in flows), f"{address}: a flow changed its edge"
        share = Counter(first for first, _ in flows)
        # 60 flows over two edges: fewer than 15 for one of them has a probability of 1 in 20000.
        assert set(share) == {"e2", "e3"}, f"{address}: {share}"
        assert min(share.values()) >= 15, f"{address}: {share}"
    assert all(flow == ["e1", "e1"] for flows in found["near"] for flow in flows)
    assert ["t1_v4", [64501, 64600]] in found["rib"]
    assert found["alone_ms"] < 1000
    assert found["dumped"] == [["e3"], ["e3"]]
    assert all(flow == ["e3", "e3"] for flow in found["after"])


def test_links_can_be_cut_and_slowed_while_the_lab_runs(caller: Any) -> None:
    found = caller.inside("links")
    assert found["reached"] == [[["e1", "e1"]]] * 2
    assert found["cut"] == [[["nobody", "nobody"]]] * 2
    assert "UP" in found["interface"].split()[1]  # unplugged behind a switch: nobody is told
    assert found["mended"] == [["e1", "e1"]]
    assert found["slow_s"] > 2 * 0.1  # two questions over a link of 50 ms each way
    assert found["gone_ms"] < 1000  # the kernel tells nobody that these IPv4 routes went
    assert found["dropped"] > 0
    impairment = {"delay_ms": 50, "jitter_ms": 0, "loss": 0, "burst_ms": None, "reorder": False, "cut": False}
    assert found["impairment"] == impairment


def test_programs_that_fail_are_noticed(caller: Any) -> None:
    found = caller.inside("losses")
    assert found["said"] == [
        "EdgeError: /no/such/program on e1: No such file or directory",
        "DeadlineError: sleep on e1: not done after 0.2 s",
        "UsageError: no node 'e9' in this lab; there are t1, t2, e1, e2, e3, c1, c2, rr1, rr2",
        found["said"][3],
    ]
    assert found["said"][3].startswith("bird on t2 ended with -9: ")
    assert found["stopped"] == -9
    assert found["sessions"] == []
