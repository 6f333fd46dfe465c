"""What keeps a call up: it dials, notices that a connection is lost, dials again, and finds out what that continues."""

from __future__ import annotations

import asyncio
import contextlib
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge.client.conversation import Conversation
from edge.client.dialing import Dialing
from edge.client.driven import SessionLost
from edge.client.events import CallEvent, Ended, Migrated, Moved, Reconnected, Reconnecting
from edge.client.leg import Leg, ms
from edge.client.moving import AGAIN_PART, PAUSE_PART, MoveFailedError, move
from edge.client.summary import Ending, LegSummary, Move, SessionSummary
from edge.client.whereabouts import Whereabouts
from edge.errors import EdgeError, RefusedError
from edge.runtime.dialer import NoAnswer
from edge.runtime.websocket_carrier import Ended as LegEnded
from edge.voice import (
    AskedToMove,
    CallContinued,
    CallerEvent,
    CallerSession,
    Code,
    FramesReceived,
    SessionReady,
    Underran,
)

REDIAL_DELAYS_S = (0.0, 0.25, 0.5, 1.0, 1.0, 2.0, 2.0, *(4.0,) * 5)
"""From the beginning of one attempt to the next, give or take a half: the callers of a node that died must not come
back in step. In all somewhat less than the 30 s for which an edge keeps a call."""

QUIC_AGAIN_S, MAX_QUIC_AGAIN_S = 10.0, 60.0
"""How long a call that has to do without UDP waits before it tries again, at first and in the end: twice as long each
time."""

SILENT = "nothing is heard any more"

SILENCE_S = 1.0
"""Within so much of the first sound after a move, speech that stood still did so because of it."""

_FINAL: dict[int, Ending] = {
    Code.OK: "closed_by_edge",
    Code.SESSION_CLOSED: "closed_by_edge",
    Code.UNAUTHORIZED: "refused",
    Code.PROTOCOL_ERROR: "lost",
    Code.TOO_FAR_BEHIND: "lost",
    Code.LIMIT: "lost",
}
"""Application codes behind which another attempt would end the same way."""


@dataclass(slots=True)
class _Move:
    """As it goes on: whether it was heard shows when something sounds again."""

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


