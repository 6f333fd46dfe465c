"""The link emulator: one process that carries every frame of the lab, late and with losses.

``python -m edge.lab.emulator FD`` runs in a namespace of its own which holds, for each end of each link, the
far half of that node's veth pair. A raw packet socket on each half hears what the node sends; after the delay
the frame goes out of the other half of the link, which the node at the far end takes for its cable.

The sockets carry a virtio_net_hdr in front of each frame (PACKET_VNET_HDR, packet(7)). A frame on a veth
usually has no checksum yet, only a note of where it belongs; handing the note back with the frame keeps that
true at the far end. Without it every such packet would arrive corrupt.

Frames wait in one heap, ordered by when they are due. The kernel's select takes microseconds where epoll
takes milliseconds, so we wait with the one for the other.
"""

import contextlib
import ctypes
import gc
import heapq
import os
import select
import socket
import sys
import time

import msgspec

from edge.lab.impairment import Direction
from edge.lab.wire import (
    MAX_MESSAGE,
    Answer,
    Cable,
    Count,
    Counted,
    Done,
    Impair,
    Lay,
    Request,
    Way,
    WayCounters,
)

_SOL_PACKET = 263
_PACKET_STATISTICS = 6
_PACKET_VNET_HDR = 15
_PACKET_IGNORE_OUTGOING = 23
_SO_RCVBUFFORCE = 33
_ETH_P_ALL = 3
_PR_SET_TIMERSLACK = 29

_MAX_FRAME = 10 + 14 + 65535  # virtio_net_hdr, Ethernet header, packet
_BUFFER_BYTES = 4 << 20
_LATE_S = 0.001
_BURST = 64  # frames read from one socket before looking at what is due


class _Port:
    """One way of one link: hears frames on ``ear``, sends them on through ``mouth``."""

    def __init__(self, cable: Cable, way: Way, ear: socket.socket, mouth: socket.socket, seed: int) -> None:
        self.link = cable.name
        self.way = way
        self.ear = ear
        self.mouth = mouth
        self.direction = Direction(cable.impairment, f"{seed}/{cable.name}/{way}")
        self._late = 0
        self._late_max = 0.0
        self._missed = 0

    def deliver(self, frame: bytes, late: float) -> None:
        if late > _LATE_S:
            self._late += 1
            self._late_max = max(late, self._late_max)
        try:
            self.mouth.send(frame)
        except OSError:  # the interface is down, or its queue full: a wire has no way to complain
            self._missed += 1

    def counters(self) -> WayCounters:
        # The kernel counts its drops from one reading to the next; the second of two ints.
        packets_drops = self.ear.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8)
        self._missed += int.from_bytes(packets_drops[4:8], sys.byteorder)
        direction = self.direction
        return WayCounters(
            self.link,
            self.way,
            direction.impairment,
            direction.packets,
            direction.dropped,
            self._missed,
            self._late,
            self._late_max * 1000,
        )


class Emulator:
    """Carries frames until the control socket closes."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._ports: dict[int, _Port] = {}
        self._epoll = select.epoll()
        self._epoll.register(control, select.EPOLLIN)
        self._due: list[tuple[float, int, _Port, bytes]] = []
        self._serial = 0  # keeps frames that are due at the same time in order

    def run(self) -> None:
        """The loop."""
        wait, heap = self._epoll.fileno(), self._due
        while True:
            now = self._deliver()
            select.select([wait], [], [], max(0.0, heap[0][0] - now) if heap else None)
            for fd, _ in self._epoll.poll(0):
                if fd in self._ports:
                    self._hear(self._ports[fd])
                elif not self._answer():
                    return

    def _deliver(self) -> float:
        heap, clock = self._due, time.monotonic
        now = clock()
        while heap and heap[0][0] <= now:
            at, _, port, frame = heapq.heappop(heap)
            port.deliver(frame, now - at)
            now = clock()
        return now

    def _hear(self, port: _Port) -> None:
        heap, clock, arrival, recv = self._due, time.monotonic, port.direction.arrival, port.ear.recv
        for _ in range(_BURST):
            try:
                frame = recv(_MAX_FRAME)
            except OSError:  # nothing more, or the interface went down
                return
            at = arrival(clock())
            if at is not None:
                self._serial += 1
                heapq.heappush(heap, (at, self._serial, port, frame))

    def _answer(self) -> bool:
        packet = self._control.recv(MAX_MESSAGE)
        if not packet:
            return False
        answer: Answer = Done()
        match msgspec.json.decode(packet, type=Request):
            case Lay(seed, cables):
                for cable in cables:
                    self._lay(cable, seed)
            case Impair(link, ways, impairment):
                for port in self._ports.values():
                    if port.link == link and port.way in ways:
                        port.direction.impairment = impairment
            case Count():
                answer = Counted(tuple(port.counters() for port in self._ports.values()))
        self._control.send(msgspec.json.encode(answer))
        return True

    def _lay(self, cable: Cable, seed: int) -> None:
        a, b = packet_socket(cable.interface_a), packet_socket(cable.interface_b)
        for way, ear, mouth in ((Way.AB, a, b), (Way.BA, b, a)):
            self._ports[ear.fileno()] = _Port(cable, way, ear, mouth, seed)
            self._epoll.register(ear, select.EPOLLIN)


def packet_socket(interface: str) -> socket.socket:
    """A socket that hears what arrives at an interface and sends out of it, header and all."""
    packets = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # protocol 0: deaf until bound
    packets.setblocking(False)
    packets.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
    packets.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    try:
        packets.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
    except PermissionError:  # an ordinary user has what net.core.rmem_max allows
        packets.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    packets.bind((interface, _ETH_P_ALL))
    return packets


def main() -> None:
    """Serve the control socket whose file descriptor is the only argument."""
    # A cable does not wait for its turn on the processor. An ordinary user has to take his chance.
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    # Else the kernel rounds our waits up by 50 microseconds to save power.
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    # Nothing here makes cycles, and a full collection takes longer than a packet may be late.
    gc.disable()
    with socket.socket(fileno=int(sys.argv[1])) as control:
        Emulator(control).run()


if __name__ == "__main__":
    main()
