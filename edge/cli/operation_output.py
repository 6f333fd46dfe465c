"""How an operation on a fleet is shown: its plan, its progress on stderr, and its end."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any

from rich.console import Console

from edge.cli.layout import printable, table
from edge.fleet.operation import Step
from edge.fleet.plan import steps

if TYPE_CHECKING:
    from edge.fleet.operate import Survey
    from edge.fleet.rollout import Rollout


def plan_table(found: Survey) -> str:
    """Who comes when, and what is done there."""
    plan, rows = found.plan, [("NODE", "BATCH", "FROM", "TO", "STEPS")]
    turns = {name: str(number) for number, batch in enumerate(plan.batches, 1) for name in batch}
    for name in plan.order:
        task = plan.tasks[name]
        todo = steps(plan.kind, task, found.fleet[name]) if name in turns else ()
        rows.append((name, turns.get(name, "-"), task.before, task.after, ", ".join(todo) or "none"))
    return table(rows)


def outcome_table(rollout: Rollout) -> str:
    rows = [("NODE", "FROM", "TO", "OUTCOME")]
    for name, (state, step) in _outcomes(rollout).items():
        task = rollout.plan.tasks[name]
        rows.append((name, task.before, task.after, f"{state} at {step}" if step else state))
    return table(rows)


def document(found: Survey, rollout: Rollout | None, state: str) -> dict[str, Any]:
    """``state``: planned, unchanged, done, failed or interrupted."""
    plan = rollout.plan if rollout is not None else found.plan
    outcomes = {} if rollout is None else _outcomes(rollout)
    nodes = []
    for name in plan.order:
        task = plan.tasks[name]
        planned = "planned" if name in plan.unfinished else "unchanged"
        outcome, step = outcomes.get(name, (planned, ""))
        diff = found.differences[name].diff if name in found.differences else ()
        nodes.append(
            {
                "name": name,
                "from": task.before,
                "to": task.after,
                "state": outcome,
                "step": step,
                "diff": "\n".join(diff),
            }
        )
    return {
        "apiVersion": "edge/v1",
        "kind": "FleetChange",
        "id": plan.id,
        "operation": str(plan.kind),
        "state": state,
        "reason": str(rollout.failure) if rollout is not None and rollout.failure else "",
        "nodes": nodes,
    }


def _outcomes(rollout: Rollout) -> dict[str, tuple[str, str]]:
    """Of each node its state, and the step it is at if it is at one."""
    found = {}
    for name in rollout.plan.order:
        if name in rollout.finished:
            found[name] = ("done", "")
        elif name in rollout.untouched:
            found[name] = ("untouched", "")
        elif name not in rollout.plan.unfinished:
            found[name] = ("unchanged", "")
        else:
            failed = rollout.failure is not None and rollout.failure.node == name
            step = rollout.at_work.get(name, Step.WAITING)
            found[name] = ("failed" if failed else "stopped", str(step))
    return found


class Progress:
    """A line for each step that a node comes to; on a terminal also what it waits for."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._waiting = self._console.status("looking at the fleet") if sys.stderr.isatty() else None
        self._told: dict[str, str] = {}

    def __enter__(self) -> Progress:
        if self._waiting is not None:
            self._waiting.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._waiting is not None:
            self._waiting.stop()

    def tell(self, rollout: Rollout) -> None:
        for name in rollout.finished - {name for name, step in self._told.items() if step == Step.DONE}:
            self._say(name, Step.DONE)
        for name, step in rollout.at_work.items():
            self._say(name, step)
        if self._waiting is not None:
            waits = [f"{name} {rollout.waits_for[name] or step}" for name, step in rollout.at_work.items()]
            self._waiting.update(printable("; ".join(waits) or "waits until the fleet is well"))

    def _say(self, name: str, step: Step) -> None:
        if self._told.get(name) != step:
            self._told[name] = step
            self._console.print(printable(f"{name}: {step}"), markup=False, soft_wrap=True)
