"""Going on elsewhere because the edge asks for it: the new connection stands before the old one is let go.

asked --- a pause, or half of the time is over ---> dialling --- it stands ---> (letting go) ---> asking --- yes ---> there

A step that fails leaves the call where it is, and the way is tried once more. Only one that fails behind the letting go
does not: then the old place is asked to take the call back, as after a loss.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from edge.client.dialing import Dialing
from edge.client.driven import SessionLost
from edge.client.events import CallEvent, Moved
from edge.client.leg import Leg, ms
from edge.client.line import Line
from edge.client.summary import Move
from edge.errors import EdgeError
from edge.voice import Account, AskedToMove, CallContinued, CallerEvent, Code, FramesReceived, Underran

PAUSE_PART: Final = 0.5
"""Of the time that the edge gives; the rest is for the way."""
AGAIN_PART: Final = 0.25
"""Of the time before a way that failed is tried once more."""
LEAVE_S: Final = 1.0
"""At least, for the edge to let go, whatever it said about the time."""
SILENCE_S: Final = 1.0
"""Within so much of the first sound after a move, speech that stood still did so because of it."""


class _RefusedError(EdgeError):
    """The new place does not go on with the call."""


@dataclass(slots=True)
class _Step:
    """A move that was made. Whether it was heard shows when something sounds again."""

    reason: str
    old: Leg
    new: Leg
    after_ms: float
    silence_ms: int = 0
    _until: float = math.inf

    def heard(self, event: FramesReceived | Underran, now: float) -> None:
        if isinstance(event, FramesReceived):
            self._until = min(self._until, now + SILENCE_S)
        elif now <= self._until:
            self.silence_ms += event.silence_ms

    def summary(self) -> Move:
        return Move(
            reason=self.reason,
            from_node=self.old.node,
            to_node=self.new.node,
            elsewhere=self.new.elsewhere,
            after_ms=self.after_ms,
            silence_ms=self.silence_ms,
        )


class Mover:
    """One call's. While it `is_connecting`, nobody else may."""

    def __init__(self, line: Line, dialing: Dialing, tell: Callable[[CallEvent], None]) -> None:
        self.is_connecting = False
        self.task: asyncio.Task[None] | None = None
        self._line = line
        self._dialing = dialing
        self._tell = tell
        self._steps: list[_Step] = []
        self._next: AskedToMove | None = None
        self._loop = asyncio.get_running_loop()

    def moves(self) -> tuple[Move, ...]:
        return tuple(step.summary() for step in self._steps)

    def hear(self, event: CallerEvent) -> None:
        """Everything that the session tells."""
        if isinstance(event, AskedToMove):
            self._ask(event)
        elif isinstance(event, CallContinued) and isinstance(event.before, Account):
            self._forget()
        elif self._steps and isinstance(event, Underran | FramesReceived):
            self._steps[-1].heard(event, self._loop.time())

    def cancel(self) -> None:
        """The connection is lost, and whoever replaces it need not come from there."""
        if self.task is not None:
            self.task.cancel()

    def _ask(self, asked: AskedToMove) -> None:
        leg = self._line.conversation.leg
        stays = asked.reason == "anycast" and not self._dialing.target.migrate
        if leg is None or stays or (asked.reason == "anycast" and leg.migration_ms is not None):
            return
        if self.is_connecting:
            self._next = asked
            return
        self.cancel()
        self.task = asyncio.create_task(self._go(asked))

    def _forget(self) -> None:
        """Another edge goes on with the call: one that has it no more has no say in where it goes."""
        self._next = None
        if not self.is_connecting:
            self.cancel()

    async def _go(self, asked: AskedToMove) -> None:
        began, within_s = self._loop.time(), asked.within_ms / 1000
        try:
            await self._line.conversation.pause(began + within_s * PAUSE_PART)
            if not await self._try(asked, began) and self._loop.time() < began + within_s:
                await asyncio.sleep(within_s * AGAIN_PART)
                await self._try(asked, began)
        except SessionLost:
            return  # the call is over
        following, self._next = self._next, None
        if following is not None and self._line.conversation.leg is not None:
            await self._go(following)

    async def _try(self, asked: AskedToMove, began: float) -> bool:
        """Whether there is nothing more to try."""
        old = self._line.conversation.leg
        if old is None or self._line.conversation.session.resume_token is None:
            return True
        if self._line.is_moving:
            return False
        self.is_connecting = True
        problem = ""
        try:
            leg = await self._dialing.dial_at(asked.url, old.carrier)
            leg = await self._change(asked, old, leg, began)
            await self._line.resumed(leg)
            self._tell(Moved(leg.node, leg.path, asked.reason))
        except EdgeError as error:
            problem = str(error)
        finally:
            self.is_connecting = False
        self._line.look_after(problem)
        return not problem

    async def _change(self, asked: AskedToMove, old: Leg, leg: Leg, began: float) -> Leg:
        """From ``old`` to ``leg``, which stands, or to another like it. Raises what `_try` handles."""
        conversation = self._line.conversation
        leaves = asked.leave and conversation.leg is old
        try:
            if leaves:
                now = self._loop.time()
                await conversation.let_go(max(began + asked.within_ms / 1000, now + LEAVE_S))
            verdict = (
                None if leg.ended is not None else await conversation.ask_on(leg, self._dialing.timeout_s)
            )
            if leaves and leg.ended is not None:
                # An answer was written to its end meanwhile. Nobody keeps a connection that long on which nothing
                # is said; but the way is good, and the call waits in its token.
                leg = await self._dialing.dial_at(asked.url, old.carrier)
                verdict = await conversation.ask_on(leg, self._dialing.timeout_s)
            if not verdict:
                raise _RefusedError(f"{leg.path}: {'no answer' if verdict is None else 'another call'}")
        except BaseException:
            self._line.discard(leg, Code.GOING_AWAY)
            if leaves and conversation.leg is old:
                conversation.leave()
                old.abandon("the other place does not take the call", Code.GOING_AWAY)
            raise
        old.abandon("the call goes on on another connection")
        self._steps.append(_Step(asked.reason, old, leg, ms(self._loop.time() - began)))
        self._line.board(leg)
        return leg
