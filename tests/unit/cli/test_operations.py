"""What `edgectl upgrade` and its like agree to, and what they do not begin with."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from fleet_files import write_fleet

from edge.cli import main, operations
from edge.cli.operations import _Work
from edge.errors import EdgeError, RefusedError
from edge.fleet import carry_out
from edge.fleet.leases import Leases
from edge.fleet.operate import Goal, Survey
from edge.fleet.operation import Kind
from edge.fleet.plan import Terms
from edge.fleet.planning import Member, Start, to_release
from edge.fleet.rollout import Rollout
from edge.fleet.sighting import Observed, Releases

OLD, NEW, OTHER = "0.1.0", "0.2.0", "0.3.0"
MEMBERS = [Member("a", frozenset()), Member("b", frozenset())]
START = Start("op-00000001", "alice", 1.0, 1)
SERVES = Observed(
    versions=frozenset({OLD}),
    state="announced",
    serves=frozenset({"192.0.2.0/24"}),
    knows_others=True,
    releases=Releases(current=OLD, releases=(OLD, NEW, OTHER)),
)


class Surveyed:
    """Looks at nodes that are so."""

    ways: ClassVar[dict[str, object]] = {}

    def __init__(self, fleet: dict[str, Observed]) -> None:
        self.fleet = fleet

    async def list_releases(self) -> dict[str, EdgeError]:
        return {}

    async def look(self) -> dict[str, Observed]:
        return self.fleet


def test_what_was_agreed_to_is_done_or_nothing() -> None:
    """Somebody thinks it over for long, and another one brings the fleet to a third release meanwhile."""
    fleet = {"a": SERVES, "b": SERVES}
    shown = to_release(Kind.UPGRADE, MEMBERS, fleet, dict.fromkeys(fleet, NEW), START)
    later = Surveyed({"a": replace(SERVES, versions=frozenset({OTHER})), "b": SERVES})
    leases = Leases({}, who="alice", what="", timeout_s=1.0)
    work = _Work(later, leases, MEMBERS, Goal(kind=Kind.UPGRADE, version=NEW), START, Terms(), shown)  # type: ignore[arg-type]
    with pytest.raises(RefusedError, match=r"has changed since you were asked.*a from 0\.3\.0 to 0\.2\.0"):
        asyncio.run(work.run())
    assert work.rollout is None


def test_what_was_done_is_told_also_by_who_lost_the_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It may be in the middle of a node, and whoever looks at the document has to see of which."""
    file = write_fleet(tmp_path, {"a-1": 'socket = "/nowhere/1"', "a-2": 'socket = "/nowhere/2"'})
    found = {"a-1": SERVES, "a-2": SERVES}
    members = [Member(name, frozenset()) for name in found]
    plan = to_release(Kind.UPGRADE, members, found, dict.fromkeys(found, NEW), START)

    async def surveyed(*_: object) -> Survey:
        return Survey(plan=plan, fleet=found, against=[], differences={}, left=None)

    async def lost(rollout: Rollout, *_: object, **__: object) -> None:
        rollout.look(found, 0.0)
        rollout.look(found, 0.0)
        raise RefusedError("a-2: bob has the lease")

    monkeypatch.setattr(operations, "_survey", surveyed)
    monkeypatch.setattr(carry_out, "carry_out", lost)
    assert main(["upgrade", "--fleet", str(file), "--yes", "--no-call", "-o", "json", NEW]) == 6
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert (document["kind"], document["state"]) == ("FleetChange", "interrupted")
    assert [(node["state"], node["step"]) for node in document["nodes"]] == [
        ("stopped", "drain"),
        ("untouched", ""),
    ]
    assert err.endswith("edgectl: error: a-2: bob has the lease\n")


@pytest.mark.parametrize("command", ["upgrade", "rollback"])
@pytest.mark.parametrize("version", ["*", "0.2.*", "../../x", "0.2.0; reboot", "$(reboot)", "v 1", "0.2.0\n"])
def test_what_is_no_version_takes_nobody_out(
    tmp_path: Path, command: str, version: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = write_fleet(tmp_path, {"ams-1": 'socket = "/nowhere/1"', "ams-2": 'socket = "/nowhere/2"'})
    assert main([command, "--fleet", str(fleet), "--yes", version]) == 2
    told = capsys.readouterr().err
    assert "is no version" in told
    assert "write it like 0.1.0" in told
