"""Callers that mean harm, and a node for them: a supervisor with one worker on loopback, and real sockets.

Each attack is a coroutine on a caller that the protocol's own library does not stop: it writes what it likes, as fast
as it likes, and reads only what its engine must. Every attacker has an address of its own, 127.0.0.x.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import socket
import ssl
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import aiohttp
import msgspec
from voice_stack import VoiceStack
from waiting import eventually
from worker_rig import worker_settings

from edge.overload.limits import Limits
from edge.quic import ClientConfig, ClientConnection, ConnectionClosed, HandshakeCompleted
from edge.runtime.driver import Driver
from edge.runtime.messages import AuthSettings
from edge.runtime.sockets import listen_tcp, open_udp
from edge.runtime.supervisor import Supervisor
from edge.voice import ALPN, Codec, Deadlines, control, mux, varint
from edge.voice.caller import CallerSession
from edge.voice.events import FramesReceived
from edge.voice.wire import (
    AudioDatagram,
    GroupHeader,
    PlayoutReport,
    encode_datagram,
    encode_header,
    encode_packet,
)

HOST = "127.0.0.1"
SERVER_NAME = "voice.example"
CONNECT_S = 10.0
NEIGHBOURS = "127.0.0.2"
PATIENT = {"deadline": {"uplink_ms": None}}


@dataclass(frozen=True, slots=True)
class Node:
    """Where it is, what its worker counts, and the drivers of all who came."""

    port: int
    supervisor: Supervisor
    came: list[Driver[Any]] = field(default_factory=list)

    def counted(self, name: str) -> int:
        report = self.supervisor.workers[0].report
        return 0 if report is None else report.counters[name]


class Place(Protocol):
    """What a caller has to know of a node."""

    @property
    def port(self) -> int: ...

    @property
    def came(self) -> list[Driver[Any]]: ...


@contextlib.asynccontextmanager
async def running_node(
    certificate: bytes, key: bytes, limits: Limits | None = None, token_keys: str = ""
) -> AsyncIterator[Node]:
    """A node with the echo backend; callers need no token unless there are keys."""
    (udp,) = open_udp(HOST, 0)
    port = udp.getsockname()[1]
    tcp = listen_tcp(HOST, port)
    with udp, tcp:
        settings = worker_settings(
            certificate,
            key,
            unicast_url=f"https://{SERVER_NAME}:{port}",
            sockets={HOST: udp.fileno()},
            listeners={HOST: tcp.fileno()},
            resume_s=5.0,
            page=True,
            auth=AuthSettings(token_keys, None, ()),
            limits=limits or Limits(),
        )
        supervisor = Supervisor(lambda _: [settings])
        await supervisor.start()
        node = Node(port, supervisor)
        try:
            yield node
        finally:
            for driver in node.came:
                driver.leave()
            await supervisor.stop("the test is over")


# --- those who mean well ---------------------------------------------------------------------------------


class Neighbour:
    """Says a frame every 20 ms, hears it back, and notes how long each took."""

    FRAME_S = 0.02

    def __init__(self) -> None:
        self.round_trips_s: list[float] = []
        self.ended: ConnectionClosed | None = None
        self._loop = asyncio.get_running_loop()
        self._said_at: deque[float] = deque()
        # Nothing is ever given up, however slow the machine is.
        self.session = CallerSession(self._loop.time(), deadline=Deadlines(None, None))
        connection = ClientConnection(ClientConfig(server_name=SERVER_NAME, alpn=(ALPN,), verify=False))
        self._stack = VoiceStack(connection, self.session, 30.0)
        self._driver = Driver(self._stack, self._told, lambda _: None)
        self._talking: asyncio.Task[None] | None = None
        self._standing = asyncio.Event()

    @classmethod
    async def come(cls, node: Place, number: int = 0) -> Self:
        """One that talks until `leave`."""
        neighbour = cls()
        await neighbour._loop.create_datagram_endpoint(
            lambda: neighbour._driver, local_addr=(NEIGHBOURS, 0), family=socket.AF_INET
        )
        node.came.append(neighbour._driver)
        neighbour._stack.connection.connect((HOST, node.port), neighbour._loop.time())
        neighbour._driver.wake()
        async with asyncio.timeout(CONNECT_S):
            await neighbour._standing.wait()
        neighbour._talking = asyncio.create_task(neighbour._talk(number * 0.003))
        return neighbour

    async def take_another_port(self) -> None:
        """As when a NAT forgets: what is under way to the old one gets lost."""
        old = self._driver._transport
        await self._loop.create_datagram_endpoint(
            lambda: self._driver, local_addr=(NEIGHBOURS, 0), family=socket.AF_INET
        )
        assert old is not None
        old.close()

    @property
    def is_whole(self) -> bool:
        """Whether all that was said has come back, byte by byte, and nothing has ended the call."""
        return self.ended is None and self.session.said.count() == self.session.heard.count()

    async def leave(self) -> None:
        """Stop talking, and wait for what is still under way."""
        if self._talking is not None:
            self._talking.cancel()
        await eventually(lambda: self.is_whole or self.ended is not None)

    async def _talk(self, offset_s: float) -> None:
        at = self._loop.time() + offset_s
        for number in itertools.count():
            await asyncio.sleep(max(0.0, at + number * self.FRAME_S - self._loop.time()))
            self._said_at.append(self._loop.time())
            self.session.send_frames([number.to_bytes(4, "big") * 20], self._loop.time())
            self._driver.wake()

    def _told(self, event: Any) -> None:
        match event:
            case HandshakeCompleted():
                self._standing.set()
            case FramesReceived(frames=frames):
                for _ in frames:
                    self.round_trips_s.append(self._loop.time() - self._said_at.popleft())
            case ConnectionClosed():
                self.ended = event


# --- those who do not ------------------------------------------------------------------------------------


class Ear:
    """What the edge says on the control stream."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self._unread = b""

    async def told(self, kind: str) -> dict[str, Any]:
        """The first event of that kind; waits for it."""
        while True:
            for event in self.events:
                if event["type"] == kind:
                    return event
            await asyncio.sleep(0.01)

    @property
    def errors(self) -> list[str]:
        """The codes of what it complained about."""
        return [event["error"]["code"] for event in self.events if event["type"] == "error"]

    def _hear(self, data: bytes) -> None:
        self._unread += data
        while read := varint.decode(self._unread):
            size, start = read
            if start + size > len(self._unread):
                return
            self.events.append(msgspec.json.decode(self._unread[start : start + size]))
            self._unread = self._unread[start + size :]


