"""Whether a counter has been there before, for packets that may overtake each other (as RFC 4303 section 3.4.3)."""

from typing import Final

WINDOW: Final = 1024


class ReplayWindow:
    """The highest counter that was accepted and, of the `WINDOW` behind it, which ones were."""

    def __init__(self) -> None:
        self._highest = -1
        self._seen = 0  # bit n: highest - n

    def accept(self, counter: int) -> bool:
        """False for one that was accepted already or is too old to know. Ask only about what is authentic."""
        ahead = counter - self._highest
        if ahead > 0:
            self._seen = (self._seen << ahead if ahead < WINDOW else 0) & (1 << WINDOW) - 1 | 1
            self._highest = counter
            return True
        if -ahead >= WINDOW or self._seen >> -ahead & 1:
            return False
        self._seen |= 1 << -ahead
        return True
