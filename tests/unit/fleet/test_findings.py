"""What is found wrong with a fleet: each thing once, the worst first, and nothing where nothing is."""

from __future__ import annotations

from typing import Any

import pytest

from edge.errors import EdgeError, UnreachableError
from edge.fleet.findings import LONG_S, Severity, findings, worst
from edge.fleet.observed import Seen, Wanted, understood

NOW = 1_795_246_262.0
WELL = {
    "kind": "NodeStatus",
    "node": "ams-1",
    "site": "ams",
    "version": "0.2.0",
    "state": "announced",
    "announced": True,
    "config": {"hash": "abc", "file": "/etc/edge/node.toml", "changed_on_disk": False},
    "bgp": {"neighbors": {"198.51.100.1": "up", "2001:db8::1": "up"}},
    "keys": {"version": 3},
}
HELD = {"kind": "withdraw", "who": "alice", "since": NOW - 120, "reason": "a new disk", "until": None}


def node(name: str = "ams-1", **changes: Any) -> Seen:
    wanted = Wanted(name, name.partition("-")[0], "0.2.0", "abc")
    return Seen(wanted, status=understood(WELL | {"node": name} | changes))


def silent(name: str) -> Seen:
    return Seen(Wanted(name, name.partition("-")[0]), error=UnreachableError("connection refused"))


def found(*nodes: Seen) -> list[tuple[Severity, str, str]]:
    return [(one.severity, one.about, one.what) for one in findings(nodes, NOW)]


def test_where_all_is_well_there_is_nothing_to_say() -> None:
    assert found(node("ams-1"), node("fra-1")) == []


@pytest.mark.parametrize(
    "changes,severity,what,sentence",
    [
        (
            {"state": "fenced", "reason": "4 probes failed"},
            Severity.BROKEN,
            "fenced",
            "fenced: 4 probes failed",
        ),
        ({"state": "depreferred", "reason": "busy"}, Severity.WARNING, "depreferred", "depreferred: busy"),
        (
            {"bgp": {"neighbors": {"198.51.100.1": "down", "2001:db8::1": "up"}}},
            Severity.WARNING,
            "bgp-down",
            "BGP is down with 198.51.100.1; see: edgectl bgp peers ams-1",
        ),
        (
            {"bgp": {"neighbors": {"198.51.100.1": "down"}}},
            Severity.BROKEN,
            "bgp-down",
            "BGP is down with 198.51.100.1; see: edgectl bgp peers ams-1",
        ),
        ({"problems": ["no disk"]}, Severity.WARNING, "problem", "no disk"),
        ({"refuse_probability": 0.256}, Severity.WARNING, "refuses", "refuses 26% of newcomers"),
        (
            {"version": "0.1.0"},
            Severity.WARNING,
            "version-skew",
            "runs 0.1.0, the fleet file says 0.2.0",
        ),
        (
            {"config": {"hash": "xyz"}},
            Severity.WARNING,
            "config-drift",
            "its configuration is not that of the fleet file; see: edgectl config diff ams-1",
        ),
        (
            {"config": WELL["config"] | {"changed_on_disk": True}},  # type: ignore[operator]
            Severity.WARNING,
            "config-changed",
            "/etc/edge/node.toml has changed since it was loaded; a restart takes it",
        ),
        (
            {"hold": HELD | {"kind": "announce"}},
            Severity.NOTE,
            "held",
            "kept announced by alice for 2 min: a new disk",
        ),
        (
            {"lease": {"who": "bob", "what": "upgrade", "since": NOW - 60, "until": NOW + 60}},
            Severity.NOTE,
            "leased",
            "bob works on it (upgrade) for 1 min",
        ),
        (
            {"operation": {"interrupted": True, "advice": "go on with: edgectl upgrade --resume"}},
            Severity.WARNING,
            "interrupted",
            "go on with: edgectl upgrade --resume",
        ),
        (
            {
                "operation": {
                    "state": "failed",
                    "kind": "upgrade",
                    "who": "bob",
                    "step": "verify",
                    "reason": "no",
                }
            },
            Severity.WARNING,
            "failed",
            "upgrade by bob failed at verify: no",
        ),
    ],
)
def test_each_thing_is_found_and_said_once(
    changes: dict[str, Any], severity: Severity, what: str, sentence: str
) -> None:
    (finding,) = findings([node(**changes), node("fra-1")], NOW)
    assert (finding.severity, finding.about, finding.what) == (severity, "ams-1", what)
    assert finding.sentence == sentence


