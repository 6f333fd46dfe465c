"""What happened in a scenario, in order: samples of everything at once, and events.

Entries are JSON objects with ``t``, seconds since the lab was up, and ``kind``: a *sample* has ``nodes``,
``calls`` and ``fib``, an *event* a sentence, a *row* ends at ``until`` and has a ``name`` and whether it ``passed``.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from edge.lab.callers import Caller
from edge.lab.fib import FibWatcher
from edge.lab.nodes import Fleet
from edge.lab.scenarios.scenario import Tell

INTERVAL_S = 0.25
PATIENCE_S = 1.0


class Timeline:
    """Records entries and tells each to whoever is watching."""

    def __init__(self, tell: Tell) -> None:
        self.entries: list[dict[str, Any]] = []
        self._tell = tell
        self._began = time.monotonic()

    def event(self, sentence: str, *, at: float | None = None, mark: bool = False) -> None:
        """``at`` is a monotonic time, by default now; ``mark`` draws a line through the picture."""
        moment = time.monotonic() if at is None else at
        self._add({"kind": "event", "t": self._since(moment), "event": sentence, "mark": mark})

    def sample(self, nodes: dict[str, Any], calls: dict[str, Any], fib: dict[str, Any]) -> None:
        entry = {"kind": "sample", "t": self._since(time.monotonic())}
        self._add(entry | {"nodes": nodes, "calls": calls, "fib": fib})

    def row(self, name: str, *, began: float, passed: bool) -> None:
        """A part of the story that was judged by itself, from a monotonic time until now."""
        until = self._since(time.monotonic())
        self._add({"kind": "row", "t": self._since(began), "until": until, "name": name, "passed": passed})

    def _since(self, moment: float) -> float:
        return round(moment - self._began, 4)

    def _add(self, entry: dict[str, Any]) -> None:
        self.entries.append(entry)
        self._tell(entry)


async def observe(
    timeline: Timeline, fleet: Fleet, callers: list[Caller], watchers: list[FibWatcher]
) -> None:
    """Sample nodes, calls and the routers' tables until cancelled; note what changes at a node."""
    seen: dict[str, tuple[str, str]] = {}
    while True:
        # All at once, and not for long: one that hangs shall not hide the others.
        found = await asyncio.gather(*(fleet.status(name, timeout_s=PATIENCE_S) for name in fleet.sockets))
        statuses = dict(zip(fleet.sockets, found, strict=True))
        for name, status in statuses.items():
            if status is None:
                continue
            now = (status["state"], status["admission"])
            before = seen.get(name, ("", ""))
            if now[0] != before[0]:
                decided_at = status["decisions"][-1]["at"] if status["decisions"] else None
                timeline.event(
                    f"{name} is {now[0]}: {status['reason']}", at=decided_at, mark=bool(decided_at)
                )
            if now[1] != before[1] and before[1]:
                pressure = f"pressure {status['pressure']:.2f}, {status['pressure_signal']}"
                timeline.event(f"{name} is {now[1]} newcomers ({pressure})")
            seen[name] = now
        timeline.sample(
            {name: _node(status) for name, status in statuses.items() if status is not None},
            {name: call for caller in callers for name, call in caller.calls().items()},
            {
                watcher.node: {
                    str(change.prefix): list(watcher.current(change.prefix).neighbours)
                    for change in watcher.changes
                }
                for watcher in watchers
            },
        )
        await asyncio.sleep(INTERVAL_S)


def _node(status: dict[str, Any]) -> dict[str, Any]:
    announced = "depreferred" if status["deprefer"] else "announced"
    return {
        "route": announced if status["announced"] else status["state"],
        "admission": status["admission"],
        "pressure": status["pressure"],
        "refuse_probability": status["refuse_probability"],
        "calls": status["calls"],
        "connections": status["connections"],
    }
