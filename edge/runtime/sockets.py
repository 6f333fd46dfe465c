"""Sockets for a server of the public, UDP for QUIC and TCP beside it: one a local address, never the wildcard.

A socket bound to the wildcard answers from whichever address the routing table likes best, so a client that
wrote to the anycast address gets its reply from the unicast one and drops it. Hence a socket for each local
address, which also tells on which address a datagram arrived.

Datagrams leave with Don't Fragment set (RFC 9000, section 14): what is too big for the interface is refused
here and counted, not cut up on the way.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import socket
import struct
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from edge.cid.steering import Instruction
from edge.errors import EdgeError, UnreachableError

BUFFER_BYTES = 4 * 1024 * 1024  # 0.2 s of 1200-byte datagrams at 20 000 a second
MAX_DATAGRAM_BYTES = 65535
MAX_WAITING = 1024  # datagrams kept for a socket whose send buffer is full
BACKLOG = 512  # TCP connections that wait for a worker to accept them
TCP_RECEIVE_BYTES = (
    64 * 1024
)  # from one caller until a worker has read it: 3.4 Mbit/s at a round trip of 150 ms

# Linux socket options that the socket module of Python 3.11 does not name.
_SO_SNDBUFFORCE = 32
_SO_RCVBUFFORCE = 33
_SO_ATTACH_REUSEPORT_CBPF = 51
_SO_MEMINFO = 55
_MEMINFO = struct.Struct("=9I")
_MEMINFO_DROPS = 8
_IP_MTU_DISCOVER = 10
_IPV6_MTU_DISCOVER = 23
_INSTRUCTION = struct.Struct("=HBBI")  # struct sock_filter
_PROGRAM = struct.Struct("@HP")  # struct sock_fprog
_PMTUDISC_PROBE = 3  # set DF and ignore the path MTU that a forged ICMP message may have lowered


def is_ipv6(address: str) -> bool:
    """Whether a textual IP address is an IPv6 one."""
    return ":" in address


def host_port(host: str, port: int) -> str:
    """``192.0.2.1:443`` or ``[2001:db8::1]:443``."""
    return f"[{host}]:{port}" if is_ipv6(host) else f"{host}:{port}"


def bind_error(error: OSError, host: str, port: int, protocol: str) -> EdgeError:
    """Say in one line why ``host:port`` could not be bound and what to do about it."""
    where = f"{host_port(host, port)}/{protocol}"
    match error.errno:
        case errno.EADDRINUSE:
            listing = "ss -lunp" if protocol == "udp" else "ss -ltnp"
            remedy = f"another process has this port; find it with '{listing} sport = :{port}' and stop it"
        case errno.EADDRNOTAVAIL:
            remedy = (
                f"this address is not on this host; put it on an interface ('ip address add {host} dev lo')"
            )
        case errno.EACCES | errno.EPERM:
            remedy = (
                "no permission for this port; grant CAP_NET_BIND_SERVICE, lower the sysctl "
                "net.ipv4.ip_unprivileged_port_start, or choose a port from 1024 up"
            )
        case _:
            remedy = error.strerror or str(error)
    return UnreachableError(f"{where}: {remedy}")


def open_udp(address: str, port: int, *, count: int = 1) -> list[socket.socket]:
    """Open ``count`` non-blocking sockets on one local address; several share the port by SO_REUSEPORT.

    ``port`` 0 lets the kernel choose, once for all of them. Raises `UnreachableError` when the address is not
    here, the port is taken (by whomever: also by a process that would share it), or permission is missing.
    """
    with contextlib.ExitStack() as undo:
        try:
            if count > 1:
                port = _unshared_port(address, port)
            opened = [undo.enter_context(_open(address, port, reuse_port=count > 1)) for _ in range(count)]
        except OSError as error:
            raise bind_error(error, address, port, "udp") from error
        undo.pop_all()
    return opened


def steer(sock: socket.socket, program: Sequence[Instruction]) -> None:
    """Have ``program`` choose, for each datagram, among the sockets that share a port with ``sock``, in place of any other.

    It answers with the socket's place in the order in which they were opened. Raises `EdgeError` if the kernel refuses.
    """
    code = b"".join(_INSTRUCTION.pack(*instruction) for instruction in program)
    kept = ctypes.create_string_buffer(code, len(code))
    try:
        sock.setsockopt(
            socket.SOL_SOCKET,
            _SO_ATTACH_REUSEPORT_CBPF,
            _PROGRAM.pack(len(program), ctypes.addressof(kept)),
        )
    except OSError as error:
        raise EdgeError(
            f"the kernel does not let packets be steered to workers (SO_ATTACH_REUSEPORT_CBPF): {error.strerror}; "
            "Linux 4.5 or newer is needed, and no filter of system calls that forbids it"
        ) from error


def listen_tcp(address: str, port: int) -> socket.socket:
    """Listen on one local address; otherwise as `open_udp`.

    All workers accept from the one socket: a connection that nobody has accepted yet is lost with none of them.
    """
    sock = _new(address, socket.SOCK_STREAM)
    try:
        # Old connections of ours, in TIME_WAIT, are no reason not to come back.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Before `listen`, for the window that a handshake may promise follows from it.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, TCP_RECEIVE_BYTES)
        sock.bind((address, port))
        sock.listen(BACKLOG)
    except OSError as error:
        sock.close()
        raise bind_error(error, address, port, "tcp") from error
    return sock


def _unshared_port(address: str, port: int) -> int:
    """``port``, or a free one for 0, after making sure that nobody has it.

    With SO_REUSEPORT the kernel lets a second daemon of this user join the port and take a share of the
    callers. Only an exclusive bind finds out.
    """
    with _open(address, port, reuse_port=False) as probe:
        return int(probe.getsockname()[1])


def _new(address: str, kind: socket.SocketKind) -> socket.socket:
    family = socket.AF_INET6 if is_ipv6(address) else socket.AF_INET
    sock = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return sock


def _open(address: str, port: int, *, reuse_port: bool) -> socket.socket:
    sock = _new(address, socket.SOCK_DGRAM)
    try:
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_PROBE)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        _set_buffer(sock, _SO_RCVBUFFORCE, socket.SO_RCVBUF)
        _set_buffer(sock, _SO_SNDBUFFORCE, socket.SO_SNDBUF)
        sock.bind((address, port))
    except OSError:
        sock.close()
        raise
    return sock


def _set_buffer(sock: socket.socket, forced: int, plain: int) -> None:
    """Ask for `BUFFER_BYTES`; without CAP_NET_ADMIN the kernel silently stops at net.core.[rw]mem_max."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, forced, BUFFER_BYTES)
    except PermissionError:
        sock.setsockopt(socket.SOL_SOCKET, plain, BUFFER_BYTES)