def test_a_site_is_dark_when_nobody_there_is_known_to_announce() -> None:
    out = node("ams-1", announced=False, state="held", hold=HELD)
    assert (Severity.BROKEN, "ams", "dark") in found(out, silent("ams-2"), node("fra-1"))
    assert "dark" not in [what for *_, what in found(out, node("ams-2"), node("fra-1"))]
    dark = findings([out, silent("ams-2")], NOW)[0]
    assert dark.sentence == "none of its 2 nodes is known to announce; 1 of them cannot be asked"
    alone = findings([node("ams-1", announced=False, state="withdrawn"), node("fra-1")], NOW)[0]
    assert (alone.severity, alone.sentence) == (
        Severity.BROKEN,
        "its only node is not known to announce",
    )


def test_what_an_operator_wants_so_is_no_alarm() -> None:
    """Its site is dark and it refuses everybody, and both were ordered."""
    drained = HELD | {"drain": {"hand_over": True, "deadline": None}}
    out = node("ams-1", announced=False, state="held", hold=drained, refuse_probability=1.0)
    dark, held = findings([out, node("fra-1")], NOW)
    assert (dark.severity, dark.what, held.what) == (Severity.NOTE, "dark", "held")
    assert dark.sentence == "its only node is not known to announce; held out"


def test_a_hold_is_worth_a_warning_once_it_may_be_forgotten() -> None:
    drained = HELD | {"drain": {"hand_over": True, "deadline": None}}
    others = node("ams-2")
    fresh, old = (
        findings(
            [node(announced=False, state="held", calls=3, hold=drained | {"since": NOW - age}), others], NOW
        )
        for age in (LONG_S, LONG_S + 1)
    )
    assert [(one.severity, one.what) for one in (*fresh, *old)] == [
        (Severity.NOTE, "held"),
        (Severity.WARNING, "held-long"),
    ]
    assert fresh[0].sentence == "drained by alice for 1 h, 3 calls left: a new disk"


def test_the_ring_of_all_has_to_be_the_same() -> None:
    (finding,) = findings([node(keys={"version": 2}), node("fra-1"), silent("fra-2")], NOW)[1:]
    assert finding.sentence == "not all nodes have version 3 of the key ring: ams-1 has version 2"


def test_the_worst_comes_first() -> None:
    severities = [one for one, *_ in found(node(hold=HELD), node("fra-1", version="0.1.0"), silent("lon-1"))]
    assert severities == sorted(severities, reverse=True)
    assert set(severities) == set(Severity)


def test_the_worst_of_one_node() -> None:
    all_found = findings([node(version="0.1.0", hold=HELD | {"kind": "announce"}), silent("fra-1")], NOW)
    assert worst(all_found, "ams-1") is Severity.WARNING
    assert worst(all_found, "fra-1") is Severity.BROKEN
    assert worst(all_found, "lon-1") is None


def test_a_node_of_another_version_is_understood_as_far_as_it_goes() -> None:
    status = understood({"node": "ams-1", "state": "announced", "announced": True, "colour": "red"})
    assert findings([Seen(Wanted("ams-1", "ams", "0.2.0", "abc"), status=status)], NOW) == ()
    with pytest.raises(EdgeError, match=r"its status is of another version .*; use its own edgectl"):
        understood({"node": "ams-1", "state": 7})


def test_a_way_that_leads_to_another_node_is_told() -> None:
    seen = node("ams-2")
    crossed = Seen(Wanted("ams-1", "ams", "0.2.0", "abc"), status=seen.status)
    assert found(crossed, seen) == [(Severity.BROKEN, "ams-1", "another-node")]
