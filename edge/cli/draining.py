"""Watching a drain: a line whenever something has changed, and at the end what became of each call."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import click

from edge.cli.layout import printable
from edge.cli.looking import ask_each
from edge.cli.moments import span
from edge.cli.output import understood
from edge.cli.several import finish, show_rows
from edge.cli.where import Choice, Place
from edge.drain.account import FINE, UP
from edge.errors import PartialError
from edge.fleet.reach import Outcome, answers
from edge.runtime.documents import DrainedCall, DrainReport

POLL_S = 0.5
INTERRUPTED = 130

PHASES = {
    "withdrawing": "its routes are taken back",
    "settling": "waits until the routers send nobody to it any more",
    "handing-over": "lets nobody in, and asks its calls to go on elsewhere",
    "ending": "lets nobody in, and waits for its calls to end",
    "closing": "its time is over: closes what is left",
    "empty": "no call is left",
    "ended": "is taken back: the drain was ended",
}
FATES = {
    "stays": "still up",
    "asked": "still up, asked to move",
    "refused": "still up, would or could not move",
    "moved": "moved",
    "ended": "hung up",
    "closed": "closed at the deadline",
    "lost": "lost with its worker",
}
TOLD = ("moved", "refused", "ended", "closed", "lost")
OVER = ("empty", "ended", "none")
HEAD: Final = ("CALL", "WHAT BECAME OF IT", "WHERE", "TOOK", "MISSING")


def watch(choice: Choice, ordered: Mapping[str, Outcome[Any]], *, as_json: bool) -> int | None:
    """Until the drain of each node that has obeyed is over; an exit code. ``ordered``: what came of the orders.

    Raises `PartialError` if a call was taken from its caller, and what was the matter with a node.
    """
    try:
        outcomes = _until_over(choice, ordered)
    except KeyboardInterrupt:
        click.echo(
            "the drain goes on; watch it with the same command, end it with: edgectl undrain", err=True
        )
        return INTERRUPTED
    reports = answers(outcomes)
    if as_json or any(report.calls for report in reports.values()):
        show_rows(choice, outcomes, kind="DrainReport", as_json=as_json, head=HEAD, rows=rows)
    for name, report in reports.items():
        if words := _taken(report):
            about = f"{report.node}: " if choice.single else ""
            outcomes[name] = Outcome(error=PartialError(f"{about}{words}"))
    finish(choice, outcomes)
    return None


def _until_over(choice: Choice, ordered: Mapping[str, Outcome[Any]]) -> dict[str, Outcome[DrainReport]]:
    """The last report of each node, or why there is none; who has not obeyed, or says nothing, is not asked again."""
    outcomes: dict[str, Outcome[DrainReport]] = {
        name: Outcome(error=outcome.error) for name, outcome in ordered.items()
    }
    told: dict[str, str] = {}
    going = tuple(place for place in choice.places if outcomes[place.name].error is None)
    while going:
        outcomes.update(ask_each(replace(choice, places=going), _report))
        reports = answers({place.name: outcomes[place.name] for place in going})
        for name, report in reports.items():
            if (line := progress(report)) != told.get(name):
                click.echo(line, err=True)
                told[name] = line
        going = tuple(
            place for place in going if place.name in reports and reports[place.name].drain.phase not in OVER
        )
        if going:
            time.sleep(POLL_S)
    return outcomes


async def _report(place: Place) -> DrainReport:
    return understood(await place.answer("GET", "/drain"), DrainReport)


def _taken(report: DrainReport) -> str:
    """Which calls did not move; empty where all did."""
    taken = [call for call in report.calls if call.fate not in FINE]
    if not taken:
        return ""
    up = sum(call.fate in UP for call in taken)
    return (
        f"{len(taken)} of {len(report.calls)} calls did not move"
        + (f", {up} of them are up" if up else "")
        + ": "
        + ", ".join(f"{call.call_id} {FATES.get(call.fate, call.fate)}" for call in taken[:5])
        + (", ..." if len(taken) > 5 else "")
    )


def progress(report: DrainReport) -> str:
    """``e1: handing-over, lets nobody in, ...; 3 calls left, 4 moved, 1 refused``"""
    drain = report.drain
    counts = [
        f"{drain.left} call{'' if drain.left == 1 else 's'} left",
        *(f"{n} {fate}" for fate in TOLD if (n := drain.fates.get(fate, 0))),
    ]
    return printable(f"{report.node} {PHASES.get(drain.phase, drain.phase)}; {', '.join(counts)}")


def rows(report: DrainReport) -> Iterator[tuple[str, str, str, str, str]]:
    """Of each call, those that have not moved last."""
    for call in sorted(report.calls, key=lambda call: call.fate not in FINE):
        yield (
            call.call_id,
            FATES.get(call.fate, call.fate),
            _where(call),
            "" if call.took_ms is None else span(call.took_ms / 1000),
            "" if call.frames_missing is None else str(call.frames_missing),
        )


def _where(call: DrainedCall) -> str:
    if call.fate in ("stays", "ended", "lost"):
        return ""
    return call.node or call.to or "the service address"
