"""A call on a WebSocket, at either end: `edge.voice.mux` on aiohttp.

A frame stays in the `Outbox`, where it can be overtaken and taken back, until the kernel has room for it.
"""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import aiohttp
from aiohttp import WSMsgType, web

from edge.bucket import TokenBucket
from edge.runtime.pings import MAX_UNANSWERED, PING_INTERVAL_S, Pings
from edge.runtime.tcp_room import TcpRoom
from edge.voice.errors import Code, WireError
from edge.voice.mux import Close, Frame, Inbound, Role
from edge.voice.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.runtime.call import Call
    from edge.runtime.carriers import CarrierName

    WebSocket = aiohttp.ClientWebSocketResponse | web.WebSocketResponse

SUBPROTOCOL: Final = "edge-voice-1"
MAX_UNSENT_BYTES: Final = 512 * 1024
"""More than any lead window: beyond it the peer does not read."""
LINGER_S: Final = 2.0
"""For the last frames to leave and for the peer to close its side."""
MESSAGES_PER_S, MESSAGES_AT_ONCE = 500, 2000
"""Live speech takes at most 62 messages a second; minutes of a recording may come in one go."""
BYTES_PER_S, BYTES_AT_ONCE = 512 * 1024, 8 * 1024 * 1024
TURN_MESSAGES: Final = 32
"""Taken in, or sent, before the other calls have their turn."""
MAX_CLOSE_REASON: Final = 123  # bytes; RFC 6455 section 5.5.1


@dataclass(frozen=True, slots=True)
class Ended:
    """How the carrier ended. ``by_application``: somebody hung up, and the connection did not just break."""

    code: int
    reason: str
    by_peer: bool
    by_application: bool


