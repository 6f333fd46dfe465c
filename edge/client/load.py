"""Many light calls from one process, to see what an edge does when there are too many.

Each of ``calls`` callers begins at its share of the ramp, stays until the ramp and the hold are over, and
dials again after `REDIAL_S` when it is refused, not answered or cut off, as people do.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from enum import StrEnum
from itertools import count

import msgspec

from edge.client import audio, speech
from edge.client.call import Call
from edge.client.connecting import connect_to
from edge.errors import EdgeError, UsageError
from edge.runtime.dialer import NameNotFound, ServerBusy, Target
from edge.voice import FRAME_MS, FRAMES_PER_GROUP

HOPELESS = (UsageError, NameNotFound)
"""Failures that would be the same for every caller and at every attempt."""
REDIAL_S = 1.0
DEAD_AFTER_S = 5.0
"""Longer than a person would wait: an edge that is only slow shall not be hit by redials as well."""
BATCH_PAUSE_S = 1.0 - FRAMES_PER_GROUP * FRAME_MS / 1000
SPEECH_PAUSE_S = 1.0


class Profile(StrEnum):
    """What a caller does."""

    IDLE = "idle"
    """Stays on the line: heartbeats only."""
    BATCH = "batch"
    """Says one group of frames a second."""
    SPEECH = "speech"
    """Speaks in real time, with a pause between utterances."""


class LoadReport(msgspec.Struct, frozen=True, kw_only=True):
    """Counts from the beginning to ``elapsed_s``; by node, where there is one."""

    elapsed_s: float
    up: dict[str, int]
    """Calls that stand now."""
    established: dict[str, int]
    refused: int
    """Turned away by an edge that sheds load."""
    failed: int
    """Not answered, or not by an edge."""
    lost: int
    """Established, and ended by something else than the end of the hold."""
    utterances: int


class Load:
    """One run of the generator; `report` may be read at any time of it."""

    def __init__(
        self,
        target: Target,
        *,
        calls: int,
        ramp_s: float,
        hold_s: float,
        profile: Profile = Profile.BATCH,
        token: str | None = None,
    ) -> None:
        self._target = target
        self._calls = calls
        self._ramp_s = ramp_s
        self._hold_s = hold_s
        self._profile = profile
        self._token = token
        self._packets = audio.read_speech(speech.recording("hello"))
        self._up: Counter[str] = Counter()
        self._established: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._loop = asyncio.get_running_loop()
        self._began_at = self._loop.time()

    async def run(self, each_second: Callable[[LoadReport], None] = lambda _: None) -> None:
        """From the first call to the end of the hold. Cancelling it hangs up all calls.

        Raises what is `HOPELESS`; whatever else fails is counted.
        """
        self._began_at = self._loop.time()
        telling = asyncio.create_task(self._tell(each_second))
        try:
            async with asyncio.TaskGroup() as callers:
                for number in range(self._calls):
                    callers.create_task(self._caller(self._began_at + self._ramp_s * number / self._calls))
        except ExceptionGroup as failures:
            hopeless, _ = failures.split(HOPELESS)
            if hopeless is None:
                raise
            raise hopeless.exceptions[0] from None
        finally:
            telling.cancel()

    def report(self) -> LoadReport:
        """As of now."""
        return LoadReport(
            elapsed_s=round(self._loop.time() - self._began_at, 1),
            up=dict(+self._up),
            established=dict(self._established),
            refused=self._counts["refused"],
            failed=self._counts["failed"],
            lost=self._counts["lost"],
            utterances=self._counts["utterances"],
        )

    async def _tell(self, each_second: Callable[[LoadReport], None]) -> None:
        for second in count(1):
            await asyncio.sleep(self._began_at + second - self._loop.time())
            each_second(self.report())

    async def _caller(self, begins_at: float) -> None:
        ends_at = self._began_at + self._ramp_s + self._hold_s
        await asyncio.sleep(begins_at - self._loop.time())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(ends_at):
                while True:
                    self._counts[await self._call()] += 1
                    await asyncio.sleep(REDIAL_S)

    async def _call(self) -> str:
        """Place one call and stay on it; how it ended, if it did."""
        call = connect_to(
            self._target,
            token=self._token,
            carrier="quic",
            early_data=False,
            dead_after_s=DEAD_AFTER_S,
            redial_delays_s=(),
        )
        node = None
        try:
            async with call:
                node = call.summary().last.node
                self._established[node] += 1
                self._up[node] += 1
                await self._stay(call)
        except ServerBusy:
            return "refused"
        except HOPELESS:
            raise
        except EdgeError:
            return "failed" if node is None else "lost"
        finally:
            if node is not None:
                self._up[node] -= 1
        return "lost"

    async def _stay(self, call: Call) -> None:
        match self._profile:
            case Profile.IDLE:
                async for _ in call.events():
                    pass
            case Profile.BATCH:
                await self._talk(call, self._packets[:FRAMES_PER_GROUP], BATCH_PAUSE_S)
            case Profile.SPEECH:
                await self._talk(call, self._packets, SPEECH_PAUSE_S)

    async def _talk(self, call: Call, packets: list[bytes], pause_s: float) -> None:
        while True:
            await call.say(packets)
            self._counts["utterances"] += 1
            await asyncio.sleep(pause_s)
