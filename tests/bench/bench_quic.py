"""Datagrams and handshakes per second on one core: our endpoint beside stock aioquic, without sockets.

Method: real clients talk to a server object in the same process, in virtual time. Only what the
server does is timed, by this process's CPU clock (user + system): receiving, its events, flushing, timers.
*echo*: `CALLS` connections each send an 80-byte unreliable datagram every 20 ms for `ECHO_S` virtual seconds,
and the server sends it back; a datagram in and its echo out count as two. Acknowledgments and timers are part
of the work and are not counted. Delivered: every client got back exactly what it sent.
*handshakes*: `HANDSHAKES` complete ones, one after the other, Ed25519 certificate, no resumption. Delivered:
every client completed its own. *retries* and *refusals* answer as many first packets of newcomers.
*our client* delays its own acknowledgments as the endpoint does; all other clients are stock aioquic.
The peer, `Stock`, is what aioquic's own asyncio server does around its connections: a dictionary of connection
IDs and a heap of timers. It offers no preferred address and issues random connection IDs.
A figure is the median of `ROUNDS` rounds; each round runs every row once, so that all see the same machine.
"""

import heapq
import statistics
import sys
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path as File
from typing import Any, NamedTuple, Protocol

sys.path.insert(0, str(File(__file__).resolve().parents[1]))

from aioquic.buffer import Buffer
from aioquic.quic import events as stock_events
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from aioquic.quic.packet import pull_quic_header
from sim.nodes import UNICAST_V4, make_endpoint
from sim.world import ALPN, PORT, SERVER_NAME, make_identity

from edge.overload import Verdict
from edge.quic import DatagramReceived, Path
from edge.quic.probing import ProbingConnection

CALLS = 50
ECHO_S = 2.0
FRAME_S = 0.020
HANDSHAKES = 100
NEWCOMERS = 500
ROUNDS = 3
STOCK_CID_LENGTH = 8


class Result(NamedTuple):
    per_s: float
    delivered: bool


class Server(Protocol):
    """What is measured; `handle` takes its events and echoes."""

    def receive_datagram(self, data: bytes, path: Path, now: float) -> None: ...
    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Path]]: ...
    def get_timer(self) -> float | None: ...
    def handle_timer(self, now: float) -> None: ...
    def handle(self) -> None: ...


class Ours:
    """An `Endpoint` and the echo an application would be."""

    def __init__(self, **options: Any) -> None:
        endpoint = make_endpoint(**options)
        self.receive_datagram = endpoint.receive_datagram
        self.datagrams_to_send = endpoint.datagrams_to_send
        self.get_timer = endpoint.get_timer
        self.handle_timer = endpoint.handle_timer
        self._endpoint = endpoint

    def handle(self) -> None:
        while (event := self._endpoint.next_event()) is not None:
            if type(event) is DatagramReceived:
                self._endpoint.send_datagram(event.connection, event.data)


class Stock:
    """aioquic's connections, driven as its own server drives them."""

    def __init__(self) -> None:
        identity = make_identity()[0]
        self._configuration = QuicConfiguration(
            is_client=False,
            alpn_protocols=[ALPN],
            certificate=identity.certificate,
            private_key=identity.key,
            connection_id_length=STOCK_CID_LENGTH,
            max_datagram_frame_size=65535,
        )
        self._by_cid: dict[bytes, QuicConnection] = {}
        self._touched: dict[QuicConnection, None] = {}
        self._timers: list[tuple[float, int, QuicConnection]] = []
        self._timer_of: dict[QuicConnection, float] = {}
        self._order = count()

    def receive_datagram(self, data: bytes, path: Path, now: float) -> None:
        header = pull_quic_header(Buffer(data=data), host_cid_length=STOCK_CID_LENGTH)
        connection = self._by_cid.get(header.destination_cid)
        if connection is None:
            connection = QuicConnection(
                configuration=self._configuration,
                original_destination_connection_id=header.destination_cid,
            )
            self._by_cid[header.destination_cid] = self._by_cid[connection.host_cid] = connection
        connection.receive_datagram(data, path, now)
        self._touched[connection] = None

    def handle(self) -> None:
        for connection in self._touched:
            while (event := connection.next_event()) is not None:
                if type(event) is stock_events.DatagramFrameReceived:
                    connection.send_datagram_frame(event.data)

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Path]]:
        datagrams: list[tuple[bytes, Path]] = []
        for connection in self._touched:
            datagrams += connection.datagrams_to_send(now)
            timer = connection.get_timer()
            if timer is not None and self._timer_of.get(connection) != timer:
                self._timer_of[connection] = timer
                heapq.heappush(self._timers, (timer, next(self._order), connection))
        self._touched.clear()
        return datagrams

    def get_timer(self) -> float | None:
        while self._timers and self._timer_of.get(self._timers[0][2]) != self._timers[0][0]:
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def handle_timer(self, now: float) -> None:
        while (timer := self.get_timer()) is not None and timer <= now:
            _, _, connection = heapq.heappop(self._timers)
            del self._timer_of[connection]
            connection.handle_timer(now)
            self._touched[connection] = None


