"""What callers counted, over many calls: who was lost, and what is missing. None is what was not compared."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence

from edge.client.summary import CallSummary
from edge.lab.callers import Caller


def finished(callers: Iterable[Caller], named: Callable[[str], bool] = lambda _: True) -> list[CallSummary]:
    """The calls that were hung up, or ended otherwise, of those whose name fits."""
    return [summary for caller in callers for name, summary in caller.finished.items() if named(name)]


def lost(callers: Sequence[Caller]) -> int:
    """Calls that failed, ended by themselves or had to connect again."""
    failed = sum(len(caller.failed) for caller in callers)
    return failed + sum(call.ending != "hung_up" or call.reconnects > 0 for call in finished(callers))


def missing(calls: Iterable[CallSummary]) -> float | None:
    """Frames that one end sent and the other has not, or the reverse, over all calls."""
    total = 0
    for call in calls:
        if call.missing_up is None or call.missing_down is None:
            return None
        total += abs(call.missing_up) + abs(call.missing_down)
    return total


def altered(calls: Iterable[CallSummary]) -> float | None:
    """Calls whose ends agree on the number of frames and not on what was in them."""
    compared = [call.ledgers_equal for call in calls]
    return None if None in compared else compared.count(False)


# --- of calls whose edge was lost with all that it had counted -------------------------------------------------


def said_twice(calls: Sequence[CallSummary]) -> int:
    """Utterances that two edges have confirmed, or one twice."""
    return sum(session.utterances for call in calls for session in call.sessions) - sum(
        call.utterances for call in calls
    )


def missing_at_last(calls: Sequence[CallSummary]) -> float | None:
    """Of what was confirmed by an edge that is gone, and of all that the last one was told and said."""
    total = 0
    for call in calls:
        last = call.sessions[-1]
        if last.missing_up is None or last.missing_down is None:
            return None
        total += abs(last.missing_up) + abs(last.missing_down)
        total += sum(abs(session.unheard) for session in call.sessions)
    return total if calls else None


def altered_at_last(calls: Iterable[CallSummary]) -> float | None:
    """Ledgers of the last edge that do not agree with their caller's."""
    verdicts = [
        verdict for call in calls for verdict in (call.sessions[-1].agrees_up, call.sessions[-1].agrees_down)
    ]
    return None if not verdicts or None in verdicts else verdicts.count(False)


def frames(calls: Iterable[CallSummary]) -> int:
    """Sent and received."""
    return sum(call.frames_sent + call.frames_received for call in calls)


def median_migration_ms(calls: Iterable[CallSummary]) -> float | None:
    times = [call.legs[0].migration_ms for call in calls]
    known = [time for time in times if time is not None]
    return round(statistics.median(known), 1) if known else None
