"""From what an operator wants to a rollout: look at the fleet, make the plan, and say what speaks against it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import edge
from edge.config import parse_config
from edge.errors import ConfigError, EdgeError, UsageError
from edge.fleet import planning
from edge.fleet.crew import Crew, Difference
from edge.fleet.operation import Kind, Operation
from edge.fleet.plan import Plan, Terms, objections
from edge.fleet.planning import Member, Start
from edge.fleet.reach import type_of
from edge.fleet.sighting import Observed
from edge.fleet.wheelhouse import UNPACKED, Wheelhouse

CONFIGURATION: Final = Path("/etc/edge")
SPARE_BYTES: Final = 64 * 1024 * 1024
"""What is to be free beside a release, for logs and state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What is wanted. ``version`` empty: of a rollback, what ran before; of an operation that is resumed, its own.

    ``hashes`` are those of the configurations that nodes are to have.
    """

    kind: Kind
    version: str = ""
    resume: bool = False
    wheelhouse: Path | None = None
    hashes: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """How the fleet was found, and what follows. ``against``: why it must not begin.

    ``left``: an earlier operation that nodes have not heard the end of.
    """

    plan: Plan
    fleet: Mapping[str, Observed]
    against: Sequence[EdgeError]
    differences: Mapping[str, Difference]
    left: Operation | None

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do, not even to tell nodes that something is over."""
        return not self.plan.batches and self.left is None

    @property
    def notes(self) -> list[str]:
        """What an operator may not have thought of."""
        left = self.left
        gone = [] if left is None else [name for name in left.nodes if name not in self.fleet]
        changed = [
            name
            for name in self.plan.unfinished
            if self.fleet[name].config_changed and self.plan.kind is not Kind.CONFIG
        ]
        return [
            *(
                f"{name}: is not in the fleet file any more; what was cut off leaves it as it is"
                for name in gone
            ),
            *(
                f"{name}: its node.toml is another one since it started; the restart puts that into effect"
                for name in changed
            ),
        ]


async def survey(crew: Crew, members: Sequence[Member], goal: Goal, start: Start, terms: Terms) -> Survey:
    """Changes nothing. Raises `EdgeError` where there can be no plan."""
    problems: dict[str, EdgeError] = {}
    differences: dict[str, Difference] = {}
    if goal.kind is Kind.CONFIG:
        differences, problems = await crew.compare_files()
    else:
        problems = await crew.list_releases()
    fleet = await crew.look()
    left = planning.unfinished(fleet)
    plan = _plan(goal, members, fleet, start, left, differences)
    unread = [
        type_of([problem])(f"{name}: {problem}")
        for name, problem in problems.items()
        if name in plan.unfinished
    ]
    may_be_silent = fleet.keys() - problems.keys() if left is not None else ()
    against = [*unread, *objections(plan, terms, fleet, may_be_silent)]
    if plan.kind is not Kind.CONFIG and not against:
        against = await _against_release(crew, goal, plan, fleet)
    return Survey(plan=plan, fleet=fleet, against=against, differences=differences, left=left)


def _plan(
    goal: Goal,
    members: Sequence[Member],
    fleet: Mapping[str, Observed],
    start: Start,
    left: Operation | None,
    differences: Mapping[str, Difference],
) -> Plan:
    match goal.kind:
        case Kind.CONFIG:
            resumed = left if left is not None and left.kind is Kind.CONFIG else None
            if resumed is None:
                planning.refuse_to_forget(left)
            # Of node.toml what runs is compared; what a restart would load must be the same.
            others = {
                name: found.members_changed or found.node_toml_changed for name, found in differences.items()
            }
            return planning.to_configuration(members, fleet, goal.hashes, others, start, resumed)
        case Kind.ROLLBACK:
            targets = planning.previous_releases(fleet, left, goal.version or None)
            return planning.to_release(Kind.ROLLBACK, members, fleet, targets, start)
    if not goal.resume:
        planning.refuse_to_forget(left)
        return planning.to_release(Kind.UPGRADE, members, fleet, dict.fromkeys(fleet, goal.version), start)
    if left is None:
        raise UsageError("nothing was cut off: every node's last operation is done")
    if left.kind is Kind.CONFIG:
        raise UsageError("what was cut off is a config apply; finish it with: edgectl config apply")
    targets = {name: _told(seen, left) for name, seen in fleet.items()}
    if goal.version and set(targets.values()) != {goal.version}:
        raise UsageError(f"what was cut off is the {left.kind} to {left.after}; leave the version out")
    return planning.to_release(left.kind, members, fleet, targets, start, left)


def _told(seen: Observed, left: Operation) -> str:
    """Where a node was to go: as it was told itself, if it was and can say so."""
    told = seen.operation
    return told.after if told is not None and told.id == left.id else left.after


async def _against_release(
    crew: Crew, goal: Goal, plan: Plan, fleet: Mapping[str, Observed]
) -> list[EdgeError]:
    """Whether the release can be brought to those that lack it, has room there, and takes what is configured."""
    found: list[EdgeError] = []
    lacking = [
        name
        for name in plan.unfinished
        if (releases := fleet[name].releases) is not None and plan.tasks[name].after not in releases.releases
    ]
    if lacking:
        version = plan.tasks[lacking[0]].after
        if goal.wheelhouse is None:
            raise UsageError(f"{', '.join(lacking)}: has no release {version}; give it with --wheelhouse DIR")
        wheelhouse = Wheelhouse(goal.wheelhouse, version)
        wheelhouse.check()
        needed = wheelhouse.size() * UNPACKED + SPARE_BYTES
        free = await asyncio.gather(*(crew.free_bytes(name) for name in lacking))
        found += [
            EdgeError(f"{name}: {there >> 20} MiB are free for releases, {needed >> 20} MiB are needed")
            for name, there in zip(lacking, free, strict=True)
            if there is not None and there < needed
        ]
    # This program is a release, too: if it is the one, nobody need be drained to see what it says.
    alike = [name for name in plan.unfinished if plan.tasks[name].after == edge.__version__]
    texts = await asyncio.gather(*(crew.config_of(name) for name in alike))
    return [*found, *(error for name, text in zip(alike, texts, strict=True) for error in _wrong(name, text))]


def _wrong(name: str, text: str) -> Iterator[EdgeError]:
    try:
        if text:
            parse_config(text, CONFIGURATION)
    except ConfigError as error:
        yield ConfigError(f"{name}: {error.where}", error.problem)