class Hostile(Ear):
    """A raw QUIC connection with the protocol's ALPN, and somebody who writes on it what he likes."""

    def __init__(self, node: Node, source: str, stingy: bool) -> None:
        super().__init__()
        loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[ConnectionClosed] = loop.create_future()
        self.connection = ClientConnection(ClientConfig(server_name=SERVER_NAME, alpn=(ALPN,), verify=False))
        if stingy:
            engine: Any = self.connection._engine
            engine._local_max_data.value = engine._local_max_data.sent = 3000
            engine._write_connection_limits = lambda *_, **__: None
        self._driver = Driver(self.connection, self._told, lambda _: None)
        self._standing = asyncio.Event()
        self._node = node
        self._source = source
        self._control: int | None = None

    @classmethod
    async def come(cls, node: Node, source: str, *, stingy: bool = False) -> Self:
        """``stingy``: it lets 3000 bytes through, and never more."""
        self = cls(node, source, stingy)
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(
            lambda: self._driver, local_addr=(source, 0), family=socket.AF_INET
        )
        node.came.append(self._driver)
        self.connection.connect((HOST, node.port), loop.time())
        self._driver.wake()
        standing = asyncio.ensure_future(self._standing.wait())
        await asyncio.wait([standing, self.ended], timeout=CONNECT_S, return_when=asyncio.FIRST_COMPLETED)
        standing.cancel()
        return self

    @property
    def is_over(self) -> bool:
        return self.ended.done()

    def say(self, *events: Any) -> None:
        """Control events: structs, mappings, or bytes as they are."""
        for event in events:
            data = event if isinstance(event, bytes) else msgspec.json.encode(event)
            self.say_bytes(varint.encode(len(data)) + data)

    def say_bytes(self, data: bytes) -> None:
        if self._control is None:
            self._control = self.connection.open_stream(unidirectional=False)
        self.connection.send_stream(self._control, data)
        self._driver.wake()

    def present(self) -> None:
        self.say(control.SessionUpdate(session=PATIENT))

    def stream(self, data: bytes, *, fin: bool = False) -> int:
        stream = self.connection.open_stream()
        self.connection.send_stream(stream, data, fin)
        self._driver.wake()
        return stream

    def more(self, stream: int, data: bytes) -> None:
        self.connection.send_stream(stream, data)
        self._driver.wake()

    def datagram(self, data: bytes) -> None:
        self.connection.send_datagram(data)
        self._driver.wake()

    async def breathe(self, seconds: float = 0.0) -> None:
        """Let what was written leave."""
        await asyncio.sleep(seconds)

    def leave(self) -> None:
        self.connection.close()
        self._driver.leave()

    def replay(self, copies: int) -> None:
        """The same packet again and again: it costs nothing to make, and the node must at least look at it."""
        engine: Any = self.connection._engine
        engine.send_ping(1)
        for data, address in engine.datagrams_to_send(asyncio.get_running_loop().time()):
            for _ in range(copies):
                self._driver._transport.sendto(data, address)  # type: ignore[union-attr]

    def _told(self, event: Any) -> None:
        match event:
            case HandshakeCompleted():
                self._standing.set()
            case ConnectionClosed() if not self.ended.done():
                self.ended.set_result(event)
            case _ if getattr(event, "stream_id", None) == self._control:
                self._hear(getattr(event, "data", b""))


