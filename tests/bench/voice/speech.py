"""One caller that says the recordings in real time; run at a caller's for part (b).

    python -m voice.speech ORDER

The connection is made on a clean link; then the caller waits until all others are there, too. Frame n is due when its
20 ms have been recorded, whatever became of those before it; a caller that is late has spoken late.
"""

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from voice.callers import Caller, QuicCaller, WebRtcCaller, WssCaller
from voice.link import Places
from voice.recordings import Recordings

from edge.voice import FRAME_MS, Preset

AIORTC, AIORTC_RAW, WSS = "aiortc", "aiortc, no jitter buffer", "WSS"

BEGIN = "begin"
LOOK_S = 0.02


class Order(msgspec.Struct, frozen=True):
    """``deadline`` is ours alone. ``meeting`` is a directory: the caller leaves a file there when it is connected, and
    begins at what is written in the one called `BEGIN` then. ``drain_s`` is what is waited for behind the end."""

    places: Places
    recordings: str
    system: str
    label: str
    deadline: Preset | int
    meeting: str
    drain_s: float


class Said(msgspec.Struct, frozen=True):
    """``late_ms``: at most so much behind its time a frame was said, the caller's own delay. ``error``, if any."""

    late_ms: float
    error: str = ""


PEERS: dict[str, Callable[[Places, str], Caller]] = {AIORTC: WebRtcCaller, WSS: WssCaller}


async def speak(order: Order) -> Said:
    recordings = Recordings.load(Path(order.recordings))
    ends = {sentence.end for sentence in recordings.sentences}
    make = PEERS.get(order.system, lambda places, label: QuicCaller(places, label, order.deadline))
    caller = make(order.places, order.label)
    await caller.prepare()
    await caller.connect()
    begin_at = await meet(Path(order.meeting), order.label)
    latest = 0.0
    for number, packet in enumerate(recordings.packets):
        if number in ends:
            caller.end_sentence()
        due = due_at(begin_at, number)
        await asyncio.sleep(due - time.monotonic())
        latest = max(latest, time.monotonic() - due)
        caller.say(packet)
    caller.end_sentence()
    await asyncio.sleep(order.drain_s)
    await caller.hang_up()
    return Said(latest * 1000)


async def meet(meeting: Path, label: str) -> float:
    """When all begin, by `time.monotonic`."""
    arrive(meeting, label)
    while True:
        begin_at = moment(meeting)
        if begin_at is not None:
            return begin_at
        await asyncio.sleep(LOOK_S)


def arrive(meeting: Path, label: str) -> None:
    (meeting / label).touch()


def everybody(meeting: Path) -> int:
    """How many have arrived."""
    return len(list(meeting.iterdir()))


def begin(meeting: Path, at: float) -> None:
    """Whoever looks finds all of it or nothing."""
    note = meeting / "note"
    note.write_text(repr(at))
    note.rename(meeting / BEGIN)


def moment(meeting: Path) -> float | None:
    note = meeting / BEGIN
    return float(note.read_text()) if note.exists() else None


def due_at(begin_at: float, number: int) -> float:
    """When the frame has been recorded."""
    return begin_at + (number + 1) * FRAME_MS / 1000


if __name__ == "__main__":
    said = asyncio.run(speak(msgspec.json.decode(sys.argv[1], type=Order)))
    print(msgspec.json.encode(said).decode())
