"""Neighbours of hostile callers: how much later well-behaved callers hear their echo while one attacks.

Method. The parts of a worker (its endpoint, its table of calls, the echo backend, with a node's default limits) serve
in virtual time: the server's clock advances by the CPU time that its own thread takes, callers and network take none of
it. So whatever else the machine does, and what it costs to attack, is not in the figures; queueing behind an attacker's
packets is. Packets wait in one queue, as in a socket, and are read as a worker reads them: `BATCH` at most, and then all
calls have their turn. Either way takes 10 ms.

`CALLERS` neighbours say a frame every 20 ms and note when it comes back. Each attack begins after `QUIET_S` and goes on
for `WINDOW_S`; one that is cut off is begun again from another address after `AGAIN_S`. A figure is the 99th percentile
of all neighbours' frames in that time, the ratio that to the time before; the median of `ROUNDS` rounds.

A row has been delivered if every frame came back unaltered and no neighbour was cut off.
"""

import asyncio
import gc
import heapq
import itertools
import secrets
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path as File
from typing import Any

import msgspec

sys.path.insert(0, str(File(__file__).resolve().parents[1]))

from voice_stack import VoiceStack
from worker_rig import call_settings, worker_settings

from edge.auth import Origins
from edge.lab.certificates import write_certificate
from edge.overload import Verdict
from edge.quic import ClientConfig, ClientConnection, Path
from edge.runtime.call import Call
from edge.runtime.calls import CallTable
from edge.runtime.messages import WorkerSettings
from edge.runtime.quic_calls import QuicCalls
from edge.runtime.worker import BATCH
from edge.runtime.worker_parts import make_endpoint
from edge.voice import ALPN, Codec, Deadlines, control, varint
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

CALLERS = 8
QUIET_S, WINDOW_S, AGAIN_S = 3.0, 3.0, 0.2
WARM_UP_S = 1.0
ROUNDS = 3
TICK_S = 0.001
COLLECT_TICKS = 50
ONE_WAY_S = 0.010
SOCKET_PACKETS = 3000  # what 4 MiB of a socket's buffer hold
SERVER = ("192.0.2.1", 443)
GROUP = "neighbours of hostile callers, p99 of the echo"
QUIET = "quiet"


# --- the server ------------------------------------------------------------------------------------------


class Server:
    """A worker without its sockets, whose clock is the CPU time that it has taken."""

    def __init__(self, settings: WorkerSettings) -> None:
        self.clock = 0.0
        self.endpoint = make_endpoint(settings, lambda _: Verdict.ACCEPT, lambda now: now)
        numbers = itertools.count(1)
        self.calls = CallTable(
            call_settings(lambda: self.clock, self._wake, resume_s=1.0, limits=settings.limits),
            lambda: f"sess_{next(numbers)}",
        )
        self._quic_calls = QuicCalls(self.endpoint, self.calls, Origins())
        self._arrivals: list[tuple[float, int, bytes, Path]] = []
        self._order = itertools.count()
        self._more_waits = False

    def _wake(self, call: Call) -> None:
        self.calls.wake(call)

    def arrive(self, at: float, data: bytes, path: Path) -> None:
        if len(self._arrivals) < SOCKET_PACKETS:
            heapq.heappush(self._arrivals, (at, next(self._order), data, path))

    async def work(self, until: float) -> list[tuple[float, bytes, Path]]:
        """All it does by then, and what it sends, each with its moment."""
        sent: list[tuple[float, bytes, Path]] = []
        while True:
            self.clock = max(self.clock, self._next_at())
            if self.clock >= until:
                return sent
            sent += await self._turn()

    def _next_at(self) -> float:
        if self._more_waits:
            return self.clock
        timers = [self.endpoint.get_timer(), self.calls.get_timer()]
        if self._arrivals:
            timers.append(self._arrivals[0][0])
        return min((at for at in timers if at is not None), default=float("inf"))

    async def _turn(self) -> list[tuple[float, bytes, Path]]:
        now = self.clock
        batch = []
        while self._arrivals and self._arrivals[0][0] <= now and len(batch) < BATCH:
            batch.append(heapq.heappop(self._arrivals)[2:])
        began = time.thread_time()
        for data, path in batch:
            self.endpoint.queue_datagram(data, path, now)
        at = self.endpoint.get_timer()
        if at is not None and at <= now:
            self.endpoint.handle_timer(now)
        self._more_waits = self.endpoint.receive_waiting(now)
        self._take_in(now)
        for _ in range(3):  # backends that need not wait
            await asyncio.sleep(0)
        self._take_in(now)
        datagrams = self.endpoint.datagrams_to_send(now)
        self._take_in(now)
        self.clock += time.thread_time() - began
        return [(self.clock, data, path) for data, path in datagrams]

    def _take_in(self, now: float) -> None:
        while (event := self.endpoint.next_event()) is not None:
            self._quic_calls.receive(event, now)
        self.calls.turn(now)


