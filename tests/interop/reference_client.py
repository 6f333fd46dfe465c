"""A caller over a WebSocket, written from `docs/reference/wire.md` and `http.md` alone. Nothing of ours is imported.

It is what somebody would write in another language: the standard library, and a library for WebSockets. TCP brings
every frame, so it declares none lost; and it plays no sound, but keeps the time of it.
"""

import asyncio
import hashlib
import json
import ssl
import time
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

STREAM, STREAM_FIN, RESET, STOP_SENDING, DATAGRAM, CLOSE = 0x08, 0x09, 0x04, 0x05, 0x30, 0x1D
GROUP, ITEM, FRAME, REPORT = 1, 2, 3, 4
OPUS = 1
CANCELLED = 1
FRAME_MS, GROUP_FRAMES = 20, 5

Event = dict[str, Any]


def integer(value: int) -> bytes:
    """A variable-length integer (RFC 9000, section 16)."""
    for size, prefix in (1, 0x00), (2, 0x40), (4, 0x80), (8, 0xC0):
        if value < 1 << (8 * size - 2):
            data = bytearray(value.to_bytes(size))
            data[0] |= prefix
            return bytes(data)
    raise ValueError(value)


def integers(*values: int) -> bytes:
    return b"".join(map(integer, values))


def packet(data: bytes) -> bytes:
    return integer(len(data)) + data


class Incomplete(Exception):
    pass


@dataclass(slots=True)
class Reader:
    """Integers and packets out of bytes of which more may come."""

    data: bytes = b""

    def _take(self, size: int) -> bytes:
        if len(self.data) < size:
            raise Incomplete
        taken, self.data = self.data[:size], self.data[size:]
        return taken

    def integers(self, count: int) -> list[int]:
        """All of them, or none is taken."""
        before, values = self.data, []
        try:
            for _ in range(count):
                first = self._take(1)[0]
                rest = self._take((1 << (first >> 6)) - 1)
                values.append(int.from_bytes(bytes([first & 0x3F]) + rest))
        except Incomplete:
            self.data = before
            raise
        return values

    def packet(self) -> bytes:
        before = self.data
        try:
            return self._take(self.integers(1)[0])
        except Incomplete:
            self.data = before
            raise


def opus_packets(path: Path) -> list[bytes]:
    """The packets of an Ogg file (RFC 3533, RFC 7845), behind its two headers."""
    data, packets, part = path.read_bytes(), [], b""
    while data:
        assert data[:4] == b"OggS", "not a page"
        lacing = data[27 : 27 + data[26]]
        at = 27 + len(lacing)
        for length in lacing:
            part += data[at : at + length]
            at += length
            if length < 255:
                packets.append(part)
                part = b""
        data = data[at:]
    return packets[2:]


def where_to_call(url: str, tls: ssl.SSLContext, token: str | None = None) -> Event:
    """`POST /v1/session` of the anycast name: where to call, and how."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(f"{url}/v1/session", method="POST", headers=headers)
    with urllib.request.urlopen(request, timeout=10, context=tls) as answer:
        where: Event = json.load(answer)
    return where


@dataclass(slots=True)
class Item:
    """What has come of an answer. `frames` are in order and without a hole, the others wait in `early`."""

    number: int
    frames: list[bytes] = field(default_factory=list)
    early: dict[int, bytes] = field(default_factory=dict)
    length: int | None = None
    cut: bool = False  # interrupted for good
    played: int = 0
    highest: int = 0
    repeated: int = 0  # frames that came more than once

    def put(self, seq: int, payload: bytes) -> None:
        if self.cut:
            return
        if seq < len(self.frames) or seq in self.early:
            self.repeated += 1
            return
        self.early[seq] = payload
        self.highest = max(self.highest, seq)
        while len(self.frames) in self.early:
            self.frames.append(self.early.pop(len(self.frames)))

    def cut_off(self) -> None:
        """Nothing more of it shall be heard: what is not played is thrown away."""
        self.cut = True
        del self.frames[self.played :]
        self.early.clear()

    @property
    def whole(self) -> bool:
        return self.cut or (self.length is not None and len(self.frames) >= self.length)

    @property
    def over(self) -> bool:
        return self.whole and self.played == len(self.frames)


@dataclass(slots=True)
class Incoming:
    """A unidirectional stream of the edge's while it comes."""

    reader: Reader = field(default_factory=Reader)
    header: list[int] | None = None
    item: Item | None = None
    seq: int = 0


