"""Rollouts against a fleet that obeys, fails, lies late and breaks; cut off anywhere, and gone on with.

The fleet is a reference that knows nothing of steps: it has nodes which are in service or not, and carries out what it is
told. What must hold is stated over it alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.errors import EdgeError
from edge.fleet import planning
from edge.fleet.actions import (
    Action,
    Admit,
    Check,
    Configure,
    Drain,
    Install,
    PlaceCall,
    Record,
    Restart,
    Undrain,
    Use,
)
from edge.fleet.operation import Kind, Operation
from edge.fleet.plan import Terms, objections
from edge.fleet.planning import Member, Start
from edge.fleet.rollout import Rollout
from edge.fleet.sighting import Observed, Releases, silent
from edge.runtime.holds import Draining, Hold

OLD, NEW = "0.1.0", "0.2.0"
STEP_S = 5.0
LONGEST_S = 4000.0
TERMS = Terms(soak_s=20.0)


@dataclass
class Machine:
    """One node: what lies on it, what runs, and what it has been told."""

    address: str
    running: str | None = OLD
    current: str = OLD
    previous: str | None = None
    releases: frozenset[str] = frozenset({OLD})
    hold: Hold | None = None
    operation: Operation | None = None
    slow: int = 0
    """Looks until it shows what it was told last."""
    hangs: int = 0
    """Looks that its admin socket does not answer; what is on the node goes on."""
    well: bool = True
    touched: bool = False
    """Whether anything has been done to it beyond telling it of the operation."""

    @property
    def in_service(self) -> bool:
        return self.running is not None and self.hold is None and self.well

    def observed(self, sees: frozenset[str] | None) -> Observed:
        releases = Releases(
            current=self.current, previous=self.previous, releases=tuple(sorted(self.releases))
        )
        if self.running is None:
            return silent("no node is running here", releases)
        if self.hangs > 0:
            self.hangs -= 1
            return silent("no answer within 10 s", releases)
        late = self.slow > 0
        self.slow = max(0, self.slow - 1)
        serves = self.in_service and not late
        draining = self.hold is not None and self.hold.drain is not None
        return Observed(
            versions=frozenset({self.running}),
            state="announced" if serves else "held" if self.hold else "starting",
            serves=frozenset({"192.0.2.0/24"}) if serves else frozenset(),
            hold=self.hold,
            drain=("handing-over" if late else "empty") if draining else "",
            probes_passed=int(self.well and not late),
            sees=sees,
            knows_others=sees is not None,
            troubles=frozenset() if self.well or self.hold else frozenset({"is not announced"}),
            operation=self.operation,
            releases=releases,
        )


@dataclass
class Fleet:
    machines: dict[str, Machine]
    with_view: bool
    broken: frozenset[str] = frozenset()
    """Nodes on which the new release does not run."""
    now: float = 0.0
    log: list[Action] = field(default_factory=list)

    def look(self) -> dict[str, Observed]:
        serving = {m.address for m in self.machines.values() if m.in_service}
        return {
            name: machine.observed(
                frozenset(serving - {machine.address}) if self.with_view else None,
            )
            for name, machine in self.machines.items()
        }

    def obey(self, action: Action) -> str:
        """Why not, empty if it has been done."""
        machine = self.machines[action.node]
        if not isinstance(action, Record):
            machine.touched = True
        self.log.append(action)
        if machine.running is None and isinstance(
            action, Record | Drain | Check | Admit | PlaceCall | Undrain
        ):
            return "no node is running here"
        match action:
            case Record(operation=operation):
                machine.operation = operation
            case Drain(reason=reason, force=force):
                others = [m for m in self.machines.values() if m is not machine and m.in_service]
                if machine.in_service and not force and not others:
                    return "is the last"
                kept = machine.hold.reason if machine.hold and not reason else reason
                machine.hold = Hold(reason=kept, since=1.0, drain=Draining())
                machine.slow = 2
            case Install(version=version):
                machine.releases |= {version}
            case Check(version=version):
                if version not in machine.releases:
                    return "there is no such release"
            case Use(version=version):
                if version not in machine.releases:
                    return "there is no such release"
                machine.previous, machine.current = machine.current, version
            case Restart(node=name):
                fails = machine.current == NEW and name in self.broken
                machine.running = None if fails else machine.current
                machine.slow = 2
                return "the unit failed" if fails else ""
            case Admit(reason=reason):
                machine.hold = Hold(reason=reason, since=1.0)
            case PlaceCall():
                if machine.hold is not None and machine.hold.drain is not None:
                    return "refused: draining"
            case Undrain():
                machine.hold = None
                machine.slow = 2
            case Configure():
                raise AssertionError("no configuration is changed here")
        return ""

    @property
    def taken_out(self) -> set[str]:
        """Those that are out of service by what was done to them."""
        return {name for name, m in self.machines.items() if m.touched and not m.in_service}


class Cut(Exception):
    """The command was killed."""


def members(fleet: Fleet) -> list[Member]:
    return [Member(name, frozenset({m.address})) for name, m in fleet.machines.items()]


def prepared(fleet: Fleet, kind: Kind, batch: int, resume: bool, terms: Terms) -> Rollout:
    seen = fleet.look()
    left = planning.unfinished(seen)
    start = Start(f"op-{int(fleet.now):08x}", "alice", 1.0 + fleet.now, batch)
    if kind is Kind.ROLLBACK:
        targets = planning.previous_releases(seen, left, None)
    else:
        targets = dict.fromkeys(seen, NEW)
    resumed = left if resume else None
    plan = planning.to_release(kind, members(fleet), seen, targets, start, resumed)
    found = objections(plan, terms, seen, seen.keys() if left else ())
    if found:
        raise found[0]
    return Rollout(plan, terms, seen)


def carried_out(
    fleet: Fleet,
    rollout: Rollout,
    *,
    cut_after: int | None = None,
    lost: int | None = None,
    fail: int | None = None,
) -> None:
    """``cut_after`` so many actions it is killed, behind the next one if that is ``lost``; action ``fail`` does not work."""
    count = 0
    ends = fleet.now + LONGEST_S
    outside = len(rollout.plan.batches[0]) if rollout.plan.batches else 0
    while not rollout.is_over:
        assert fleet.now < ends, f"it never ends: {rollout.at_work}"
        failed: set[str] = set()
        for action in rollout.look(fleet.look(), fleet.now):
            if action.node in failed:
                continue
            if cut_after is not None and count >= cut_after:
                if lost:
                    fleet.obey(action)
                raise Cut
            if isinstance(action, Drain) and not rollout.terms.force:
                machine = fleet.machines[action.node]
                if machine.in_service:
                    others = [m for m in fleet.machines.values() if m is not machine and m.in_service]
                    assert others, "it drains the last one"
            problem = "made to fail" if fail == count else fleet.obey(action)
            count += 1
            if problem:
                failed.add(action.node)
            rollout.did(action, problem, fleet.now)
            assert len(fleet.taken_out) <= max(rollout.terms.batch, outside), fleet.taken_out
        fleet.now += STEP_S


def new_fleet(size: int, *, with_view: bool = True, kept_out: frozenset[int] = frozenset()) -> Fleet:
    machines = {f"n{i}": Machine(f"203.0.113.{i}") for i in range(size)}
    for i in kept_out:
        machines[f"n{i}"].hold = Hold(reason="a new disk", since=1.0, who="bob")
    return Fleet(machines, with_view)


def assert_upgraded(fleet: Fleet, kept_out: frozenset[int] = frozenset(), *, all_told: bool = True) -> None:
    for name, machine in fleet.machines.items():
        assert machine.running == NEW, name
        assert machine.current == NEW
        if name in {f"n{i}" for i in kept_out}:
            assert machine.hold is not None
            assert machine.hold.reason == "a new disk"
        else:
            assert machine.in_service, name
        assert not all_told or machine.operation is None or machine.operation.state == "done"


sizes = st.integers(2, 5)
batch_sizes = st.integers(1, 2)


@given(size=sizes, batch=batch_sizes, with_view=st.booleans(), kept=st.booleans())
def test_all_of_a_fleet_that_obeys(size: int, batch: int, with_view: bool, kept: bool) -> None:
    kept_out = frozenset({size - 1}) if kept and size > 2 else frozenset()
    terms = replace(TERMS, batch=min(batch, size - 1 - len(kept_out)))
    fleet = new_fleet(size, with_view=with_view, kept_out=kept_out)
    rollout = prepared(fleet, Kind.UPGRADE, terms.batch, False, terms)
    carried_out(fleet, rollout)
    assert rollout.failure is None
    assert_upgraded(fleet, kept_out)


@settings(max_examples=300, deadline=None)
@given(
    size=st.integers(2, 4),
    with_view=st.booleans(),
    cuts=st.lists(st.tuples(st.integers(0, 60), st.booleans()), min_size=1, max_size=4),
)
def test_cut_off_anywhere_and_resumed(size: int, with_view: bool, cuts: list[tuple[int, bool]]) -> None:
    """Whether the last action was done or not: nobody knows, and the one who goes on need not."""
    fleet = new_fleet(size, with_view=with_view)
    resume = False
    for cut_after, lost in cuts:
        rollout = prepared(fleet, Kind.UPGRADE, 1, resume, TERMS)
        waiting = {name for name in rollout.untouched if not fleet.machines[name].touched}
        try:
            carried_out(fleet, rollout, cut_after=cut_after, lost=lost)
        except Cut:
            resume = planning.unfinished(fleet.look()) is not None
            for name in waiting & set(rollout.untouched):
                machine = fleet.machines[name]
                assert (machine.running, machine.hold, machine.touched) == (OLD, None, False)
            assert len(fleet.taken_out) <= 1
            continue
        assert rollout.failure is None, rollout.failure
        break
    else:
        rollout = prepared(fleet, Kind.UPGRADE, 1, resume, TERMS)
        carried_out(fleet, rollout)
        assert rollout.failure is None, rollout.failure
    assert_upgraded(fleet)


@settings(max_examples=200, deadline=None)
@given(size=st.integers(2, 4), fail=st.integers(0, 80), with_view=st.booleans())
def test_a_failure_ends_it_and_is_named(size: int, fail: int, with_view: bool) -> None:
    fleet = new_fleet(size, with_view=with_view)
    rollout = prepared(fleet, Kind.UPGRADE, 1, False, TERMS)
    carried_out(fleet, rollout, fail=fail)
    if rollout.failure is None:
        assert_upgraded(fleet, all_told=False)
        return
    assert rollout.failure.reason == "made to fail"
    assert fleet.taken_out <= {rollout.failure.node}
    for name in rollout.untouched:
        machine = fleet.machines[name]
        assert (machine.running, machine.in_service, machine.touched) == (OLD, True, False)
    told = {m.operation.state for m in fleet.machines.values() if m.operation is not None}
    assert told == {"failed"}
    again = prepared(fleet, Kind.UPGRADE, 1, True, TERMS)
    carried_out(fleet, again)
    assert again.failure is None
    assert_upgraded(fleet)


@settings(max_examples=100, deadline=None)
@given(
    size=st.integers(2, 4),
    bad=st.integers(0, 3),
    with_view=st.booleans(),
    cut_after=st.none() | st.integers(0, 60),
)
def test_a_release_that_does_not_run_stops_there_and_can_be_taken_back(
    size: int, bad: int, with_view: bool, cut_after: int | None
) -> None:
    fleet = new_fleet(size, with_view=with_view)
    fleet.broken = frozenset({f"n{min(bad, size - 1)}"})
    rollout = prepared(fleet, Kind.UPGRADE, 1, False, TERMS)
    try:
        carried_out(fleet, rollout, cut_after=cut_after)
    except Cut:
        if planning.unfinished(fleet.look()) is None:
            return  # it had not even told anybody
    else:
        assert rollout.failure is not None
        assert rollout.failure.node in fleet.broken
        assert rollout.failure.reason == "the unit failed"
        resumed = prepared(fleet, Kind.UPGRADE, 1, True, TERMS)
        carried_out(fleet, resumed)
        assert resumed.failure is not None
        assert resumed.failure.node in fleet.broken
    assert fleet.taken_out <= {f"n{i}" for i in range(size)}
    assert len(fleet.taken_out) <= 1
    back = prepared(fleet, Kind.ROLLBACK, 1, False, TERMS)
    carried_out(fleet, back)
    assert back.failure is None, back.failure
    assert planning.unfinished(fleet.look()) is None, "nodes know that it is over"
    for name, machine in fleet.machines.items():
        assert machine.running == OLD, name
        assert machine.in_service, name


@settings(max_examples=100, deadline=None)
@given(
    size=st.integers(3, 5),
    breaks=st.integers(0, 4),
    at_action=st.integers(1, 60),
)
def test_another_node_that_breaks_meanwhile(size: int, breaks: int, at_action: int) -> None:
    """Who is being worked on is brought back; nobody else is taken out."""
    fleet = new_fleet(size)
    victim = fleet.machines[f"n{min(breaks, size - 1)}"]
    rollout = prepared(fleet, Kind.UPGRADE, 1, False, TERMS)
    count = 0
    drained_after: list[Action] = []
    while not rollout.is_over:
        assert fleet.now < LONGEST_S
        for action in rollout.look(fleet.look(), fleet.now):
            if not victim.well and isinstance(action, Drain):
                drained_after.append(action)
            rollout.did(action, fleet.obey(action), fleet.now)
            count += 1
            if count == at_action:
                victim.well = False
        fleet.now += STEP_S
    if count < at_action:
        return
    if victim.well:
        assert rollout.failure is None
    elif rollout.failure is None:
        assert count - at_action < 15, "only the last node's end"
    else:
        assert len(fleet.taken_out - {rollout.failure.node}) <= 1


@settings(max_examples=200, deadline=None)
@given(
    size=st.integers(2, 4),
    victim=st.integers(0, 3),
    at_action=st.integers(0, 60),
    hangs=st.integers(1, 300),
    with_view=st.booleans(),
)
def test_a_node_that_hangs_keeps_its_calls(
    size: int, victim: int, at_action: int, hangs: int, with_view: bool
) -> None:
    """Nobody is restarted who is not known to be empty, and what was silent for a moment is no end of anything else."""
    fleet = new_fleet(size, with_view=with_view)
    machine = fleet.machines[f"n{min(victim, size - 1)}"]
    rollout = prepared(fleet, Kind.UPGRADE, 1, False, TERMS)
    count = 0
    while not rollout.is_over:
        assert fleet.now < LONGEST_S
        for action in rollout.look(fleet.look(), fleet.now):
            if isinstance(action, Use | Restart):
                changed = fleet.machines[action.node]
                assert changed.hold is not None, action
                assert changed.hold.drain is not None, action
                assert changed.slow == 0, f"{action} with calls up"
            rollout.did(action, fleet.obey(action), fleet.now)
            count += 1
            if count == at_action:
                machine.hangs = hangs
        fleet.now += STEP_S
    if rollout.failure is None:
        assert_upgraded(fleet, all_told=False)
    assert len(fleet.taken_out) <= 1


@pytest.mark.parametrize("size", [1, 2])
def test_the_last_one_is_not_drained_without_force(size: int) -> None:
    fleet = new_fleet(size)
    terms = replace(TERMS, batch=2)
    with pytest.raises(EdgeError, match="without any node that announces"):
        prepared(fleet, Kind.UPGRADE, 2, False, terms)
    forced = replace(terms, force=True)
    rollout = prepared(fleet, Kind.UPGRADE, 2, False, forced)
    carried_out(fleet, rollout)
    assert_upgraded(fleet)
