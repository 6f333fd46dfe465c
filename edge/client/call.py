"""A spoken call to an edge.

A call outlives its connections. When one is lost (the edge resets it, or nothing is heard for ``dead_after_s``),
the service address is dialled again, and whichever node answers gets a new session; an utterance that the edge
had not confirmed is said again from its start. An answer that was being heard is gone with its session.
"""

import asyncio
import contextlib
import random
import socket
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from edge.client import audio
from edge.client.events import CallEvent, Ended, Migrated, Reconnected, Reconnecting
from edge.client.feed import Feed
from edge.client.leg import Leg, LegLost
from edge.client.recording import Recording
from edge.client.stack import Told
from edge.client.summary import CallSummary, Ending, LegSummary
from edge.errors import DeadlineError, EdgeError
from edge.quic import ConnectionClosed, HandshakeCompleted, PathChanged
from edge.runtime.dialer import DEFAULT_PORT, DIAL_TIMEOUT_S, Target
from edge.voice import Code, Frame, FramesReceived, Underran

DEAD_AFTER_S = 3.0
"""Heartbeats, which the edge acknowledges, are up to a second apart."""
REDIAL_DELAYS_S = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
"""Before each attempt, give or take a half: the callers of a node that died must not come back in step."""
ACCOUNT_PATIENCE_S = 3.0
"""For the counts of both ends to agree: what is on its way when a call is hung up takes a round trip or two."""
PATIENCE_S = 30.0
"""For a sign of what was asked for: a backend may think for long."""

_FINAL: dict[int, Ending] = {
    Code.OK: "closed_by_edge",
    Code.SESSION_CLOSED: "closed_by_edge",
    Code.PROTOCOL_ERROR: "lost",
    Code.TOO_FAR_BEHIND: "lost",
}
"""Application codes behind which another attempt would end the same way."""


class CallLost(EdgeError):
    """The call is over, and something was asked of it that can no longer be done."""


def connect(
    host: str,
    port: int = DEFAULT_PORT,
    *,
    server_name: str | None = None,
    ca: Path | None = None,
    insecure: bool = False,
    family: socket.AddressFamily = socket.AF_UNSPEC,
    local_addr: str | None = None,
    timeout_s: float = DIAL_TIMEOUT_S,
    dead_after_s: float = DEAD_AFTER_S,
    redial_delays_s: Sequence[float] = REDIAL_DELAYS_S,
) -> "Call":
    """A call to ``host``, made when it is entered; see `Target` for what decides whom to trust.

    ``redial_delays_s`` are the pauses before the attempts to replace a lost connection; none, no attempt.
    Entering raises what `edge.runtime.dialer.dial` raises.
    """
    target = Target(
        host=host,
        port=port,
        server_name=server_name,
        ca=ca,
        insecure=insecure,
        family=family,
        source=local_addr,
    )
    return Call(target, timeout_s=timeout_s, dead_after_s=dead_after_s, redial_delays_s=redial_delays_s)


