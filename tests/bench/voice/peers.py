"""The peers' servers: aiortc's WebRTC, and plain WebSockets over TLS.

    python -m voice.peers wss|webrtc ADDRESS PORT CERTIFICATE KEY LOG RECORDINGS

They do what a voice service would do on them at the least, and note when audio comes, as our own backend does.
"""

import asyncio
import ssl
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiortc
import msgspec
from aiohttp import web
from aiortc.mediastreams import MediaStreamError
from aiortc.rtcrtpreceiver import RTCRtpReceiver, TimestampMapper
from voice.backend import CHUNK_FRAMES, GENERATED_RATE, REPLY_S, Heard, note
from voice.recordings import Recordings
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from edge.voice import FRAME_MS

CLOCK_HZ = 48_000
TICKS = CLOCK_HZ * FRAME_MS // 1000
AT_ONCE = "all-at-once"
"""The label of a call that wants a long reply and no more."""


class Sent(msgspec.Struct, frozen=True):
    """Of a reply that was interrupted, in payload bytes: made, and given to the kernel."""

    generated_bytes: int
    wire_bytes: int


# --- plain WebSockets ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class WssServer:
    """The `websockets` package. A message is a packet of speech; the path's last part is the label of the call."""

    log: Path
    recordings: Recordings

    async def run(self, address: str, port: int, tls: ssl.SSLContext) -> None:
        async with serve(self._serve, address, port, ssl=tls, compression=None) as server:
            await server.serve_forever()

    async def _serve(self, connection: ServerConnection) -> None:
        assert connection.request is not None
        label = connection.request.path.rpartition("/")[2]
        if label == AT_ONCE:
            await self._talk(connection)
            return
        first, frames = b"", list[tuple[int, int, float]]()
        try:
            async for message in connection:
                frames.append((1, len(frames), time.monotonic()))
                first = first or bytes(message if isinstance(message, bytes) else message.encode())
        except ConnectionClosed:
            pass
        if frames:
            note(self.log, Heard(label, first, frames[0][2], frames))

    async def _talk(self, connection: ServerConnection) -> None:
        """Give the kernel all of a reply as it is made, until the caller says stop; then say what was given."""
        sent = generated = 0

        async def talk() -> None:
            nonlocal sent, generated
            packets, began = self.recordings.speech, time.monotonic()
            for seq in range(0, round(REPLY_S * 1000 / FRAME_MS), CHUNK_FRAMES):
                await asyncio.sleep(began + seq * FRAME_MS / 1000 / GENERATED_RATE - time.monotonic())
                for number in range(seq, seq + CHUNK_FRAMES):
                    packet = packets[number % len(packets)]
                    generated += len(packet)
                    await connection.send(packet)
                    sent += len(packet)

        talking = asyncio.create_task(talk())
        await connection.recv()
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)
        await connection.send(msgspec.json.encode(Sent(generated, sent)).decode())


# --- WebRTC ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Reception:
    """One call: packets as they come from SRTP, and frames as aiortc's jitter buffer and decoder give them out."""

    label: str
    index: dict[bytes, int]  # packets that occur once in the recordings -> their number
    origin: int | None = None  # the RTP timestamp of packet 0
    first: bytes = b""
    packets: list[tuple[int, float]] = field(default_factory=list)  # RTP timestamp, when
    frames: list[tuple[int, float]] = field(default_factory=list)

    def packet(self, timestamp: int, payload: bytes) -> None:
        self.first = self.first or payload
        if self.origin is None and payload in self.index:
            self.origin = timestamp - TICKS * self.index[payload]
        self.packets.append((timestamp, time.monotonic()))

    def heard(self) -> list[Heard]:
        """As two calls: what came, and what came out of the jitter buffer."""
        return [
            Heard(f"{self.label}{suffix}", self.first, self.packets[0][1], self._numbered(arrivals))
            for suffix, arrivals in (("/rtp", self.packets), ("", self.frames))
            if arrivals
        ]

    def _numbered(self, arrivals: list[tuple[int, float]]) -> list[tuple[int, int, float]]:
        origin = self.packets[0][0] if self.origin is None else self.origin
        return [(1, (timestamp - origin) % 2**32 // TICKS, at) for timestamp, at in arrivals]


class WebRtcServer:
    """aiortc, as its documentation shows a server: an offer is POSTed over HTTPS and answered."""

    def __init__(self, log: Path, recordings: Recordings) -> None:
        self._log = log
        packets = recordings.packets
        self._index = {packet: number for number, packet in enumerate(packets) if packets.count(packet) == 1}
        self._receptions: dict[int, Reception] = {}  # by receiver
        self._tasks: set[asyncio.Task[None]] = set()
        self._tap()

    async def run(self, address: str, port: int, tls: ssl.SSLContext) -> None:
        app = web.Application()
        app.router.add_post("/{label}", self._answer)
        app.router.add_get("/", self._greet)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, address, port, ssl_context=tls).start()
        await asyncio.Event().wait()

    def _tap(self) -> None:
        """Note packets before the jitter buffer, too: it holds the first ones back."""
        handle: Callable[..., Awaitable[None]] = RTCRtpReceiver._handle_rtp_packet

        async def noted(receiver: RTCRtpReceiver, packet: Any, arrival_time_ms: int) -> None:
            reception = self._receptions.get(id(receiver))
            if reception is not None:
                reception.packet(packet.timestamp, packet.payload)
            await handle(receiver, packet, arrival_time_ms)

        RTCRtpReceiver._handle_rtp_packet = noted
        # Frames keep the timestamp of their packet, by which they are known again.
        TimestampMapper.map = lambda _mapper, timestamp: timestamp

    async def _greet(self, _request: web.Request) -> web.Response:
        return web.Response(text="hello")

    async def _answer(self, request: web.Request) -> web.Response:
        offer = await request.json()
        connection = aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
        reception = Reception(request.match_info["label"], self._index)

        @connection.on("track")
        def track(track: aiortc.MediaStreamTrack) -> None:
            self._receptions[id(connection.getReceivers()[0])] = reception
            task = asyncio.create_task(self._listen(connection, track, reception))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        await connection.setRemoteDescription(aiortc.RTCSessionDescription(**offer))
        await connection.setLocalDescription(await connection.createAnswer())
        answer = connection.localDescription
        return web.json_response({"sdp": answer.sdp, "type": answer.type})

    async def _listen(
        self, connection: aiortc.RTCPeerConnection, track: aiortc.MediaStreamTrack, reception: Reception
    ) -> None:
        receiver = connection.getReceivers()[0]
        try:
            while True:
                frame = await track.recv()
                reception.frames.append((frame.pts, time.monotonic()))
        except MediaStreamError:  # the caller has hung up
            for heard in reception.heard():
                note(self._log, heard)
            del self._receptions[id(receiver)]
            await connection.close()


SERVERS = {"wss": WssServer, "webrtc": WebRtcServer}


def main(name: str, address: str, port: str, certificate: str, key: str, log: str, recordings: str) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    server = SERVERS[name](Path(log), Recordings.load(Path(recordings)))
    asyncio.run(server.run(address, int(port), tls))


if __name__ == "__main__":
    main(*sys.argv[1:])