class WebSocketCarrier:
    """One end of a WebSocket that stands; whoever makes it must `run` it. Pings must be left to it (``autoping=False``).

    ``role`` is this end's. Verbs on one that is closed do nothing.
    """

    name: CarrierName = "websocket"
    awaits_credit = False  # a peer that does not read answers no pings

    def __init__(
        self,
        ws: WebSocket,
        role: Role,
        *,
        outcome: str = "direct",
        origin: str | None = None,
        host: str = "",
        on_doubt: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """``on_doubt`` is told when a ping is overdue, and when something arrives."""
        self.call: Call | None = None
        self.host = host
        self.origin = origin
        self.outcome = outcome
        self._ws = ws
        self._loop = asyncio.get_running_loop()
        self._outbox = Outbox(role)
        self._inbound = Inbound(role.peer)
        self._ended: Ended | None = None
        self._ignoring = False
        self._cut_off_at: asyncio.TimerHandle | None = None
        self._waiting = asyncio.Event()  # something is there to be sent
        self._pings = Pings()
        self._on_doubt = on_doubt
        self._pong: bytes | None = None  # to be sent
        self._messages = TokenBucket(MESSAGES_PER_S, MESSAGES_AT_ONCE)
        self._bytes = TokenBucket(BYTES_PER_S, BYTES_AT_ONCE)
        self._room = TcpRoom(ws.get_extra_info("socket"))

    # --- Carrier ---------------------------------------------------------------------------------------

    def send_control(self, data: bytes) -> None:
        self._outbox.send_control(data)
        self._wake()

    def send_stream(self, stream: int, data: bytes, fin: bool) -> None:
        self._outbox.send_stream(stream, data, fin)
        self._wake()

    def reset_stream(self, stream: int, code: int) -> None:
        self._outbox.reset_stream(stream, code)
        self._wake()

    def expire_stream(self, stream: int) -> None:
        self._outbox.expire_stream(stream)
        self._wake()

    def stop_stream(self, peer_stream: int, code: int) -> None:
        self._outbox.stop_stream(peer_stream, code)
        self._wake()

    def send_datagram(self, data: bytes) -> None:
        self._outbox.send_datagram(data)
        self._wake()

    def close(self, code: int, reason: str) -> None:
        self._end(Ended(code, reason, by_peer=False, by_application=True))

    def rtt_s(self) -> float | None:
        return self._pings.rtt_s

    @property
    def unsent_bytes(self) -> int:
        return self._outbox.unsent_bytes

    # --- from the first frame to the last --------------------------------------------------------------

    async def run(self, receive: Callable[[Frame, float], None]) -> Ended:
        """Carry frames until the connection is over; what comes once it has been closed is not received any more."""
        try:
            async with asyncio.TaskGroup() as tasks:
                sender = tasks.create_task(self._send())
                watch = tasks.create_task(self._watch())
                ended = await self._receive(receive)
                watch.cancel()
                await sender
        finally:
            if self._cut_off_at is not None:
                self._cut_off_at.cancel()
            self._room.close()
        return ended

    async def _receive(self, receive: Callable[[Frame, float], None]) -> Ended:
        taken = 0
        while True:
            message = await self._ws.receive()
            if message.type in (WSMsgType.CLOSE, WSMsgType.CLOSING, WSMsgType.CLOSED, WSMsgType.ERROR):
                break
            if self._ended is None:
                try:
                    self._take(message, receive, self._loop.time())
                except WireError as error:
                    ended = self._end(Ended(error.code, str(error), by_peer=False, by_application=True))
                    if error.code is Code.LIMIT:
                        return await self._ignore(ended)
            taken += 1
            if taken % TURN_MESSAGES == 0:
                await asyncio.sleep(0)
        return self._end(_broken(self._ws, message))

    async def _ignore(self, ended: Ended) -> Ended:
        """Read no more of what floods us. It has its moment to hear why, and fills nothing but its own buffers."""
        self._ignoring = True
        await asyncio.sleep(LINGER_S)
        self._room.cut_off()
        return ended

    def _take(self, message: aiohttp.WSMessage, receive: Callable[[Frame, float], None], now: float) -> None:
        self._on_doubt(False)
        for bucket, amount, what in (
            (self._messages, 1, "messages"),
            (self._bytes, len(message.data), "bytes"),
        ):
            if not bucket.take(amount, now):
                raise WireError("WebSocket", f"more than {bucket.rate:g} {what} a second", Code.LIMIT)
        match message.type:
            case WSMsgType.BINARY:
                frame = self._inbound.receive(message.data, self._outbox.begun)
                if isinstance(frame, Close):
                    self._end(Ended(frame.code, frame.reason, by_peer=True, by_application=True))
                elif frame is not None:
                    receive(frame, now)
            case WSMsgType.PING:
                self._pong = message.data  # the latest one's will do (RFC 6455 section 5.5.3)
                self._wake()
            case WSMsgType.PONG:
                self._pings.answered(message.data, now)
            case _:
                raise WireError("WebSocket", "a text message; frames are binary")

    # --- sending ---------------------------------------------------------------------------------------

    def _wake(self) -> None:
        if self._outbox.unsent_bytes > MAX_UNSENT_BYTES:
            self.close(Code.LIMIT, f"does not read: more than {MAX_UNSENT_BYTES} bytes wait")
        self._waiting.set()

    async def _send(self) -> None:
        sent = 0
        with contextlib.suppress(ConnectionError):  # whoever receives learns of it, too
            while True:
                await self._waiting.wait()
                self._waiting.clear()
                while await self._send_next():
                    sent += 1
                    if sent % TURN_MESSAGES == 0:
                        await asyncio.sleep(0)
                if self._ended is not None:
                    if not self._ignoring:
                        reason = self._ended.reason.encode()[:MAX_CLOSE_REASON].decode(errors="ignore")
                        await self._ws.close(message=reason.encode())
                    return

    async def _send_next(self) -> bool:
        """Send what is first when the wire takes more; False if nothing is there."""
        if self._pong is None and self._pings.due is None and not self._outbox:
            return False
        await self._room.wait()
        if self._pong is not None:
            pong, self._pong = self._pong, None
            await self._ws.pong(pong)
        elif self._pings.due is not None:
            await self._ws.ping(self._pings.sent(self._loop.time()))
        elif (message := self._outbox.next_message()) is not None:
            await self._ws.send_bytes(message)
        return True

    async def _watch(self) -> None:
        while self._pings.look():
            if self._pings.overdue:
                self._on_doubt(True)
            self._waiting.set()
            await asyncio.sleep(PING_INTERVAL_S)
        reason = f"no answer to {MAX_UNANSWERED} pings: the peer does not read, or is gone"
        self._end(Ended(Code.GOING_AWAY, reason, by_peer=False, by_application=False))

    # --- the end ---------------------------------------------------------------------------------------

    def _end(self, ended: Ended) -> Ended:
        """Say so to the peer, and give it `LINGER_S` to hear it. The first end counts, and is returned."""
        if self._ended is None:
            self._ended = ended
            if ended.by_peer:
                self._outbox.abandon()
            else:
                self._outbox.close(ended.code, ended.reason)
            self._waiting.set()
            self._cut_off_at = self._loop.call_later(LINGER_S, self._room.cut_off)
        return self._ended


def _broken(ws: WebSocket, message: aiohttp.WSMessage) -> Ended:
    """The WebSocket ended without a CLOSE: the peer broke its rules (RFC 6455), or is gone."""
    if isinstance(message.data, aiohttp.WebSocketError):
        return Ended(Code.PROTOCOL_ERROR, f"WebSocket: {message.data}", by_peer=False, by_application=True)
    return Ended(Code.GOING_AWAY, f"no CLOSE ({ws.close_code})", by_peer=True, by_application=False)