# --- callers ---------------------------------------------------------------------------------------------


@dataclass
class Client:
    """A connection from ``host``; ``inbox`` is what is on its way to it."""

    host: str
    stack: Any
    inbox: deque[tuple[float, bytes]] = field(default_factory=deque)
    told: Callable[[Any, float], None] = lambda *_: None

    @property
    def path(self) -> Path:
        return Path(self.host, 40_000, SERVER[0])

    def tick(self, now: float) -> list[bytes]:
        """What it sends, after it has taken in what is there."""
        while self.inbox and self.inbox[0][0] <= now:
            at, data = self.inbox.popleft()
            self.stack.receive_datagram(data, SERVER, now)
            self._tell(at)
        timer = self.stack.get_timer()
        if timer is not None and timer <= now:
            self.stack.handle_timer(now)
        self._tell(now)
        datagrams = [data for data, _ in self.stack.datagrams_to_send(now)]
        self._tell(now)
        return datagrams

    def _tell(self, at: float) -> None:
        while (event := self.stack.next_event()) is not None:
            self.told(event, at)


def connection() -> ClientConnection:
    return ClientConnection(ClientConfig(server_name="bench.example", alpn=(ALPN,), verify=False))


class Neighbour(Client):
    def __init__(self, number: int) -> None:
        self.round_trips: list[tuple[float, float]] = []  # when it was said, and how long it took
        self._said_at: deque[float] = deque()
        self.session = CallerSession(0.0, deadline=Deadlines(None, None))
        super().__init__(f"198.51.100.{number + 1}", VoiceStack(connection(), self.session, 30.0))
        self.told = self._note
        self._next = 0.1 + number * 0.0023
        self.stack.connection.connect(SERVER, 0.0)

    def tick(self, now: float) -> list[bytes]:
        if now >= self._next:
            self._next += 0.020
            self._said_at.append(now)
            self.session.send_frames([secrets.token_bytes(60)], now)
        return super().tick(now)

    def _note(self, event: Any, at: float) -> None:
        if isinstance(event, FramesReceived):
            for _ in event.frames:
                said_at = self._said_at.popleft()
                self.round_trips.append((said_at, at - said_at))

    @property
    def is_whole(self) -> bool:
        return not self.stack.connection.closed and self.session.heard.count() == self.session.said.count()


# --- attacks: what is done each millisecond --------------------------------------------------------------


class Attacker(Client):
    """One caller at its worst, until it is cut off; `Attack` decides what it does."""

    def __init__(self, host: str, now: float, stingy: bool) -> None:
        super().__init__(host, connection())
        if stingy:
            engine: Any = self.stack._engine
            engine._local_max_data.value = engine._local_max_data.sent = 3000
            engine._write_connection_limits = lambda *_, **__: None
        self.stack.connect(SERVER, now)
        self.count = itertools.count()
        self.control: int | None = None
        self.genuine: list[bytes] = []

    def say(self, event: Any) -> None:
        if self.control is None:
            self.control = self.stack.open_stream(unidirectional=False)
        data = msgspec.json.encode(event)
        self.stack.send_stream(self.control, varint.encode(len(data)) + data)

    def speak(self, size: int, codec: Codec) -> None:
        number = next(self.count)
        header = encode_header(GroupHeader(1, number, number * 100, codec))
        packets = encode_packet(bytes(size), codec) * 5
        self.stack.send_stream(self.stack.open_stream(), header + packets, fin=True)


def packets(attacker: Attacker) -> list[bytes]:
    """10,000 a second of the same genuine packet."""
    if not attacker.genuine:
        attacker.stack._engine.send_ping(1)
        attacker.genuine = [data for data, _ in attacker.stack.datagrams_to_send(0.0)][:1]
    return attacker.genuine * 10


def audio_datagrams(attacker: Attacker) -> list[bytes]:
    for _ in range(4):
        seq = next(attacker.count)
        attacker.stack.send_datagram(encode_datagram(AudioDatagram(1, seq, 20 * seq, (b"x",))))
    return []


def reports(attacker: Attacker) -> list[bytes]:
    for _ in range(4):
        attacker.stack.send_datagram(encode_datagram(PlayoutReport(0, 0, 0, 0, 0, next(attacker.count))))
    return []


def events(attacker: Attacker) -> list[bytes]:
    attacker.say(control.SessionUpdate(session={"deadline": "live", "instructions": "x" * 100}))
    return []


def dump(attacker: Attacker) -> list[bytes]:
    for _ in range(2):
        attacker.speak(40, Codec.OPUS)
    return []