def frames(count: int, size: int = 40, codec: Codec = Codec.OPUS) -> bytes:
    return encode_packet(b"x" * size, codec) * count


def group(utterance: int, number: int, packets: bytes, codec: Codec = Codec.OPUS) -> bytes:
    return encode_header(GroupHeader(utterance, number, number * 100, codec)) + packets


async def reads_nothing(caller: Hostile) -> None:
    """It asks for an hour of PCM back, says that it has played it all, and lets 3000 bytes through."""
    caller.present()
    for number in itertools.count():
        if caller.is_over:
            return
        caller.stream(group(1, number, frames(5, 960, Codec.PCM16_24K), Codec.PCM16_24K), fin=True)
        played = 100 * number
        caller.datagram(encode_datagram(PlayoutReport(1, played, 1000, 0, number, played)))
        await caller.breathe(0.1)


async def says_nothing(caller: Hostile) -> None:
    await asyncio.wait([caller.ended], timeout=10)


async def opens_every_stream(caller: Hostile) -> None:
    """More than the edge has allowed, each with its first byte only."""
    caller.present()
    engine: Any = caller.connection._engine
    engine._remote_max_streams_uni = 10**6
    for _ in range(1000):
        if caller.is_over:
            return
        caller.stream(b"\x01")
        await caller.breathe()


async def floods_audio_datagrams(caller: Hostile) -> None:
    caller.present()
    for seq in itertools.count():
        if caller.is_over:
            return
        caller.datagram(encode_datagram(AudioDatagram(1, seq, 20 * seq, (b"x",))))
        if seq % 20 == 0:
            await caller.breathe(0.005)


async def floods_reports(caller: Hostile) -> None:
    caller.present()
    for number in itertools.count():
        if caller.is_over:
            return
        caller.datagram(encode_datagram(PlayoutReport(0, 0, 0, 0, 0, number)))
        if number % 20 == 0:
            await caller.breathe(0.005)


async def floods_events(caller: Hostile) -> None:
    for _ in range(2000):
        if caller.is_over:
            return
        caller.say(control.SessionUpdate(session={"deadline": "live", "instructions": "x" * 100}))
        await caller.breathe()


async def talks_nonsense(caller: Hostile) -> None:
    caller.present()
    for number in range(200):
        if caller.is_over:
            return
        caller.say({"type": "response.cancel", "response_id": f"nobody-{number}"})
        await caller.breathe(0.001)


