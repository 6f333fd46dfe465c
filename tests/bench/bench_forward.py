"""Packets passed on between nodes: how many a core takes, and how much later a call's echo comes.

*Packets.* The parts that a worker passes packets on with (its endpoint, its relay, its sockets), in this process, with
real UDP sockets on 127.0.0.1. Packets of `PACKET_BYTES`, as of a call that speaks, are put into a socket `BATCH` at a
time, as many as a worker reads in a turn; what is timed, by this thread's CPU clock (user and system, so with what the
kernel takes for the packets sent), is that turn: to read them, to see whose they are, to seal or to open them, to look
whether they have been there before, and to send them. The peer is what any relay in Python must do: read a datagram and
send it, unsealed, knowing where to. Delivered: at the other end every packet arrived once and unaltered, with its path.

*Latency.* Two nodes of a fleet, each a supervisor with a worker, with sockets on one address, of which the kernel gives
a caller's packets to one by the caller's port (`node_pair`). Each of `CALLERS` calls has two ports, one that leads to
its own node and one to the other, and changes between them every `WINDOW_S`, so that the machine is the same to both. A
caller says a frame every 20 ms and notes when its echo comes, by the clock on the wall; the first `SETTLE_S` behind a
change, in which the path is validated, are left out. A figure is the median of the windows' percentiles; what the note adds is the median over pairs of
windows, one of which follows the other. Loopback adds no delay: the figures are what the nodes take, each
for every packet, and what the machine makes them wait. In a fleet the way between the nodes is added. Delivered: every
frame came back unaltered, the other node passed packets on in the windows in which it should, and in no other.
"""

import asyncio
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path as File
from typing import Any, Self

sys.path.insert(0, str(File(__file__).resolve().parents[1]))
sys.path.insert(0, str(File(__file__).resolve().parents[1] / "lab"))

from hostile_callers import Neighbour
from node_pair import HOST, REPORTED_S, SERVER_IDS, SERVER_NAME, PairedNode, running_pair
from sim.nodes import make_endpoint
from worker_rig import KEYS, worker_settings

from edge.forward import Delivery, ReturnPath, Sending
from edge.lab.certificates import write_certificate
from edge.quic import Endpoint, PacketMisrouted, Path, Secrets
from edge.runtime.relay import Relay
from edge.runtime.sockets import UdpSocket, open_udp
from edge.runtime.worker import BATCH

PACKET_BYTES = 120
PACKETS, QUICK_PACKETS = 64_000, 12_800
TURN_S = 0.1
"""By the clock of the limits, which are not what is measured."""
ROUNDS = 5
PACKETS_GROUP = "forwarding: packets"
RELAYED, PASSED_ON, TAKEN, SENT_BACK = "relayed unsealed", "passed on", "taken over", "answered through"

CALLERS = 4
WINDOW_S, SETTLE_S = 2.0, 0.4
WINDOWS, QUICK_WINDOWS = 8, 3
"""Of each kind."""
LATENCY_GROUP = "forwarding: echo of a call"
WAYS = {ReturnPath.DIRECT: "passed on", ReturnPath.INGRESS: "passed on and back"}
STRAYS_PER_S = 20
"""Of a call that speaks, at the least; in a window in which it is passed on."""


def run(*, quick: bool = False) -> list[dict[str, Any]]:
    rows = packet_rows(QUICK_PACKETS if quick else PACKETS)
    with tempfile.TemporaryDirectory(prefix="bench-forward-") as folder:
        certificate, key = File(folder, "certificate.pem"), File(folder, "key.pem")
        write_certificate(certificate, key, [SERVER_NAME], [IPv4Address(HOST)])
        credentials = certificate.read_bytes(), key.read_bytes()
        windows = QUICK_WINDOWS if quick else WINDOWS
        echoes = {way: asyncio.run(echoes_of(way, credentials, windows)) for way in WAYS}
    return [*rows, *latency_rows(echoes)]


# --- packets ---------------------------------------------------------------------------------------------


