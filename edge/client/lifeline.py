"""What keeps a call up: it dials, notices that a connection is lost, dials again, and finds out what that continues."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence

from edge.client.conversation import Conversation
from edge.client.dialing import Dialing
from edge.client.driven import SessionLost
from edge.client.events import CallEvent, Ended, Migrated, Reconnected, Reconnecting
from edge.client.leg import Leg, ms
from edge.client.moving import Mover
from edge.client.scouting import Scout
from edge.client.summary import Ending, LegSummary, Move, SessionSummary
from edge.errors import EdgeError, RefusedError
from edge.runtime.dialer import NoAnswer
from edge.runtime.websocket_carrier import Ended as LegEnded
from edge.voice import (
    CallContinued,
    CallerEvent,
    CallerSession,
    Code,
    SessionReady,
)

REDIAL_DELAYS_S = (0.0, 0.25, 0.5, 1.0, 1.0, 2.0, 2.0, *(4.0,) * 5)
"""From the beginning of one attempt to the next, give or take a half: the callers of a node that died must not come
back in step. In all somewhat less than the 30 s for which an edge keeps a call."""

_FINAL: dict[int, Ending] = {
    Code.OK: "closed_by_edge",
    Code.SESSION_CLOSED: "closed_by_edge",
    Code.UNAUTHORIZED: "refused",
    Code.PROTOCOL_ERROR: "lost",
    Code.TOO_FAR_BEHIND: "lost",
    Code.LIMIT: "lost",
}
"""Application codes behind which another attempt would end the same way."""


class CallLost(EdgeError):
    """The call is over, and something was asked of it that can no longer be done."""


class SpeechLost(EdgeError):
    """A session was lost with what a microphone had said to it. The call goes on, with another."""


class CallRefused(RefusedError):
    """The edge gives this caller no call: its token is not good, or not for what was asked."""


class Lifeline:
    """One call's connections and sessions.

    ``new_session`` makes a session that begins now. ``tell`` gets what happens, ``settled`` is called when something
    may have changed.
    """

    def __init__(
        self,
        dialing: Dialing,
        new_session: Callable[[], CallerSession],
        *,
        redial_delays_s: Sequence[float],
        tell: Callable[[CallEvent], None],
        settled: Callable[[], None],
    ) -> None:
        self.ending: Ending = "in_progress"
        self.reason = ""
        self.ended_at = 0.0
        self._dialing = dialing
        self._new_session = new_session
        self._redial_delays_s = redial_delays_s
        self._tell = tell
        self._settled = settled
        self._loop = asyncio.get_running_loop()
        self._failure: EdgeError | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._mover = Mover(self, dialing, tell)
        self._scout = Scout(self, dialing, redial_delays_s, tell)
        self._lost_at = 0.0
        self._legs: list[Leg] = []
        self._early: Leg | None = None  # the last of them, until it is known whether it stands
        self._discarded: list[Leg] = []
        self._sessions: list[Conversation] = []
        self.conversation = self._converse()

    # --- for the call ----------------------------------------------------------------------------------

    async def begin(self) -> None:
        """Dial. Returns when the call stands, or with a ticket as soon as it can be spoken on.

        Raises what `Dialing.dial` raises, `CallRefused`, or plain `EdgeError`.
        """
        self._connecting = asyncio.create_task(self._first())
        self._scout.begin()
        if self._dialing.can_speak_early:
            conversation = self.conversation
            began = asyncio.ensure_future(conversation.until(lambda: conversation.can_be_spoken_to))
            await asyncio.wait({began, self._connecting}, return_when=asyncio.FIRST_COMPLETED)
            began.cancel()
            await asyncio.gather(began, return_exceptions=True)
            if not self._connecting.done():
                return
        await self.ready()

    async def ready(self) -> None:
        """Wait until the call stands; raises as `begin` does."""
        if self._connecting is not None:
            try:
                await asyncio.wait({self._connecting})
            except asyncio.CancelledError:
                self._connecting.cancel()
                raise
        if self._failure is not None:
            raise self._failure

    def standing(self) -> Conversation:
        """The session that can be asked for something, now or as soon as it is connected again. Raises `CallLost`."""
        if self.ending != "in_progress":
            raise self._failure or CallLost(f"{self._dialing.target}: {self.reason}")
        return self.conversation

    async def end(self, patience_s: float) -> None:
        """Hang up, after comparing counts with the edge for at most ``patience_s``."""
        try:
            if self._mover.task is not None and self._mover.is_connecting:
                await asyncio.wait({self._mover.task}, timeout=patience_s)  # half way is no place to hang up
            await self._stop()
            connected = self.conversation.leg is not None
            if connected and self.ending == "in_progress":
                with contextlib.suppress(SessionLost):
                    await self.conversation.account(patience_s)
        finally:  # nobody hangs up once more, if that is given up
            if self.conversation.leg is not None:
                self._finish("hung_up", "")
            else:
                self._finish("lost", "hung up while there was no connection")
            await self._stop()  # what has been begun meanwhile
            await asyncio.gather(*(leg.gone() for leg in (*self._legs, *self._discarded)))

    async def _stop(self) -> None:
        """Look for no other connection any more."""
        tasks = [task for task in (self._mover.task, self._connecting) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, self._scout.end(), return_exceptions=True)

    def legs(self) -> tuple[LegSummary, ...]:
        return tuple(leg.summary() for leg in self._legs)

    def sessions(self) -> tuple[SessionSummary, ...]:
        """Without those that never came about."""
        return tuple(
            summary
            for conversation in self._sessions
            if conversation is self.conversation or conversation.ready or conversation.session.said.frames
            for summary in (*conversation.progress.before, conversation.progress.summary())
        )

    def moves(self) -> tuple[Move, ...]:
        return self._mover.moves()

    # --- the first connection, and those after it ------------------------------------------------------

    async def _first(self) -> None:
        try:
            leg = await self._dialing.dial(self._board_early, self.discard)
            self._begin_on(leg)
            await self._until_ready(leg)
        except SessionLost:
            pass  # the call is over
        except EdgeError as error:
            self._fail(error)
        else:
            self._scout.follow(leg)
        finally:
            self._connecting = None

    async def _redial(self, reason: str) -> None:
        failure, stood, began_at = "", len(self._legs), self._loop.time()
        for delay_s in self._redial_delays_s:
            await self._scout.pause(began_at + delay_s * random.uniform(0.5, 1.5))
            began_at = self._loop.time()
            try:
                leg = await self._dial_again()
            except SessionLost:
                return  # the call is over
            except EdgeError as error:
                failure = str(error)
                self.conversation.leave()
                del self._legs[stood:]
                self._early = None
            else:
                self._connecting = None
                self._tell(Reconnected(leg.node, leg.resumed))
                self._scout.follow(leg)
                return
        self._finish("lost", f"{reason}; then {failure}")

    async def _dial_again(self) -> Leg:
        """A leg on which the call goes on, with its session or with a new one."""
        known, last = self.conversation.ready, self._legs[-1]
        continuing = self.conversation.ask_to_continue()
        if not continuing:
            self._begin_anew("its connection was lost before it could be continued")
        unicast_url = None if known is None else known.unicast_url
        leg = await self._dialing.dial_again(
            self._board_early, self.discard, unicast_url=unicast_url, last=last
        )
        self._begin_on(leg)
        if continuing:
            verdict = await self.conversation.continued(leg, self._dialing.timeout_s)
            if verdict is None:
                raise self._no_session(leg)
            if verdict:
                await self.resumed(leg)
                leg.resumed_after_ms = ms(self._loop.time() - self._lost_at)
                return leg
            forgotten = self._begin_anew("the edge does not know it any more")
            self.conversation.take_over(forgotten)
        await self._until_ready(leg)
        return leg

    def _begin_on(self, leg: Leg) -> None:
        if self._early is not leg:
            self._legs.append(leg)
            if self._early is not None:
                self._legs.remove(self._early)
        self._early = None
        leg.on_change = self._changed
        self.conversation.board(leg)
        if leg.ended is not None:
            self._changed(leg)

    async def _until_ready(self, leg: Leg) -> None:
        conversation = self.conversation
        await conversation.until(
            lambda: conversation.ready is not None or leg.ended is not None,
            self._loop.time() + self._dialing.timeout_s,
        )
        if conversation.ready is None:
            raise self._no_session(leg)

    def _no_session(self, leg: Leg) -> EdgeError:
        """Why a connection that stood led nowhere."""
        target = self._dialing.target
        if self._failure is not None:
            return self._failure
        if leg.ended is not None:
            return EdgeError(f"{target}: {_reason(leg.ended)}")
        leg.abandon("no session", Code.GOING_AWAY)  # which may have been given, and be asked for again
        return NoAnswer(f"{target}: connected, but no session within {self._dialing.timeout_s:g} s")

    def _board_early(self, leg: Leg) -> None:
        if self._early is not None:
            self._legs.remove(self._early)
        self._early = leg
        self._legs.append(leg)
        self.conversation.board_early(leg)

    # --- for going on elsewhere ------------------------------------------------------------------------

    @property
    def is_moving(self) -> bool:
        return self._mover.is_connecting or self._scout.is_asking

    @property
    def last(self) -> Leg | None:
        return self._legs[-1] if self._legs else None

    def board(self, leg: Leg) -> None:
        self._legs.append(leg)
        leg.on_change = self._changed
        self._scout.follow(leg)
        if leg.ended is not None:
            self._changed(leg)

    async def resumed(self, leg: Leg) -> None:
        leg.resumed = True
        await self._until_ready(leg)
        self._name(leg, self.conversation.ready)

    def discard(self, leg: Leg, code: Code = Code.OK) -> None:
        leg.abandon("another connection is used", code)
        self._discarded.append(leg)

    def look_after(self, reason: str) -> None:
        if self.conversation.leg is None and self.ending == "in_progress":
            self._dial_after(reason or "the connection was lost on the way elsewhere")

    # --- what happens ----------------------------------------------------------------------------------

    def _changed(self, leg: Leg) -> None:
        if leg.ended is None:
            self._tell(Migrated(leg.path, leg.migration_ms or 0.0))
        elif leg is self.conversation.leg:
            self._lose(leg.ended)

    def _lose(self, ended: LegEnded) -> None:
        self.conversation.leave()
        ending = _FINAL.get(ended.code) if ended.by_application else None
        reason = _reason(ended)
        if ending == "refused":
            self._fail(CallRefused(f"{self._dialing.target}: {reason}"))
        elif ending is not None:
            self._finish(ending, ended.reason)
        elif self._connecting is not None or self.is_moving:
            pass  # whoever connects sees it
        else:
            self._mover.cancel()
            self._scout.cancel()
            self._dial_after(reason)

    def _dial_after(self, reason: str) -> None:
        self._lost_at = self._loop.time()
        if self._redial_delays_s:
            self._tell(Reconnecting(reason))
            self._connecting = asyncio.create_task(self._redial(reason))
        else:
            self._finish("lost", reason)

    def _fail(self, error: EdgeError) -> None:
        self._failure = error
        self._finish("refused" if isinstance(error, RefusedError) else "lost", str(error))

    def _finish(self, ending: Ending, reason: str) -> None:
        if self.ending != "in_progress":
            return
        self.ending, self.reason, self.ended_at = ending, reason, self._loop.time()
        leg = self.conversation.leg
        self._scout.cancel()
        self.conversation.close(reason)
        if leg is not None:
            leg.abandon("hung up")
        self._tell(Ended(ending, reason))

    def _converse(self) -> Conversation:
        conversation = Conversation(self._new_session(), self._hear, self._settled)
        self._sessions.append(conversation)
        return conversation

    def _begin_anew(self, why: str) -> Conversation:
        """The session before."""
        before, self.conversation = self.conversation, self._converse()
        before.end(why)
        return before

    def _hear(self, event: CallerEvent) -> None:
        leg = self.conversation.leg
        if isinstance(event, SessionReady) and leg is not None:
            self._name(leg, event)
        elif isinstance(event, CallContinued) and leg is not None:
            leg.elsewhere = event.before is not None
        self._tell(event)
        self._mover.hear(event)

    @staticmethod
    def _name(leg: Leg, ready: SessionReady | None) -> None:
        if ready is not None:
            leg.session_id, leg.node = ready.session_id, ready.node


def _reason(ended: LegEnded) -> str:
    return ended.reason or f"closed with code {ended.code}"
