"""Callers at the client sites: real clients in processes of their own, that speak until they are told to stop.

`Caller` is the scenario's end; the other end, ``python -m edge.lab.callers FD``, runs in a client's namespace
and has any number of calls up at once. They exchange JSON records over a socket that keeps their borders.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from edge.backend import story
from edge.client import Call, audio, connect
from edge.client.dialing import CarrierChoice
from edge.client.speech import NAMES, recording
from edge.client.summary import CallSummary
from edge.errors import EdgeError
from edge.lab.lab import Lab
from edge.voice import FRAME_MS

STORY = "story"
MAX_RECORD = 128 * 1024
REPORT_INTERVAL_S = 0.25
SILENCE_S = 0.5
"""Several times what lies between two groups of frames, also on a busy machine and behind a loss."""


class Record(msgspec.Struct, frozen=True):
    """What may pass between the two ends."""


class Place(Record, frozen=True, tag=True):
    """Call ``host`` and speak; with ``save``, keep what is heard as a WAV file there.

    With ``pause_s`` the caller listens to the answer, and is silent for so long before it speaks again. With
    ``microphone`` it speaks these recordings in one breath, over and over, and wants every word to arrive; unlike others
    it does not wait for a connection that is lost. With the ``backend`` `STORY` it says nothing, and listens to the end.
    Without ``redials`` a lost connection is a lost call. A connection on which nothing is heard for ``dead_after_s`` is
    lost; by default, after as long as any client waits.
    """

    name: str
    host: str
    port: int
    server_name: str
    ca: str
    save: str | None
    migrate: bool = True
    carrier: CarrierChoice = "auto"
    pause_s: float | None = None
    microphone: tuple[str, ...] = ()
    redials: bool = True
    dead_after_s: float | None = None
    backend: str | None = None


class HangUp(Record, frozen=True, tag=True):
    """Let every call finish its sentence, compare counts with the edge, and end."""


class Standing(Record, frozen=True, tag=True):
    """A call as it is now."""

    name: str
    node: str
    path: str
    migrated: bool
    carrier: str
    sent: int
    received: int
    reconnects: int


class Silence(Record, frozen=True, tag=True):
    """A call heard nothing from ``began_at`` on, and hears again ``at`` (both monotonic: the same for every process)."""

    name: str
    began_at: float
    at: float


class Finished(Record, frozen=True, tag=True):
    """A call that was hung up, or ended otherwise."""

    name: str
    summary: CallSummary
    story: bool | None = None


class Failed(Record, frozen=True, tag=True):
    """A call that did not come about, or broke."""

    name: str
    error: str


_decode_order = msgspec.json.Decoder(Place | HangUp).decode
_decode_report = msgspec.json.Decoder(Standing | Silence | Finished | Failed).decode


class Caller:
    """The calls of one client site, as a scenario handles them."""

    def __init__(self, lab: Lab, site: str) -> None:
        self.site = site
        self.standing: dict[str, Standing] = {}
        self.finished: dict[str, CallSummary] = {}
        self.failed: dict[str, str] = {}
        self.silences: list[Silence] = []
        self.told: dict[str, bool] = {}
        """Listeners, and whether each heard the story: every frame, and every frame once."""
        self._lab = lab
        self._placed: set[str] = set()
        self._changed = asyncio.Condition()

    async def start(self) -> None:
        """Start the process at the site."""
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.setblocking(False)
        with theirs:
            await self._lab.spawn(
                self.site,
                [sys.executable, "-P", "-m", "edge.lab.callers", str(theirs.fileno())],
                name="caller",
                finite=True,
                pass_fds=[theirs.fileno()],
            )
        self._listening = asyncio.create_task(self._listen())

    async def place(
        self,
        name: str,
        host: str,
        port: int,
        server_name: str,
        ca: Path,
        save: Path | None,
        **manner: Any,
    ) -> None:
        """Begin a call named ``name``; see `Place`."""
        self._placed.add(name)
        kept = None if save is None else str(save)
        await self._send(Place(name, host, port, server_name, str(ca), kept, **manner))

    async def hang_up(self, timeout_s: float) -> None:
        """End all calls; those that do not end in time are `failed`."""
        await self._send(HangUp())
        await self.until(lambda: self._placed <= {*self.finished, *self.failed}, timeout_s)
        for name in self._placed - {*self.finished, *self.failed}:
            self.failed[name] = f"not ended within {timeout_s:g} s"

    async def until(self, holds: Any, timeout_s: float) -> bool:
        """Whether ``holds()`` became true in time."""
        try:
            async with asyncio.timeout(timeout_s), self._changed:
                await self._changed.wait_for(holds)
        except TimeoutError:
            return False
        return True

    def settled(self, name: str) -> bool:
        """Whether a call is on its unicast address, or will never be."""
        return name in self.failed or (name in self.standing and self.standing[name].migrated)

    def answered(self, name: str) -> bool:
        """Whether a call has reached a node, or will never."""
        return name in self.failed or (name in self.standing and self.standing[name].node != "")

    def calls(self) -> dict[str, Any]:
        """The calls that are up, for the timeline."""
        return {
            name: {
                "node": call.node,
                "path": "unicast" if call.migrated else "anycast",
                "sent": call.sent,
                "received": call.received,
            }
            for name, call in self.standing.items()
            if name not in self.finished and name not in self.failed
        }

    async def _send(self, order: Place | HangUp) -> None:
        await asyncio.get_running_loop().sock_sendall(self._channel, msgspec.json.encode(order))

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(self._channel, MAX_RECORD):
            match _decode_report(data):
                case Standing() as call:
                    self.standing[call.name] = call
                case Silence() as silence:
                    self.silences.append(silence)
                case Finished(name, summary, story):
                    self.finished[name] = summary
                    if story is not None:
                        self.told[name] = story
                case Failed(name, error):
                    self.failed[name] = error
            async with self._changed:
                self._changed.notify_all()


async def _speak(channel: socket.socket, order: Place, enough: asyncio.Event) -> None:
    """One call: the shipped recordings in turn, until ``enough``."""
    report: Finished | Failed
    wishes: dict[str, Any] = {} if order.redials else {"redial_delays_s": ()}
    if order.microphone:
        wishes["deadline"] = (None, None)
    if order.dead_after_s is not None:
        wishes["dead_after_s"] = order.dead_after_s
    try:
        # Each is somebody else, who has called nobody before: without the tickets of those beside it.
        call = connect(
            order.host,
            order.port,
            server_name=order.server_name,
            ca=Path(order.ca),
            early_data=False,
            migrate=order.migrate,
            carrier=order.carrier,
            backend=order.backend,
            **wishes,
        )
        heard = call.record()
        async with call:
            reporting = [
                asyncio.create_task(tell(channel, order.name, call)) for tell in (_report, _note_silences)
            ]
            sentence = 0
            while not enough.is_set() and order.backend != STORY:
                if order.microphone:
                    await call.say(_spoken(order.microphone))
                else:
                    await call.say(recording(NAMES[sentence % len(NAMES)]))
                sentence += 1
                if order.pause_s is not None:
                    await call.reply()
                    await _sleep(order.pause_s, enough)
            await call.reply()
            for task in reporting:
                task.cancel()
            summary = await call.hang_up()
            told = None
            if order.backend == STORY:
                told = [packet for packet in heard.packets if packet] == list(story.recording())
            report = Finished(order.name, summary, told)
            if order.save is not None:
                heard.save(Path(order.save))
    except EdgeError as error:
        report = Failed(order.name, str(error))
    await _tell(channel, report)


async def _spoken(names: tuple[str, ...]) -> AsyncIterator[bytes]:
    """As they leave a microphone."""
    packets = [packet for name in names for packet in audio.read_speech(recording(name))]
    loop = asyncio.get_running_loop()
    began = loop.time()
    for number, packet in enumerate(packets):
        await asyncio.sleep(began + number * FRAME_MS / 1000 - loop.time())
        yield packet


async def _sleep(seconds: float, enough: asyncio.Event) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await enough.wait()


async def _note_silences(channel: socket.socket, name: str, call: Call) -> None:
    """To whoever hears its own words at once they are outages."""
    heard_at = None
    async for _ in call.listen():
        now = time.monotonic()
        if heard_at is not None and now - heard_at > SILENCE_S:
            await _tell(channel, Silence(name, heard_at, now))
        heard_at = now


async def _report(channel: socket.socket, name: str, call: Call) -> None:
    while True:
        summary = call.summary()
        leg = summary.last
        standing = Standing(
            name=name,
            node=leg.node,
            path=leg.path,
            migrated=leg.migrated,
            carrier=leg.carrier,
            sent=summary.frames_sent,
            received=summary.frames_received,
            reconnects=summary.reconnects,
        )
        await _tell(channel, standing)
        await asyncio.sleep(REPORT_INTERVAL_S)


async def _tell(channel: socket.socket, report: Standing | Silence | Finished | Failed) -> None:
    await asyncio.get_running_loop().sock_sendall(channel, msgspec.json.encode(report))


async def _serve(channel: socket.socket) -> None:
    enough = asyncio.Event()
    calls: set[asyncio.Task[None]] = set()
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(channel, MAX_RECORD):
        match _decode_order(data):
            case Place() as order:
                calls.add(asyncio.create_task(_speak(channel, order, enough)))
            case HangUp():
                enough.set()
    for call in calls:
        call.cancel()
    await asyncio.gather(*calls, return_exceptions=True)


def main() -> None:
    with socket.socket(fileno=int(sys.argv[1])) as channel:
        channel.setblocking(False)
        asyncio.run(_serve(channel))


if __name__ == "__main__":
    main()