def streams(attacker: Attacker) -> list[bytes]:
    attacker.stack.send_stream(attacker.stack.open_stream(), b"\x01")
    return []


def unread(attacker: Attacker) -> list[bytes]:
    if next(attacker.count) % 100 == 0:
        attacker.speak(960, Codec.PCM16_24K)
    return []


def handshakes(_attacker: Attacker) -> list[bytes]:
    """A thousand a second from one address, none of them completed."""
    fresh = connection()
    fresh.connect(SERVER, 0.0)
    return [data for data, _ in fresh.datagrams_to_send(0.0)]


Attack = Callable[[Attacker], list[bytes]]
ATTACKS: dict[str, Attack] = {
    "floods handshakes": handshakes,
    "floods packets": packets,
    "floods audio datagrams": audio_datagrams,
    "floods reports": reports,
    "floods events": events,
    "dumps without end": dump,
    "opens every stream": streams,
    "reads nothing": unread,
}


# --- the measurement -------------------------------------------------------------------------------------


def run() -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory(prefix="bench-hostile-") as folder:
        certificate, key = File(folder, "certificate.pem"), File(folder, "key.pem")
        write_certificate(certificate, key, ["bench.example"], [IPv4Address("192.0.2.1")])
        settings = worker_settings(certificate.read_bytes(), key.read_bytes(), resume_s=1.0)
    gc.disable()  # what the callers leave behind would be swept on the server's time
    try:
        rounds = [
            {name: asyncio.run(measure(settings, attack)) for name, attack in ATTACKS.items()}
            for _ in range(ROUNDS)
        ]
    finally:
        gc.enable()
    quiet = statistics.median(found.quiet_s for one in rounds for found in one.values())
    rows = [_row(QUIET, quiet, None, "", delivered=True)]
    for name in ATTACKS:
        found = [one[name] for one in rounds]
        ratio = statistics.median(each.attacked_s / each.quiet_s for each in found)
        rows.append(
            _row(
                name,
                statistics.median(each.attacked_s for each in found),
                QUIET,
                f"{ratio:.2f}x the same calls before it; {found[0].cut} cut off",
                delivered=all(each.whole for each in found),
            )
        )
    return rows


@dataclass(frozen=True, slots=True)
class Found:
    quiet_s: float
    attacked_s: float
    whole: bool
    cut: int


async def measure(settings: WorkerSettings, attack: Attack) -> Found:
    """One server, its neighbours, and one attacker after the other."""
    server = Server(settings)
    neighbours = [Neighbour(number) for number in range(CALLERS)]
    clients: dict[str, Client] = {neighbour.host: neighbour for neighbour in neighbours}
    attacker: Attacker | None = None
    hosts = (f"203.0.{major}.{minor}" for major in range(256) for minor in range(1, 255))
    begin, end = WARM_UP_S + QUIET_S, WARM_UP_S + QUIET_S + WINDOW_S
    again_at, cut = begin, 0
    for number in range(int((end + 1.0) / TICK_S)):
        now = number * TICK_S
        if number % COLLECT_TICKS == 0:
            gc.collect(1)
        if attacker is None and again_at <= now < end:
            attacker = Attacker(next(hosts), now, stingy=attack is unread)
            clients[attacker.host] = attacker
        if attacker is not None and (attacker.stack.closed or now >= end):
            cut += attacker.stack.closed
            attacker, again_at = None, now + AGAIN_S
        for client in list(clients.values()):
            talking = not isinstance(client, Neighbour) or now < end
            if isinstance(client, Neighbour) and not talking:
                client._next = float("inf")
            for data in client.tick(now):
                server.arrive(now + ONE_WAY_S, data, client.path)
        if attacker is not None and attacker.stack.established:
            if attacker.control is None:
                attacker.say(control.SessionUpdate(session={}))
            for data in attack(attacker):
                server.arrive(now + ONE_WAY_S, data, attacker.path)
        for at, data, path in await server.work(now + TICK_S):
            if path.host in clients:
                clients[path.host].inbox.append((at + ONE_WAY_S, data))
    trips = [trip for neighbour in neighbours for trip in neighbour.round_trips]
    await server.calls.close()
    return Found(
        quiet_s=_p99([taken for said_at, taken in trips if WARM_UP_S <= said_at < begin]),
        attacked_s=_p99([taken for said_at, taken in trips if begin <= said_at < end]),
        whole=all(neighbour.is_whole for neighbour in neighbours),
        cut=cut,
    )


def _p99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100)[98]


def _row(name: str, value_s: float, relative_to: str | None, note: str, *, delivered: bool) -> dict[str, Any]:
    return {
        "group": GROUP,
        "name": name,
        "value": value_s * 1000,
        "unit": "ms",
        "delivered": delivered,
        "relative_to": relative_to,
        "note": note,
    }
