"""An operation on a fleet, node by node: what is seen goes in, what is to be done next comes out. It does nothing itself.

All that it knows of earlier runs is what nodes show, so a new one takes over wherever an old one was cut off.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from edge.fleet import evidence
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
from edge.fleet.last_announcer import nobody_left
from edge.fleet.operation import REASON_LIMIT, Operation, Step, sentence
from edge.fleet.plan import Plan, Task, Terms, runs, steps
from edge.fleet.sighting import Observed, is_of_a_neighbor

PERSISTS_S: Final = 10.0
"""A trouble that is over within this was none: an answer that came late, a worker that was replaced."""
CLOSING_S: Final = 30.0
"""What a node is given beyond the deadline of its drain, to close what is left."""
HANGS_S: Final = 600.0
"""The last resort where a step's own time limit has not ended it."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why it was given up; ``node`` is empty where it was for the fleet as a whole."""

    node: str
    step: Step
    reason: str

    def __str__(self) -> str:
        return f"{self.node} at {self.step}: {self.reason}" if self.node else self.reason


BEFORE_RESTART: Final = frozenset({Step.DRAIN, Step.GONE, Step.INSTALL, Step.CHECK, Step.USE, Step.CONFIGURE})
LEAVES: Final = frozenset({Step.DRAIN, Step.GONE})
CHANGES: Final = (BEFORE_RESTART | {Step.RESTART}) - LEAVES


class _Work:
    """How far one node is."""

    def __init__(self, task: Task, left: tuple[Step, ...], now: float, *, answers: bool) -> None:
        self.task = task
        self.left = left
        self.since = now
        self.ordered = False
        self.was_drained = Step.DRAIN in left
        self.has_answered = answers
        """Since the batch began. A process is there then, and silence does not say that its calls are over."""
        self.quiet_since: float | None = None
        self.lacks = ""

    @property
    def step(self) -> Step:
        return self.left[0] if self.left else Step.DONE

    def go_on(self, now: float) -> None:
        self.left, self.since, self.ordered = self.left[1:], now, False
        self.quiet_since, self.lacks = None, ""


