"""A fleet on a screen: what is wrong first, then a line for each node. Pure: a look in, text out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from rich.text import Text

from edge.cli.incident import STATE_STYLES
from edge.cli.layout import printable, table
from edge.cli.looking import Look
from edge.fleet.findings import Finding, Severity, worst
from edge.fleet.observed import Seen, Status, neighbors_down

MARKS: Final = {
    Severity.BROKEN: ("✗", "bold red"),
    Severity.WARNING: ("!", "yellow"),
    Severity.NOTE: ("·", "cyan"),
}
HEAD: Final = (
    "",
    "NODE",
    "SITE",
    "STATE",
    "ROUTES",
    "BGP",
    "PRESSURE",
    "CALLS",
    "MIGRATED",
    "WORK",
    "VERSION",
    "CONFIG",
)
_BAR: Final = 5

SORTS: Final[dict[str, Callable[[Look, Seen], tuple[object, ...]]]] = {
    "trouble": lambda look, node: (-(worst(look.findings, node.name) or 0), node.site, node.name),
    "name": lambda _, node: (node.name,),
    "site": lambda _, node: (node.site, node.name),
    "pressure": lambda _, node: (-(node.status.pressure if node.status else -1), node.name),
    "calls": lambda _, node: (-(node.status.calls if node.status else -1), node.name),
}


def summary(look: Look) -> Text:
    """``voice: 3 nodes at 2 sites, 2 announce, 41 calls, pressure up to 0.83 (ams-1)``"""
    answers = [node.status for node in look.nodes if node.status is not None]
    sites = {node.site for node in look.nodes}
    parts = [
        f"{_many(len(look.nodes), 'node')} at {_many(len(sites), 'site')}",
        f"{sum(status.announced for status in answers)} announce",
        _many(sum(status.calls for status in answers), "call"),
    ]
    migrated = sum(status.connections.get("migrated", 0) for status in answers)
    if came := migrated + sum(status.connections.get("on_anycast", 0) for status in answers):
        parts.append(f"{migrated / came:.0%} migrated")
    if answers:
        highest = max(answers, key=lambda status: status.pressure)
        parts.append(f"pressure up to {highest.pressure:.2f} ({highest.node})")
    return Text(printable((f"{look.fleet}: " if look.fleet else "") + ", ".join(parts)), "bold")


def sites(look: Look) -> Text:
    """``ams 2/2  fra 1/2  lon 0/1``: of the nodes of each site, how many announce."""
    text = Text()
    for site in sorted({node.site for node in look.nodes}):
        there = [node for node in look.nodes if node.site == site]
        announcing = sum(node.status is not None and node.status.announced for node in there)
        style = "bold red" if not announcing else "yellow" if announcing < len(there) else "green"
        text.append(printable(f"{site or '?'} {announcing}/{len(there)}"), style).append("   ")
    return text


def complaints(found: Sequence[Finding]) -> Text:
    """A line for each, the worst first; nothing where nothing is found."""
    text = Text()
    if found:
        names = max(len(finding.about) for finding in found)
        for finding in found:
            mark, style = MARKS[finding.severity]
            text.append(printable(f"{mark} {finding.about or 'fleet':<{max(names, 5)}}  "), style)
            text.append(printable(f"{finding.what}: {finding.sentence}") + "\n")
        text.right_crop()
    return text


def node_lines(look: Look, sort: str = "trouble") -> list[Text]:
    """The head, and a line for each node."""
    nodes = sorted(look.nodes, key=lambda node: SORTS[sort](look, node))
    rows = [_cells(look, node) for node in nodes]
    head, *lines = table([HEAD, *rows]).split("\n")
    told = [Text(head, "bold")]
    for node, line in zip(nodes, lines, strict=True):
        severity = worst(look.findings, node.name)
        text = Text(line)
        if severity is not None:
            text.stylize(MARKS[severity][1], 0, 1)
        if node.status is None:
            text.stylize("red")
        else:
            text.highlight_words([node.status.state], STATE_STYLES.get(node.status.state, ""))
        told.append(text)
    return told


def page(look: Look, sort: str = "trouble") -> Text:
    """All of it."""
    found = look.findings
    parts = [summary(look), Text("")]
    if found:
        parts += [complaints(found), Text("")]
    return Text("\n").join([*parts, *node_lines(look, sort)])


def _cells(look: Look, node: Seen) -> tuple[str, ...]:
    severity = worst(look.findings, node.name)
    mark = MARKS[severity][0] if severity else ""
    status = node.status
    if status is None:
        silence = "unreachable" if node.error is None or node.error.exit_code == 5 else "no answer"
        return (mark, node.name, node.site, silence, *("-" for _ in HEAD[4:]))
    share = status.migrated_ratio
    return (
        mark,
        node.name,
        node.site,
        status.state,
        "none" if not status.announced else "last resort" if status.deprefer else "announced",
        _sessions(status),
        f"{_bar(status.pressure)} {status.pressure:.2f}",
        str(status.calls),
        "-" if share is None else f"{share:.0%}",
        _work(status),
        status.version or "-",
        _config(node, status),
    )


def _sessions(status: Status) -> str:
    if status.bgp is None:
        return "-"
    total = len(status.bgp.neighbors)
    return f"{total - len(neighbors_down(status))}/{total}"


def _bar(fraction: float) -> str:
    filled = round(min(1.0, max(0.0, fraction)) * _BAR)
    return "█" * filled + "░" * (_BAR - filled)


def _config(node: Seen, status: Status) -> str:
    config = status.config
    if config is None or not config.hash:
        return "-"
    if config.changed_on_disk:
        return "changed"
    if node.wanted.config_hash:
        return "as wanted" if config.hash == node.wanted.config_hash else "differs"
    return config.hash


def _work(status: Status) -> str:
    """What somebody does to it now."""
    words = []
    if status.hold is not None and status.hold.kind == "announce":
        words.append("kept in")
    if status.drain is not None:
        words.append(f"drain {status.drain.phase}, {status.drain.left} left")
    elif status.hold is not None and status.hold.kind == "withdraw":
        words.append("kept out")
    if status.operation is not None and status.operation.get("state") != "done":
        state = "interrupted" if status.operation.get("interrupted") else status.operation.get("state")
        words.append(f"{status.operation.get('kind')} {state}")
    if status.lease is not None:
        words.append(f"lease {status.lease.who}")
    return ", ".join(words) or "-"


def _many(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