class Call:
    """Made by `connect`, to be used as an async context manager. Leaving it hangs up."""

    def __init__(
        self,
        target: Target,
        *,
        timeout_s: float = DIAL_TIMEOUT_S,
        dead_after_s: float = DEAD_AFTER_S,
        redial_delays_s: Sequence[float] = REDIAL_DELAYS_S,
    ) -> None:
        self._target = target
        self._timeout_s = timeout_s
        self._dead_after_s = dead_after_s
        self._redial_delays_s = redial_delays_s
        self._loop = asyncio.get_running_loop()
        self._leg: Leg | None = None  # None before the first and between two
        self._changed: asyncio.Future[None] = self._loop.create_future()
        self._past: list[LegSummary] = []
        self._redialing: asyncio.Task[None] | None = None
        self._asked: tuple[Leg, int] | None = None  # whom last, and how many items it had said by then
        self._saying = asyncio.Lock()
        self._events: Feed[CallEvent] = Feed()
        self._frames: Feed[Frame] = Feed()
        self._recordings: list[Recording] = []
        self._ending: Ending = "in_progress"
        self._reason = ""
        self._hanging_up = False
        self._began_at = self._asked_at = self._ended_at = 0.0
        self._first_audio_ms: float | None = None
        self._utterances = 0

    async def __aenter__(self) -> Self:
        self._began_at = self._loop.time()
        leg = await self._dial()
        self._asked = (leg, 0)
        self._adopt(leg)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.hang_up(patience_s=ACCOUNT_PATIENCE_S if kind is None else 0.0)

    async def say(
        self, speech: Path | Sequence[bytes], *, faster: bool = False, patience_s: float = PATIENCE_S
    ) -> None:
        """Say one utterance: an audio file, or Opus packets of 20 ms. Returns when the edge has all of it.

        It goes out in real time, or with ``faster`` as fast as the path takes it. Raises `CallLost`,
        `DeadlineError` if the edge does not confirm it ``patience_s`` after its end, `UsageError` for a file
        that cannot be read, and ValueError for no packets or one that is not Opus.
        """
        packets = await asyncio.to_thread(audio.read_speech, speech) if isinstance(speech, Path) else speech
        async with self._saying:
            while True:
                leg = await self._standing()
                self._ask(leg)
                try:
                    await leg.say(packets, faster=faster, patience_s=patience_s)
                except LegLost:
                    continue
                except TimeoutError:
                    raise DeadlineError(f"{self._target}: not confirmed within {patience_s:g} s") from None
                self._utterances += 1
                return

    async def request_reply(self) -> None:
        """Ask the backend to speak; raises `CallLost`."""
        leg = await self._standing()
        self._ask(leg)
        leg.request_reply()

    async def reply(self, *, patience_s: float = PATIENCE_S) -> bool:
        """Wait until what the edge has to say to the last `say` or `request_reply` has been played.

        Without one of these, to the beginning of the call. False if the connection was lost on the way, and
        the reply with it. Raises `DeadlineError` if for ``patience_s`` nothing more of it is heard.
        """
        if self._asked is None:
            return False
        leg, items_before = self._asked
        try:
            await leg.answered(items_before, patience_s)
        except LegLost:
            return False
        except TimeoutError:
            raise DeadlineError(f"{self._target}: no reply within {patience_s:g} s") from None
        return True

    def events(self) -> AsyncIterator[CallEvent]:
        """What happens from now on, until the call has ended."""
        return self._events.subscribe()

    def listen(self) -> AsyncIterator[Frame]:
        """The frames that are received from now on, in order."""
        return self._frames.subscribe()

    def record(self) -> Recording:
        """A recording of what is heard from now on; before the call is entered, of the whole call."""
        recording = Recording()
        self._recordings.append(recording)
        return recording

    async def hang_up(self, *, patience_s: float = ACCOUNT_PATIENCE_S) -> CallSummary:
        """End the call, if it is not over, after comparing counts with the edge for at most ``patience_s``."""
        self._hanging_up = True
        if self._redialing is not None:
            self._redialing.cancel()
            await asyncio.gather(self._redialing, return_exceptions=True)
        if self._leg is not None:
            with contextlib.suppress(LegLost):
                await self._leg.account(patience_s)
        leg, self._leg = self._leg, None
        if leg is not None:
            self._past.append(leg.summary())
            leg.close("hung up")
            self._end("hung_up", "")
        else:
            self._end("lost", "hung up while there was no connection")
        return self.summary()

    def summary(self) -> CallSummary:
        """Of a call that has been entered, as of now or of its end."""
        until = self._loop.time() if self._ending == "in_progress" else self._ended_at
        return CallSummary(
            ending=self._ending,
            reason=self._reason,
            duration_s=round(until - self._began_at, 3),
            first_audio_ms=self._first_audio_ms,
            utterances=self._utterances,
            legs=(*self._past, *([self._leg.summary()] if self._leg else [])),
        )

    async def _dial(self) -> Leg:
        return await Leg.connect(
            self._target, self._on_event, timeout_s=self._timeout_s, dead_after_s=self._dead_after_s
        )

    async def _standing(self) -> Leg:
        while self._leg is None:
            if self._ending != "in_progress":
                raise CallLost(f"{self._target}: {self._reason}")
            await asyncio.wait({self._changed})
        return self._leg

    def _adopt(self, leg: Leg) -> None:
        self._leg = leg
        self._change()

    def _ask(self, leg: Leg) -> None:
        self._asked = (leg, leg.items_done)
        if not self._asked_at:
            self._asked_at = self._loop.time()

    def _on_event(self, leg: Leg, told: Told) -> None:
        match told:
            case HandshakeCompleted():
                return
            case ConnectionClosed():
                if leg is self._leg:
                    self._lose(leg, told)
                return
            case PathChanged():
                summary = leg.summary()
                self._events.publish(Migrated(summary.path, summary.migration_ms or 0.0))
                return
            case FramesReceived(frames=frames):
                if self._first_audio_ms is None:
                    since = self._asked_at or self._began_at
                    self._first_audio_ms = round((self._loop.time() - since) * 1000, 1)
                for frame in frames:
                    self._frames.publish(frame)
                for recording in self._recordings:
                    recording.hear(told)
            case Underran():
                for recording in self._recordings:
                    recording.underrun(told)
            case _:
                pass
        self._events.publish(told)

    def _lose(self, leg: Leg, closed: ConnectionClosed) -> None:
        self._leg = None
        self._past.append(leg.summary())
        for recording in self._recordings:
            recording.reconnected()
        ending = _FINAL.get(closed.code) if closed.by_application else None
        if ending is not None or self._hanging_up or not self._redial_delays_s:
            self._end(ending or "lost", closed.reason)
        else:
            self._events.publish(Reconnecting(closed.reason))
            self._redialing = asyncio.create_task(self._redial(closed.reason))

    async def _redial(self, reason: str) -> None:
        failure = ""
        for delay_s in self._redial_delays_s:
            await asyncio.sleep(delay_s * random.uniform(0.5, 1.5))
            try:
                leg = await self._dial()
            except EdgeError as error:
                failure = str(error)
                continue
            self._redialing = None
            self._adopt(leg)
            self._events.publish(Reconnected(leg.summary().node))
            return
        self._end("lost", f"{reason}; then {failure}")

    def _end(self, ending: Ending, reason: str) -> None:
        if self._ending == "in_progress":
            self._ending, self._reason, self._ended_at = ending, reason, self._loop.time()
            self._events.publish(Ended(ending, reason))
            self._events.end()
            self._frames.end()
            self._change()

    def _change(self) -> None:
        self._changed.set_result(None)
        self._changed = self._loop.create_future()
