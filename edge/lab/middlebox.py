"""A node that does something to the packets which pass through it: the balancer, or a home.

``python -m edge.lab.middlebox FD`` runs on that node. The kernel routes what it is to see into one end of a veth pair
(`edge.lab.boxes`), whose other end it holds as a raw socket; what it sends there comes back to the kernel, which routes
it on. So the program sees packets, and addresses, cables and routes stay the kernel's.

A balancer also looks after its targets: now and then it asks each over HTTP whether it is ready, as AWS can.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
from dataclasses import asdict
from typing import Annotated, Final

import msgspec

from edge.lab.balancing import Balancer, Target
from edge.lab.emulator import packet_socket
from edge.lab.home import Home
from edge.lab.rewriting import Address

INNER, OUTER = "box0", "box1"
INNER_HARDWARE, OUTER_HARDWARE = "02:00:00:00:ff:01", "02:00:00:00:ff:02"
MAX_MESSAGE = 1 << 16

READY: Final = "/readyz"
HEALTH_INTERVAL_S, HEALTH_TIMEOUT_S = 1.0, 2.0
UNHEALTHY_AFTER = 2
"""AWS asks every 5 to 300 s, and has 2 as the default, too."""

_VNET_HEADER = bytes(10)  # no checksum is left to do, nothing to cut up
_ETHERNET_IPV4 = b"\x08\x00"
_FRONT = len(_VNET_HEADER) + 14
_MAX_FRAME = _FRONT + 65535
_BURST = 64

ServerId = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{16}$")]


class BeBalancer(msgspec.Struct, frozen=True, tag=True):
    """Request, once. Answered by `Done`, as all are but `Ask`."""

    listener: Address
    seed: int


class BeHome(msgspec.Struct, frozen=True, tag=True):
    """Request, once: everybody inside has the address ``outside`` there."""

    outside: str


class Register(msgspec.Struct, frozen=True, tag=True):
    """Request to a balancer: a target, and the port where it answers `READY`."""

    address: Address
    health_port: int
    server_id: ServerId


class Deregister(msgspec.Struct, frozen=True, tag=True):
    """Request to a balancer: that target leaves."""

    server_id: ServerId


class ReadConnectionIds(msgspec.Struct, frozen=True, tag=True):
    """Request to a balancer: go by connection IDs, as it does from the beginning, or by flows alone."""

    yes: bool


class Rebind(msgspec.Struct, frozen=True, tag=True):
    """Request to a home: forget every UDP binding."""


class Ask(msgspec.Struct, frozen=True, tag=True):
    """Request: what has been counted? Answered by `Counted`."""


class Done(msgspec.Struct, frozen=True, tag=True):
    """The request is in force."""


class Counted(msgspec.Struct, frozen=True, tag=True):
    """See `BalancerCounters`, with ``healthy`` targets, or ``bindings`` of `Home`."""

    counters: dict[str, int]


Request = BeBalancer | BeHome | Register | Deregister | ReadConnectionIds | Rebind | Ask
Answer = Done | Counted


class Middlebox:
    """Answers requests and passes packets on, until the control socket closes."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._packets = packet_socket(OUTER)
        self._box: Balancer | Home
        self._healthy: dict[bytes, bool] = {}
        self._checks: list[asyncio.Task[None]] = []
        hardware = [bytes.fromhex(text.replace(":", "")) for text in (INNER_HARDWARE, OUTER_HARDWARE)]
        self._front = _VNET_HEADER + hardware[0] + hardware[1] + _ETHERNET_IPV4

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        while request := await loop.sock_recv(self._control, MAX_MESSAGE):
            answer = self._answer(msgspec.json.decode(request, type=Request))
            await loop.sock_sendall(self._control, msgspec.json.encode(answer))
        for check in self._checks:
            check.cancel()
        await asyncio.gather(*self._checks, return_exceptions=True)

    def _answer(self, request: Request) -> Answer:
        match request, getattr(self, "_box", None):
            case BeBalancer(listener, seed), None:
                self._begin(Balancer(listener, seed=seed))
            case BeHome(outside), None:
                self._begin(Home(outside))
            case Register(address, health_port, server_id), Balancer() as box:
                target = Target(address, bytes.fromhex(server_id))
                box.register(target)
                self._checks.append(asyncio.create_task(self._look_after(box, target, health_port)))
            case Deregister(server_id), Balancer() as box:
                box.deregister(bytes.fromhex(server_id), time.monotonic())
            case ReadConnectionIds(yes), Balancer() as box:
                box.reads_connection_ids = yes
            case Rebind(), Home() as box:
                box.rebind()
            case Ask(), Balancer() as box:
                return Counted(asdict(box.counters) | {"healthy": sum(self._healthy.values())})
            case Ask(), Home() as box:
                return Counted({"bindings": box.bindings})
            case _:
                raise ValueError(f"{request}: not for this box")
        return Done()

    def _begin(self, box: Balancer | Home) -> None:
        self._box = box
        asyncio.get_running_loop().add_reader(self._packets, self._readable)

    def _readable(self) -> None:
        now, translate = time.monotonic(), self._box.translate
        for _ in range(_BURST):
            try:
                frame = self._packets.recv(_MAX_FRAME)
            except OSError:  # nothing more
                return
            packet = translate(frame[_FRONT:], now) if frame[_FRONT - 2 : _FRONT] == _ETHERNET_IPV4 else None
            if packet is not None:
                with contextlib.suppress(OSError):  # a full queue is a loss, as on any wire
                    self._packets.send(self._front + packet)

    async def _look_after(self, box: Balancer, target: Target, port: int) -> None:
        failed = UNHEALTHY_AFTER  # until it has answered once
        while True:
            failed = 0 if await _is_ready(target.address[0], port) else failed + 1
            self._healthy[target.server_id] = failed < UNHEALTHY_AFTER
            box.set_health(target.server_id, self._healthy[target.server_id])
            await asyncio.sleep(HEALTH_INTERVAL_S)


async def _is_ready(host: str, port: int) -> bool:
    """Whether it answers with 200."""
    try:
        async with asyncio.timeout(HEALTH_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(host, port)
            with contextlib.closing(writer):
                writer.write(f"GET {READY} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                return (await reader.readline()).startswith(b"HTTP/1.1 200 ")
    except (OSError, TimeoutError):
        return False


async def _serve(control: socket.socket) -> None:
    await Middlebox(control).serve()


def main() -> None:
    with socket.socket(fileno=int(sys.argv[1])) as control:
        control.setblocking(False)
        asyncio.run(_serve(control))


if __name__ == "__main__":
    main()
