"""Real sockets on loopback; nothing here waits."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator

import pytest
from classic_bpf import run

from edge.cid.steering import Slots, steer_callers, steer_forwarded
from edge.errors import EdgeError, UnreachableError
from edge.runtime import sockets
from edge.runtime.sockets import UdpSocket, bind_error, host_port, open_udp, steer


@contextlib.contextmanager
def udp(address: str = "127.0.0.1") -> Iterator[UdpSocket]:
    wrapped = UdpSocket(open_udp(address, 0)[0])
    try:
        yield wrapped
    finally:
        wrapped.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_datagram_and_its_reply(address: str) -> None:
    with udp(address) as server, udp(address) as client:
        client.send(b"ping", server.host, server.port)
        assert server.drain() == [(b"ping", address, client.port)]
        server.send(b"pong", address, client.port)
        assert client.drain() == [(b"pong", address, server.port)]


def test_reply_leaves_from_the_address_it_came_to() -> None:
    """Two addresses on one port: the reply must come from the one that was written to."""
    with udp("127.0.0.1") as first, udp("127.0.0.3") as client:
        second = UdpSocket(open_udp("127.0.0.2", first.port)[0])
        with contextlib.closing(second):
            client.send(b"x", "127.0.0.2", second.port)
            assert first.drain() == []
            [(_, host, port)] = second.drain()
            second.send(b"y", host, port)
            assert client.drain() == [(b"y", "127.0.0.2", second.port)]


def test_drain_stops_at_its_limit_and_keeps_order() -> None:
    with udp() as server, udp() as client:
        for number in range(5):
            client.send(bytes([number]), server.host, server.port)
        assert [data[0] for data, _, _ in server.drain(limit=3)] == [0, 1, 2]
        assert [data[0] for data, _, _ in server.drain(limit=3)] == [3, 4]


def test_nothing_fragments() -> None:
    """Loopback carries 65 536 bytes; the payload that would need two fragments is refused and counted."""
    with udp("::1") as server, udp("::1") as client:
        client.send(bytes(65_507), server.host, server.port)
        assert client.counters.unsent_too_big == 1
        client.send(bytes(60_000), server.host, server.port)
        assert [len(data) for data, _, _ in server.drain()] == [60_000]


@pytest.mark.parametrize("host,port", [("127.0.0.1", 0), ("255.255.255.255", 9), ("::1", 9)])
def test_an_impossible_destination_is_counted_not_raised(host: str, port: int) -> None:
    """Anyone may send from source port 0; answering it must not stop the loop."""
    with udp() as client:
        client.send(b"x", host, port)
        assert client.counters.unsent_unreachable == 1
        assert client.waiting == 0


class ReluctantSocket:
    """A socket whose send buffer is full until told otherwise (loopback never lets it fill)."""

    def __init__(self) -> None:
        self.room = 0
        self.taken: list[bytes] = []

    def getsockname(self) -> tuple[str, int]:
        return ("127.0.0.1", 443)

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        return bytes(size)

    def sendto(self, data: bytes, address: tuple[str, int]) -> int:
        if self.room == 0:
            raise BlockingIOError(errno.EAGAIN, "full")
        self.room -= 1
        self.taken.append(data)
        return len(data)


def test_a_full_send_buffer_queues_in_order_and_then_drops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "MAX_WAITING", 2)
    kernel = ReluctantSocket()
    wrapped = UdpSocket(kernel)  # type: ignore[arg-type]
    for payload in (b"a", b"b", b"c"):
        wrapped.send(payload, "192.0.2.1", 1)
    assert (wrapped.waiting, wrapped.counters.unsent_congested) == (2, 1)

    kernel.room = 1
    wrapped.flush()
    assert (kernel.taken, wrapped.waiting) == ([b"a"], 1)

    kernel.room = 2
    wrapped.send(b"d", "192.0.2.1", 1)  # must not overtake b
    wrapped.flush()
    assert (kernel.taken, wrapped.waiting) == ([b"a", b"b", b"d"], 0)


def test_kernel_drops_are_seen_and_belong_to_whom_they_happened() -> None:
    """The socket outlives a worker; its successor must not report the drops a second time."""
    with udp() as server, udp() as client:
        assert server.dropped() == 0
        server._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(200):
            client.send(bytes(1000), server.host, server.port)
        received = len(server.drain(limit=1000))
        assert received < 200
        assert server.dropped() == 200 - received
        assert UdpSocket(server._sock).dropped() == 0


def test_buffers_are_larger_than_the_system_default() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain, udp() as server:
        assert server.receive_buffer_bytes > plain.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


def test_several_sockets_share_a_port() -> None:
    opened = open_udp("127.0.0.1", 0, count=3)
    try:
        assert len({sock.getsockname()[1] for sock in opened}) == 1
    finally:
        for sock in opened:
            sock.close()


def test_a_shared_port_is_not_shared_with_another_daemon() -> None:
    """SO_REUSEPORT alone would let a second node of the same user take half the callers, silently."""
    first = open_udp("127.0.0.1", 0, count=2)
    try:
        with pytest.raises(UnreachableError, match="another process has this port"):
            open_udp("127.0.0.1", first[0].getsockname()[1], count=2)
    finally:
        for sock in first:
            sock.close()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_the_kernel_steers_as_the_program_says(address: str) -> None:
    """Callers with ever other ports, as after a NAT forgot them: the connection ID alone decides."""
    with contextlib.ExitStack() as stack:
        slots = Slots(2, newest=2, leaving=frozenset({1}))
        group = [stack.enter_context(sock) for sock in open_udp(address, 0, count=4)]
        steer(group[0], steer_callers(Slots(2), 18))
        steer(group[3], steer_callers(slots, 18))  # in place of the one before, whichever of them is asked
        program = steer_callers(slots, 18)
        packets = [b"\x40\x31" + os.urandom(16) + bytes((octet,)) + bytes(30) for octet in range(8)]
        packets += [b"\xc3\0\0\0\1\x08" + os.urandom(8) + bytes(1200) for _ in range(20)]
        packets += [
            b"\xe3\0\0\0\1\x12\x31" + os.urandom(16) + b"\x01" + bytes(50),
            b"\x40",
            b"",
            b"\xc0" * 12,
        ]
        for packet in packets:
            with socket.socket(group[0].family, socket.SOCK_DGRAM) as caller:
                caller.sendto(packet, group[0].getsockname())
        for slot, sock in enumerate(group):
            expected = [packet for packet in packets if run(program, packet) == slot]
            assert list(received(sock)) == expected
        assert not any(run(program, packet) == 0 for packet in packets)


def test_a_steered_socket_keeps_its_place_while_its_worker_is_away() -> None:
    """Descriptors of workers come and go; the supervisor's keep the sockets where they are in their group."""
    with contextlib.ExitStack() as stack:
        group = [stack.enter_context(sock) for sock in open_udp("127.0.0.1", 0, count=4)]
        steer(group[0], steer_forwarded(Slots(2, newest=0, leaving=frozenset({2, 3}))))
        group[1].dup().close()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as node:
            for octet in (1, 3, 1, 7):
                node.sendto(bytes((octet, 0x11)), group[0].getsockname())
        heard = [[packet[0] for packet in received(sock)] for sock in group]
        assert heard == [[], [1, 1, 7], [], [3]]


