"""One session of a call: what can be asked of it, and what has come of it.

A call has another one only when an edge does not know this one any more.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence

from edge.client.driven import DrivenSession, SessionLost
from edge.client.progress import Progress
from edge.voice import (
    FRAME_MS,
    FRAMES_PER_GROUP,
    Account,
    CallContinued,
    CallerEvent,
    CallerSession,
    ErrorReceived,
    FramesReceived,
    SessionReady,
    UtteranceCommitted,
)

ASK_AGAIN_S = 0.1
"""Between two looks at counts that do not agree yet: frames may still be on their way."""
ANSWER_S = 2.0
"""For so long after an utterance an answer may come to it: not a moment to go elsewhere."""
SAFELY_OPEN_MS = 8000
"""What has been said of an utterance can be said again to another edge, as long as it is kept (10 s)."""
UNDER_WAY_S = 1.0
"""For what was written before the edge let go."""
LOOK_AGAIN_S = 0.02
"""Between two looks at a playout that is about to end."""


class Conversation(DrivenSession):
    """``on_event`` and ``on_settled`` as there; an event is told when note has been taken of it."""

    def __init__(
        self, session: CallerSession, on_event: Callable[[CallerEvent], None], on_settled: Callable[[], None]
    ) -> None:
        super().__init__(session, self._note, on_settled)
        self.progress = Progress(session)
        self.ready: SessionReady | None = None
        self._tell = on_event
        self._answer_until = 0.0

    async def say(
        self,
        speech: Sequence[bytes] | AsyncIterable[bytes],
        *,
        faster: bool,
        patience_s: float,
        said: Callable[[Sequence[bytes]], None],
    ) -> None:
        """Say one utterance, in groups as they would leave a microphone, and wait until the edge has it all.

        ``said`` is told of what leaves. A recording waits while there is no connection; a microphone cannot. Raises
        `SessionLost`, and `TimeoutError` if the edge does not confirm it ``patience_s`` after its end. If cancelled, what
        has been said until then is an utterance of its own.
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
            await self.sleep_until(
                max(min(self._loop.time() + left_s, dry_at), self._loop.time() + LOOK_AGAIN_S)
            )
            self.session.handle_timer(self._loop.time())
            self.wake()
        return playout.item == item

    async def pause(self, give_up_at: float) -> None:
        """Wait for a moment at which nobody says anything, until ``give_up_at`` at most. Raises `SessionLost`."""
        while not self._is_pausing() and self._loop.time() < give_up_at:
            await self.sleep_until(min(give_up_at, self._loop.time() + ASK_AGAIN_S))

    def _is_pausing(self) -> bool:
        answers = self._loop.time() < self._answer_until
        return not (self.progress.speaking or answers) and self.session.open_ms < SAFELY_OPEN_MS

    async def let_go(self, give_up_at: float) -> None:
        """Have the edge let go, and take all that it still has to say. Raises `SessionLost`."""
        leg, progress = self.leg, self.progress
        self.session.leave(self._loop.time())
        self.wake()
        if await self.until(lambda: progress.left is not None or self.leg is not leg, give_up_at):
            await self.until(lambda: progress.has_all or self.leg is not leg, self._loop.time() + UNDER_WAY_S)

    async def account(self, patience_s: float) -> None:
        """Get the edge's counts, again until they agree with ours, for at most ``patience_s``. Raises `SessionLost`."""
        give_up_at = self._loop.time() + patience_s
        in_the_middle = False
        while self._loop.time() < give_up_at:
            before = self.progress.stats
            if self.leg is not None:
                self.session.request_stats()
                self.wake()
            await self.until(lambda: self.progress.stats is not before, give_up_at)  # noqa: B023 - awaited here
            summary = self.progress.summary()
            # What it is saying may be over with the words that were counted: then it says so by the next look.
            was, in_the_middle = in_the_middle, self.progress.speaking and not self.session.playout.paused
            if summary.agrees_up and (summary.agrees_down or (was and in_the_middle)):
                return
            await self.sleep_until(self._loop.time() + ASK_AGAIN_S)

    def _commit(self) -> int:
        utterance = self.session.commit(self._loop.time())
        self._answer_until = self._loop.time() + ANSWER_S
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

    def _note(self, event: CallerEvent) -> None:
        match event:
            case SessionReady():
                self.ready = event
            case CallContinued(before=Account()):
                self.ready = None
            case UtteranceCommitted():
                self._answer_until = self._loop.time() + ANSWER_S
            case FramesReceived():
                self._answer_until = 0.0
            case ErrorReceived(code="unknown_session"):
                return  # of the session in whose place this one is
            case _:
                pass
        self.progress.note(event)
        self._tell(event)


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
