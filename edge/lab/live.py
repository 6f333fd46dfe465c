"""A scenario as it happens: a table that changes on a terminal, and a line for each event anywhere."""

from __future__ import annotations

import math
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edge.lab.report import SIGN, LabReport

LATE_S = 1.0  # how late an event may be told
BAR_CELLS = 12
BAR_FULL = 1.2  # the pressure at which the bar is full

ROUTE_STYLES = {
    "announced": "green",
    "depreferred": "yellow",
    "withdrawn": "red",
    "fenced": "red",
    "held": "magenta",
}
ADMISSION_STYLES = {"accepting": "green", "retrying": "yellow", "refusing": "red", "draining": "magenta"}


class LiveView:
    """Shows timeline entries on stderr while entered; `verdict` is for after that."""

    def __init__(self) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._events: list[dict[str, Any]] = []

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._print_events(math.inf)
        self._live.stop()

    def show(self, entry: dict[str, Any]) -> None:
        """Take the next entry. Events are shown a moment later, for some are told late and belong before others."""
        if entry["kind"] == "event":
            self._events.append(entry)
        if entry["kind"] != "sample":
            return
        self._print_events(entry["t"] - LATE_S)
        if self._console.is_terminal:
            self._live.update(_picture(entry), refresh=True)

    def _print_events(self, until: float) -> None:
        self._events.sort(key=lambda event: event["t"])
        while self._events and self._events[0]["t"] <= until:
            event = self._events.pop(0)
            line = Text.assemble((f"{event['t']:7.2f} s  ", "dim"), event["event"])
            self._console.print(line, soft_wrap=True)

    def verdict(self, report: LabReport, out: Path) -> None:
        """The checks as a table, and where the rest is."""
        table = Table(box=None, header_style="bold", pad_edge=False)
        for title in ("check", "value", "limit", "unit", "verdict"):
            table.add_column(title, justify="right" if title in ("value", "limit") else "left")
        for check in report.checks:
            value = "not measured" if check.value is None else f"{check.value:g}"
            verdict = Text("pass", "green") if check.passed else Text("FAIL", "bold red")
            table.add_row(check.name, value, f"{SIGN[check.rule]} {check.limit:g}", check.unit, verdict)
        self._console.print()
        self._console.print(table)
        self._console.print(f"\nreport: {out / 'report.html'}  {out / 'report.json'}")


def _picture(sample: dict[str, Any]) -> RenderableType:
    nodes = _table("edge", "route", "newcomers", "pressure", "", "calls", "migrated", "anycast", "direct")
    for name, node in sample["nodes"].items():
        places = node["connections"]
        pressure = node["pressure"] or 0.0
        nodes.add_row(
            name,
            Text(node["route"], ROUTE_STYLES.get(node["route"], "")),
            Text(node["admission"], ADMISSION_STYLES.get(node["admission"], "")),
            _bar(pressure),
            f"{pressure:.2f}",
            *map(str, (node["calls"], places["migrated"], places["on_anycast"], places["direct"])),
        )
    routers = _table("router", "prefix", "routes to")
    for router, prefixes in sample["fib"].items():
        for prefix, neighbours in prefixes.items():
            routers.add_row(router, prefix, " ".join(neighbours) or "nowhere")
    calls = _table("call", "served by", "path", "frames sent", "frames heard")
    for name, call in sample["calls"].items():
        calls.add_row(name, call["node"], call["path"], str(call["sent"]), str(call["received"]))
    clock = Text(f"{sample['t']:7.2f} s", "bold")
    return Group("", clock, nodes, "", routers, "", calls)


def _table(*titles: str) -> Table:
    table = Table(box=None, header_style="dim", pad_edge=False)
    for title in titles:
        table.add_column(title)
    return table


def _bar(pressure: float) -> Text:
    filled = round(min(pressure, BAR_FULL) / BAR_FULL * BAR_CELLS)
    style = "red" if pressure >= 0.85 else "yellow" if pressure >= 0.6 else "green"
    return Text.assemble(("█" * filled, style), ("░" * (BAR_CELLS - filled), "dim"))
