"""Asking a caller to go elsewhere with its call, and what has become of that. Pure: times are given.

"" --- it is time to ask ---> asked --- the caller says edge.leave, and has all that there is ---> left
asked, left --- the call goes on elsewhere ---> moved
asked --- nothing happens in time ---> refused
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal, Self

from edge.voice.control import GoAwayReason

State = Literal["", "asked", "left", "moved", "refused"]

CUT_AT: Final = 0.75
"""The part of its time after which a caller that wants to leave need not wait for the end of an answer any more. It may
take half of the time to find a pause, and needs the rest for its way."""
LEAST_S: Final = 0.5
AGAIN_S: Final = 2.0
"""Before a caller that came back from a place that did not take it is asked again."""
ANYCAST_AFTER_S: Final = 1.0
"""Whoever follows the preferred address has done so by then, and the call stands."""
ANYCAST_WITHIN_S: Final = 10.0
UNASKED_S: Final = 2.0
"""For the end of an answer, if a caller leaves whom nobody has asked to."""


@dataclass(frozen=True, slots=True)
class Request:
    """To go on at ``url``, None for the service address, asked at ``at`` and worth doing before ``until``."""

    url: str | None
    reason: GoAwayReason
    leave: bool
    at: float
    until: float

    @classmethod
    def to_unicast(cls, url: str, *, leave: bool, now: float) -> Self:
        """For a caller on the service address, if it is still there by then."""
        at = now + ANYCAST_AFTER_S
        return cls(url, "anycast", leave, at, at + ANYCAST_WITHIN_S)

    def within_ms(self, now: float) -> int:
        return max(0, round((self.until - now) * 1000))


class HandOver:
    """One call's. ``leaving`` while the caller waits to be let go."""

    def __init__(self) -> None:
        self.state: State = ""
        self.leaving = False
        self.took_ms: float | None = None
        """From the question to letting it go; None if it was not let go, or came back."""
        self._waiting: Request | None = None
        self._asked: Request | None = None
        self._cut_at = 0.0
        self._again = True  # whether who comes back is asked again

    def plan(self, request: Request) -> None:
        """The latest counts; whoever is on its way already is not asked again."""
        if not self._is_going:
            self._waiting = request

    def ask(self, now: float, *, on_anycast: bool) -> Request | None:
        """What the caller is to be asked now."""
        if self._waiting is None or now < self._waiting.at or self._is_going:
            return None
        due, self._waiting = self._waiting, None
        if due.reason == "anycast" and not on_anycast:
            return None
        if now >= due.until:
            # Who came back from elsewhere when its time was over has stayed.
            self.state = "refused" if self.state == "asked" and self._asked is None else self.state
            return None
        self._asked, self.state, self._again = due, "asked", True
        return due

    def call_off(self, reason: GoAwayReason) -> None:
        """Do not ask for that any more. Who has been asked may still go, and is not asked again."""
        if self._waiting is not None and self._waiting.reason == reason:
            self._waiting = None
        if self._asked is not None and self._asked.reason == reason:
            self._again = False

    @property
    def _is_going(self) -> bool:
        return self.leaving or self.state == "left"

    @property
    def url(self) -> str | None:
        """Where it was asked to go last."""
        return None if self._asked is None else self._asked.url

    def leave(self, now: float) -> None:
        """The caller wants to be let go."""
        asked = self._asked
        self.leaving = True
        cut_at = now + UNASKED_S if asked is None else asked.at + (asked.until - asked.at) * CUT_AT
        self._cut_at = max(cut_at, now + LEAST_S)

    def may_cut(self, now: float) -> bool:
        """Whether what the backend is saying need not be waited for any longer."""
        return now >= self._cut_at

    def left(self, now: float) -> None:
        self.leaving = False
        self.state = "left"
        self.took_ms = 0.0 if self._asked is None else (now - self._asked.at) * 1000

    def attached(self, now: float) -> None:
        """The call goes on here, on another connection: which is what was asked for, or the way elsewhere failed."""
        self.leaving = False
        self.took_ms = None
        asked, self._asked = self._asked, None
        if asked is None:
            self.state = ""
        elif asked.reason == "anycast":
            self.state = "moved"
        elif not self._again:
            self.state = ""
        else:
            self.state = "asked"
            self._waiting = self._waiting or replace(asked, at=now + AGAIN_S)

    def cut(self) -> None:
        """The node ends the call: nobody has shown that it goes on elsewhere."""
        if self.state == "left":
            self.state = "refused"

    def ended(self) -> None:
        """The call is over here."""
        self.leaving = False
        if self.state == "left":
            self.state = "moved"

    def get_timer(self) -> float | None:
        """When there is something to `ask`, or to look at."""
        if self.leaving:
            return self._cut_at
        if self.state == "left":
            return None
        if self._waiting is not None:
            return self._waiting.at
        return self._asked.until if self.state == "asked" and self._asked is not None else None

    def handle_timer(self, now: float) -> None:
        if (
            self.state == "asked"
            and not self.leaving
            and self._asked is not None
            and now >= self._asked.until
        ):
            self.state = "refused"
