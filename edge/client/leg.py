"""One connection of a call, from dialling to its end. A call has another one when this one is lost."""

import asyncio
import contextlib
import math
from collections.abc import Callable, Sequence

from edge.client.stack import Told, VoiceStack
from edge.client.summary import LegSummary
from edge.errors import EdgeError
from edge.quic import ClientConnection, ConnectionClosed
from edge.runtime.dialer import Dialed, NoAnswer, Target, dial
from edge.voice import (
    FRAME_MS,
    FRAMES_PER_GROUP,
    CallerSession,
    Code,
    FramesReceived,
    ItemDone,
    SessionReady,
    StatsReceived,
    UtteranceCommitted,
)

ASK_AGAIN_S = 0.1
"""Between two looks at counts that do not agree yet: frames may still be on their way."""
LOOK_AGAIN_S = 0.02
"""Between two looks at a playout that is about to end."""


class LegLost(Exception):
    """The connection ended while something was asked of it."""


class Leg:
    """``on_event`` gets this leg and what its stack tells, after the leg has taken note of it."""

    def __init__(self, dialed: Dialed[VoiceStack], on_event: Callable[["Leg", Told], None]) -> None:
        self.session = dialed.stack.session
        self.connection = dialed.stack.connection
        self.closed: ConnectionClosed | None = None
        self.ready: SessionReady | None = None
        self.items_done = 0
        self.speaking = False
        """Part of an item has been received, and not its end."""
        self._dialed = dialed
        self._on_event = on_event
        self._confirmed = 0  # utterances
        self._stats: StatsReceived | None = None
        self._loop = asyncio.get_running_loop()
        self._happened: asyncio.Future[None] = self._loop.create_future()

    @classmethod
    async def connect(
        cls,
        target: Target,
        on_event: Callable[["Leg", Told], None],
        *,
        timeout_s: float,
        dead_after_s: float,
    ) -> "Leg":
        """Dial and wait until the edge has said who it is; raises what `dial` raises, or `EdgeError`."""
        loop = asyncio.get_running_loop()
        leg: Leg | None = None
        early: list[Told] = []

        def hear(event: Told) -> None:
            if leg is None:
                early.append(event)
            else:
                leg._hear(event)

        def stack(connection: ClientConnection) -> VoiceStack:
            return VoiceStack(connection, CallerSession(loop.time()), dead_after_s)

        dialed = await dial(target, stack=stack, on_event=hear, timeout_s=timeout_s)
        leg = cls(dialed, on_event)
        for event in early:
            hear(event)
        try:
            await leg._begin(timeout_s)
        except LegLost as lost:
            raise EdgeError(f"{target}: {lost}") from None
        except TimeoutError:
            raise NoAnswer(f"{target}: connected, but no session within {timeout_s:g} s") from None
        return leg

    async def say(self, packets: Sequence[bytes], *, faster: bool, patience_s: float) -> None:
        """Say one utterance, in groups as they would leave a microphone, and wait until the edge has it all.

        Raises `LegLost`, and `TimeoutError` if the edge does not confirm it ``patience_s`` after its end. If
        cancelled, what has been said until then is an utterance of its own.
        """
        began = self._loop.time()
        try:
            for start in range(0, len(packets), FRAMES_PER_GROUP):
                group = packets[start : start + FRAMES_PER_GROUP]
                if not faster:
                    await self._sleep_until(began + (start + len(group)) * FRAME_MS / 1000)
                self.session.send_frames(group, self._loop.time())
                self._dialed.driver.wake()
        except BaseException:
            with contextlib.suppress(ValueError):  # nothing was said yet
                self._commit()
            raise
        utterance = self._commit()
        if not await self._until(lambda: self._confirmed >= utterance, self._loop.time() + patience_s):
            raise TimeoutError

    def request_reply(self) -> None:
        """Ask the backend to speak."""
        self.session.request_response()
        self._dialed.driver.wake()

    async def answered(self, after: int, patience_s: float) -> None:
        """Wait until more than ``after`` items are done and all that was received has been played.

        Raises `LegLost`, and `TimeoutError` if for ``patience_s`` nothing is received.
        """
        heard = self.session.heard.frames
        while not await self._until(
            lambda: self.items_done > after and not self.speaking, self._loop.time() + patience_s
        ):
            if self.session.heard.frames == heard:
                raise TimeoutError
            heard = self.session.heard.frames
        while (ends_at := self.session.playout.get_timer()) is not None:
            await self._sleep_until(max(ends_at, self._loop.time() + LOOK_AGAIN_S))

    async def account(self, patience_s: float) -> None:
        """Get the edge's counts, again until they agree with ours, for at most ``patience_s``. Raises `LegLost`."""
        give_up_at = self._loop.time() + patience_s
        while await self._ask(give_up_at) and not self._agree():
            await self._sleep_until(self._loop.time() + ASK_AGAIN_S)

    def close(self, reason: str) -> None:
        """Hang up."""
        self.session.close(Code.OK, reason)
        self._dialed.driver.leave()

    def summary(self) -> LegSummary:
        """As of now."""
        connection, session, ready = self.connection, self.session, self.ready
        dialed_at = self._dialed.dialed_at
        host, port = connection.peer or ("", 0)
        return LegSummary(
            session_id=ready.session_id if ready else "",
            node=ready.node if ready else "",
            path=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            handshake_ms=_ms(self._dialed.established_at - dialed_at),
            migrated=connection.migrated,
            migration_ms=None if connection.migrated_at is None else _ms(connection.migrated_at - dialed_at),
            rtt_ms=_ms(connection.rtt_s or 0.0),
            sent=session.said.count(),
            heard_by_edge=self._stats.heard if self._stats else None,
            said_by_edge=self._stats.said if self._stats else None,
            received=session.heard.count(),
            speaking=self.speaking,
            underruns=session.playout.underruns,
            underrun_ms=session.playout.underrun_ms,
            ended=self.closed.reason if self.closed else None,
        )

    async def _begin(self, timeout_s: float) -> None:
        try:
            if not await self._until(lambda: self.ready is not None, self._loop.time() + timeout_s):
                raise TimeoutError
        except BaseException:
            self.close("gave up waiting for a session")
            raise

    async def _ask(self, give_up_at: float) -> bool:
        """Whether fresh counts have come."""
        before = self._stats
        self.session.request_stats()
        self._dialed.driver.wake()
        return await self._until(lambda: self._stats is not before, give_up_at)

    def _commit(self) -> int:
        utterance = self.session.commit(self._loop.time())
        self._dialed.driver.wake()
        return utterance

    def _agree(self) -> bool:
        stats, session = self._stats, self.session
        ours = session.said.count(), session.heard.count()
        return stats is not None and (stats.heard, stats.said) == ours

    def _hear(self, event: Told) -> None:
        match event:
            case SessionReady():
                self.ready = event
            case UtteranceCommitted(utterance=utterance):
                self._confirmed = utterance
            case FramesReceived():
                self.speaking = True
            case ItemDone():
                self.speaking = False
                self.items_done += 1
            case StatsReceived():
                self._stats = event
            case ConnectionClosed():
                self.closed = event
                self._dialed.driver.leave()
            case _:
                pass
        self._happened.set_result(None)
        self._happened = self._loop.create_future()
        self._on_event(self, event)

    async def _until(self, holds: Callable[[], bool], give_up_at: float = math.inf) -> bool:
        """Wait until it ``holds``, and whether it does. Raises `LegLost`."""
        while not holds():
            if self.closed is not None:
                raise LegLost(self.closed.reason)
            left_s = give_up_at - self._loop.time()
            if left_s <= 0:
                return False
            await asyncio.wait({self._happened}, timeout=None if left_s == math.inf else left_s)
        return True

    async def _sleep_until(self, at: float) -> None:
        await self._until(lambda: False, at)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
