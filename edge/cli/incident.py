"""A node's explanation of itself as a note that a person on call can read: the verdict first, the evidence below.

Pure: document in, text out. `edgectl explain` prints it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final

from rich.text import Text

from edge.cli.layout import table, wrapped
from edge.cli.moments import moment, span
from edge.cli.orders import hold_sentence
from edge.runtime.documents import Finding, NodeExplanation, SeenNode, Way

WIDEST: Final = 100
"""Columns; longer lines are hard to read."""

STATE_STYLES: Final = {
    "starting": "bold cyan",
    "announced": "bold green",
    "depreferred": "bold yellow",
    "withdrawn": "bold yellow",
    "fenced": "bold red",
    "held": "bold magenta",
}
_INDENT: Final = "  "


def note(document: NodeExplanation, width: int) -> Text:
    """The whole note, in lines of at most ``width`` columns where words allow it."""
    page = _Page(min(width, WIDEST))
    for section in _SECTIONS:
        section(document, page)
    return page.text


class _Page:
    """Text that grows downwards."""

    def __init__(self, width: int) -> None:
        self.text = Text()
        self.width = width

    def title(self, words: str, aside: str = "") -> None:
        self.text.append(f"\n{words}", "bold")
        self.text.append(
            wrapped(aside, self.width, first=" " * (len(words) + 2), rest=_INDENT)[len(words) :], "dim"
        )
        self.text.append("\n")

    def lines(self, words: str, style: str = "", *, first: str = _INDENT, rest: str = _INDENT) -> None:
        self.text.append(wrapped(words, self.width, first=first, rest=rest) + "\n", style)

    def finding(self, finding: Finding, *, first: str) -> None:
        mark, style = ("✓", "green") if finding.met else ("✗", "yellow")
        self.text.append(first)
        self.text.append(mark, style)
        margin = " " * (len(first) + 2)
        self.text.append(
            wrapped(finding.sentence, self.width, first=margin, rest=margin)[len(first) + 1 :] + "\n"
        )

    def facts(self, rows: Iterable[tuple[str, str]]) -> None:
        self.text.append(table(list(rows), width=self.width, indent=_INDENT) + "\n")


def _verdict(document: NodeExplanation, page: _Page) -> None:
    state = document.state.upper()
    why = f": {document.reason}" if document.reason else "."
    sentence = f"{document.node} has been {state} for {span(document.since_s)}{why}"
    page.lines(sentence, "bold", first="", rest=_INDENT)
    page.text.highlight_words([state], STATE_STYLES.get(document.state, "bold"))
    page.lines(_effect(document), first="", rest="")
    if document.hold:
        hold = hold_sentence(document.hold, document.time)
        page.lines(f"Operator's hold (edgectl announce ends it): {hold}", first="", rest=_INDENT)


def _seen_at(document: NodeExplanation, page: _Page) -> None:
    at = datetime.fromtimestamp(document.time).astimezone()
    page.lines(
        f"Told by {document.node} of site {document.site} at {at:%Y-%m-%d %H:%M:%S %z}.",
        "dim",
        first="",
        rest="",
    )


def _effect(document: NodeExplanation) -> str:
    if document.bgp is None:
        return "It speaks to no router ([bgp] is not configured), so nobody is sent here by it."
    if not document.announced:
        return "New callers land elsewhere; calls that are up are left alone."
    if document.deprefer:
        return "It is announced as the last resort: new callers come from where there is no other way."
    if document.state in _AWAY:
        return "It is announced all the same, for its policy only observes."
    return "New callers come here."


_AWAY: Final = ("depreferred", "withdrawn")


def _holding(document: NodeExplanation, page: _Page) -> None:
    page.title("WHAT HOLDS IT THERE")
    for sentence in document.explanation.held_by:
        page.lines(sentence, first=f"{_INDENT}- ", rest=_INDENT * 2)


def _ways_out(document: NodeExplanation, page: _Page) -> None:
    page.title("WHAT WOULD CHANGE IT")
    for way in sorted(document.explanation.ways, key=_urgency):
        if len(way.conditions) == 1:
            page.finding(way.conditions[0], first=f"{_INDENT}→ {way.target:<11}  ")
        else:
            page.lines(f"→ {way.target}, {_when(way)}:")
            for finding in way.conditions:
                page.finding(finding, first=_INDENT * 2)


def _urgency(way: Way) -> tuple[bool, bool, bool]:
    """First what is wanted and refused, then what takes several things to come about."""
    return not way.conditions[0].met, len(way.conditions) == 1, not way.voluntary


def _when(way: Way) -> str:
    waits = [finding.left_s for finding in way.conditions if not finding.met]
    known = [left_s for left_s in waits if left_s is not None]
    if waits and len(known) == len(waits):
        return f"in {span(max(known))} if all goes on as it is"
    return "once all of this is so"


def _numbers(document: NodeExplanation, page: _Page) -> None:
    page.title("NUMBERS")
    numbers, probe = document.numbers, document.probe
    signals = ", ".join(f"{signal} {value:.2f}" for signal, value in numbers.by_signal.items())
    page.facts(
        [
            ("pressure", f"{numbers.pressure:.2f}, by {numbers.pressure_signal} ({signals})"),
            ("admission", f"{numbers.admission}, {numbers.refusal_ratio:.1%} of newcomers refused"),
            ("load", f"{numbers.load_calls:.0f} of {numbers.capacity_calls:.0f} calls"),
            (
                "self-probes",
                f"{probe.failed} in a row failed: {probe.problem}"
                if probe.failed
                else f"{probe.passed} in a row passed",
            ),
            ("BGP sessions", _sessions(document)),
        ]
    )


def _sessions(document: NodeExplanation) -> str:
    if document.bgp is None:
        return "none configured"
    down = [address for address, state in document.bgp.neighbors.items() if state != "up"]
    every = len(document.bgp.neighbors)
    return f"{every - len(down)} of {every} up" + (f"; down: {', '.join(down)}" if down else "")


def _others(document: NodeExplanation, page: _Page) -> None:
    view = document.view
    if view.problem:
        page.title("OTHER NODES", f"not known reliably: {view.problem}")
    else:
        others = view.others
        settled = "" if others.settled_s is None else f", the last move {span(others.settled_s)} ago"
        page.title(
            "OTHER NODES", f"{others.announcing} announce, with room for {others.spare:.0f} calls{settled}"
        )
    if view.nodes:
        head = ("NODE", "STATE", "FOR", "LOAD", "CLAIM", "SEEN BY")
        page.text.append(table([head, *map(_seen, view.nodes)], width=page.width, indent=_INDENT) + "\n")


def _seen(node: SeenNode) -> tuple[str, ...]:
    return (
        node.address,
        node.state,
        span(node.since_s),
        f"{node.load:.0%} of {node.capacity}",
        "yes" if node.claim else "no",
        ", ".join(node.seen_by),
    )


def _ledger(document: NodeExplanation, page: _Page) -> None:
    ledger = document.ledger
    if not ledger.where:
        page.title("DAMPING LEDGER", "no neighbor is known to count changes")
        return
    page.title("DAMPING LEDGER", f"nearest to its budget: {ledger.where}")
    rows = [("NEIGHBOR", "PREFIX", "PENALTY", "BUDGET", "PROFILE", "")]
    for entry in ledger.entries:
        budget = "-" if entry.budget is None else f"{entry.budget:.0f}"
        warning = "suppressed, probably" if entry.suppressed_likely else ""
        rows.append((entry.neighbor, entry.prefix, f"{entry.penalty:.0f}", budget, entry.profile, warning))
    page.text.append(table(rows, width=page.width, indent=_INDENT) + "\n")


def _decisions(document: NodeExplanation, page: _Page) -> None:
    page.title("LAST DECISIONS", "" if document.decisions else "none yet")
    for decision in document.decisions:
        at = moment(decision.at_wall, document.time)
        undone = "" if decision.carried_out else " (not carried out)"
        page.lines(
            f"{decision.before} → {decision.after}{undone}: {decision.reason}",
            first=f"{_INDENT}{at}  ",
            rest=_INDENT * 3,
        )


_SECTIONS: Final[tuple[Callable[[NodeExplanation, _Page], None], ...]] = (
    _verdict,
    _seen_at,
    _holding,
    _ways_out,
    _numbers,
    _others,
    _ledger,
    _decisions,
)