def test_a_kernel_that_does_not_steer_says_so() -> None:
    with open_udp("127.0.0.1", 0)[0] as sock, pytest.raises(EdgeError, match=r"steered.*Linux 4.5"):
        steer(sock, [])


def received(sock: socket.socket) -> Iterator[bytes]:
    """What loopback has delivered, and it has by the time that a sender returns."""
    with contextlib.suppress(BlockingIOError):
        while True:
            yield sock.recv(2048)


def test_an_address_of_another_host_is_refused() -> None:
    with pytest.raises(UnreachableError, match=r"^203\.0\.113\.7:4433/udp: .*not on this host"):
        open_udp("203.0.113.7", 4433)


@pytest.mark.parametrize(
    "code,says",
    [
        (errno.EADDRINUSE, "ss -lunp sport = :443"),
        (errno.EADDRNOTAVAIL, "ip address add 2001:db8::1 dev lo"),
        (errno.EACCES, "CAP_NET_BIND_SERVICE"),
        (errno.ENODEV, "No such device"),
    ],
)
def test_bind_errors_say_where_and_what_to_do(code: int, says: str) -> None:
    error: EdgeError = bind_error(OSError(code, "No such device"), "2001:db8::1", 443, "udp")
    assert str(error).startswith("[2001:db8::1]:443/udp: ")
    assert says in str(error)
    assert "\n" not in str(error)
    assert error.exit_code == 5


def test_host_port() -> None:
    assert host_port("192.0.2.1", 443) == "192.0.2.1:443"
    assert host_port("::1", 443) == "[::1]:443"
