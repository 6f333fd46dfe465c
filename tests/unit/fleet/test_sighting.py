"""What an operation makes of the documents that a node hands out."""

from __future__ import annotations

from typing import Any

import pytest

from edge.fleet.operation import Kind, Operation, Step, is_ours, sentence
from edge.fleet.sighting import observed

OPERATION: dict[str, Any] = {
    "id": "op-0a1b2c3d", "kind": "upgrade", "who": "alice", "started_at": 1.0, "nodes": ["a", "b"], "from": "0.1.0",
    "to": "0.2.0", "step": "use", "state": "running", "reason": "", "interrupted": True, "advice": "go on",
}  # fmt: skip
STATUS: dict[str, Any] = {
    "version": "0.2.0",
    "config": {"hash": "0123456789ab", "file": "/etc/edge/node.toml", "changed_on_disk": True},
    "state": "announced",
    "reason": "3 self-probes in a row passed",
    "announced": True,
    "hold": None,
    "drain": None,
    "calls": 4,
    "probe": {"passed": 3, "failed": 0, "problem": ""},
    "bgp": {"prefixes": ["192.0.2.0/24"], "neighbors": {"198.51.100.1": "up", "198.51.100.2": "down"}},
    "workers": [{"version": "0.1.0"}],
    "problems": [],
    "operation": OPERATION,
}
SEEN = [{"address": "203.0.113.2", "state": "depreferred"}, {"address": "203.0.113.3", "state": "held"}]
EXPLANATION: dict[str, Any] = {"view": {"problem": "", "nodes": SEEN}}
ROUTES: dict[str, Any] = {"announced": [{"confirmed": True}, {"confirmed": False}]}


def test_a_node_that_serves() -> None:
    seen = observed(STATUS, EXPLANATION, ROUTES, None)
    assert seen.versions == {"0.1.0", "0.2.0"}, "a worker of before runs still"
    assert seen.serves == {"192.0.2.0/24"}
    assert (seen.routes, seen.unconfirmed) == (2, 1)
    assert seen.sees == {"203.0.113.2"}
    assert seen.troubles == {"its BGP session with 198.51.100.2 is down"}
    assert seen.config_changed
    assert seen.operation == Operation(
        id="op-0a1b2c3d", kind=Kind.UPGRADE, who="alice", started_at=1.0, nodes=("a", "b"), before="0.1.0",
        after="0.2.0", step=Step.USE, state="running",
    )  # fmt: skip


def test_a_node_without_bgp_and_without_a_view() -> None:
    explanation = {"view": {"problem": "no neighbor has the role fleet", "nodes": []}}
    seen = observed(STATUS | {"bgp": None}, explanation, {"announced": []}, None)
    assert seen.serves
    assert seen.sees is None
    assert not seen.knows_others
    assert seen.troubles == set()


@pytest.mark.parametrize(
    "changes, trouble",
    [
        ({"announced": False, "state": "withdrawn"}, "is not announced"),
        ({"probe": {"passed": 0, "failed": 2, "problem": "no answer"}}, "its self-probe fails"),
        ({"problems": ["the key ring cannot be read"]}, "the key ring cannot be read"),
    ],
)
def test_what_is_wrong(changes: dict[str, Any], trouble: str) -> None:
    assert trouble in observed(STATUS | changes, EXPLANATION, ROUTES, None).troubles


def test_one_that_is_held_is_no_trouble() -> None:
    hold = {"reason": "a new disk", "since": 1.0, "kind": "withdraw"}
    seen = observed(STATUS | {"announced": False, "state": "held", "hold": hold}, EXPLANATION, ROUTES, None)
    assert "is not announced" not in seen.troubles
    assert seen.is_kept_out
    assert not seen.is_out


@pytest.mark.parametrize("other", [{"kind": "reboot"}, {"nodes": [{"name": "a"}]}, {"from": None}])
def test_what_another_program_notes_is_no_operation_of_ours(other: dict[str, Any]) -> None:
    """The node keeps any note that is documented; who wrote it must not shut everybody else out."""
    seen = observed(STATUS | {"operation": OPERATION | other}, EXPLANATION, ROUTES, None)
    assert seen.answers
    assert seen.operation is None


def test_whose_a_hold_is() -> None:
    seen = observed(STATUS, EXPLANATION, ROUTES, None)
    assert seen.operation is not None
    assert is_ours(sentence(seen.operation))
    assert not is_ours("upgrade of the disk")
    assert not is_ours("see [op-0a1b2c3d] of yesterday")
