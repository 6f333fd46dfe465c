"""What keeps a call up: it dials, notices that a connection is lost, dials again, and finds out what that continues."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from typing import Any

from edge.client.conversation import Conversation
from edge.client.dialing import Dialing
from edge.client.driven import SessionLost
from edge.client.events import CallEvent, Ended, Migrated, Reconnected, Reconnecting
from edge.client.leg import Leg
from edge.client.summary import Ending, LegSummary, SessionSummary
from edge.client.whereabouts import Whereabouts
from edge.errors import EdgeError, RefusedError
from edge.runtime.dialer import NoAnswer
from edge.runtime.websocket_carrier import Ended as LegEnded
from edge.voice import CallerEvent, CallerSession, Code, SessionReady

REDIAL_DELAYS_S = (0.0, 0.25, 0.5, 1.0, 1.0, 2.0, 2.0, *(4.0,) * 5)
"""From the beginning of one attempt to the next, give or take a half: the callers of a node that died must not come
back in step. In all somewhat less than the 30 s for which an edge keeps a call."""

QUIC_AGAIN_S, MAX_QUIC_AGAIN_S = 10.0, 60.0
"""How long a call that has to do without UDP waits before it tries again, at first and in the end: twice as long each
time."""

SILENT = "nothing is heard any more"

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
        self._legs: list[Leg] = []
        self._early: Leg | None = None  # the last of them, until it is known whether it stands
        self._discarded: list[Leg] = []
        self._sessions: list[Conversation] = []
        self.conversation = self._converse()
        self._found_a_way = asyncio.Event()
        self._why = ""  # the connection was lost
        self._replaced: Leg | None = None  # in use, while another is looked for
        self._watching: asyncio.Task[None] | None = None
        self._returning: asyncio.Task[None] | None = None

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
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.gather(self._connecting, return_exceptions=True)
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
            conversation.progress.summary()
            for conversation in self._sessions
            if conversation is self.conversation or conversation.ready or conversation.session.said.frames
        )

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

    def _connected(self, leg: Leg) -> None:
        self._connecting = None
        if leg.doubted:
            self._doubted(leg)
        elif leg.carrier == "websocket" and self._dialing.carrier == "auto" and self._redial_delays_s:
            self._returning = asyncio.create_task(self._return_to_quic(leg))

    async def _redial(self, reason: str, first: Leg | None = None) -> None:
        """Replace the connection: one that was lost, or that may be. ``first`` stands already."""
        self._why, failure, began_at = reason, "", self._loop.time()
        for delay_s in self._redial_delays_s:
            await self._pause(began_at + delay_s * random.uniform(0.5, 1.5))
            began_at = self._loop.time()
            old, stood = self.conversation.leg, len(self._legs)
            try:
                leg = await self._dial_again() if first is None else await self._go_on(first)
            except SessionLost:
                return  # the call is over
            except EdgeError as error:
                failure, first = str(error), None
                if self.conversation.leg is None or self.conversation.leg is not old:
                    self.conversation.leave()
                    del self._legs[stood:]
                self._early = None
            else:
                self._tell(Reconnected(leg.node, leg.resumed))
                self._connected(leg)
                return
        if self.conversation.leg is None:
            self._finish("lost", f"{self._why}; then {failure}")
        else:
            self._connecting = self._replaced = None  # it will answer yet, or be given up

    async def _pause(self, until: float) -> None:
        """Or until this machine has found a way to the edge, which it had lost."""
        self._found_a_way.clear()
        if until > self._loop.time():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(until):
                    await self._found_a_way.wait()

    async def _dial_again(self) -> Leg:
        """A leg on which the call goes on, with its session or with a new one."""
        if self.conversation.leg is not None:
            return await self._go_on(await self._dialing.dial_again(None, self._discard, **self._known))
        continuing = self._ask_to_continue()
        leg = await self._dialing.dial_again(self._board_early, self._discard, **self._known)
        self._board(leg)
        return await self._continue(leg, continuing)

    async def _go_on(self, leg: Leg) -> Leg:
        """Make before break: on ``leg``, which stands, instead of the one that may still be in use."""
        old, self._replaced = self.conversation.leg, None
        if old is not None:
            if old.doubted:
                self._tell(Reconnecting(SILENT))
            self.conversation.leave()
            old.abandon("the call goes on on another connection", Code.GOING_AWAY)
        continuing = self._ask_to_continue()
        self._board(leg)
        return await self._continue(leg, continuing)

    @property
    def _known(self) -> dict[str, Any]:
        """Of the connection that is to be replaced."""
        ready = self.conversation.ready
        return {"unicast_url": None if ready is None else ready.unicast_url, "last": self._legs[-1]}

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
                leg.resumed = True
                self._name(leg, self.conversation.ready)
                return leg
            forgotten = self._begin_anew("the edge does not know it any more")
            self.conversation.take_over(forgotten)
        await self._until_ready(leg)
        return leg

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

    # --- before it is lost -------------------------------------------------------------------------------

    def _doubted(self, leg: Leg) -> None:
        """Nothing is heard on it: look for another, and stay on the one that is heard first."""
        if leg is not self.conversation.leg or not self._redial_delays_s:
            return
        if leg.doubted and self._connecting is None:
            self._replaced = leg
            self._connecting = asyncio.create_task(self._redial(SILENT))
        elif not leg.doubted and self._replaced is leg and self._connecting is not None:
            self._connecting.cancel()
            self._connecting = self._replaced = None

    async def _return_to_quic(self, leg: Leg) -> None:
        """Try it now and then, and at once where the network has changed, as long as ``leg`` has to do without."""
        pause_s = QUIC_AGAIN_S
        while leg is self.conversation.leg:
            await self._pause(self._loop.time() + pause_s)
            pause_s = min(2 * pause_s, MAX_QUIC_AGAIN_S)
            if self._is_connecting():
                continue
            try:
                other = await self._dialing.dial_again(None, self._discard, **self._known, only="quic")
            except EdgeError:
                continue
            if not self._is_connecting() and leg is self.conversation.leg:
                self._replaced = leg
                self._connecting = asyncio.create_task(self._redial("UDP gets through", other))
            else:
                self._discard(other)
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
            if replaced is not None:
                self._why = reason
                self._tell(Reconnecting(reason))
            # Whoever connects sees it.
        elif self._redial_delays_s:
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
        if isinstance(event, SessionReady) and self.conversation.leg is not None:
            self._name(self.conversation.leg, event)
        self._tell(event)

    @staticmethod
    def _name(leg: Leg, ready: SessionReady | None) -> None:
        if ready is not None:
            leg.session_id, leg.node = ready.session_id, ready.node


def _reason(ended: LegEnded) -> str:
    return ended.reason or f"closed with code {ended.code}"
