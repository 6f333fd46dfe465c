"""The report as one self-contained HTML page: verdicts, and the timeline drawn as SVG."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path
from typing import Any

from edge.lab.report import SIGN, LabReport

WIDTH, LEFT, RIGHT = 1100, 110, 20
NODE_HEIGHT, CALL_HEIGHT, ROW_HEIGHT, GAP = 92, 16, 16, 26

ROUTE_COLOURS = {
    "announced": "#1a7f37",
    "depreferred": "#d4a72c",
    "withdrawn": "#cf222e",
    "fenced": "#82071e",
    "held": "#8250df",
    "starting": "#8c959f",
}
ADMISSION_COLOURS = {"accepting": "none", "retrying": "#fff8c5", "refusing": "#ffd8b5"}
VERDICT_COLOURS = {True: "#aceebb", False: "#ff8182"}
NODE_COLOURS = ("#0969da", "#bf8700", "#8250df", "#1b7c83", "#953800")
ROUTER_COLOUR, NOWHERE_COLOUR = "#afb8c1", "#1f2328"

STYLE = """
body{font:14px/1.5 system-ui,sans-serif;max-width:1140px;margin:2rem auto;padding:0 1rem;color:#1f2328}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.3rem .8rem;border-bottom:1px solid #d1d9e0;text-align:left}
td.n{text-align:right;font-variant-numeric:tabular-nums}.pass{color:#1a7f37;font-weight:600}
.fail{color:#cf222e;font-weight:600}svg{width:100%;height:auto}text{font:11px system-ui,sans-serif;fill:#1f2328}
.key span{display:inline-block;margin-right:1.2rem}.key i{display:inline-block;width:.9em;height:.9em;margin-right:.4em}
"""


def write_page(report: LabReport, path: Path, audio: str | None) -> None:
    """Write the page; ``audio`` is the name of a WAV file beside it, if there is one."""
    path.write_text(page(report, audio), encoding="utf-8")


def page(report: LabReport, audio: str | None) -> str:
    """The whole page as text; nothing in it is fetched from anywhere else but ``audio``."""
    verdict = "pass" if report.passed else "fail"
    player = f'<p>What the caller heard: <audio controls src="{escape(audio)}"></audio></p>' if audio else ""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>lab {escape(report.scenario)}</title>'
        f"<style>{STYLE}</style><h1>lab {escape(report.scenario)}: "
        f'<span class="{verdict}">{verdict.upper()}</span></h1>{_checks(report)}{player}'
        f"<h2>Timeline</h2>{_key()}{_drawing(report)}<h2>Events</h2>{_events(report)}</html>\n"
    )


def _checks(report: LabReport) -> str:
    rows = "".join(
        f"<tr><td>{escape(check.name)}</td><td class=n>{_number(check.value)}</td>"
        f"<td class=n>{SIGN[check.rule]} {_number(check.limit)}</td><td>{escape(check.unit)}</td>"
        f'<td class="{"pass" if check.passed else "fail"}">{"pass" if check.passed else "FAIL"}</td></tr>'
        for check in report.checks
    )
    return f"<table><tr><th>check<th>value<th>limit<th>unit<th>verdict</tr>{rows}</table>"


def _number(value: float | None) -> str:
    return "not measured" if value is None else f"{value:,.3f}".rstrip("0").rstrip(".")


def _key() -> str:
    routes = "".join(
        f'<span><i style="background:{colour}"></i>route {state}</span>'
        for state, colour in ROUTE_COLOURS.items()
    )
    admissions = "".join(
        f'<span><i style="background:{colour}"></i>{state}</span>'
        for state, colour in ADMISSION_COLOURS.items()
        if colour != "none"
    )
    return (
        f'<p class="key">{routes}{admissions}<span>line: pressure (0 to 1.2)</span>'
        f'<span>routers: the colours of the edges they send packets to, <i style="background:{ROUTER_COLOUR}"></i>'
        f'to another router, <i style="background:{NOWHERE_COLOUR}"></i>nowhere</span>'
        "<span>calls: the colour of their edge, half as high while on the anycast address</span></p>"
    )


def _drawing(report: LabReport) -> str:
    samples = [entry for entry in report.timeline if entry["kind"] == "sample"]
    if not samples:
        return "<p>No samples.</p>"
    nodes = sorted({name for sample in samples for name in sample["nodes"]})
    calls = sorted({name for sample in samples for name in sample["calls"]})
    colours = {name: NODE_COLOURS[index % len(NODE_COLOURS)] for index, name in enumerate(nodes)}
    end = samples[-1]["t"] or 1.0

    def x(seconds: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * seconds / end

    parts: list[str] = []
    top = 10.0
    for row in (entry for entry in report.timeline if entry["kind"] == "row"):
        parts += _row(row, x, top)
        top += ROW_HEIGHT
    top += GAP if top > 10.0 else 0.0
    for name in nodes:
        parts += _node(name, samples, colours[name], x, top)
        top += NODE_HEIGHT + GAP
    for router, prefix in sorted({pair for sample in samples for pair in _tables(sample)}):
        parts += _table(router, prefix, samples, colours, x, top)
        top += ROW_HEIGHT + 4
    top += GAP / 2
    for name in calls:
        parts += _call(name, samples, colours, x, top)
        top += CALL_HEIGHT + 4
    parts += _axis(end, x, top)
    parts += _marks(report.timeline, x, top)
    return f'<svg viewBox="0 0 {WIDTH} {top + 30:.0f}" role="img">{"".join(parts)}</svg>'


def _spans(samples: list[dict[str, Any]], values: Iterable[Any]) -> Iterator[tuple[float, float, Any]]:
    """Runs of equal values as (from, to, value), in seconds."""
    start, current = None, None
    for sample, value in zip(samples, values, strict=True):
        if start is None or value != current:
            if start is not None:
                yield start, sample["t"], current
            start, current = sample["t"], value
    if start is not None:
        yield start, samples[-1]["t"], current


def _box(left: float, top: float, right: float, height: float, colour: str, title: str) -> str:
    return (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{max(right - left, 0.5):.1f}" height="{height:.1f}"'
        f' fill="{colour}"><title>{escape(title)}</title></rect>'
    )


def _row(row: dict[str, Any], x: Any, top: float) -> list[str]:
    name, left, right = escape(row["name"]), x(row["t"]), x(row["until"])
    # Beside its bar, on the side where there is more room.
    place = f'x="{right + 4:.1f}"' if right < WIDTH / 2 else f'x="{left - 4:.1f}" text-anchor="end"'
    return [
        _box(left, top, right, ROW_HEIGHT - 4, VERDICT_COLOURS[row["passed"]], row["name"]),
        f'<text {place} y="{top + ROW_HEIGHT - 6:.0f}">{name}</text>',
    ]


def _node(name: str, samples: list[dict[str, Any]], colour: str, x: Any, top: float) -> list[str]:
    seen = [sample["nodes"].get(name, {}) for sample in samples]
    height = NODE_HEIGHT - 14.0
    parts = [
        f'<rect x="4" y="{top + 31:.0f}" width="10" height="10" fill="{colour}"/>',
        f'<text x="20" y="{top + 40:.0f}">{escape(name)}</text>',
    ]
    for start, stop, admission in _spans(samples, (node.get("admission") for node in seen)):
        shade = ADMISSION_COLOURS.get(admission or "", "none")
        parts.append(_box(x(start), top, x(stop), height, shade, str(admission)))
    for start, stop, route in _spans(samples, (node.get("route") for node in seen)):
        shade = ROUTE_COLOURS.get(route or "", "#eaeef2")
        parts.append(_box(x(start), top + height, x(stop), 10, shade, f"{name}: {route}"))
    points = " ".join(
        f"{x(sample['t']):.1f},{top + height * (1 - min(node['pressure'], 1.2) / 1.2):.1f}"
        for sample, node in zip(samples, seen, strict=True)
        if node.get("pressure") is not None
    )
    parts.append(f'<polyline points="{points}" fill="none" stroke="#24292f" stroke-width="1.5"/>')
    return parts


def _tables(sample: dict[str, Any]) -> list[tuple[str, str]]:
    return [(router, prefix) for router, prefixes in sample["fib"].items() for prefix in prefixes]


def _table(
    router: str, prefix: str, samples: list[dict[str, Any]], colours: dict[str, str], x: Any, top: float
) -> list[str]:
    """Where a router sends packets for a prefix: a stripe for each neighbour."""
    label = f"{router} IPv{6 if ':' in prefix else 4}"
    parts = [f'<text x="4" y="{top + 12:.0f}">{escape(label)}</text>']
    for start, stop, seen in _spans(
        samples, (sample["fib"].get(router, {}).get(prefix) for sample in samples)
    ):
        if seen is None:
            continue
        title = f"{router} sends {prefix} to {' and '.join(seen) or 'nowhere'}"
        shades = [colours.get(neighbour, ROUTER_COLOUR) for neighbour in seen] or [NOWHERE_COLOUR]
        height = ROW_HEIGHT / len(shades)
        for number, shade in enumerate(shades):
            parts.append(_box(x(start), top + number * height, x(stop), height, shade, title))
    return parts


def _call(name: str, samples: list[dict[str, Any]], colours: dict[str, str], x: Any, top: float) -> list[str]:
    parts = [f'<text x="4" y="{top + 12:.0f}">{escape(name)}</text>']
    for start, stop, seen in _spans(samples, (_place(sample["calls"].get(name)) for sample in samples)):
        if seen is None:
            continue
        node, path = seen
        colour = colours.get(node, "#8c959f")
        # Low while the call is still on the service address.
        lift = 0 if path == "unicast" else CALL_HEIGHT / 2
        height = CALL_HEIGHT - lift
        parts.append(_box(x(start), top + lift, x(stop), height, colour, f"{name} on {node}, {path}"))
    return parts


def _place(call: dict[str, Any] | None) -> tuple[str, str] | None:
    return None if call is None or call.get("node") is None else (call["node"], call["path"])


def _axis(end: float, x: Any, top: float) -> list[str]:
    step = next(step for step in (1, 2, 5, 10, 30, 60, 300, 3600) if end / step <= 14 or step == 3600)
    return [
        f'<text x="{x(tick):.1f}" y="{top + 20:.0f}" text-anchor="middle">{tick} s</text>'
        for tick in range(0, int(end) + 1, step)
    ]


def _marks(timeline: list[dict[str, Any]], x: Any, top: float) -> list[str]:
    events = [entry for entry in timeline if entry["kind"] == "event" and entry.get("mark")]
    return [
        f'<line x1="{x(entry["t"]):.1f}" x2="{x(entry["t"]):.1f}" y1="4" y2="{top:.0f}" stroke="#57606a"'
        f' stroke-dasharray="3 3"><title>{escape(entry["event"])}</title></line>'
        for entry in events
    ]


def _events(report: LabReport) -> str:
    rows = "".join(
        f"<tr><td class=n>{entry['t']:.3f} s</td><td>{escape(entry['event'])}</td></tr>"
        for entry in report.timeline
        if entry["kind"] == "event"
    )
    return f"<table>{rows}</table>"