class End:
    """One node's part: a relay with a socket for the fleet, and one for callers."""

    def __init__(self, server_id: bytes, return_path: ReturnPath) -> None:
        self.server_id = server_id
        self.fleet, self.service = (UdpSocket(opened) for opened in (*open_udp(HOST, 0), *open_udp(HOST, 0)))
        self.endpoint: Endpoint = make_endpoint(server_id=server_id, keys=KEYS, peers=set(SERVER_IDS))
        self.relay: Relay
        self.now = 0.0
        self._return_path = return_path

    def know(self, fleet: list["End"]) -> None:
        owners = {one.server_id.hex(): [one.fleet._sock.getsockname()] for one in fleet}
        settings = worker_settings(
            b"", b"", server_id=self.server_id, service=[HOST], owners=owners, return_path=self._return_path
        )
        self.relay = Relay(settings, KEYS, {HOST: self.fleet}, time.time_ns())

    def pass_on(self) -> None:
        """As `edge.runtime.worker.Worker._readable` and what follows it."""
        for data, host, port in self.service.drain(BATCH):
            path = Path(host, port, HOST)
            if self.endpoint.queue_datagram(data, path, 0.0):
                self.relay.arrived(path)
        while (event := self.endpoint.next_event()) is not None:
            assert isinstance(event, PacketMisrouted)
            self.relay.pass_on(event, self.now)

    def take(self) -> list[Delivery | Sending]:
        """As `edge.runtime.worker.Worker._forward_readable`, up to what the endpoint gets."""
        return list(self.relay.drain(self.fleet, BATCH, self.now))

    def send_back(self) -> None:
        for found in self.relay.drain(self.fleet, BATCH, self.now):
            self.service.send(found.data, found.path.host, found.path.port)

    def close(self) -> None:
        self.fleet.close()
        self.service.close()


@dataclass(slots=True)
class Clock:
    """CPU time that was taken for so many packets."""

    cpu_s: float = 0.0
    packets: int = 0

    def time(self, work: Callable[[], Any], packets: int) -> Any:
        began = time.thread_time()
        result = work()
        self.cpu_s += time.thread_time() - began
        self.packets += packets
        return result


class Bench:
    """An ingress, an owner, and a caller between whom packets go."""

    def __init__(self) -> None:
        ingress, owner = (End(server_id, ReturnPath.INGRESS) for server_id in SERVER_IDS)
        for end in (ingress, owner):
            end.know([ingress, owner])
        self.ingress, self.owner = ingress, owner
        (opened,) = open_udp(HOST, 0)
        self.caller = UdpSocket(opened)
        self.address = opened.getsockname()
        self.clocks = {name: Clock() for name in (RELAYED, PASSED_ON, TAKEN, SENT_BACK)}
        self.whole = True
        issue = Secrets(KEYS, server_id=owner.server_id, nonce_start=1 << 40).issue
        self.batch = [(b"\x40" + issue()).ljust(PACKET_BYTES, bytes([1 + number])) for number in range(BATCH)]

    def turn(self) -> None:
        """A batch goes from the caller by the ingress to the owner, and the same back."""
        path = Path(*self.address, HOST)
        for end in (self.ingress, self.owner):
            end.now += TURN_S
        self._put(self.ingress.service)
        self.clocks[PASSED_ON].time(self.ingress.pass_on, BATCH)
        taken = self.clocks[TAKEN].time(self.owner.take, BATCH)
        self._check([(one.path, one.data) for one in taken], [(path, data) for data in self.batch])
        for data in self.batch:
            assert self.owner.relay.answer(path, data) is not None
        self.clocks[SENT_BACK].time(self.ingress.send_back, BATCH)
        self._arrived()
        self._put(self.ingress.service)
        self.clocks[RELAYED].time(self._relay, BATCH)
        self._arrived()

    def _put(self, udp: UdpSocket) -> None:
        where = udp._sock.getsockname()
        for data in self.batch:
            self.caller.send(data, *where)

    def _relay(self) -> None:
        for data, host, port in self.ingress.service.drain(BATCH):
            self.ingress.service.send(data, host, port)

    def _arrived(self) -> None:
        self._check([data for data, _, _ in self.caller.drain(2 * BATCH)], self.batch)

    def _check(self, found: list[Any], expected: list[Any]) -> None:
        self.whole &= found == expected

    def close(self) -> None:
        self.ingress.close()
        self.owner.close()
        self.caller.close()