class Rollout:
    """Times are of one clock that does not go backwards, in seconds."""

    def __init__(self, plan: Plan, terms: Terms, fleet: Mapping[str, Observed]) -> None:
        """``fleet`` is how it was found: troubles of that time are not held against the operation."""
        self.plan = plan
        self.terms = terms
        self.failure: Failure | None = None
        self.is_over = False
        self._waiting = list(plan.batches)
        self._works: dict[str, _Work] = {}
        self._finished: set[str] = set()
        self._answered = {name for name, seen in fleet.items() if seen.answers}
        self._tolerated = {name: seen.troubles for name, seen in fleet.items()}
        self._trouble: tuple[str, float] | None = None
        self._began = False

    @property
    def at_work(self) -> Mapping[str, Step]:
        """The nodes of the batch, and what each is at."""
        return {name: work.step for name, work in self._works.items()}

    @property
    def waits_for(self) -> Mapping[str, str]:
        """What those nodes lack to go on, empty where something is being done."""
        return {name: work.lacks for name, work in self._works.items()}

    @property
    def finished(self) -> frozenset[str]:
        return frozenset(self._finished)

    @property
    def untouched(self) -> tuple[str, ...]:
        return tuple(name for batch in self._waiting for name in batch)

    def look(self, fleet: Mapping[str, Observed], now: float) -> tuple[Action, ...]:
        """What is to be done now: of one node in this order, and nothing more behind one that failed. `did` tells how each
        ended, before the next look.
        """
        if self.is_over:
            return ()
        self._note_trouble(fleet, now)
        if not self._began:
            self._began = True
            return tuple(self._records(fleet, "planned"))
        actions = [] if self.failure else self._go_on(fleet, now)
        if self.failure is not None:
            actions = [*self._put_back_out(fleet), *self._records(fleet, "failed")]
            self.is_over = True
        return tuple(actions)

    def did(self, action: Action, problem: str, now: float) -> None:
        """``problem`` is why it did not work, empty if it did."""
        if self.is_over:
            return  # who could not be told does not matter any more
        if problem:
            self._fail(action.node, problem)
        elif not isinstance(action, Record) and (work := self._works.get(action.node)) is not None:
            work.since = now  # what follows from it is given its whole time

    # --- one batch after the other ----------------------------------------------------------------------

    def _go_on(self, fleet: Mapping[str, Observed], now: float) -> list[Action]:
        actions: list[Action] = []
        if not self._works and self._waiting:
            self._begin_batch(fleet, now)
        for name, work in self._works.items():
            actions += self._advance(name, work, fleet, now)
            if self.failure is not None:
                return actions
        if self._works and all(not work.left for work in self._works.values()):
            self._finished |= self._works.keys()
            # Or whoever goes on from here would have it soak once more.
            actions += [self._record(name, Step.DONE, "done") for name in self._works if fleet[name].answers]
            self._works = {}
        if not self._works and not self._waiting:
            self.is_over = True
            actions += [self._record(name, Step.DONE, "done") for name, seen in fleet.items() if seen.answers]
        return actions

    def _begin_batch(self, fleet: Mapping[str, Observed], now: float) -> None:
        """Unless it takes a node out of a fleet that is not well, or the last one."""
        batch = self._waiting[0]
        leaving = self.plan.leaving(batch, fleet)
        silenced = [name for name in batch if name in self._answered and not fleet[name].answers]
        if (leaving or silenced) and self._trouble is not None:
            if now - self._trouble[1] >= PERSISTS_S:
                self._fail("", f"{self._trouble[0]}; no further node is taken out")
            return
        if not self.terms.force and (lost := nobody_left(leaving, fleet)):
            self._fail("", lost)
            return
        del self._waiting[0]
        for name in batch:
            seen, task = fleet[name], self.plan.tasks[name]
            left = steps(self.plan.kind, task, seen)
            self._works[name] = _Work(task, left, now, answers=seen.answers)
            if not seen.announced:
                # It is to be well afterwards, whatever it was before. Its neighbors are no matter of ours.
                self._tolerated[name] = frozenset(filter(is_of_a_neighbor, self._tolerated[name]))

    def _advance(self, name: str, work: _Work, fleet: Mapping[str, Observed], now: float) -> list[Action]:
        actions: list[Action] = []
        while work.left:
            if not work.ordered:
                if problem := self._was_taken_back(work, fleet[name]):
                    self._fail(name, problem)
                    return actions
                work.ordered = True
                if fleet[name].answers:
                    actions.append(self._record(name, work.step, "running"))
                order = self._order(work, fleet[name])
                if order is not None:
                    return [*actions, order]
            work.lacks = lacks = self._lacks(work, fleet, now)
            if lacks and now - work.since >= self._limit_s(work.step):
                self._fail(name, lacks)
            if lacks:
                return actions
            work.go_on(now)
        return actions

    # --- what each step does, and what it waits for -----------------------------------------------------

    def _order(self, work: _Work, seen: Observed) -> Action | None:
        """None where that is so already."""
        task, node = work.task, work.task.node
        match work.step:
            case Step.DRAIN if seen.answers and not seen.drain:
                return self._drain(node, seen)
            case Step.INSTALL if seen.releases is None or task.after not in seen.releases.releases:
                return Install(node, task.after)
            case Step.CHECK if seen.answers:
                return Check(node, task.after)
            case Step.USE if seen.releases is None or seen.releases.current != task.after:
                return Use(node, task.after)
            case Step.CONFIGURE:
                return Configure(node)
            case Step.RESTART if not (seen.answers and runs(self.plan.kind, task, seen)):
                return Restart(node)
            case Step.ADMIT if seen.is_out and seen.drain:
                return Admit(node, self._sentence(node))
            case Step.CALL if seen.is_out:
                return PlaceCall(node)
            case Step.UNDRAIN if seen.is_out:
                return Undrain(node)
        return None

    def _was_taken_back(self, work: _Work, seen: Observed) -> str:
        """Why it must not be changed now: somebody else has given it orders since it was drained."""
        if work.step not in CHANGES or not work.was_drained or not seen.answers:
            return ""
        return "" if seen.drain == "empty" else "was taken back into service by somebody else"

    def _lacks(self, work: _Work, fleet: Mapping[str, Observed], now: float) -> str:
        """What has to be waited for, empty once it is there."""
        name, seen = work.task.node, fleet[work.task.node]
        if work.step is Step.SOAK:
            return self._lacks_quiet(work, now)
        work.has_answered |= seen.answers
        if not seen.answers:
            # Nobody is on a node that did not run when we came: it is left, and may be changed.
            is_left = work.step in BEFORE_RESTART and not (work.has_answered and work.step in LEAVES)
            return "" if is_left else f"does not answer: {seen.silence}"
        match work.step:
            case Step.DRAIN:
                return "" if seen.drain == "empty" else f"is not empty: {seen.calls} calls are up"
            case Step.GONE:
                return evidence.lacks_absence(work.task, fleet)
            case Step.RESTART | Step.VERIFY if not runs(self.plan.kind, work.task, seen):
                return (
                    f"runs {', '.join(sorted(seen.versions))}, configuration {seen.config_hash or 'unknown'}"
                )
            case Step.ADMIT:
                return "is still drained" if seen.is_out and seen.drain else ""
            case Step.VERIFY:
                return evidence.lacks_health(seen, self._tolerated[name])
            case Step.UNDRAIN:
                return "is still held" if seen.is_out else ""
            case Step.BACK:
                return evidence.lacks_presence(work.task, fleet)
        return ""

    def _lacks_quiet(self, work: _Work, now: float) -> str:
        if self._trouble is not None:
            work.quiet_since = None
            if now - self._trouble[1] >= PERSISTS_S:
                self._fail(work.task.node, self._trouble[0])
            return self._trouble[0]
        if work.quiet_since is None:
            work.quiet_since = now
        quiet_s = now - work.quiet_since
        if quiet_s >= self.terms.soak_s:
            return ""
        return f"the fleet has been well for {quiet_s:.0f} s of {self.terms.soak_s:g} s"

    def _limit_s(self, step: Step) -> float:
        """From the beginning of the step."""
        terms = self.terms
        limits = {
            Step.DRAIN: terms.deadline_s + CLOSING_S,
            Step.GONE: terms.seen_s,
            Step.RESTART: terms.ready_s,
            Step.ADMIT: terms.seen_s,
            Step.VERIFY: terms.ready_s,
            Step.UNDRAIN: terms.seen_s,
            Step.BACK: terms.announced_s,
            Step.SOAK: 2 * terms.soak_s + 2 * PERSISTS_S,
        }
        return limits.get(step, HANGS_S)

    def _note_trouble(self, fleet: Mapping[str, Observed], now: float) -> None:
        """The first new one of a node that is to be well, and since when there has been any."""
        new = sorted(
            f"{name} {trouble}"
            for name, seen in fleet.items()
            if self.at_work.get(name, Step.SOAK) is Step.SOAK
            for trouble in seen.troubles - self._tolerated[name]
        )
        if not new:
            self._trouble = None
        elif self._trouble is None:
            self._trouble = new[0], now
        else:
            self._trouble = new[0], self._trouble[1]

    # --- giving up, and what nodes are told -------------------------------------------------------------

    def _fail(self, node: str, reason: str) -> None:
        step = self.at_work.get(node, Step.WAITING)
        self.failure = self.failure or Failure(node, step, reason)

    def _put_back_out(self, fleet: Mapping[str, Observed]) -> list[Action]:
        """A node that the failure is of serves nobody until somebody has looked at it, if another one announces."""
        assert self.failure is not None
        name = self.failure.node
        work = self._works.get(name)
        if work is None or not fleet[name].answers or fleet[name].is_kept_out or fleet[name].drain:
            return []
        if not runs(self.plan.kind, work.task, fleet[name]) or nobody_left([name], fleet):
            return []
        if work.step is Step.SOAK and not fleet[name].troubles - self._tolerated[name]:
            return []  # it is another one that is not well
        return [self._drain(name, fleet[name])]

    def _drain(self, node: str, seen: Observed) -> Drain:
        reason, until = self._sentence(node), None
        if seen.is_kept_out and seen.hold is not None:
            reason, until = "", seen.hold.until
        force = self.terms.force or not seen.knows_others
        return Drain(node, reason, self.terms.deadline_s, force, until)

    def _sentence(self, node: str) -> str:
        return sentence(self._record(node, Step.DRAIN, "running").operation)

    def _records(self, fleet: Mapping[str, Observed], state: str) -> list[Action]:
        """For every node that answers, where it stands."""
        return [
            self._record(
                name,
                Step.DONE if name in self._finished else self.at_work.get(name, Step.WAITING),
                state,
            )
            for name, seen in fleet.items()
            if seen.answers
        ]

    def _record(self, node: str, step: Step, state: str) -> Record:
        task, plan = self.plan.tasks[node], self.plan
        return Record(
            node,
            Operation(
                id=plan.id,
                kind=plan.kind,
                who=plan.who,
                started_at=plan.started_at,
                nodes=plan.order,
                before=task.before,
                after=task.after,
                step=step,
                state=state,  # type: ignore[arg-type]
                reason=str(self.failure)[:REASON_LIMIT] if self.failure else "",
            ),
        )
