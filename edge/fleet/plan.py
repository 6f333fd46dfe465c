"""What an operation is to change on which nodes, in which order, and what speaks against it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from edge.errors import EdgeError, RefusedError, UnreachableError
from edge.fleet.last_announcer import nobody_left
from edge.fleet.operation import Kind, Step
from edge.fleet.reach import type_of
from edge.fleet.sighting import Observed

_AROUND = (Step.ADMIT, Step.VERIFY, Step.CALL, Step.UNDRAIN, Step.BACK, Step.SOAK)
STEPS: Mapping[Kind, tuple[Step, ...]] = {
    Kind.UPGRADE: (Step.DRAIN, Step.GONE, Step.INSTALL, Step.CHECK, Step.USE, Step.RESTART, *_AROUND),
    Kind.ROLLBACK: (Step.DRAIN, Step.GONE, Step.CHECK, Step.USE, Step.RESTART, *_AROUND),
    Kind.CONFIG: (Step.DRAIN, Step.GONE, Step.CONFIGURE, Step.RESTART, *_AROUND),
}
IN_SERVICE: tuple[Step, ...] = (Step.CONFIGURE, Step.SOAK)
"""A node reads the list of the fleet's nodes anew while it serves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One node's part. ``before`` and ``after`` are releases, or of `Kind.CONFIG` hashes of node.toml.

    ``address`` are the ones that others see it by. ``other_files``: files that it takes over without a restart differ, too.
    ``redo`` is a step that an earlier run had begun, and that nothing but its own end shows.
    """

    node: str
    addresses: frozenset[str]
    before: str
    after: str
    other_files: bool = False
    redo: Step | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How careful to be. ``batch`` nodes at a time; times in seconds.

    ``deadline_s`` is what calls are given to move before they are closed, ``seen_s`` what routers and nodes are given to see a
    change, ``ready_s`` a restarted node to prove itself, ``announced_s`` its routes to come back (damping may ask for a
    wait), ``soak_s`` how long all has to be well before the next batch. ``force``: even if nobody else announces.
    """

    batch: int = 1
    deadline_s: float = 600.0
    soak_s: float = 30.0
    seen_s: float = 60.0
    ready_s: float = 60.0
    announced_s: float = 300.0
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """``fleet`` are all nodes, in the order of the fleet file, each with its task.

    ``batches`` are those that are not finished; the first one is what an earlier run has left out of service.
    """

    id: str
    kind: Kind
    who: str
    started_at: float
    fleet: tuple[str, ...]
    tasks: Mapping[str, Task]
    batches: tuple[tuple[str, ...], ...] = field(default=())

    @property
    def order(self) -> tuple[str, ...]:
        """The nodes as they come, those without a task last."""
        return (*self.unfinished, *(name for name in self.fleet if name not in self.unfinished))

    @property
    def unfinished(self) -> tuple[str, ...]:
        return tuple(name for batch in self.batches for name in batch)

    @property
    def changes(self) -> dict[str, tuple[str, str]]:
        """What becomes of whom: from what, to what."""
        return {name: (self.tasks[name].before, self.tasks[name].after) for name in self.unfinished}

    def leaving(self, batch: Collection[str], fleet: Mapping[str, Observed]) -> tuple[str, ...]:
        """Those of ``batch`` that serve now and will not for a while."""
        return tuple(
            name
            for name in batch
            if fleet[name].announced and Step.DRAIN in steps(self.kind, self.tasks[name], fleet[name])
        )


def has(kind: Kind, task: Task, seen: Observed) -> bool:
    """Whether the node runs what it is to run, and will do so after a restart."""
    if not seen.answers or task.other_files:
        return False
    if kind is Kind.CONFIG:
        return seen.config_hash == task.after
    return runs(kind, task, seen) and seen.releases is not None and seen.releases.current == task.after


def runs(kind: Kind, task: Task, seen: Observed) -> bool:
    """Whether that is what runs."""
    if kind is Kind.CONFIG:
        return seen.config_hash == task.after
    return seen.versions == {task.after}


def is_finished(kind: Kind, task: Task, seen: Observed) -> bool:
    return (
        task.redo is None
        and has(kind, task, seen)
        and not seen.is_out
        and (seen.announced or seen.is_kept_out)
    )


def steps(kind: Kind, task: Task, seen: Observed) -> tuple[Step, ...]:
    """Those that are left for a node as it is found."""
    every = STEPS[kind]
    if not has(kind, task, seen):
        serves = kind is Kind.CONFIG and seen.answers and not seen.is_out
        return IN_SERVICE if serves and runs(kind, task, seen) else every
    first = Step.ADMIT if seen.is_out else task.redo or Step.BACK
    return every[every.index(first) :]


def batches(
    kind: Kind, tasks: Sequence[Task], fleet: Mapping[str, Observed], size: int
) -> tuple[tuple[str, ...], ...]:
    """Who is out of service already is brought back first, all of them; then ``size`` at a time."""
    left = [task for task in tasks if not is_finished(kind, task, fleet[task.node])]
    out = [task.node for task in left if _is_begun(kind, task, fleet[task.node])]
    rest = [task.node for task in left if task.node not in out]
    rows = (tuple(rest[start : start + size]) for start in range(0, len(rest), size))
    return (*((tuple(out),) if out else ()), *rows)


def _is_begun(kind: Kind, task: Task, seen: Observed) -> bool:
    return not seen.answers or seen.is_out or task.redo is not None or has(kind, task, seen)


def objections(
    plan: Plan, terms: Terms, fleet: Mapping[str, Observed], may_be_silent: Collection[str]
) -> list[EdgeError]:
    """Why the operation must not begin. ``may_be_silent`` are nodes that an earlier one may have left without a process."""
    found: list[EdgeError] = [
        UnreachableError(f"{name}: {seen.silence}")
        for name, seen in fleet.items()
        if not seen.answers and name not in may_be_silent
    ]
    for name in plan.unfinished:
        found += _objections(plan, name, fleet[name])
    return found if found or terms.force else _lonely(plan, fleet)


def _objections(plan: Plan, name: str, seen: Observed) -> Iterator[EdgeError]:
    after = plan.tasks[name].after
    if plan.kind is Kind.ROLLBACK and seen.releases and after not in seen.releases.releases:
        yield EdgeError(f"{name}: has no release {after}; bring it with: edgectl upgrade {after}")
    if seen.hold is not None and seen.hold.kind == "announce":
        who = seen.hold.who or "somebody"
        yield RefusedError(f"{name}: is kept announced by {who}; end that first: edgectl announce {name}")


def _lonely(plan: Plan, fleet: Mapping[str, Observed]) -> list[EdgeError]:
    """What the guard will say to the batches, as far as that is known before somebody has come back."""
    found: list[EdgeError] = []
    for batch in plan.batches:
        if lost := nobody_left(plan.leaving(batch, fleet), fleet):
            found.append(RefusedError(f"{lost}; --force does it all the same"))
        if any(not fleet[name].announced and not fleet[name].is_kept_out for name in batch):
            break
    return found


def raise_worst(found: Sequence[EdgeError]) -> None:
    """All of ``found`` in one error: a guard's if one is, else of a missing node if one is, else of the kind of all."""
    if not found:
        return
    kinds = (kind for kind in (RefusedError, UnreachableError) if any(isinstance(one, kind) for one in found))
    raise next(kinds, type_of(found))("; ".join(map(str, found)))
