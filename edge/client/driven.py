"""A session with a clock, carried on one connection after another."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import Self

from edge.client.inbox import Inbox
from edge.client.leg import Leg
from edge.voice import CallerEvent, CallerSession, Code, actions
from edge.voice.base import Receiver


class SessionLost(Exception):
    """The session ended while something was asked of it."""


class _Asking:
    """Rides a leg on which nothing has been decided yet."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self.receiver = Inbox()
        self.wake = wake


class DrivenSession:
    """``on_event`` gets what the session tells; ``on_settled`` is called whenever something may have changed, also when
    the clock changed it.

    Between two connections, and before the first, what the session asks of one waits.
    """

    def __init__(
        self, session: CallerSession, on_event: Callable[[CallerEvent], None], on_settled: Callable[[], None]
    ) -> None:
        self.session = session
        self.leg: Leg | None = None
        self.over: str | None = None
        """Why nothing more will come of it."""
        self._early: Leg | None = None
        self._inbox: Inbox | None = None  # while the edge is asked whether it knows this
        self._aside: Inbox | None = None  # while another leg is asked
        self._waiting: list[actions.Action] = []
        self._on_event = on_event
        self._on_settled = on_settled
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._awake = False
        self._happened: asyncio.Future[None] = self._loop.create_future()
        self.wake()

    # --- what carries it -------------------------------------------------------------------------------

    def board(self, leg: Leg) -> None:
        """Go on with ``leg``."""
        self._settle()
        if leg is not self._early:
            self._carry_on(leg)
        self.leg, self._early = leg, None
        self._waiting.clear()
        self._change()
        self.wake()

    def board_early(self, leg: Leg) -> None:
        """Say on ``leg`` already what is to be said; it is said again if another leg is boarded in the end."""
        self._settle()
        self._carry_on(leg)
        self._early = leg
        self._change()
        self.wake()

    def leave(self) -> None:
        """The connection is gone."""
        for leg in (self.leg, self._early):
            if leg is not None:
                leg.rider = None
        self.leg = self._early = self._inbox = self._aside = None
        self._waiting.clear()
        self.session.detach(self._loop.time())
        self._change()
        self.wake()

    def ask_to_continue(self) -> bool:
        """Prepare for the next leg; False if no edge has said how to continue this session."""
        if self.session.resume_token is None:
            return False
        self._waiting.clear()
        self._inbox = Inbox()
        self.session.reconnect(self._loop.time())
        self.wake()
        return True

    async def continued(self, leg: Leg, timeout_s: float) -> bool | None:
        """Whether the edge goes on with it on ``leg``; None if the leg is gone or silent. Raises `SessionLost`.

        If it does not, what arrived already is in its inbox, for another (`take_over`).
        """
        inbox = self._inbox
        assert inbox is not None, "nobody has asked"
        give_up_at = self._loop.time() + timeout_s
        await self.until(lambda: inbox.continued is not None or self.leg is not leg, give_up_at)
        return inbox.continued

    async def ask_on(self, leg: Leg, timeout_s: float) -> bool | None:
        """Whether the edge goes on with it on ``leg``; if so, it is on ``leg`` now, and if not, where it was.

        None if the leg is gone or silent. What comes on the old one meanwhile is put aside: the edge was told what is
        here, and goes on behind that. Raises `SessionLost`.
        """
        self._settle()
        asking = _Asking(self._change)
        leg.rider = asking
        leg.on_change = lambda _: self._change()  # it may end without a word
        self._aside = aside = Inbox()
        leg.wire.send_control(self.session.hello())
        leg.flush()
        inbox = asking.receiver
        try:
            await self.until(
                lambda: inbox.continued is not None or leg.ended is not None, self._loop.time() + timeout_s
            )
        finally:
            leg.rider = None
            if not inbox.continued and self._aside is aside:
                aside.hand_over(self.session)
                self.wake()
            self._aside = None
        if inbox.continued and leg.ended is None:
            self._switch(leg, inbox)
        return inbox.continued if leg.ended is None else None

    def _switch(self, leg: Leg, inbox: Inbox) -> None:
        """Off the old leg, at once and without a word."""
        if self.leg is not None:
            self.leg.rider = None
        self.leg = None
        self._waiting.clear()
        self.session.change_carrier(self._loop.time())
        inbox.hand_over(self.session)
        self._carry_on(leg)
        self.leg = leg
        self._change()
        self._settle()

    @property
    def receiver(self) -> Receiver:
        """Who gets what arrives."""
        return self._aside or self._inbox or self.session

    def take_over(self, other: Self) -> None:
        """Go on in place of one that the edge does not know."""
        leg, inbox = other.leg, other._inbox
        assert leg is not None
        assert inbox is not None
        other.leg = None
        self.board(leg)
        inbox.hand_over(self.session)
        self.wake()

    def end(self, why: str) -> None:
        """Nothing more will come of it; whoever waits is told."""
        if self.over is None:
            self._settle()
            self.over = why
            if self._timer is not None:
                self._timer.cancel()
            self._change()

    def close(self, why: str) -> None:
        """Hang up, and `end` it."""
        self.session.close(Code.OK, "hung up")
        self.end(why)

    @property
    def can_be_spoken_to(self) -> bool:
        """Whether what is said now leaves now."""
        return (self.leg is not None or self._early is not None) and not self.session.leaving

    def _carry_on(self, leg: Leg) -> None:
        leg.rider = self
        for action in self._waiting:
            leg.carry(action)

    # --- waiting for it --------------------------------------------------------------------------------

    async def until(self, holds: Callable[[], bool], give_up_at: float = math.inf) -> bool:
        """Wait until it ``holds``, and whether it does. Raises `SessionLost`."""
        while not holds():
            if self.over is not None:
                raise SessionLost(self.over)
            left_s = give_up_at - self._loop.time()
            if left_s <= 0:
                return False
            await asyncio.wait({self._happened}, timeout=None if left_s == math.inf else left_s)
        return True

    async def sleep_until(self, at: float) -> None:
        """Raises `SessionLost`."""
        await self.until(lambda: False, at)

    # --- its driver ------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Have what the session asks done and what it tells told, once for all that happens in this turn."""
        if not self._awake and self.over is None:
            self._awake = True
            self._loop.call_soon(self._settle)

    def _settle(self) -> None:
        self._awake = False
        if self.over is not None:
            return
        session = self.session
        if self._inbox is not None and self._inbox.continued is not None:
            self._change()
            if self._inbox.continued:
                inbox, self._inbox = self._inbox, None
                inbox.hand_over(session)
        if self.leg is not None and (rtt_s := self.leg.wire.rtt_s()) is not None:
            session.set_rtt(rtt_s)
        while (event := session.next_event()) is not None:
            self._change()
            self._on_event(event)
        while (action := session.next_action()) is not None:
            self._do(action)
        for leg in (self.leg, self._early):
            if leg is not None:
                leg.flush()
        self._on_settled()
        if self._timer is not None:
            self._timer.cancel()
        at = session.get_timer()
        self._timer = None if at is None else self._loop.call_at(at, self._ring, at)

    def _ring(self, at: float) -> None:
        # An event loop may call a clock tick too early.
        self.session.handle_timer(max(at, self._loop.time()))
        self._settle()

    def _do(self, action: actions.Action) -> None:
        if self.leg is not None:
            self.leg.carry(action)
            return
        if self._early is not None:
            self._early.carry(action)
        if not isinstance(action, actions.SendDatagram):  # a report, which is old when it leaves
            self._waiting.append(action)

    def _change(self) -> None:
        self._happened.set_result(None)
        self._happened = self._loop.create_future()
