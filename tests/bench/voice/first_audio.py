"""From the wish to speak to the first audio at the server; run at a caller's, prints a list of `Attempt`.

    python -m voice.first_audio ORDER

Systems take turns, each attempt on a new connection. Speech goes on every 20 ms behind the first packet, which no
other call has, so that the server's log can be matched.
"""

import asyncio
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from voice.callers import Caller, QuicCaller, WebRtcCaller, WebSocketCaller, WssCaller
from voice.link import Places
from voice.recordings import Recordings

from edge.errors import EdgeError
from edge.quic import Ticket
from edge.voice import FRAME_MS

QUIC, ZERO_RTT, WEBSOCKET = "edge QUIC", "edge QUIC 0-RTT", "edge WebSocket"
WEBRTC, WEBRTC_WARM, WSS = "aiortc WebRTC", "aiortc WebRTC, HTTPS stands already", "WSS"
SYSTEMS = (QUIC, ZERO_RTT, WEBSOCKET, WEBRTC, WEBRTC_WARM, WSS)
PAYLOAD = 60
SPEAK_FRAMES = 10
"""After the connection stands; aiortc's jitter buffer gives out nothing before the fifth."""
SETTLE_S = 0.1


class Order(msgspec.Struct, frozen=True):
    """``repetitions`` count, after one that does not."""

    places: Places
    recordings: str
    repetitions: int
    rtt_ms: float


class Attempt(msgspec.Struct, frozen=True):
    """``first`` is the first packet; ``at`` is `time.monotonic` when speaking was wished for."""

    system: str
    first: bytes
    at: float
    error: str = ""


async def measure(order: Order) -> list[Attempt]:
    packets = Recordings.load(Path(order.recordings)).packets
    speech = Speech(order.places, packets)
    attempts = []
    for repetition in range(order.repetitions + 1):
        for system in SYSTEMS:
            attempt = await speech.attempt(system, order.rtt_ms / 1000)
            if repetition:
                attempts.append(attempt)
    return attempts


class Speech:
    """Keeps what one call leaves for the next: a ticket."""

    def __init__(self, places: Places, packets: Sequence[bytes]) -> None:
        self._places = places
        self._packets = packets
        self._ticket: Ticket | None = None
        self._makers: dict[str, Callable[[], Caller]] = {
            QUIC: lambda: QuicCaller(places, QUIC),
            ZERO_RTT: lambda: QuicCaller(places, ZERO_RTT, ticket=self._ticket),
            WEBSOCKET: lambda: WebSocketCaller(places, WEBSOCKET),
            WEBRTC: lambda: WebRtcCaller(places, "webrtc"),
            WEBRTC_WARM: lambda: WebRtcCaller(places, "webrtc", warm=True),
            WSS: lambda: WssCaller(places, "wss"),
        }

    async def attempt(self, system: str, rtt_s: float) -> Attempt:
        first = self._packets[0][:1] + os.urandom(PAYLOAD - 1)
        caller = self._makers[system]()
        await caller.prepare()
        await asyncio.sleep(SETTLE_S)
        at = time.monotonic()
        try:
            await caller.connect(first)
            for packet in self._packets[1:SPEAK_FRAMES]:
                await asyncio.sleep(FRAME_MS / 1000)
                caller.say(packet)
            await asyncio.sleep(rtt_s + SETTLE_S)
        except (EdgeError, OSError, TimeoutError) as error:
            return Attempt(system, first, at, f"{type(error).__name__}: {error}")
        problem = ""
        if isinstance(caller, QuicCaller):
            if system == ZERO_RTT and not caller.early_data:
                problem = "early data was not accepted"
            self._ticket = caller.ticket
        await caller.hang_up()
        return Attempt(system, first, at, problem)


if __name__ == "__main__":
    made = asyncio.run(measure(msgspec.json.decode(sys.argv[1], type=Order)))
    print(msgspec.json.encode(made).decode())