class _NotTaken(EdgeError):
    """``leg`` stands, and the call cannot go on there."""

    def __init__(self, leg: Leg, *, knows_nothing: bool) -> None:
        super().__init__(f"{leg.path}: {'does not know the call' if knows_nothing else 'no answer'}")
        self.knows_nothing = knows_nothing


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
        self._moving: asyncio.Task[None] | None = None
        self._moves: list[_Move] = []
        self._lost_at = 0.0
        self._why = ""  # the connection was lost, or is being replaced
        self._untold = False  # that it was
        self._replaced: Leg | None = None  # still in use while another is dialled
        self._found_a_way = asyncio.Event()
        self._watching: asyncio.Task[None] | None = None
        self._returning: asyncio.Task[None] | None = None
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
        if self._redial_delays_s and self._dialing.target.source is None:
            whereabouts = Whereabouts(self._where, self._elsewhere)
            self._watching = asyncio.create_task(whereabouts.watch())
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
        tasks = [task for task in (self._moving, self._connecting) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        connected = self.conversation.leg is not None
        if connected and self.ending == "in_progress":
            with contextlib.suppress(SessionLost):
                await self.conversation.account(patience_s)
        if self.conversation.leg is not None:
            self._finish("hung_up", "")
        else:
            self._finish("lost", "hung up while there was no connection")
        tasks = [task for task in (self._watching, self._returning) if task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(leg.gone() for leg in (*self._legs, *self._discarded)))

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
        return tuple(move.summary() for move in self._moves)

    # --- the first connection, and those after it ------------------------------------------------------

    async def _first(self) -> None:
        try:
            leg = await self._dialing.dial(self._board_early, self._discard)
            self._board(leg)
            await self._until_ready(leg)
        except SessionLost:
            self._connecting = None  # the call is over
        except EdgeError as error:
            self._connecting = None
            self._fail(error)
        else:
            self._connected(leg)

    async def _redial(self, reason: str, first: Leg | None = None) -> None:
        """Replace the connection: one that was lost, or that may be. ``first`` stands already."""
        self._why, failure, began_at = reason, "", self._loop.time()
        for delay_s in self._redial_delays_s:
            await self._pause(began_at + delay_s * random.uniform(0.5, 1.5))
            began_at = self._loop.time()
            old, stood = self.conversation.leg, len(self._legs)
            try:
                leg = await (self._dial_again() if first is None else self._go_on(first))
            except SessionLost:
                return  # the call is over
            except EdgeError as error:
                failure, first = str(error), None
                if self.conversation.leg is None or self.conversation.leg is not old:
                    self.conversation.leave()
                    del self._legs[stood:]
                elif not old.doubted:
                    self._connected(old)
                    return
                elif isinstance(error, _NotTaken) and error.knows_nothing:
                    await self._until_lost(old)
                self._early = None
            else:
                self._tell(Reconnected(leg.node, leg.resumed))
                self._connected(leg)
                return
        self._connecting = self._replaced = None
        if self.conversation.leg is None:
            self._finish("lost", f"{self._why}; then {failure}")

    def _connected(self, leg: Leg) -> None:
        """Nothing is dialled any more; there may be a reason to dial again."""
        self._connecting = self._replaced = None
        if leg is not self.conversation.leg:
            return
        if leg.doubted:
            self._doubted(leg)
        elif leg.carrier == "websocket" and self._dialing.carrier == "auto" and self._redial_delays_s:
            self._returning = asyncio.create_task(self._return_to_quic(leg))

    async def _pause(self, until: float) -> None:
        """Or until this machine has found a way to the edge, which it had lost."""
        self._found_a_way.clear()
        if until > self._loop.time():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._found_a_way.wait()

    async def _until_lost(self, leg: Leg) -> None:
        """Who knows the call does not answer, and who answers does not know it: only another call would be to be had."""
        self._replaced = leg
        with contextlib.suppress(SessionLost):
            await self.conversation.until(lambda: self.conversation.leg is not leg)

    async def _dial_again(self) -> Leg:
        """A leg on which the call goes on, with its session or with a new one."""
        known = self.conversation.ready
        if self.conversation.leg is not None:
            return await self._go_on(await self._dial(known, None))
        continuing = self._ask_to_continue()
        leg = await self._dial(known, self._board_early)
        self._board(leg)
        return await self._continue(leg, continuing)

    async def _dial(self, known: SessionReady | None, early: Callable[[Leg], None] | None) -> Leg:
        unicast_url = None if known is None else known.unicast_url
        return await self._dialing.dial_again(
            early, self._discard, unicast_url=unicast_url, last=self._legs[-1]
        )

    async def _go_on(self, leg: Leg) -> Leg:
        """The same on ``leg``, which stands; where the call is until then, it stays if that leads nowhere."""
        old, self._replaced = self.conversation.leg, None
        if old is None:
            continuing = self._ask_to_continue()
            self._board(leg)
            return await self._continue(leg, continuing)
        try:
            if self.conversation.session.resume_token is None:
                raise EdgeError(f"{leg.path}: no edge has said how to continue the call")
            verdict = await self.conversation.ask_on(leg, self._dialing.timeout_s)
            if not verdict:
                raise _NotTaken(leg, knows_nothing=verdict is False)
        except BaseException:
            self._discard(leg)
            raise
        if old.doubted:
            self._tell_of_loss(SILENT)
        self._take(leg, old)
        await self._resume(leg)
        leg.resumed_after_ms = ms(self._loop.time() - self._lost_at)
        return leg

    def _ask_to_continue(self) -> bool:
        """Whether the session can go on; else there is a new one in its place."""
        if self.conversation.ask_to_continue():
            return True
        self._begin_anew("its connection was lost before it could be continued")
        return False

    async def _continue(self, leg: Leg, continuing: bool) -> Leg:
        if continuing:
            verdict = await self.conversation.continued(leg, self._dialing.timeout_s)
            if verdict is None:
                raise self._no_session(leg)
            if verdict:
                await self._resume(leg)
                leg.resumed_after_ms = ms(self._loop.time() - self._lost_at)
                return leg
            forgotten = self._begin_anew("the edge does not know it any more")
            self.conversation.take_over(forgotten)
        await self._until_ready(leg)
        return leg

    async def _resume(self, leg: Leg) -> None:
        """The session goes on, on ``leg``; where nobody had it, the edge says who it is."""
        leg.resumed = True
        await self._until_ready(leg)
        self._name(leg, self.conversation.ready)

    def _board(self, leg: Leg) -> None:
        if self._early is not leg:
            self._legs.append(leg)
            if self._early is not None:
                self._legs.remove(self._early)
        self._early = None
        leg.on_change, leg.on_doubt = self._changed, self._doubted
        self.conversation.board(leg)
        if leg.ended is not None:
            self._changed(leg)

    def _take(self, leg: Leg, old: Leg) -> None:
        """The call is on ``leg`` now; whoever had it knows."""
        old.abandon("the call goes on on another connection")
        self._legs.append(leg)
        leg.on_change, leg.on_doubt = self._changed, self._doubted
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
        leg.abandon("no session")
        return NoAnswer(f"{target}: connected, but no session within {self._dialing.timeout_s:g} s")

    def _board_early(self, leg: Leg) -> None:
        if self._early is not None:
            self._legs.remove(self._early)
        self._early = leg
        self._legs.append(leg)
        self.conversation.board_early(leg)

    def _discard(self, leg: Leg) -> None:
        leg.abandon("another connection was faster")
        self._discarded.append(leg)

    # --- going on elsewhere ----------------------------------------------------------------------------

    def _asked(self, asked: AskedToMove) -> None:
        leg = self.conversation.leg
        is_pinned = asked.reason == "anycast" and not self._dialing.target.migrate
        if leg is None or is_pinned or (asked.reason == "anycast" and leg.migration_ms is not None):
            return
        if self._moving is not None and self._moving is self._connecting:
            return  # it is on its way
        if self._moving is not None:
            self._moving.cancel()
        self._moving = asyncio.create_task(self._go_elsewhere(asked))

    async def _go_elsewhere(self, asked: AskedToMove) -> None:
        """In the first pause; a way that fails is tried once more, and the call stays where it is meanwhile."""
        began = self._loop.time()
        within_s = asked.within_ms / 1000
        try:
            await self.conversation.pause(began + within_s * PAUSE_PART)
            if not await self._try(asked, began) and self._loop.time() < began + within_s:
                await asyncio.sleep(within_s * AGAIN_PART)
                await self._try(asked, began)
        except SessionLost:
            pass  # the call is over
        finally:
            if self._moving is asyncio.current_task():
                self._moving = None

    async def _try(self, asked: AskedToMove, began: float) -> bool:
        """Whether the call goes on elsewhere, or needs no more of this: its connection is lost."""
        old = self.conversation.leg
        if old is None or self._connecting is not None or self.conversation.session.resume_token is None:
            return True
        self._connecting = self._moving
        problem = ""
        try:
            leg = await self._dialing.dial_at(asked.url, old.carrier)
            try:
                await move(self.conversation, asked, leg, self._dialing, began + asked.within_ms / 1000)
            except BaseException:
                self._discard(leg)
                raise
            self._moved(asked, old, leg, began)
            await self._resume(leg)
            self._tell(Moved(leg.node, leg.path, asked.reason))
        except MoveFailedError as error:
            problem = str(error)
            if error.undone and self.conversation.leg is old:
                self.conversation.leave()
                old.abandon("the other place does not take the call", Code.GOING_AWAY)
        except EdgeError as error:
            problem = str(error)
        finally:
            self._connecting = None
        if self.conversation.leg is not None:
            self._connected(self.conversation.leg)
        self._dial_if_lost(problem)
        return not problem

    def _moved(self, asked: AskedToMove, old: Leg, leg: Leg, began: float) -> None:
        self._moves.append(_Move(asked.reason, old, leg, ms(self._loop.time() - began)))
        self._take(leg, old)

    def _dial_if_lost(self, reason: str) -> None:
        """What was lost while somebody was connecting, nobody else sees to."""
        if self.conversation.leg is None and self.ending == "in_progress":
            self._dial_after(reason or "the connection was lost on the way elsewhere")

    # --- before it is lost -----------------------------------------------------------------------------

    def _doubted(self, leg: Leg) -> None:
        """Nothing is heard on it: look for another, and go on with the one that is heard first."""
        if leg is not self.conversation.leg or not self._redial_delays_s:
            return
        if leg.doubted and self._connecting is None:
            self._replace(leg, SILENT)
        elif not leg.doubted and self._replaced is leg and self._connecting is not None:
            self._connecting.cancel()
            self._connected(leg)

    def _replace(self, leg: Leg, reason: str, first: Leg | None = None) -> None:
        self._replaced, self._untold, self._lost_at = leg, True, self._loop.time()
        self._connecting = asyncio.create_task(self._redial(reason, first))

    async def _return_to_quic(self, leg: Leg) -> None:
        """Try it now and then, and at once where the network has changed, as long as ``leg`` has to do without."""
        pause_s = QUIC_AGAIN_S
        while leg is self.conversation.leg:
            await self._pause(self._loop.time() + pause_s)
            pause_s = min(2 * pause_s, MAX_QUIC_AGAIN_S)
            known = self.conversation.ready
            if self._is_connecting() or known is None:
                continue
            try:
                other = await self._dialing.dial_at(known.unicast_url, "quic")
            except EdgeError:
                continue
            if self._is_connecting() or leg is not self.conversation.leg:
                self._discard(other)
            else:
                self._replace(leg, "UDP gets through", other)
                return

    def _is_connecting(self) -> bool:
        return self._connecting is not None

    def _where(self) -> str:
        """The edge's address that matters."""
        return self._legs[-1].host if self._legs else ""

    def _elsewhere(self, reachable: bool) -> None:
        """The way there begins at another address of ours, or there is none any more."""
        leg = self.conversation.leg
        if reachable and (leg is None or leg.doubted):
            self._found_a_way.set()
        if leg is not None:
            if reachable:
                leg.relocate()
            else:
                leg.unreachable()

    # --- what happens ----------------------------------------------------------------------------------

    def _changed(self, leg: Leg) -> None:
        if leg.ended is None:
            self._tell(Migrated(leg.path, leg.migration_ms or 0.0))
        elif leg is self.conversation.leg:
            self._lose(leg.ended)

    def _lose(self, ended: LegEnded) -> None:
        replaced, self._replaced = self._replaced, None
        self.conversation.leave()
        ending = _FINAL.get(ended.code) if ended.by_application else None
        reason = _reason(ended)
        if ending is not None and self._connecting is not None and replaced is not None:
            self._connecting.cancel()
            self._connecting = None
        if ending == "refused":
            self._fail(CallRefused(f"{self._dialing.target}: {reason}"))
        elif ending is not None:
            self._finish(ending, ended.reason)
        elif self._connecting is not None:
            self._tell_of_loss(reason)  # whoever connects sees it
        else:
            if self._moving is not None:
                self._moving.cancel()
            self._dial_after(reason)

    def _dial_after(self, reason: str) -> None:
        self._lost_at = self._loop.time()
        if self._redial_delays_s:
            self._untold = True
            self._tell_of_loss(reason)
            self._connecting = asyncio.create_task(self._redial(reason))
        else:
            self._finish("lost", reason)

    def _tell_of_loss(self, reason: str) -> None:
        """Once of each."""
        if self._untold:
            self._why, self._untold = reason, False
            self._tell(Reconnecting(reason))

    def _fail(self, error: EdgeError) -> None:
        self._failure = error
        self._finish("refused" if isinstance(error, RefusedError) else "lost", str(error))

    def _finish(self, ending: Ending, reason: str) -> None:
        if self.ending != "in_progress":
            return
        self.ending, self.reason, self.ended_at = ending, reason, self._loop.time()
        for task in (self._watching, self._returning):
            if task is not None:
                task.cancel()
        leg = self.conversation.leg
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
        self._note_silence(event)
        self._tell(event)
        if isinstance(event, AskedToMove):
            self._asked(event)

    def _note_silence(self, event: CallerEvent) -> None:
        if self._moves and isinstance(event, Underran | FramesReceived):
            self._moves[-1].heard(event, self._loop.time())

    @staticmethod
    def _name(leg: Leg, ready: SessionReady | None) -> None:
        if ready is not None:
            leg.session_id, leg.node = ready.session_id, ready.node


def _reason(ended: LegEnded) -> str:
    return ended.reason or f"closed with code {ended.code}"
