"""What a rollout waits for, and at what it gives up: one node at a time, in virtual time."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import msgspec
import pytest

from edge.errors import EdgeError, RefusedError, UsageError
from edge.fleet import planning
from edge.fleet.actions import Action, Configure, Drain, PlaceCall, Record, Restart, Undrain, Use
from edge.fleet.crew import Difference
from edge.fleet.operate import Goal, survey
from edge.fleet.operation import Kind, Operation, Step
from edge.fleet.plan import Plan, Terms, objections, steps
from edge.fleet.planning import Member, Start
from edge.fleet.rollout import PERSISTS_S, Rollout
from edge.fleet.sighting import Observed, Releases, silent
from edge.runtime.holds import Draining, Hold
from edge.runtime.operation import Note

OLD, NEW = "0.1.0", "0.2.0"
PREFIXES = frozenset({"192.0.2.0/24"})
TERMS = Terms(soak_s=20.0, seen_s=30.0, ready_s=40.0, announced_s=100.0)
START = Start("op-00000001", "alice", 1000.0, 1)
MEMBERS = [Member("a", frozenset({"203.0.113.1"})), Member("b", frozenset({"203.0.113.2"}))]
SERVES = Observed(
    versions=frozenset({OLD}),
    state="announced",
    serves=PREFIXES,
    probes_passed=9,
    routes=2,
    sees=frozenset({"203.0.113.1", "203.0.113.2"}),
    knows_others=True,
    releases=Releases(current=OLD, releases=(OLD, NEW)),
)
MARK = "upgrade to 0.2.0 [op-00000001]"
DRAINED = replace(
    SERVES,
    state="held",
    serves=frozenset(),
    hold=Hold(reason=MARK, since=1.0, drain=Draining()),
    drain="empty",
    routes=0,
)
CHANGED = replace(
    DRAINED, versions=frozenset({NEW}), releases=Releases(current=NEW, previous=OLD, releases=(OLD, NEW))
)
ADMITTED = replace(CHANGED, hold=Hold(reason=MARK, since=2.0), drain="")
BACK = replace(CHANGED, state="announced", serves=PREFIXES, hold=None, drain="", routes=2)
BLIND = replace(SERVES, sees=frozenset())


def upgrade(fleet: dict[str, Observed]) -> Plan:
    return planning.to_release(Kind.UPGRADE, MEMBERS, fleet, dict.fromkeys(fleet, NEW), START)


class Run:
    """One rollout of ``fleet``, and what it has ordered; the first look tells the nodes."""

    def __init__(self, plan: Plan, fleet: dict[str, Observed]) -> None:
        self.fleet = dict(fleet)
        self.rollout = Rollout(plan, TERMS, fleet)
        self.now = 0.0
        assert all(isinstance(action, Record) for action in self.rollout.look(self.fleet, self.now))

    def look(self, problem: str = "", **seen: Observed) -> list[Action]:
        """What is ordered beside what nodes are told; how that ends."""
        self.fleet |= seen
        orders = [a for a in self.rollout.look(self.fleet, self.now) if not isinstance(a, Record)]
        for order in orders:
            self.rollout.did(order, problem, self.now)
        return orders

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def until(self, step: Step) -> None:
        """With a first node that does what it is told, up to ``step``."""
        shows = {
            Step.DRAIN: SERVES,
            Step.GONE: replace(DRAINED, routes=2),
            Step.USE: DRAINED,
            Step.RESTART: replace(DRAINED, releases=CHANGED.releases),
            Step.VERIFY: replace(ADMITTED, probes_passed=0),
            Step.BACK: replace(ADMITTED, hold=None, state="starting"),
            Step.SOAK: BACK,
        }
        for at, seen in shows.items():
            for _ in range(8):
                if self.rollout.at_work.get("a") is at:
                    break
                self.look(a=seen)
            if at is step:
                break
        assert self.rollout.at_work == {"a": step}, self.rollout.failure


def test_the_order_of_one_node() -> None:
    run = Run(upgrade({"a": SERVES, "b": SERVES}), {"a": SERVES, "b": SERVES})
    assert run.look() == [Drain("a", MARK, TERMS.deadline_s, force=False)]
    assert run.look(a=replace(DRAINED, drain="handing-over", calls=3)) == []
    assert run.rollout.waits_for["a"] == "is not empty: 3 calls are up"
    assert run.look(a=DRAINED) == [], "b still sees it"
    assert "still seen announcing by b" in run.rollout.waits_for["a"]
    others = replace(SERVES, sees=frozenset())
    (check,) = run.look(b=others)
    assert type(check).__name__ == "Check"
    assert run.look() == [Use("a", NEW)]
    assert run.look(a=replace(DRAINED, releases=CHANGED.releases)) == [Restart("a")]
    (admit,) = run.look(a=CHANGED)
    assert type(admit).__name__ == "Admit"
    assert run.look(a=ADMITTED) == [PlaceCall("a")]
    assert run.look() == [Undrain("a")]
    assert run.look(a=replace(BACK, unconfirmed=1)) == []
    assert "not seen to tell 1 of 2 routes" in run.rollout.waits_for["a"]
    assert run.look(a=BACK) == []
    assert "not seen announcing by b" in run.rollout.waits_for["a"]
    assert run.look(b=SERVES) == []
    assert run.rollout.at_work == {"a": Step.SOAK}
    run.wait(TERMS.soak_s - 1)
    assert run.look() == []
    run.wait(1)
    assert run.look() == []
    assert run.look() == [Drain("b", MARK, TERMS.deadline_s, force=False)]


@pytest.mark.parametrize(
    "step, limit_s, shows, reason",
    [
        (Step.GONE, TERMS.seen_s, replace(DRAINED, routes=2), "its speaker still tells 2 routes"),
        (Step.VERIFY, TERMS.ready_s, replace(ADMITTED, probes_passed=0), "its self-probe has not passed yet"),
        (Step.VERIFY, TERMS.ready_s, replace(ADMITTED, troubles=frozenset({"odd"})), "odd"),
        (Step.VERIFY, TERMS.ready_s, replace(ADMITTED, versions=frozenset({OLD})), f"runs {OLD}"),
        (Step.BACK, TERMS.announced_s, replace(BACK, serves=frozenset()), "is not announced"),
    ],
)
def test_what_does_not_come_ends_it(step: Step, limit_s: float, shows: Observed, reason: str) -> None:
    run = Run(upgrade({"a": SERVES, "b": BLIND}), {"a": SERVES, "b": replace(BLIND, sees=None)})
    run.until(step)
    run.look(a=shows)
    run.wait(limit_s - 1)
    run.look(a=shows)
    assert run.rollout.failure is None
    run.wait(1)
    orders = run.look(a=shows)
    assert run.rollout.failure is not None
    assert (run.rollout.failure.node, run.rollout.failure.step) == ("a", step)
    assert reason in run.rollout.failure.reason
    assert run.rollout.is_over
    assert run.rollout.untouched == ("b",)
    if step in (Step.VERIFY, Step.BACK) and shows.versions == {NEW}:
        assert orders == [Drain("a", MARK, TERMS.deadline_s, force=False)], "it serves nobody"


@pytest.mark.parametrize("step", [Step.DRAIN, Step.GONE])
def test_a_node_that_falls_silent_with_calls_up_is_not_restarted(step: Step) -> None:
    """Its admin socket hangs, or the way there: that it does not answer does not say that nobody is on it."""
    run = Run(upgrade({"a": SERVES, "b": SERVES}), {"a": SERVES, "b": replace(SERVES, sees=None)})
    run.until(step)
    hangs = silent("no answer within 10 s", SERVES.releases)
    for _ in range(5):
        assert run.look(a=hangs) == []
        run.wait(1)
    assert run.rollout.waits_for["a"] == "does not answer: no answer within 10 s"
    run.wait(TERMS.deadline_s + TERMS.seen_s)
    assert run.look() == []
    assert str(run.rollout.failure) == f"a at {step}: does not answer: no answer within 10 s"


def test_a_node_that_falls_silent_before_its_turn_is_not_touched() -> None:
    fleet = {"a": SERVES, "b": replace(SERVES, sees=None)}
    run = Run(upgrade(fleet), fleet)
    run.until(Step.SOAK)
    run.wait(TERMS.soak_s)
    run.look()
    assert run.rollout.finished == {"a"}
    assert run.look(b=silent("no answer within 10 s", SERVES.releases)) == []
    run.wait(PERSISTS_S)
    assert run.look() == []
    assert str(run.rollout.failure) == "b does not answer; no further node is taken out"


def test_who_keeps_a_node_out_until_a_moment_still_does_so_only_until_then() -> None:
    kept = Hold(reason="a new disk", since=1.0, until=5000.0, who="bob")
    out = replace(SERVES, serves=frozenset(), state="held", hold=kept, routes=0)
    fleet = {"a": out, "b": replace(SERVES, sees=None)}
    run = Run(upgrade(fleet), fleet)
    assert run.look() == [Drain("a", "", TERMS.deadline_s, force=False, until=5000.0)]


def test_a_call_that_fails_leaves_it_drained() -> None:
    run = Run(upgrade({"a": SERVES, "b": SERVES}), {"a": SERVES, "b": replace(SERVES, sees=None)})
    run.until(Step.VERIFY)
    assert run.look("nobody answers", a=ADMITTED) == [PlaceCall("a")]
    assert run.look() == [Drain("a", MARK, TERMS.deadline_s, force=False)]
    assert str(run.rollout.failure) == "a at call: nobody answers"


def test_who_took_it_back_meanwhile_is_not_interrupted() -> None:
    fleet = {"a": SERVES, "b": replace(SERVES, sees=None)}
    run = Run(upgrade(fleet), fleet)
    run.until(Step.USE)
    run.look(a=replace(SERVES, releases=CHANGED.releases))
    assert run.rollout.failure is not None
    assert "taken back into service by somebody else" in run.rollout.failure.reason


@pytest.mark.parametrize("lasts_s", [PERSISTS_S - 2, PERSISTS_S + 2])
def test_trouble_in_the_soak(lasts_s: float) -> None:
    """What is over soon begins the soak anew; what stays ends it, and it is another node that is not well."""
    fleet = {"a": SERVES, "b": replace(SERVES, sees=None)}
    run = Run(upgrade(fleet), fleet)
    run.until(Step.SOAK)
    run.wait(TERMS.soak_s - 1)
    ill = silent("no answer", fleet["b"].releases)
    run.look(b=ill)
    run.wait(lasts_s)
    if lasts_s < PERSISTS_S:
        assert run.look(b=fleet["b"]) == []
        run.wait(TERMS.soak_s - 1)
        run.look()
        assert run.rollout.at_work == {"a": Step.SOAK}
        run.wait(1)
        run.look()
        assert run.rollout.finished == {"a"}
    else:
        assert run.look() == [], "a is well, and stays"
        assert str(run.rollout.failure) == "a at soak: b does not answer"


def test_trouble_of_before_is_not_held_against_it() -> None:
    lame = replace(SERVES, sees=None, troubles=frozenset({"its BGP session with 198.51.100.1 is down"}))
    run = Run(upgrade({"a": SERVES, "b": lame}), {"a": SERVES, "b": lame})
    run.until(Step.SOAK)
    run.wait(TERMS.soak_s)
    run.look()
    run.wait(TERMS.soak_s)
    run.look()
    assert run.rollout.finished == {"a"}


def test_a_restart_that_takes_long_leaves_the_node_its_time() -> None:
    fleet = {"a": SERVES, "b": replace(SERVES, sees=None)}
    run = Run(upgrade(fleet), fleet)
    run.until(Step.USE)
    run.fleet["a"] = replace(DRAINED, releases=CHANGED.releases)
    *_, order = run.rollout.look(run.fleet, run.now)
    assert order == Restart("a")
    run.wait(2 * TERMS.ready_s)
    run.rollout.did(order, "", run.now)
    gone = silent("no node is running here", CHANGED.releases)
    run.look(a=gone)
    assert run.rollout.failure is None
    run.wait(TERMS.ready_s)
    run.look(a=gone)
    assert str(run.rollout.failure) == "a at restart: does not answer: no node is running here"


def test_a_node_that_was_broken_before_has_to_be_well_afterwards() -> None:
    broken = replace(SERVES, serves=frozenset(), state="fenced", troubles=frozenset({"odd"}))
    fleet = {"a": broken, "b": replace(SERVES, sees=None)}
    run = Run(upgrade(fleet), fleet)
    for seen in (broken, DRAINED, replace(DRAINED, releases=CHANGED.releases), CHANGED, ADMITTED):
        for _ in range(4):
            run.look(a=replace(seen, troubles=broken.troubles))
    assert run.rollout.waits_for["a"] == "odd"


def test_a_soak_that_was_cut_off_begins_anew() -> None:
    told = Operation(
        id="op-1", kind=Kind.UPGRADE, who="bob", started_at=1.0, nodes=("a", "b"), before=OLD, after=NEW,
        step=Step.SOAK, state="running",
    )  # fmt: skip
    fleet = {"a": replace(BACK, operation=told), "b": replace(SERVES, sees=None)}
    plan = planning.to_release(Kind.UPGRADE, MEMBERS, fleet, dict.fromkeys(fleet, NEW), START, told)
    assert plan.batches == (("a",), ("b",))
    run = Run(plan, fleet)
    assert run.look() == []
    assert run.rollout.at_work == {"a": Step.SOAK}


def test_who_was_counted_upon_leaves_before_it_begins() -> None:
    """The guard looks again: another operator has taken b out since the plan was made."""
    run = Run(upgrade({"a": SERVES, "b": SERVES}), {"a": SERVES, "b": SERVES})
    assert run.look(b=replace(DRAINED, hold=Hold(reason="a new disk", since=1.0))) == []
    assert str(run.rollout.failure) == "a would leave 192.0.2.0/24 without any node that announces"
    assert run.rollout.untouched == ("a", "b")


def test_nobody_is_taken_out_of_a_fleet_that_is_not_well() -> None:
    run = Run(upgrade({"a": SERVES, "b": SERVES}), {"a": SERVES, "b": SERVES})
    ill = replace(SERVES, troubles=frozenset({"its self-probe fails"}))
    assert run.look(b=ill) == []
    assert run.rollout.failure is None, "it may be over soon"
    run.wait(PERSISTS_S)
    assert run.look() == []
    assert str(run.rollout.failure) == "b its self-probe fails; no further node is taken out"


def test_a_node_that_is_kept_out_is_upgraded_and_stays_out() -> None:
    hold = Hold(reason="a new disk", since=1.0, who="bob")
    fleet = {"a": replace(DRAINED, hold=hold, drain=""), "b": replace(SERVES, sees=None)}
    run = Run(upgrade(fleet), fleet)
    assert run.look() == [Drain("a", "", TERMS.deadline_s, force=False)], "whose hold it is stays"
    drained = Hold(reason=hold.reason, since=hold.since, who=hold.who, drain=Draining())
    done: list[Action] = []
    for seen in (replace(DRAINED, hold=drained), replace(CHANGED, hold=drained)):
        for _ in range(4):
            done += run.look(a=seen)
    assert {type(action).__name__ for action in done} == {"Check", "Use"} | {"Restart"}
    run.wait(TERMS.soak_s)
    run.look()
    assert run.rollout.finished == {"a"}


def test_a_list_of_nodes_alone_is_changed_in_service() -> None:
    seen = replace(SERVES, config_hash="aaaaaaaaaaaa")
    fleet = {"a": seen, "b": seen}
    hashes = dict.fromkeys(fleet, "aaaaaaaaaaaa")
    plan = planning.to_configuration(MEMBERS, fleet, hashes, {"a": True, "b": False}, START)
    assert plan.batches == (("a",),)
    assert objections(plan, TERMS, {"a": seen}, ()) == [], "nobody leaves"
    run = Run(plan, fleet)
    assert run.look() == [Configure("a")]
    run.wait(TERMS.soak_s)
    run.look()
    run.wait(TERMS.soak_s)
    run.look()
    assert run.rollout.is_over
    assert run.rollout.failure is None


def test_a_file_that_only_a_restart_would_load_is_put_back_in_service() -> None:
    """Somebody has written another node.toml by hand; what runs is what the fleet file says."""
    crew = Surveyed({"a": replace(SERVES, config_hash="aaaaaaaaaaaa", config_changed=True)})
    goal = Goal(kind=Kind.CONFIG, hashes={"a": "aaaaaaaaaaaa"})
    found = asyncio.run(survey(crew, MEMBERS[:1], goal, START, TERMS))  # type: ignore[arg-type]
    assert found.plan.batches == (("a",),)
    assert steps(Kind.CONFIG, found.plan.tasks["a"], found.fleet["a"]) == (Step.CONFIGURE, Step.SOAK)


def test_a_node_that_left_the_fleet_file_in_the_middle_is_named() -> None:
    told = Operation(
        id="op-1", kind=Kind.UPGRADE, who="bob", started_at=1.0, nodes=("a", "z"), before=OLD, after=NEW,
        step=Step.WAITING, state="running",
    )  # fmt: skip
    crew = Surveyed({"a": replace(SERVES, operation=told), "b": SERVES})
    goal = Goal(kind=Kind.UPGRADE, resume=True)
    found = asyncio.run(survey(crew, MEMBERS, goal, START, TERMS))  # type: ignore[arg-type]
    assert found.notes == ["z: is not in the fleet file any more; what was cut off leaves it as it is"]


@pytest.mark.parametrize(
    "kind, way", [(Kind.CONFIG, "edgectl config apply"), (Kind.ROLLBACK, "edgectl upgrade --resume")]
)
def test_what_was_cut_off_is_finished_with_a_command_that_there_is(kind: Kind, way: str) -> None:
    told = Operation(
        id="op-1", kind=kind, who="bob", started_at=1.0, nodes=("a",), before=OLD, after=NEW,
        step=Step.WAITING, state="running",
    )  # fmt: skip
    with pytest.raises(RefusedError, match=rf"finish it with {way}($|,)"):
        planning.refuse_to_forget(told)
    note = Note(proof="", document=msgspec.to_builtins(told))
    assert str(note.shown(None, 2.0)["advice"]).endswith(f"go on with: {way}")


class Surveyed:
    """Who looks at nodes that are so, and would write another node.toml to their disks."""

    def __init__(self, fleet: dict[str, Observed]) -> None:
        self.fleet = fleet

    async def compare_files(self) -> tuple[dict[str, Difference], dict[str, EdgeError]]:
        return {name: Difference(True, False, ()) for name in self.fleet}, {}

    async def list_releases(self) -> dict[str, EdgeError]:
        return {}

    async def look(self) -> dict[str, Observed]:
        return self.fleet


def test_a_node_that_is_pinned_is_refused() -> None:
    fleet = {"a": replace(SERVES, hold=Hold(reason="", since=1.0, kind="announce", who="bob")), "b": SERVES}
    (problem,) = objections(upgrade(fleet), TERMS, fleet, ())
    assert isinstance(problem, RefusedError)
    assert "kept announced by bob" in str(problem)


def test_an_operation_that_was_cut_off_is_not_forgotten() -> None:
    told = Operation(
        id="op-1", kind=Kind.UPGRADE, who="bob", started_at=1.0, nodes=("a", "b"), before=OLD, after=NEW,
        step=Step.USE, state="running",
    )  # fmt: skip
    fleet = {"a": replace(DRAINED, operation=told), "b": SERVES}
    left = planning.unfinished(fleet)
    assert left == told
    with pytest.raises(RefusedError, match="by bob was cut off"):
        planning.refuse_to_forget(left)


def test_back_to_what_ran_before() -> None:
    """A node that the upgrade had not come to stays; one whose process is gone is known by its releases."""

    def told(before: str, step: Step) -> Operation:
        return Operation(
            id="op-1", kind=Kind.UPGRADE, who="bob", started_at=1.0, nodes=("a", "b", "c"), before=before,
            after=NEW, step=step, state="failed",
        )  # fmt: skip

    older = Releases(current=OLD, previous="0.0.9", releases=("0.0.9", OLD))
    fleet = {
        "a": replace(BACK, operation=told(OLD, Step.DONE)),
        "b": silent("gone", CHANGED.releases),
        "c": replace(SERVES, operation=told(OLD, Step.WAITING), releases=older),
        "d": silent("gone", older),
    }
    left = planning.unfinished(fleet)
    assert planning.previous_releases(fleet, left, None) == dict.fromkeys("abcd", OLD)
    assert planning.previous_releases(fleet, left, "0.0.8") == dict.fromkeys("abcd", "0.0.8")
    with pytest.raises(UsageError, match="edgectl rollback VERSION"):
        planning.previous_releases({"a": silent("gone", None)}, None, None)
