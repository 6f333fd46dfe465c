"""Real sockets on loopback; nothing here waits."""

from __future__ import annotations

import contextlib
import errno
import socket
from collections.abc import Iterator

import pytest

from edge.errors import EdgeError, UnreachableError
from edge.runtime import sockets
from edge.runtime.sockets import UdpSocket, bind_error, host_port, open_udp


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