async def commits_an_age(caller: Hostile) -> None:
    caller.present()
    caller.say(control.CommitAudio(utterance=1, groups=2**40, frames=5 * 2**40))


async def breaks_a_group(caller: Hostile) -> None:
    caller.present()
    caller.stream(group(1, 0, frames(6)), fin=True)


async def breaks_a_datagram(caller: Hostile) -> None:
    caller.present()
    caller.datagram(b"\x03\x01\x00\x00\x07")


async def announces_a_monster(caller: Hostile) -> None:
    """A record of a gigabyte; nothing of it needs to come."""
    caller.say_bytes(varint.encode(2**30) + b"{")


async def shows_a_monstrous_token(caller: Hostile) -> None:
    caller.say({"type": "session.update", "session": {"token": "x" * 60_000}})
    await asyncio.wait([caller.ended], timeout=10)


async def floods_packets(caller: Hostile) -> None:
    caller.present()
    await caller.breathe(0.2)
    while not caller.is_over:
        caller.replay(200)
        await caller.breathe(0.01)


async def dumps_without_end(caller: Hostile) -> None:
    """Speech far faster than anybody speaks, and never a commit: half an hour every few seconds."""
    caller.present()
    for number in itertools.count():
        if caller.is_over:
            return
        caller.stream(group(1, number, frames(5, 1)), fin=True)
        if number % 10 == 0:
            await caller.breathe(0.005)


# Those that are not cut off, for they can do no harm


async def sends_slowly(caller: Hostile) -> None:
    """A byte of a group now and then, the beginning of an event, an utterance that never ends."""
    caller.present()
    stream = caller.stream(b"\x01\x01")
    caller.say_bytes(varint.encode(1000))
    for _ in range(10):
        caller.more(stream, b"\x00" if _ < 2 else b"")
        caller.say_bytes(b" ")
        await caller.breathe(0.1)


async def reports_nonsense(caller: Hostile) -> None:
    caller.present()
    caller.stream(group(1, 0, frames(5)), fin=True)
    await caller.breathe(0.2)
    most = 2**62 - 1
    reports = [
        PlayoutReport(1, most, most, most, most, 1000),
        PlayoutReport(most, 5, 5, 0, 0, 1001),
        PlayoutReport(1, 0, 0, 0, 0, 5),
        PlayoutReport(0, most, 0, 3, most, most),
        PlayoutReport(1, 100, 0, 0, 0, 0),
    ]
    for report in reports:
        caller.datagram(encode_datagram(report))
        await caller.breathe(0.02)


async def guesses_a_call(caller: Hostile) -> None:
    caller.say(control.Reconnect(resume_token=secrets.token_urlsafe(24), item=3, frames=2**40))
    caller.present()
    caller.say(control.Reconnect(resume_token="x" * 4096, item=0, frames=0))
    await caller.breathe(0.3)


Attack = Callable[[Hostile], Awaitable[None]]

CUT: dict[str, tuple[Attack, int, str]] = {
    "reads nothing": (reads_nothing, 8, "does not read: nothing has left for 2 s"),
    "says nothing": (says_nothing, 7, "no session.update within 5 s"),
    "opens every stream": (opens_every_stream, 4, "Too many streams open"),
    "floods audio datagrams": (floods_audio_datagrams, 8, "datagrams: more than 200 a second"),
    "floods reports": (floods_reports, 8, "datagrams: more than 200 a second"),
    "floods events": (floods_events, 8, "control events: more than 50 a second"),
    "talks nonsense": (talks_nonsense, 16, "control stream: more than 100 events that make no sense"),
    "commits an age": (commits_an_age, 5, "commit of utterance 1"),
    "breaks a group": (breaks_a_group, 16, "packet 5: one more than a group holds"),
    "breaks a datagram": (breaks_a_datagram, 16, "datagram: repeats 7 packets"),
    "announces a monster": (announces_a_monster, 16, "control stream: record of 1073741824 bytes"),
    "shows a monstrous token": (shows_a_monstrous_token, 7, "no session.update within 5 s"),
    "floods packets": (floods_packets, 8, "more than 500 packets a second"),
    "dumps without end": (dumps_without_end, 8, "frames of speech: more than 200 a second"),
}
"""What it does -> the code and the beginning of the reason with which it is cut off."""

