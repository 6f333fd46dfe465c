"""The backend that measures, in the node's own worker: when the caller's frames come, and a long reply to interrupt.

It is found as any backend is that others wrote, by an entry point of a distribution (`register`). What it has measured
it appends to the file of its settings, one line of JSON for each call, when the call is over.

Frames that come in early data are kept from a backend until the handshake is confirmed. When such a frame was taken in
is known to nobody but `Uplink`, so that is where its arrival is noted, by the payload, which no two calls share.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any

import msgspec
from voice.recordings import Recordings

from edge.backend.base import (
    BackendContext,
    BackendInput,
    BackendReply,
    Cancelled,
    ClientEvent,
    ItemBegun,
    ItemEnded,
    ItemFrames,
    ResponseRequested,
    settings_of,
)
from edge.voice import FRAME_MS, Frame, FrameLedger, FramesHeard
from edge.voice.uplink import Uplink

NAME = "bench"
REPLY_S = 60.0
GENERATED_RATE = 4.0
"""How much faster than it is played a reply is made."""
CHUNK_FRAMES = 10


class Settings(msgspec.Struct, frozen=True):
    """``[backends.bench]``: files to write to and to speak from."""

    log: str
    recordings: str


class Heard(msgspec.Struct, frozen=True):
    """One call. ``label`` is what the caller called it; times are `time.monotonic`.

    ``first`` is the first frame's payload, taken in at ``edge_at``. ``frames`` are utterance, seq and when they were
    heard, in that order.
    """

    label: str
    first: bytes
    edge_at: float
    frames: list[tuple[int, int, float]]


def note(log: Path, heard: Heard) -> None:
    """Append one line."""
    with log.open("ab") as file:
        file.write(msgspec.json.encode(heard) + b"\n")


_arrived: dict[bytes, float] = {}


def _noting(receive: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    @wraps(receive)
    def received(*arguments: Any) -> list[Any]:
        told = receive(*arguments)
        for event in told:
            if isinstance(event, FramesHeard) and (event.frames[0].utterance, event.frames[0].seq) == (1, 0):
                _arrived[event.frames[0].payload] = time.monotonic()
        return told

    return received


for _name in ("receive", "receive_datagram"):
    setattr(Uplink, _name, _noting(getattr(Uplink, _name)))


class BenchBackend:
    """See the module."""

    Settings = Settings

    def __init__(self, context: BackendContext) -> None:
        self.heard = FrameLedger()
        self.said = FrameLedger()
        self._settings = settings_of(context, Settings)
        self._label = ""
        self._frames: list[tuple[int, int, float]] = []
        self._first: bytes | None = None
        self._wanted = asyncio.Event()
        self._cancelled = False

    def hear(self, frames: Sequence[Frame]) -> None:
        now = time.monotonic()
        self.heard.record(frames)
        if self._first is None:
            self._first = frames[0].payload
        self._frames.extend((frame.utterance, frame.seq, now) for frame in frames)

    def notify(self, event: BackendInput) -> None:
        match event:
            case ClientEvent(fields={"session": {"label": str(label)}}):
                self._label = label
            case ResponseRequested():
                self._wanted.set()
            case Cancelled():
                self._cancelled = True
            case _:
                pass

    async def replies(self) -> AsyncIterator[BackendReply]:
        """One, when it is asked for: a minute of speech, made four times as fast as it is played."""
        await self._wanted.wait()
        packets = Recordings.load(Path(self._settings.recordings)).speech
        yield ItemBegun(1)
        began = time.monotonic()
        for seq in range(0, round(REPLY_S * 1000 / FRAME_MS), CHUNK_FRAMES):
            await asyncio.sleep(began + seq * FRAME_MS / 1000 / GENERATED_RATE - time.monotonic())
            if self._cancelled:
                return
            frames = [
                Frame(1, number, number * FRAME_MS, packets[number % len(packets)])
                for number in range(seq, seq + CHUNK_FRAMES)
            ]
            self.said.record(frames)
            yield ItemFrames(1, frames)
        yield ItemEnded(1)

    async def close(self) -> None:
        if self._first is not None:
            line = Heard(self._label, self._first, _arrived.pop(self._first, 0.0), self._frames)
            note(Path(self._settings.log), line)


def register(site: Path) -> None:
    """Make ``site`` a directory that, on ``PYTHONPATH``, has the backend installed."""
    distribution = site / "edge_bench-0.dist-info"
    distribution.mkdir(parents=True)
    (distribution / "METADATA").write_text("Metadata-Version: 2.1\nName: edge-bench\nVersion: 0\n")
    (distribution / "entry_points.txt").write_text(f"[edge.backends]\n{NAME} = {__name__}:BenchBackend\n")
