"""The lead window: how far ahead of the caller's ear the edge may write.

A backend generates speech faster than it is listened to. Whatever is on the wire when the caller interrupts
is wasted, whatever is still here is saved; yet the caller must hold enough to bridge a gap in the network.
So the edge writes at most ``lead_ms`` beyond what has been played.

All items lie on one timeline of milliseconds in the order written. `written` and `played` are positions on it:

    0 ........ played ............ written
               |<---- at most lead ---->|

Played is known from the caller's reports and, between two of them, from the clock: the caller goes on playing
what it said it holds, so the clock may count that and no more, and not longer than `REPORT_VALID_S`. When it
stops, nothing is written until the next report.
"""

from dataclasses import dataclass

from edge.voice.wire import PlayoutReport

DEFAULT_LEAD_MS = 1000
MIN_LEAD_MS = 200
MAX_LEAD_MS = 5000
REPORT_VALID_S = 1.5

_ROUNDING_MS = 0.001
"""Forgiven so that a timer set for the moment at which a frame fits finds that it does."""


@dataclass(frozen=True, slots=True)
class _Item:
    number: int
    start_ms: int
    begun_at: float


class LeadWindow:
    """One call's window. ``lead_ms`` may be changed at any time."""

    def __init__(self, lead_ms: int = DEFAULT_LEAD_MS) -> None:
        self.lead_ms = lead_ms
        self.written_ms = 0
        self._items: list[_Item] = []  # from the one last reported on; ascending in every field
        self._floor_ms = 0
        self._position_ms = 0
        self._known_at = 0.0
        self._holds_ms = 0
        self._latest_ts_ms = -1

    def write(self, item: int, duration_ms: int, now: float) -> None:
        """``duration_ms`` more of ``item`` go on the wire; items come in ascending order."""
        if not self._items or self._items[-1].number < item:
            self._items.append(_Item(item, self.written_ms, now))
        self.written_ms += duration_ms

    def report(self, report: PlayoutReport, now: float) -> bool:
        """Take the caller's word, as far as it can be true; False if a later one has been taken already.

        Nobody has played more of an item than was written of it, nor for longer than it has existed.
        """
        if report.client_ts_ms < self._latest_ts_ms:
            return False
        self._latest_ts_ms = report.client_ts_ms
        for index, item in enumerate(self._items):
            if item.number == report.item:
                del self._items[:index]
                age_ms = int((now - item.begun_at) * 1000)
                played_ms = min(report.played_ms, self._end_ms() - item.start_ms, age_ms)
                self._position_ms = max(self._floor_ms, item.start_ms + played_ms)
                self._holds_ms = min(report.buffered_ms, self.written_ms - self._position_ms)
                self._known_at = now
                break
        return True

    def played_of(self, item: int) -> int:
        """Milliseconds of ``item`` that are known to have been played."""
        if self._items and self._items[0].number == item:
            return max(0, self._position_ms - self._items[0].start_ms)
        return 0

    def discard(self, number: int | None) -> None:
        """The caller has thrown away what it had not played of an item and all before it, or with None of all.

        None of that counts as ahead any more, and no report can bring it back.
        """
        later = [item.start_ms for item in self._items if number is not None and item.number > number]
        self._floor_ms = max(self._floor_ms, later[0] if later else self.written_ms)
        if self._position_ms < self._floor_ms:
            self._position_ms = self._floor_ms
            self._holds_ms = 0

    def budget_ms(self, now: float) -> int:
        """How much may be written now; negative after the lead was shortened."""
        elapsed_ms = min(now - self._known_at, REPORT_VALID_S) * 1000
        played_ms = self._position_ms + min(elapsed_ms, self._holds_ms)
        return int(played_ms + _ROUNDING_MS) + self.lead_ms - self.written_ms

    def opens_at(self, duration_ms: int) -> float | None:
        """When ``duration_ms`` will fit; None if only a further report can tell."""
        missing_ms = self.written_ms + duration_ms - self.lead_ms - self._position_ms
        if missing_ms > min(self._holds_ms, REPORT_VALID_S * 1000):
            return None
        return self._known_at + missing_ms / 1000

    def _end_ms(self) -> int:
        """Where the first item's writing has come to."""
        return self._items[1].start_ms if len(self._items) > 1 else self.written_ms
