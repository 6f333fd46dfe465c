"""How many of many, lately."""

from collections import deque

SLOTS = 10


class SlidingRatio:
    """Share of hits among everything counted in the last ``window_s``, to a tenth of the window.

    Memory does not grow with what is counted. ``now`` never goes backwards.
    """

    def __init__(self, window_s: float) -> None:
        self._slot_s = window_s / SLOTS
        self._slots: deque[tuple[int, int, int]] = deque()

    def count(self, hits: int, total: int, now: float) -> None:
        """``hits`` out of ``total`` happened at ``now``."""
        slot = self._expire(now)
        if self._slots and self._slots[-1][0] == slot:
            _, earlier_hits, earlier_total = self._slots.pop()
            hits += earlier_hits
            total += earlier_total
        self._slots.append((slot, hits, total))

    def value(self, now: float) -> float:
        """0 to 1; 0 when nothing was counted."""
        self._expire(now)
        total = sum(total for _, _, total in self._slots)
        return sum(hits for _, hits, _ in self._slots) / total if total else 0.0

    def _expire(self, now: float) -> int:
        current = int(now / self._slot_s)
        while self._slots and self._slots[0][0] <= current - SLOTS:
            self._slots.popleft()
        return current