class Closed(Exception):
    """The edge has ended the call, or the network has (code None)."""

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


class Connection:
    """One WebSocket, and the streams on it."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.control = Reader()
        self.incoming: dict[int, Incoming] = {}
        self.next_stream = 2

    @classmethod
    async def open(cls, url: str, tls: ssl.SSLContext) -> "Connection":
        subprotocols = [Subprotocol("edge-voice-1")]
        return cls(await connect(url, ssl=tls, subprotocols=subprotocols, compression=None, max_size=65_552))

    async def record(self, data: bytes) -> None:
        await self.socket.send(integers(STREAM, 0) + packet(data))

    async def say(self, event: Event) -> None:
        await self.record(json.dumps(event).encode())

    async def stream(self, data: bytes) -> None:
        await self.socket.send(integers(STREAM_FIN, self.next_stream) + data)
        self.next_stream += 4

    async def group(self, utterance: int, group: int, packets: Sequence[bytes]) -> None:
        header = integers(GROUP, utterance, group, group * GROUP_FRAMES * FRAME_MS, OPUS)
        await self.stream(header + b"".join(map(packet, packets)))

    async def stop(self, stream: int) -> None:
        await self.socket.send(integers(STOP_SENDING, stream, CANCELLED))

    async def datagram(self, data: bytes) -> None:
        await self.socket.send(integers(DATAGRAM) + data)

    async def close(self, code: int = 0, reason: str = "") -> None:
        await self.socket.send(integers(CLOSE, code) + reason.encode())
        await self.socket.close()

    def break_off(self) -> None:
        """As when the network goes: no CLOSE, no closing handshake."""
        self.socket.transport.abort()


class Caller:
    """One call, over one connection or, when that one breaks, several."""

    def __init__(self, tls: ssl.SSLContext, session: Event) -> None:
        self.tls = tls
        self.session = session
        self.events: list[Event] = []
        self.items: dict[int, Item] = {}
        self.said: dict[int, list[bytes]] = {}
        self.uncommitted: set[int] = set()
        self.playing: Item | None = None
        self.running = False
        self.connected = False
        self.silent = False  # interrupted, and perhaps not for good
        self.refused: set[str] = set()  # responses interrupted
        self.underruns = 0
        self.reports = 0
        self.began = time.monotonic()
        self._reported = 0.0
        self._changed = asyncio.Condition()

    # The connection.

    async def open(self, url: str) -> Connection:
        return await Connection.open(url, self.tls)

    async def call(self, url: str) -> None:
        self.connection = await self.open(url)
        await self.connection.say({"type": "session.update", "session": self.session})
        self.connected = True
        self._receiving = asyncio.create_task(self._receive())
        self._playing = asyncio.create_task(self._play())
        await self.event("edge.session")

    async def reconnect(self, url: str, resume_token: str | None = None) -> Event:
        """Go on with the call over another connection: what either end has not heard is said again."""
        self.connected = False
        await _ended(self._receiving)
        known = [event for event in self.events if event["type"] == "edge.session"][-1]
        number = max(self.items, default=0)
        event = {
            "type": "edge.reconnect",
            "resume_token": resume_token or known["resume_token"],
            "item": number,
            "frames": len(self.items[number].frames) if number else 0,
        }
        since = len(self.events)
        self.connection = await self.open(url)
        await self.connection.say(event)
        await self.connection.say({"type": "session.update", "session": self.session})
        self._receiving = asyncio.create_task(self._receive())
        answer = await self.event("edge.reconnected", "error", since=since)
        self.connected = True
        await self.report()
        if answer["type"] == "edge.reconnected":
            await self._say_again(answer["utterance"], answer["frames"])
        return answer

    async def _say_again(self, heard: int, frames: int) -> None:
        self.uncommitted = {utterance for utterance in self.uncommitted if utterance >= heard}
        for utterance in sorted(self.uncommitted):
            first = frames // GROUP_FRAMES if utterance == heard else 0
            await self._speak(utterance, self.said[utterance], first)
            await self._commit(utterance)
        await self._cancel()

    async def hang_up(self) -> None:
        with suppress(ConnectionClosed):
            await self.connection.close()
        await _ended(self._receiving)
        await _ended(self._playing)

    async def _receive(self) -> None:
        """Raises `Closed` in the end."""
        connection, closed = self.connection, Closed(None, "the connection is gone")
        with suppress(ConnectionClosed):
            async for message in connection.socket:
                assert isinstance(message, bytes)
                kind, reader = message[0], Reader(message[1:])
                if kind in (STREAM, STREAM_FIN):
                    self._stream(connection, reader.integers(1)[0], reader.data, kind == STREAM_FIN)
                elif kind == RESET:
                    connection.incoming.pop(reader.integers(2)[0], None)
                elif kind == DATAGRAM:
                    self._datagram(reader)
                elif kind == CLOSE:
                    closed = Closed(reader.integers(1)[0], reader.data.decode())
                    break
                else:
                    assert kind == STOP_SENDING  # it changes nothing: our streams are as short as a group
                async with self._changed:
                    self._changed.notify_all()
            await connection.socket.close()
        raise closed

    def _item(self, number: int) -> Item:
        return self.items.setdefault(number, Item(number))

    def _stream(self, connection: Connection, number: int, data: bytes, fin: bool) -> None:
        if number == 0:
            connection.control.data += data
            with suppress(Incomplete):
                while True:
                    self._event(json.loads(connection.control.packet()))
            return
        stream = connection.incoming.setdefault(number, Incoming())
        stream.reader.data += data
        with suppress(Incomplete):
            if stream.header is None:
                of_item = stream.reader.data.startswith(integers(ITEM))
                stream.header = stream.reader.integers(6 if of_item else 5)
                if of_item:
                    _, _, item, _, pts_ms, _ = stream.header
                    stream.item, stream.seq = self._item(item), pts_ms // FRAME_MS
                else:
                    kind, item, group, _, _ = stream.header
                    assert kind == GROUP
                    stream.item, stream.seq = self._item(item), group * GROUP_FRAMES
            while stream.item is not None:
                stream.item.put(stream.seq, stream.reader.packet())
                stream.seq += 1
        if fin:
            if stream.header is not None and stream.header[0] == ITEM and stream.item is not None:
                stream.item.length = stream.seq
            connection.incoming.pop(number)

    def _datagram(self, reader: Reader) -> None:
        kind, number, seq, _, more = reader.integers(5)
        assert kind == FRAME
        for back in range(more + 1):
            self._item(number).put(seq - back, reader.packet())

    def _event(self, event: Event) -> None:
        self.events.append(event)
        match event["type"]:
            case "response.output_audio.done":
                self._item(number_of(event["item_id"])).length = event["frames"]
            case "input_audio_buffer.committed":
                self.uncommitted.discard(event["utterance"])
            case "output_audio_buffer.cleared":
                self.refused.discard(event["response_id"])
                self._item(number_of(event["response_id"])).cut_off()
                self.silent = False

    # Waiting.

    async def until(self, condition: Callable[[], Any], timeout_s: float = 15) -> Any:
        async with asyncio.timeout(timeout_s):
            while not (value := condition()):
                for task in self._receiving, self._playing:
                    if task.done():
                        task.result()
                async with self._changed:
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._changed.wait(), 0.1)
        return value

    async def event(self, *types: str, since: int = 0, timeout_s: float = 15) -> Event:
        """The first event of one of these types behind the first `since` events."""

        def found() -> Event | None:
            return next((event for event in self.events[since:] if event["type"] in types), None)

        found_event: Event = await self.until(found, timeout_s)
        return found_event

    # Speaking.

    async def speak(self, packets: Sequence[bytes]) -> int:
        utterance = len(self.said) + 1
        self.said[utterance] = list(packets)
        self.uncommitted.add(utterance)
        await self._speak(utterance, packets)
        await self._commit(utterance)
        return utterance

    async def _speak(self, utterance: int, packets: Sequence[bytes], first_group: int = 0) -> None:
        for at in range(first_group * GROUP_FRAMES, len(packets), GROUP_FRAMES):
            await self.connection.group(utterance, at // GROUP_FRAMES, packets[at : at + GROUP_FRAMES])

    async def _commit(self, utterance: int) -> None:
        frames = len(self.said[utterance])
        groups = -(-frames // GROUP_FRAMES)
        event = {
            "type": "input_audio_buffer.commit",
            "utterance": utterance,
            "groups": groups,
            "frames": frames,
        }
        await self.connection.say(event)

    # Hearing.

    def _next_item(self) -> Item | None:
        """The item to play from: the present one, or the one behind it once that is over."""
        if self.playing is None or self.playing.over:
            return self.items.get(self.playing.number + 1 if self.playing else 1)
        return self.playing

    def _buffered_ms(self) -> int:
        if self.silent or not self.running:
            return 0
        frames, number = 0, self.playing.number if self.playing else 1
        while item := self.items.get(number):
            frames += len(item.frames) - item.played
            if not item.whole:
                break
            number += 1
        return frames * FRAME_MS

    async def _play(self) -> None:
        ends = 0.0  # when the frame that is playing has been played
        while True:
            now = time.monotonic()
            item = self._next_item()
            if not self.running and not self.silent and item is not None and item.played < len(item.frames):
                self.playing, self.running, ends = item, True, now + FRAME_MS / 1000
                await self.report()
            while self.running and ends <= now:
                assert self.playing is not None
                self.playing.played += 1
                item = self._next_item()
                if item is None or item.played >= len(item.frames):
                    self.running = False
                    self.underruns += item is not None and not item.whole
                    await self.report()
                else:
                    self.playing, ends = item, ends + FRAME_MS / 1000
            if now - self._reported >= (0.1 if self.running or self.silent else 0.9):
                await self.report()
            async with self._changed:
                self._changed.notify_all()
            await asyncio.sleep(0.01)

    async def report(self) -> None:
        if not self.connected:
            return
        self._reported = time.monotonic()
        self.reports += 1
        item = self.playing or Item(0)
        clock_ms = int((self._reported - self.began) * 1000)
        position = item.number, item.played * FRAME_MS, self._buffered_ms(), self.underruns
        data = integers(REPORT, *position, item.highest // GROUP_FRAMES, clock_ms)
        with suppress(ConnectionClosed):
            await self.connection.datagram(data)

    async def interrupt(self) -> int:
        """Fall silent at once, and keep what is buffered. The result is the number of events before it."""
        self.silent, self.running = True, False
        since = len(self.events)
        for stream, incoming in list(self.connection.incoming.items()):
            if incoming.item is not None:
                await self.connection.stop(stream)
        await self.report()
        begun = [event["response"]["id"] for event in self.events if event["type"] == "response.created"]
        self.refused.update(response for response in begun if not self._item(number_of(response)).over)
        await self._cancel()
        return since

    async def _cancel(self) -> None:
        for response in sorted(self.refused):
            await self.connection.say({"type": "response.cancel", "response_id": response})

    async def resume(self) -> None:
        """It was a cough: go on behind what has come."""
        number = max(self.items)
        frames = len(self.items[number].frames)
        await self.connection.say({"type": "edge.resume", "item_id": f"item_{number}", "frames": frames})
        self.refused.clear()
        self.silent = False

    # Accounts.

    async def edge_stats(self) -> Event:
        since = len(self.events)
        await self.connection.say({"type": "edge.stats"})
        return await self.event("edge.stats", since=since)


async def _ended(task: asyncio.Task[None]) -> None:
    """Over, and whatever it raised is looked at by nobody."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def number_of(name: str) -> int:
    return int(name.partition("_")[2])


def ledger(spoken: dict[int, list[bytes]]) -> Event:
    """What `edge.stats` says of these frames, by utterance or item."""
    digest, frames, size = hashlib.sha256(), 0, 0
    for number in sorted(spoken):
        for seq, payload in enumerate(spoken[number]):
            digest.update(integers(number, seq) + packet(payload))
            frames += 1
            size += len(payload)
    return {"frames": frames, "bytes": size, "digest": digest.hexdigest(), "lost": 0}