HARMLESS: dict[str, Attack] = {
    "sends slowly": sends_slowly,
    "reports nonsense": reports_nonsense,
    "guesses a call": guesses_a_call,
}


async def floods_handshakes(node: Node, source: str, count: int, pause_s: float = 0.0) -> list[int | None]:
    """Connections one after the other, none of which is closed; the codes of those that were refused."""
    came = []
    for _ in range(count):
        came.append(await Hostile.come(node, source))
        await asyncio.sleep(pause_s)
    codes = [caller.ended.result().code if caller.is_over else None for caller in came]
    for caller in came:
        caller.leave()
    return codes


# --- on a WebSocket --------------------------------------------------------------------------------------


class HostileWebSocket(Ear):
    """``ended`` is the CLOSE frame, if one came before the connection was over."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        super().__init__()
        self.ws = ws
        self.ended: mux.Close | None = None

    async def say(self, *frames: mux.Frame | bytes) -> bool:
        """False when it is over."""
        try:
            for frame in frames:
                await self.ws.send_bytes(frame if isinstance(frame, bytes) else mux.encode(frame))
        except (ConnectionError, aiohttp.ClientError):
            return False
        return not self.ws.closed

    async def present(self) -> None:
        data = msgspec.json.encode(control.SessionUpdate(session=PATIENT))
        await self.say(mux.StreamData(0, varint.encode(len(data)) + data, fin=False))

    async def hear_out(self) -> None:
        """Read until it is over."""
        while not self.ws.closed:
            try:
                message = await self.ws.receive()
            except aiohttp.ClientConnectionResetError:
                continue  # a ping came too late to be answered; what came after it is still to be read
            if message.type is aiohttp.WSMsgType.BINARY:
                frame = mux.decode(message.data)
                if isinstance(frame, mux.Close):
                    self.ended = frame
                elif isinstance(frame, mux.StreamData) and frame.stream == 0:
                    self._hear(frame.data)


async def ws_floods_messages(caller: HostileWebSocket) -> None:
    await caller.present()
    report = encode_datagram(PlayoutReport(0, 0, 0, 0, 0, 0))
    for _ in range(6000):
        if not await caller.say(mux.DatagramFrame(report)):
            return


async def ws_opens_every_stream(caller: HostileWebSocket) -> None:
    await caller.present()
    for number in range(200):
        if not await caller.say(mux.StreamData(2 + 4 * number, b"\x01", fin=False)):
            return


async def ws_breaks_a_frame(caller: HostileWebSocket) -> None:
    await caller.say(b"\xff\x00")


async def ws_speaks_text(caller: HostileWebSocket) -> None:
    await caller.ws.send_str("hello")


async def ws_says_nothing(caller: HostileWebSocket) -> None:
    pass


WebSocketAttack = Callable[[HostileWebSocket], Awaitable[None]]

CUT_WEBSOCKET: dict[str, tuple[WebSocketAttack, int, str]] = {
    "floods messages": (ws_floods_messages, 8, "WebSocket: more than 500 messages a second"),
    "opens every stream": (ws_opens_every_stream, 8, "stream 514: 128 others are open"),
    "breaks a frame": (ws_breaks_a_frame, 16, "WebSocket message: frame of type 0xff"),
    "speaks text": (ws_speaks_text, 16, "WebSocket: a text message; frames are binary"),
    "says nothing": (ws_says_nothing, 7, "no session.update within 5 s"),
}


@contextlib.asynccontextmanager
async def hostile_websocket(node: Node, source: str) -> AsyncIterator[HostileWebSocket]:
    trust = ssl.create_default_context()
    trust.check_hostname = False
    trust.verify_mode = ssl.CERT_NONE
    connector = aiohttp.TCPConnector(ssl=trust, local_addr=(source, 0))
    async with (
        aiohttp.ClientSession(connector=connector) as client,
        client.ws_connect(
            f"wss://{HOST}:{node.port}/v1/voice", protocols=["edge-voice-1"], max_msg_size=0
        ) as ws,
    ):
        yield HostileWebSocket(ws)
