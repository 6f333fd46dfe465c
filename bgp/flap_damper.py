"""A memory for those who change too often, and a forgetting.

The way routers damp prefixes (RFC 2439): a penalty that grows with each offence and halves with time. Above the limit
one is ignored, until it has sunk to half of that. It never grows beyond twice the limit, so after two half-lives
without an offence everybody is forgiven.
"""

from __future__ import annotations

from math import log


class FlapDamper:
    """``limit`` is in points. ``now`` is in seconds and never goes back."""

    def __init__(self, limit: float, half_life_s: float) -> None:
        self._limit = limit
        self._half_life_s = half_life_s
        self._penalty = 0.0
        self._at = 0.0
        self._points_per_s = 0.0
        self._is_suppressed = False

    def charge(self, points: float, now: float) -> None:
        self._advance(now)
        self._set(self._penalty + points)

    def charge_per_s(self, points: float, now: float) -> None:
        """From now on, for an offence that lasts; 0 ends it."""
        self._advance(now)
        self._points_per_s = points

    def is_suppressed(self, now: float) -> bool:
        self._advance(now)
        return self._is_suppressed

    def _advance(self, now: float) -> None:
        # Points that come in steadily tend to a penalty of which as much decays as comes in.
        tends_to = self._points_per_s * self._half_life_s / log(2)
        kept = 0.5 ** ((now - self._at) / self._half_life_s)
        self._at = now
        self._set(tends_to + (self._penalty - tends_to) * kept)

    def _set(self, penalty: float) -> None:
        self._penalty = min(penalty, 2 * self._limit)
        if self._penalty > self._limit:
            self._is_suppressed = True
        elif self._penalty <= self._limit / 2:
            self._is_suppressed = False
