"""Making a plan: of what nodes say, and nothing else.

An operation that was cut off, or has failed, is found again in what nodes were told of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edge.errors import RefusedError, UsageError
from edge.fleet.operation import Kind, Operation, Step
from edge.fleet.plan import Plan, Task, batches
from edge.fleet.sighting import Observed
from edge.runtime.operation import way_on

_AFTER_CHANGE = (Step.UNDRAIN, Step.BACK, Step.SOAK)


@dataclass(frozen=True, slots=True)
class Member:
    """A node of the fleet file, and the addresses that the others see it by."""

    name: str
    addresses: frozenset[str]


@dataclass(frozen=True, slots=True)
class Start:
    """Who begins an operation, when (seconds since 1970), under which id; and how many nodes at a time."""

    id: str
    who: str
    at: float
    batch: int


def unfinished(fleet: Mapping[str, Observed]) -> Operation | None:
    """The latest operation, if some node has not heard that it is done."""
    told = [seen.operation for seen in fleet.values() if seen.operation is not None]
    if not told:
        return None
    latest = max(told, key=lambda one: one.started_at)
    left = [one for one in told if one.id == latest.id and one.state != "done"]
    # Of those, the one that tells most.
    return next(
        (one for state in ("failed", "running", "planned") for one in left if one.state == state), None
    )


def refuse_to_forget(left: Operation | None) -> None:
    """Raises `RefusedError` if an operation was cut off in the middle: it has to be finished, one way or the other."""
    if left is None or left.state == "failed":
        return
    raise RefusedError(
        f"{left.kind} to {left.after} by {left.who} was cut off; finish it with {way_on(left.kind)}"
        + ("" if left.kind is Kind.CONFIG else ", or go back with edgectl rollback")
    )


def to_release(
    kind: Kind,
    members: Sequence[Member],
    fleet: Mapping[str, Observed],
    targets: Mapping[str, str],
    start: Start,
    resumed: Operation | None = None,
) -> Plan:
    """``targets`` is the release that each node is to run. ``resumed``: the operation that this one goes on with."""
    return _plan(
        kind, members, fleet, start, resumed, targets, {name: _release(seen) for name, seen in fleet.items()}
    )


def to_configuration(
    members: Sequence[Member],
    fleet: Mapping[str, Observed],
    hashes: Mapping[str, str],
    other_files: Mapping[str, bool],
    start: Start,
    resumed: Operation | None = None,
) -> Plan:
    """``hashes`` are those of each node's node.toml as it is to be, ``other_files`` whether other files of it differ."""
    now = {name: seen.config_hash for name, seen in fleet.items()}
    return _plan(Kind.CONFIG, members, fleet, start, resumed, hashes, now, other_files)


def previous_releases(
    fleet: Mapping[str, Observed], left: Operation | None, version: str | None
) -> dict[str, str]:
    """What each node goes back to: ``version`` if it is given, else what it ran before the last upgrade.

    Raises `UsageError` where that cannot be told.
    """
    found = {}
    for name, seen in fleet.items():
        before = version or _before(seen, left)
        if not before:
            raise UsageError(f"{name}: it is not known what it ran before; say it: edgectl rollback VERSION")
        found[name] = before
    return found


def _before(seen: Observed, left: Operation | None) -> str:
    told = seen.operation
    if told is not None and told.kind is not Kind.CONFIG and (left is None or told.id == left.id):
        return told.after if told.kind is Kind.ROLLBACK else told.before
    if seen.releases is None:
        return ""
    if left is not None and seen.releases.current != left.after:
        return seen.releases.current or ""  # the operation had not come to it
    return seen.releases.previous or ""


def _release(seen: Observed) -> str:
    if seen.versions:
        return min(seen.versions)
    return (seen.releases.current if seen.releases else None) or ""


def _plan(
    kind: Kind,
    members: Sequence[Member],
    fleet: Mapping[str, Observed],
    start: Start,
    resumed: Operation | None,
    targets: Mapping[str, str],
    found: Mapping[str, str],
    other_files: Mapping[str, bool] = {},
) -> Plan:
    tasks = {}
    for member in members:
        told = fleet[member.name].operation
        if told is not None and (resumed is None or told.id != resumed.id):
            told = None
        tasks[member.name] = Task(
            node=member.name,
            addresses=member.addresses,
            before=told.before if told is not None and told.before else found[member.name],
            after=targets[member.name],
            other_files=other_files.get(member.name, False),
            redo=told.step if told and told.state != "done" and told.step in _AFTER_CHANGE else None,
        )
    return Plan(
        id=resumed.id if resumed else start.id,
        kind=kind,
        who=start.who,
        started_at=resumed.started_at if resumed else start.at,
        fleet=tuple(tasks),
        tasks=tasks,
        batches=batches(kind, [tasks[name] for name in _order(tuple(tasks), resumed)], fleet, start.batch),
    )


def _order(names: tuple[str, ...], resumed: Operation | None) -> tuple[str, ...]:
    """The order of before, where there was one."""
    if resumed is None:
        return names
    return tuple(sorted(names, key=lambda name: _place(name, resumed.nodes)))


def _place(name: str, order: Sequence[str]) -> int:
    return order.index(name) if name in order else len(order)
