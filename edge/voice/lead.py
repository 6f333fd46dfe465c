"""The lead window: how far ahead of the caller's ear the edge may write.

A backend generates speech faster than it is listened to. Whatever is on the wire when the caller interrupts
is wasted, whatever is still here is saved; yet the caller must hold enough to bridge a gap in the network.
So the edge writes at most ``lead_ms`` beyond what has been played:

    0 ........ played ............ written
               |<---- at most lead ---->|

in one item, or over the ends of several: what is ahead is the sum over all items that are not played to the end
or thrown away.

Played is known from the caller's reports and, between two of them, from the clock: the caller goes on playing
what it said it holds, so the clock may count that and no more, and not longer than `REPORT_VALID_S`. When it
stops, nothing is written until the next report.

How large a lead is right depends on the network: large enough to bridge what its worst moments take, and no larger,
for it is also what an interruption wastes. `auto` measures it (`AutoLead`).
"""

from collections import deque
from dataclasses import dataclass
from typing import Literal

from edge.voice.wire import PlayoutReport

DEFAULT_LEAD_MS = 1000
MIN_LEAD_MS = 200
MAX_LEAD_MS = 5000
REPORT_VALID_S = 1.5

AUTO_MIN_MS = 600
AUTO_MAX_MS = 3000
JITTERS = 3
"""Speech that comes late by as much as nearly any ever was, three times in a row, is still bridged."""
LEAST_REPORTS = 10
MOST_REPORTS = 512
"""Jitter is that of the last so many reports: 51 s of playing. Before `LEAST_REPORTS` nothing is known of it."""

NO_LIMIT_MS = 3_600_000
"""More than any ring holds."""

_ROUNDING_MS = 0.001
"""Forgiven so that a timer set for the moment at which a frame fits finds that it does."""

Lead = int | Literal["auto"]


class AutoLead:
    """The lead that a network needs: 3 times the jitter that 99 in 100 reports stay below, and a round trip.

    Jitter is measured on the playout reports: each says when it left by the caller's clock, so that its time on the
    way is known but for a constant, and how much longer it took than the quickest is known. That is the jitter of the
    way up; the way down cannot be measured here, and on the networks that callers use the two get worse together.
    """

    def __init__(self) -> None:
        self.rtt_s = 0.0
        self._transits_ms: deque[float] = deque(maxlen=MOST_REPORTS)

    def reported(self, client_ts_ms: int, now: float) -> None:
        """A report that left at ``client_ts_ms`` is here."""
        self._transits_ms.append(now * 1000 - client_ts_ms)

    @property
    def jitter_p99_ms(self) -> float:
        """0 before the first report."""
        ordered = sorted(self._transits_ms)
        return ordered[(len(ordered) - 1) * 99 // 100] - ordered[0] if ordered else 0.0

    @property
    def lead_ms(self) -> int:
        if len(self._transits_ms) < LEAST_REPORTS:
            return DEFAULT_LEAD_MS
        return int(min(max(JITTERS * self.jitter_p99_ms + self.rtt_s * 1000, AUTO_MIN_MS), AUTO_MAX_MS))


@dataclass(slots=True)
class _Item:
    begun_at: float
    written_ms: int = 0
    played_ms: int = 0


class LeadWindow:
    """One call's window."""

    def __init__(self, lead: Lead = DEFAULT_LEAD_MS) -> None:
        self.lead_ms = DEFAULT_LEAD_MS
        """The lead in force."""
        self._auto = AutoLead()
        self._automatic = False
        self._items: dict[int, _Item] = {}  # by number, from the one last reported on
        self._known_at = 0.0
        self._holds_ms = 0
        self._latest_ts_ms = -1
        self._lifted = False
        self.choose(lead)

    def choose(self, lead: Lead) -> None:
        """Change the lead, at any time."""
        self._automatic = lead == "auto"
        self.lead_ms = self._auto.lead_ms if lead == "auto" else lead

    def lift(self) -> None:
        """Let everything through, until the caller is here on another path."""
        self._lifted = True

    def set_rtt(self, rtt_s: float) -> None:
        """The carrier's smoothed round-trip time."""
        self._auto.rtt_s = rtt_s

    def reconnected(self) -> None:
        """The caller is here on another path, perhaps with another clock; whether it still plays it has to say."""
        self._auto = AutoLead()
        self._latest_ts_ms = -1
        self._lifted = False
        self.hold()

    def adopt(self, item: int, written_ms: int, now: float) -> None:
        """``written_ms`` of ``item`` are with the caller, from elsewhere. What it has played of that it has to say."""
        self._items[item] = _Item(now - written_ms / 1000, written_ms)

    def write(self, item: int, duration_ms: int, now: float) -> None:
        """``duration_ms`` more of ``item`` go on the wire."""
        self._items.setdefault(item, _Item(now)).written_ms += duration_ms

    def rewind(self, item: int, written_ms: int) -> None:
        """Of what was written of ``item`` only ``written_ms`` count: the rest is not with the caller."""
        if item in self._items:
            self._items[item].written_ms = written_ms

    def report(self, report: PlayoutReport, now: float) -> bool:
        """Take the caller's word, as far as it can be true; False if a later one has been taken already.

        Nobody has played more of an item than was written of it, nor for longer than it has existed.
        """
        if report.client_ts_ms < self._latest_ts_ms:
            return False
        self._latest_ts_ms = report.client_ts_ms
        self._auto.reported(report.client_ts_ms, now)
        if self._automatic:
            self.lead_ms = self._auto.lead_ms
        item = self._items.get(report.item)
        if item is not None:
            self._items = {number: known for number, known in self._items.items() if number >= report.item}
            age_ms = int((now - item.begun_at) * 1000)
            item.played_ms = max(item.played_ms, min(report.played_ms, item.written_ms, age_ms))
            self._holds_ms = min(report.buffered_ms, self._ahead_ms())
            self._known_at = now
        return True

    def played_of(self, item: int) -> int:
        """Milliseconds of ``item`` that are known to have been played; 0 also when it is past."""
        return self._items[item].played_ms if item in self._items else 0

    def hold(self) -> None:
        """The caller has stopped playing, so the clock counts nothing until its next report."""
        self._holds_ms = 0

    def discard(self, item: int) -> None:
        """The caller has thrown away what it had not played of ``item``: none of that is ahead any more."""
        self._items.pop(item, None)
        self._holds_ms = min(self._holds_ms, self._ahead_ms())

    def ahead_ms(self, now: float) -> int:
        """How much is written and not played, as far as is known."""
        elapsed_ms = min(now - self._known_at, REPORT_VALID_S) * 1000
        return self._ahead_ms() - int(min(elapsed_ms, self._holds_ms) + _ROUNDING_MS)

    def budget_ms(self, now: float) -> int:
        """How much may be written now; negative after the lead was shortened."""
        return NO_LIMIT_MS if self._lifted else self.lead_ms - self.ahead_ms(now)

    def opens_at(self, duration_ms: int) -> float | None:
        """When ``duration_ms`` will fit; None if only a further report can tell."""
        missing_ms = self._ahead_ms() + duration_ms - self.lead_ms
        if missing_ms > min(self._holds_ms, REPORT_VALID_S * 1000):
            return None
        return self._known_at + missing_ms / 1000

    def _ahead_ms(self) -> int:
        return sum(item.written_ms - item.played_ms for item in self._items.values())
