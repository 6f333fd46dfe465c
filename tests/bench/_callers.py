"""Callers in a process of their own: they speak in real time and get back what they say.

    python _callers.py ORDER        `Order` as JSON; prints an `Outcome` as JSON

The server's CPU time is read here, at the two ends of the window in which frames are counted.
"""

import asyncio
import hashlib
import random
import ssl
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol, Self

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import msgspec
from voice_stack import VoiceStack
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from edge.runtime.dialer import Dialed, Target, dial
from edge.voice.caller import CallerSession
from edge.voice.deadline import Deadlines
from edge.voice.frame import FRAME_MS

FRAME_BYTES = 80  # 32 kb/s
DEAD_AFTER_S = 5.0
LOOKS = 150
LOOK_AGAIN_S = 0.02
"""How often, and after how long each time, to look whether what was said last has come back."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """``batch`` frames are said at once; then the next ``batch`` when a microphone would have them."""

    server: str
    host: str
    port: int
    pid: int
    """Whose CPU time to read."""
    ca: str
    calls: int
    batch: int
    warm_up_s: float
    window_s: float


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Of the window, but for ``intact``: whether by the end everybody had got back all that was said."""

    seconds: float
    server_cpu_s: float
    client_cpu_s: float
    said: int
    heard: int
    intact: bool


class Caller(Protocol):
    """One call that stands. ``said`` and ``heard`` count frames."""

    @property
    def said(self) -> int: ...

    @property
    def heard(self) -> int: ...

    @property
    def intact(self) -> bool:
        """Whether what was heard is what was said, byte by byte."""

    async def say(self, frames: Sequence[bytes]) -> None: ...

    def last_word(self) -> None:
        """All is said."""

    async def hang_up(self) -> None: ...


class EdgeCaller:
    """A caller with the edge's own protocol; all it says is one utterance, and what it hears one item."""

    def __init__(self, dialed: Dialed[VoiceStack]) -> None:
        self._session = dialed.stack.session
        self._driver = dialed.driver

    @classmethod
    async def dial(cls, order: Order) -> Self:
        target = Target(host=order.host, port=order.port, ca=Path(order.ca))
        now = asyncio.get_running_loop().time
        return cls(
            await dial(
                target,
                stack=lambda connection: VoiceStack(
                    connection, CallerSession(now(), deadline=Deadlines(None, None)), DEAD_AFTER_S
                ),
                on_event=lambda _: None,
            )
        )

    @property
    def said(self) -> int:
        return self._session.said.frames

    @property
    def heard(self) -> int:
        return self._session.heard.frames

    @property
    def intact(self) -> bool:
        return self._session.said.count() == self._session.heard.count()

    async def say(self, frames: Sequence[bytes]) -> None:
        self._session.send_frames(frames, asyncio.get_running_loop().time())
        self._driver.wake()

    def last_word(self) -> None:
        self._session.commit(asyncio.get_running_loop().time())
        self._driver.wake()

    async def hang_up(self) -> None:
        self._session.close()
        self._driver.leave()


class WebSocketCaller:
    """A caller that sends each batch as one binary message."""

    def __init__(self, connection: ClientConnection) -> None:
        self.said = 0
        self.heard = 0
        self._said = hashlib.sha256()
        self._heard = hashlib.sha256()
        self._connection = connection
        self._listening = asyncio.create_task(self._listen())

    @classmethod
    async def dial(cls, order: Order) -> Self:
        trust = ssl.create_default_context(cafile=order.ca)
        return cls(await connect(f"wss://{order.host}:{order.port}", ssl=trust, compression=None))

    @property
    def intact(self) -> bool:
        return self.said == self.heard and self._said.digest() == self._heard.digest()

    async def say(self, frames: Sequence[bytes]) -> None:
        message = b"".join(frames)
        self.said += len(frames)
        self._said.update(message)
        with suppress(ConnectionClosed):  # then it is not intact in the end
            await self._connection.send(message)

    def last_word(self) -> None:
        pass

    async def hang_up(self) -> None:
        await self._connection.close()
        await self._listening

    async def _listen(self) -> None:
        async for message in self._connection:
            assert isinstance(message, bytes)
            self.heard += len(message) // FRAME_BYTES
            self._heard.update(message)


CALLERS: dict[str, type[EdgeCaller] | type[WebSocketCaller]] = {
    "edge": EdgeCaller,
    "websockets": WebSocketCaller,
}


class Reading(msgspec.Struct, frozen=True):
    """All that is counted, at one moment."""

    at: float
    server_cpu_s: float
    client_cpu_s: float
    said: int
    heard: int

    @classmethod
    def take(cls, pid: int, callers: Sequence[Caller]) -> Self:
        return cls(
            at=time.monotonic(),
            server_cpu_s=time.clock_gettime(cpu_clock(pid)),
            client_cpu_s=time.process_time(),
            said=sum(caller.said for caller in callers),
            heard=sum(caller.heard for caller in callers),
        )


def cpu_clock(pid: int) -> int:
    """The clock of the CPU time, user and system, that all threads of a process have had.

    What clock_getcpuclockid(3) returns on Linux; it counts nanoseconds, and /proc/PID/stat ticks of 10 ms.
    """
    return (~pid << 3) | 2


async def hold_calls(order: Order) -> Outcome:
    """Dial, speak through the warm-up and the window, wait for the last echo, hang up."""
    callers: list[Caller] = [await CALLERS[order.server].dial(order) for _ in range(order.calls)]
    loop = asyncio.get_running_loop()
    interval_s = order.batch * FRAME_MS / 1000
    began = loop.time()
    ends = began + order.warm_up_s + order.window_s
    async with asyncio.TaskGroup() as group:
        for number, caller in enumerate(callers):
            # Callers do not speak in step, so a server gains nothing by taking several at once.
            first = began + interval_s * (number + 0.5) / order.calls
            group.create_task(speak(caller, order.batch, first, ends))
        await asyncio.sleep(began + order.warm_up_s - loop.time())
        before = Reading.take(order.pid, callers)
        await asyncio.sleep(ends - loop.time())
        after = Reading.take(order.pid, callers)
    intact = await all_intact(callers)
    for caller in callers:
        await caller.hang_up()
    return Outcome(
        seconds=after.at - before.at,
        server_cpu_s=after.server_cpu_s - before.server_cpu_s,
        client_cpu_s=after.client_cpu_s - before.client_cpu_s,
        said=after.said - before.said,
        heard=after.heard - before.heard,
        intact=intact,
    )


async def speak(caller: Caller, batch: int, first: float, ends: float) -> None:
    """A batch each time it is due; one that is late does not delay the next."""
    loop = asyncio.get_running_loop()
    due = first
    while due < ends:
        await asyncio.sleep(due - loop.time())
        await caller.say([random.randbytes(FRAME_BYTES) for _ in range(batch)])
        due += batch * FRAME_MS / 1000
    caller.last_word()


async def all_intact(callers: Sequence[Caller]) -> bool:
    """Whether all have got back what they said, which may take a moment."""
    for _ in range(LOOKS):
        if all(caller.intact for caller in callers):
            return True
        await asyncio.sleep(LOOK_AGAIN_S)
    return False


if __name__ == "__main__":
    outcome = asyncio.run(hold_calls(msgspec.json.decode(sys.argv[1], type=Order)))
    print(msgspec.json.encode(outcome).decode())
