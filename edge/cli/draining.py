"""Watching a drain: a line whenever something has changed, and at the end what became of each call."""

from __future__ import annotations

import time
from collections.abc import Iterator

import click

from edge.cli.layout import printable, table
from edge.cli.moments import span
from edge.cli.output import print_json, understood
from edge.cli.where import Place
from edge.drain.account import FINE, UP
from edge.errors import PartialError
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


def watch(place: Place, *, as_json: bool) -> int | None:
    """Until the drain is over; an exit code. Raises `PartialError` if a call was taken from its caller."""
    told = ""
    try:
        while True:
            document = place.ask("GET", "/drain")
            report = understood(document, DrainReport)
            if (line := progress(report)) != told:
                click.echo(line, err=True)
                told = line
            if report.drain.phase in ("empty", "ended", "none"):
                break
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        click.echo(
            "the drain goes on; watch it with the same command, end it with: edgectl undrain", err=True
        )
        return INTERRUPTED
    if as_json:
        print_json(document)
    elif report.calls:
        click.echo(table([("CALL", "WHAT BECAME OF IT", "WHERE", "TOOK", "MISSING"), *rows(report)]))
    taken = [call for call in report.calls if call.fate not in FINE]
    if taken:
        up = sum(call.fate in UP for call in taken)
        raise PartialError(
            f"{report.node}: {len(taken)} of {len(report.calls)} calls did not move"
            + (f", {up} of them are up" if up else "")
            + ": "
            + ", ".join(f"{call.call_id} {FATES.get(call.fate, call.fate)}" for call in taken[:5])
            + (", ..." if len(taken) > 5 else "")
        )
    return None


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
