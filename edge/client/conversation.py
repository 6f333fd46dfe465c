"""One session of a call: driven, carried on one connection after another, and accounted for.

A call has another one only when an edge does not know this one any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence

from edge.client.inbox import Inbox
from edge.client.leg import Leg
from edge.client.progress import Progress
from edge.voice import (
    FRAME_MS,
    FRAMES_PER_GROUP,
    CallerEvent,
    CallerSession,
    Code,
    ErrorReceived,
    SessionReady,
    actions,
)
from edge.voice.base import Receiver

ASK_AGAIN_S = 0.1
"""Between two looks at counts that do not agree yet: frames may still be on their way."""
LOOK_AGAIN_S = 0.02
"""Between two looks at a playout that is about to end."""


class SessionLost(Exception):
    """The session ended while something was asked of it."""


class Conversation:
    """``on_event`` gets what the session tells, after this has taken note of it; ```on_settled``` is called whenever
    something may have changed, also when the clock changed it.

    Between two connections, and before the first, what the session asks of one waits.
    """

    def __init__(
        self, session: CallerSession, on_event: Callable[[CallerEvent], None], on_settled: Callable[[], None]
    ) -> None:
        self.session = session
        self.progress = Progress(session)
        self.leg: Leg | None = None
        self.over: str | None = None
        """Why nothing more will come of it."""
        self.ready: SessionReady | None = None
        self._early: Leg | None = None
        self._inbox: Inbox | None = None  # while the edge is asked whether it knows this
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
        self.leg = self._early = self._inbox = None
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

        If it does not, what arrived already is in the `inbox`, for another.
        """
        inbox = self._inbox
        assert inbox is not None, "nobody has asked"
        give_up_at = self._loop.time() + timeout_s
        await self.until(lambda: inbox.continued is not None or self.leg is not leg, give_up_at)
        return inbox.continued

    @property
    def receiver(self) -> Receiver:
        """Who gets what arrives."""
        return self.session if self._inbox is None else self._inbox

    def take_over(self, other: Conversation) -> None:
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
        return self.leg is not None or self._early is not None

    def _carry_on(self, leg: Leg) -> None:
        leg.rider = self
        for action in self._waiting:
            leg.carry(action)

    # --- what is said and heard ------------------------------------------------------------------------

    async def say(
        self,
        speech: Sequence[bytes] | AsyncIterable[bytes],
        *,
        faster: bool,
        patience_s: float,
        said: Callable[[Sequence[bytes]], None],
    ) -> None:
        """Say one utterance, in groups as they would leave a microphone, and wait until the edge has it all.

        ``said`` is told of what leaves.
        A recording waits while there is no connection; a microphone cannot. Raises `SessionLost`, and `TimeoutError`
        if the edge does not confirm it ``patience_s`` after its end. If cancelled, what has been said until then is an
        utterance of its own.
        """
        groups = self._paced(speech, faster) if isinstance(speech, Sequence) else _grouped(speech)
        try:
            async for group in groups:
                if self.over is not None:
                    raise SessionLost(self.over)
                self.session.send_frames(group, self._loop.time())
                said(group)
                self.wake()
        except BaseException:
            with contextlib.suppress(ValueError):  # nothing was said yet
                self._commit()
            raise
        utterance = self._commit()
        if not await self.until(lambda: self.progress.confirmed >= utterance, self._loop.time() + patience_s):
            raise TimeoutError

    async def answered(self, after: int, patience_s: float) -> None:
        """Wait until more than ``after`` items are done and all that was received has been played.

        Raises `SessionLost`, and `TimeoutError` if for ``patience_s`` nothing is received.
        """
        progress, playout = self.progress, self.session.playout
        heard = self.session.heard.frames
        while not await self.until(
            lambda: progress.items_done > after and not progress.speaking, self._loop.time() + patience_s
        ):
            if self.session.heard.frames == heard and not playout.paused:
                raise TimeoutError
            heard = self.session.heard.frames
        while (ends_at := playout.get_timer()) is not None or playout.paused:
            await self.sleep_until(max(ends_at or 0.0, self._loop.time() + LOOK_AGAIN_S))

    async def played(self, after: int, at_ms: int, patience_s: float) -> bool:
        """Wait until ``at_ms`` of the first item behind ``after`` have been played.

        False if it ends before, or if for ``patience_s`` nothing is received. Raises `SessionLost`.
        """
        playout, item, heard = self.session.playout, after + 1, -1
        give_up_at = math.inf
        while playout.item < item or (playout.item == item and playout.played_ms < at_ms):
            if playout.item == item and item not in playout.items:
                return False
            if self.session.heard.frames != heard:
                heard, give_up_at = self.session.heard.frames, self._loop.time() + patience_s
            if playout.item < item and self._loop.time() >= give_up_at:
                return False
            left_s = (at_ms - playout.played_ms) / 1000 if playout.item == item and playout.playing else 0.0
            dry_at = playout.get_timer() or 0.0  # more may come, or it is over
            await self.sleep_until(max(min(self._loop.time() + left_s, dry_at), self._loop.time() + LOOK_AGAIN_S))
            self.session.handle_timer(self._loop.time())
            self.wake()
        return playout.item == item

    async def account(self, patience_s: float) -> None:
        """Get the edge's counts, again until they agree with ours, for at most ``patience_s``. Raises `SessionLost`."""
        give_up_at = self._loop.time() + patience_s
        while self._loop.time() < give_up_at:
            before = self.progress.stats
            if self.leg is not None:
                self.session.request_stats()
                self.wake()
            await self.until(lambda: self.progress.stats is not before, give_up_at)  # noqa: B023 - awaited here
            summary = self.progress.summary()
            cut_short = self.progress.speaking and not self.session.playout.paused
            if summary.agrees_up and (summary.agrees_down or cut_short):
                return
            await self.sleep_until(self._loop.time() + ASK_AGAIN_S)

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

    def _commit(self) -> int:
        utterance = self.session.commit(self._loop.time())
        self.wake()
        return utterance

    async def _paced(self, packets: Sequence[bytes], faster: bool) -> AsyncIterator[list[bytes]]:
        due = self._loop.time()
        for start in range(0, len(packets), FRAMES_PER_GROUP):
            group = list(packets[start : start + FRAMES_PER_GROUP])
            if not faster:
                due += len(group) * FRAME_MS / 1000
                await self.sleep_until(due)
            if not self.can_be_spoken_to:
                await self.until(lambda: self.can_be_spoken_to)
                due = self._loop.time()
            yield group

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
            self._note(event)
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

    def _note(self, event: CallerEvent) -> None:
        match event:
            case SessionReady():
                self.ready = event
            case ErrorReceived(code="unknown_session"):
                return  # of the session in whose place this one is
            case _:
                pass
        self.progress.note(event)
        self._change()
        self._on_event(event)

    def _change(self) -> None:
        self._happened.set_result(None)
        self._happened = self._loop.create_future()


async def _grouped(packets: AsyncIterable[bytes]) -> AsyncIterator[list[bytes]]:
    """A microphone's packets as they come, in groups."""
    group: list[bytes] = []
    async for packet in packets:
        group.append(packet)
        if len(group) == FRAMES_PER_GROUP:
            yield group
            group = []
    if group:
        yield group