def packet_rows(packets: int) -> list[dict[str, Any]]:
    """A figure is the median of the rounds."""
    figures: dict[str, list[float]] = {}
    whole = True
    bench = Bench()
    try:
        for _ in range(ROUNDS):
            bench.clocks = {name: Clock() for name in bench.clocks}
            for _ in range(packets // BATCH // ROUNDS):
                bench.turn()
            whole &= bench.whole
            for name, clock in bench.clocks.items():
                figures.setdefault(name, []).append(clock.packets / clock.cpu_s)
    finally:
        bench.close()
    return [
        {
            "group": PACKETS_GROUP,
            "name": name,
            "value": statistics.median(found),
            "unit": "packets/s",
            "delivered": whole,
            "relative_to": None if name == RELAYED else RELAYED,
            "note": f"{min(found):,.0f} to {max(found):,.0f}; {1e6 / statistics.median(found):.1f} us each",
        }
        for name, found in figures.items()
    ]


# --- latency ---------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Echoes:
    """Seconds, of the same calls, by window; ``problem`` is why they are not worth anything."""

    straight: list[list[float]] = field(default_factory=list)
    passed_on: list[list[float]] = field(default_factory=list)
    problem: str = ""


class TwoDoors:
    """A caller with a port that leads to its node, and one that leads to the other."""

    def __init__(self, caller: Neighbour) -> None:
        self.caller = caller
        self.doors: dict[bool, asyncio.DatagramTransport] = {}

    @classmethod
    async def come(cls, nodes: list[PairedNode], number: int) -> Self:
        self = cls(await Neighbour.come(nodes[0], number))
        driver = self.caller._driver
        while True:
            before = strays(nodes)
            await asyncio.sleep(2 * REPORTED_S)  # it talks, and what that does is reported
            assert driver._transport is not None
            self.doors.setdefault(strays(nodes) > before, driver._transport)
            if len(self.doors) == 2:
                return self
            await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: driver, local_addr=("127.0.0.2", 0), family=socket.AF_INET
            )

    def use(self, *, passed_on: bool) -> None:
        self.caller._driver._transport = self.doors[passed_on]


def strays(nodes: list[PairedNode]) -> int:
    return sum(node.counted("forward_strays_sent") for node in nodes)


async def echoes_of(way: ReturnPath, credentials: tuple[bytes, bytes], windows: int) -> Echoes:
    found = Echoes()
    async with running_pair(*credentials, return_path=way) as (nodes, _):
        callers: list[TwoDoors] = []
        for number in range(CALLERS):
            callers.append(await TwoDoors.come(nodes, number))
            callers[-1].use(passed_on=False)
        await asyncio.sleep(2 * REPORTED_S)
        for number in range(2 * windows):
            passed_on = number % 2 == 1
            before = strays(nodes)
            for one in callers:
                one.use(passed_on=passed_on)
            await asyncio.sleep(SETTLE_S)
            marks = [len(one.caller.round_trips_s) for one in callers]
            await asyncio.sleep(WINDOW_S)
            into = found.passed_on if passed_on else found.straight
            heard = zip(callers, marks, strict=True)
            into.append([took for one, mark in heard for took in one.caller.round_trips_s[mark:]])
            for one in callers:
                one.use(passed_on=False)
            await asyncio.sleep(REPORTED_S)
            moved = strays(nodes) - before
            if passed_on != (moved >= CALLERS * WINDOW_S * STRAYS_PER_S):
                found.problem = f"{moved} packets were passed on in a window"
        for one in callers:
            await one.caller.leave()
        if not all(one.caller.is_whole for one in callers):
            found.problem = "frames were lost or altered"
        for one in callers:
            for door in one.doors.values():
                door.close()
    return found


def latency_rows(echoes: dict[ReturnPath, Echoes]) -> Iterator[dict[str, Any]]:
    for way, found in echoes.items():
        for percent in (50, 99):
            straight, passed_on = (
                percentiles_ms(windows, percent) for windows in (found.straight, found.passed_on)
            )
            added = statistics.median(there - here for here, there in zip(straight, passed_on, strict=True))
            for name, figures in (("straight", straight), (WAYS[way], passed_on)):
                note = f"{min(figures):.2f} to {max(figures):.2f}"
                yield {
                    "group": f"{LATENCY_GROUP}, p{percent}, {way}",
                    "name": name,
                    "value": statistics.median(figures),
                    "unit": "ms",
                    "delivered": not found.problem,
                    "relative_to": None if name == "straight" else "straight",
                    "note": found.problem or (note if name == "straight" else f"{added:+.2f} ms; {note}"),
                }


def percentiles_ms(windows: list[list[float]], percent: int) -> list[float]:
    return [1000 * statistics.quantiles(window, n=100)[percent - 1] for window in windows]
