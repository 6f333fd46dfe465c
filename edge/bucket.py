"""A token bucket: how much somebody may do at once, and how much for good."""

import math


class TokenBucket:
    """Full at first with ``burst`` tokens; ``rate`` of them come back in a second. ``now`` never goes backwards."""

    def __init__(self, rate: float, burst: float) -> None:
        self.rate = rate
        self._burst = burst
        self._tokens = burst
        self._at = -math.inf

    def take(self, amount: float, now: float) -> bool:
        """Whether ``amount`` tokens were there; if not, none are taken."""
        self._refill(now)
        if amount > self._tokens:
            return False
        self._tokens -= amount
        return True

    def is_full(self, now: float) -> bool:
        """Whether nothing has been taken of late: a new one would be the same."""
        self._refill(now)
        return self._tokens == self._burst

    def _refill(self, now: float) -> None:
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self.rate)
        self._at = now