@dataclass(slots=True)
class SocketCounters:
    """Datagrams that a socket could not send and dropped."""

    unsent_congested: int = 0  # the send buffer and then our own queue were full
    unsent_too_big: int = 0  # larger than the interface carries
    unsent_unreachable: int = 0  # no route, filtered, or an address nobody can answer (port 0)


class UdpSocket:
    """A bound, non-blocking UDP socket: drain it when readable, send on it, never raise into the loop.

    The owner watches `fileno` for reading; while `waiting` is not 0 it also watches for writing and calls
    `flush`.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        name = sock.getsockname()
        self.host: str = name[0]
        self.port: int = name[1]
        self.counters = SocketCounters()
        self._waiting: deque[tuple[bytes, str, int]] = deque()
        # The kernel's count belongs to the socket and goes on when a new worker inherits it.
        self._drops_before = self._kernel_drops()

    def fileno(self) -> int:
        return self._sock.fileno()

    @property
    def waiting(self) -> int:
        """Datagrams that the kernel would not take yet."""
        return len(self._waiting)

    @property
    def receive_buffer_bytes(self) -> int:
        """What the kernel granted. It counts its own overhead too and reports twice what was asked for."""
        return self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)

    def drain(self, limit: int = 64) -> list[tuple[bytes, str, int]]:
        """At most ``limit`` datagrams that have arrived: (payload, remote host, remote port), oldest first.

        A full list means that more may be there; the bound lets timers and other sockets have their turn.
        """
        arrived: list[tuple[bytes, str, int]] = []
        receive = self._sock.recvfrom
        try:
            while len(arrived) < limit:
                data, address = receive(MAX_DATAGRAM_BYTES)
                arrived.append((data, address[0], address[1]))
        except OSError:
            # Nothing more to read (EAGAIN), or an error left by something sent earlier, which says nothing
            # about what is still in the queue: whatever is there makes the socket readable again.
            pass
        return arrived

    def send(self, data: bytes, host: str, port: int) -> None:
        """Send one datagram, in order behind those that wait. What cannot be sent is counted and dropped."""
        if self._waiting or not self._try_send(data, host, port):
            if len(self._waiting) < MAX_WAITING:
                self._waiting.append((data, host, port))
            else:
                self.counters.unsent_congested += 1

    def flush(self) -> None:
        """Send what waits, as far as the kernel takes it."""
        while self._waiting and self._try_send(*self._waiting[0]):
            self._waiting.popleft()

    def _try_send(self, data: bytes, host: str, port: int) -> bool:
        """Whether this datagram is dealt with: gone, or hopeless and counted. False: try again later."""
        try:
            self._sock.sendto(data, (host, port))
        except BlockingIOError:
            return False
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                self.counters.unsent_too_big += 1
            elif error.errno == errno.ENOBUFS:
                self.counters.unsent_congested += 1
            else:
                self.counters.unsent_unreachable += 1
        return True

    def dropped(self) -> int:
        """Datagrams that the kernel threw away since we have the socket: its receive buffer was full."""
        return (self._kernel_drops() - self._drops_before) % 2**32

    def _kernel_drops(self) -> int:
        information = self._sock.getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, _MEMINFO.size)
        return int(_MEMINFO.unpack(information)[_MEMINFO_DROPS])

    def close(self) -> None:
        self._sock.close()