class Bench:
    """A server, its clients, and how much CPU time the server has taken."""

    def __init__(self, server: Server, client_class: type[QuicConnection]) -> None:
        self.server = server
        self.cpu_s = 0.0
        self.now = 0.0
        self.clients: list[QuicConnection] = []
        self.events: list[list[stock_events.QuicEvent]] = []
        self._client_class = client_class

    def add_client(self) -> QuicConnection:
        configuration = QuicConfiguration(
            alpn_protocols=[ALPN],
            server_name=SERVER_NAME,
            cadata=make_identity()[1],
            max_datagram_frame_size=65535,
        )
        client = self._client_class(configuration=configuration)
        client.connect((UNICAST_V4, PORT), self.now)
        self.clients.append(client)
        self.events.append([])
        return client

    def exchange(self) -> None:
        """Carry datagrams both ways until nobody has any."""
        while arrived := self._from_clients():
            self._to_clients(self._timed(self._receive, arrived))

    def pass_time(self, seconds: float) -> None:
        """Let every timer fire that is due by then, and carry what comes of it."""
        end = self.now + seconds
        while True:
            timers = [timer for client in self.clients if (timer := client.get_timer()) is not None]
            servers = self.server.get_timer()
            timers += [] if servers is None else [servers]
            self.now = max(self.now + 1e-4, min(timers, default=end))
            if self.now >= end:
                break
            for client in self.clients:
                timer = client.get_timer()
                if timer is not None and timer <= self.now:
                    client.handle_timer(self.now)
            if servers is not None and servers <= self.now:
                self._to_clients(self._timed(self._wake))
            self.exchange()
        self.now = end

    def _from_clients(self) -> list[tuple[bytes, Path]]:
        return [
            (data, Path("192.0.2.1", port, UNICAST_V4))
            for port, client in enumerate(self.clients)
            for data, _ in client.datagrams_to_send(self.now)
        ]

    def _to_clients(self, datagrams: list[tuple[bytes, Path]]) -> None:
        for data, path in datagrams:
            client = self.clients[path.port]
            client.receive_datagram(data, (UNICAST_V4, PORT), self.now)
            while (event := client.next_event()) is not None:
                self.events[path.port].append(event)

    def _receive(self, arrived: list[tuple[bytes, Path]]) -> list[tuple[bytes, Path]]:
        for data, path in arrived:
            self.server.receive_datagram(data, path, self.now)
        self.server.handle()
        return self.server.datagrams_to_send(self.now)

    def _wake(self) -> list[tuple[bytes, Path]]:
        self.server.handle_timer(self.now)
        self.server.handle()
        return self.server.datagrams_to_send(self.now)

    def _timed(
        self, work: Callable[..., list[tuple[bytes, Path]]], *arguments: Any
    ) -> list[tuple[bytes, Path]]:
        began = time.process_time()
        datagrams = work(*arguments)
        self.cpu_s += time.process_time() - began
        return datagrams


def echo(server: Server, client_class: type[QuicConnection] = QuicConnection) -> Result:
    """Datagrams a second."""
    bench = Bench(server, client_class)
    for _ in range(CALLS):
        bench.add_client()
    bench.exchange()
    bench.pass_time(1.0)
    bench.cpu_s = 0.0
    frames = round(ECHO_S / FRAME_S)
    for number in range(frames):
        for client in bench.clients:
            client.send_datagram_frame(number.to_bytes(80, "big"))
        bench.exchange()
        bench.pass_time(FRAME_S)
    sent = [number.to_bytes(80, "big") for number in range(frames)]
    delivered = all(
        [event.data for event in events if isinstance(event, stock_events.DatagramFrameReceived)] == sent
        for events in bench.events
    )
    return Result(2 * frames * CALLS / bench.cpu_s, delivered)


def handshakes(server: Server) -> Result:
    """Handshakes a second."""
    bench = Bench(server, QuicConnection)
    for _ in range(HANDSHAKES):
        bench.add_client()
        bench.exchange()
    delivered = all(
        any(isinstance(event, stock_events.HandshakeCompleted) for event in events) for events in bench.events
    )
    return Result(HANDSHAKES / bench.cpu_s, delivered)


def turned_away(verdict: Verdict) -> Result:
    """Answers a second of an endpoint that lets nobody in."""
    server = Ours(admission=lambda _now: verdict, proof=True)
    first = QuicConnection(configuration=QuicConfiguration(alpn_protocols=[ALPN], server_name=SERVER_NAME))
    first.connect((UNICAST_V4, PORT), 0.0)
    ((data, _),) = first.datagrams_to_send(0.0)
    began = time.process_time()
    for port in range(NEWCOMERS):
        server.receive_datagram(data, Path("192.0.2.1", 1 + port, UNICAST_V4), 0.0)
        server.handle()
    answers = server.datagrams_to_send(0.0)
    return Result(NEWCOMERS / (time.process_time() - began), len(answers) == NEWCOMERS)


WORKS: dict[str, tuple[Callable[[], Result], str]] = {
    "echo, stock aioquic": (lambda: echo(Stock()), "echo, stock aioquic"),
    "echo, endpoint": (lambda: echo(Ours()), "echo, stock aioquic"),
    "echo, endpoint, our client": (lambda: echo(Ours(), ProbingConnection), "echo, stock aioquic"),
    "handshakes, stock aioquic": (lambda: handshakes(Stock()), "handshakes, stock aioquic"),
    "handshakes, endpoint": (lambda: handshakes(Ours()), "handshakes, stock aioquic"),
    "retries, endpoint": (lambda: turned_away(Verdict.RETRY), "handshakes, endpoint"),
    "refusals, endpoint": (lambda: turned_away(Verdict.REFUSE), "handshakes, endpoint"),
}


def run() -> list[dict[str, Any]]:
    rounds = [{name: work() for name, (work, _) in WORKS.items()} for _ in range(ROUNDS)]
    return [
        {
            "group": "quic",
            "name": name,
            "value": statistics.median(results[name].per_s for results in rounds),
            "unit": "datagrams/s" if name.startswith("echo") else "1/s",
            "delivered": all(results[name].delivered for results in rounds),
            "relative_to": base,
        }
        for name, (_, base) in WORKS.items()
    ]
