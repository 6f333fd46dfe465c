"""How far away the other end of a WebSocket is, and whether it reads at all: pings (RFC 6455 section 5.5.2)."""

from __future__ import annotations

from typing import Final

PING_INTERVAL_S: Final = 2.0
MAX_UNANSWERED: Final = 5
"""Looks in vain; not a time by the clock, which also runs while this process does not."""
RTT_GAIN: Final = 1 / 8  # RFC 6298 section 2


class Pings:
    """One ping at a time is on its way. `look` every `PING_INTERVAL_S`; who never answers does not read, or is gone."""

    def __init__(self) -> None:
        self.rtt_s: float | None = None
        """Smoothed, once it has been measured."""
        self.due: bytes | None = None
        """The payload of a ping that is to be sent."""
        self._number = 0
        self._on_its_way: tuple[bytes, float] | None = None
        self._unanswered = 0

    @property
    def overdue(self) -> bool:
        """Whether one that was on its way at the last look was not answered by then."""
        return self._unanswered > 1

    def look(self) -> bool:
        """See to it that a ping is due or on its way; False once `MAX_UNANSWERED` looks have found no answer."""
        if self._unanswered == MAX_UNANSWERED:
            return False
        self._unanswered += 1
        if self._on_its_way is None:
            self._number += 1
            self.due = b"%d" % self._number
        return True

    def sent(self, now: float) -> bytes:
        """The one that was due has its turn."""
        assert self.due is not None
        payload, self.due = self.due, None
        self._on_its_way = payload, now
        return payload

    def answered(self, payload: bytes, now: float) -> None:
        """A pong; one that answers no ping on its way says nothing."""
        if self._on_its_way is None or payload != self._on_its_way[0]:
            return
        sample_s = now - self._on_its_way[1]
        self.rtt_s = sample_s if self.rtt_s is None else self.rtt_s + RTT_GAIN * (sample_s - self.rtt_s)
        self._on_its_way = None
        self._unanswered = 0
