"""A BGP neighbor that says what it should not: messages built by hand (RFC 4271, 4760, 6793, 7911), plain sockets.

Nothing here checks what it sends; that is the point of it. It blocks: run it in a thread.
"""

import contextlib
import os
import socket
import struct
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv4Network

OPEN, UPDATE, NOTIFICATION, KEEPALIVE, ROUTE_REFRESH = 1, 2, 3, 4, 5
MARKER = b"\xff" * 16
MAX_MESSAGE = 4096

# How long the other side may take for whatever it has been sent; it is slow, and may be.
PATIENCE_S = 30.0

# Attribute flags and types.
OPTIONAL, TRANSITIVE, EXTENDED_LENGTH = 0x80, 0x40, 0x10
ORIGIN, AS_PATH, NEXT_HOP, MED, LOCAL_PREF, COMMUNITIES = 1, 2, 3, 4, 5, 8
ORIGINATOR_ID, CLUSTER_LIST, MP_REACH, MP_UNREACH, LARGE_COMMUNITIES = 9, 10, 14, 15, 32


def message(kind: int, body: bytes = b"") -> bytes:
    return MARKER + struct.pack("!HB", 19 + len(body), kind) + body


CEASE = message(NOTIFICATION, bytes([6, 2]))


def capability(code: int, value: bytes = b"") -> bytes:
    return bytes([code, len(value)]) + value


def opening(asn: int, router_id: str, *, hold_time_s: int = 90) -> bytes:
    """An OPEN for IPv4 and IPv6 unicast with 4-byte AS numbers, and with add-path both ways for IPv4."""
    capabilities = b"".join(
        (
            capability(1, struct.pack("!HBB", 1, 0, 1)),
            capability(1, struct.pack("!HBB", 2, 0, 1)),
            capability(65, struct.pack("!I", asn)),
            capability(69, struct.pack("!HBB", 1, 1, 3)),
        )
    )
    parameters = bytes([2, len(capabilities)]) + capabilities
    fixed = struct.pack("!BHH", 4, asn if asn < 1 << 16 else 23456, hold_time_s)
    return message(OPEN, fixed + IPv4Address(router_id).packed + bytes([len(parameters)]) + parameters)


def attribute(code: int, value: bytes, flags: int = TRANSITIVE) -> bytes:
    if len(value) > 255:
        return struct.pack("!BBH", flags | EXTENDED_LENGTH, code, len(value)) + value
    return struct.pack("!BBB", flags, code, len(value)) + value


def nlri(prefix: IPv4Network, path_id: int = 1) -> bytes:
    octets = prefix.network_address.packed[: (prefix.prefixlen + 7) // 8]
    return struct.pack("!IB", path_id, prefix.prefixlen) + octets


def update(attributes: bytes, announced: bytes = b"", withdrawn: bytes = b"") -> bytes:
    return message(
        UPDATE,
        struct.pack("!H", len(withdrawn))
        + withdrawn
        + struct.pack("!H", len(attributes))
        + attributes
        + announced,
    )


def mandatory(next_hop: str) -> bytes:
    """What a path within the AS must have."""
    return (
        attribute(ORIGIN, b"\x00")
        + attribute(AS_PATH, b"")
        + attribute(NEXT_HOP, IPv4Address(next_hop).packed)
        + attribute(LOCAL_PREF, struct.pack("!I", 100))
    )


def communities(values: Iterable[int]) -> bytes:
    """RFC 1997; each value is 32 bits."""
    return attribute(
        COMMUNITIES, b"".join(struct.pack("!I", value) for value in values), OPTIONAL | TRANSITIVE
    )


def large_communities(values: Iterable[tuple[int, int, int]]) -> bytes:
    """RFC 8092."""
    packed = b"".join(struct.pack("!III", *value) for value in values)
    return attribute(LARGE_COMMUNITIES, packed, OPTIONAL | TRANSITIVE)


def routes(attributes: bytes, count: int) -> Iterator[bytes]:
    """Messages that announce ``count`` different host routes, as full as they may be."""
    first = int(IPv4Address("10.0.0.0"))
    entries = [nlri(IPv4Network((first + number, 32))) for number in range(count)]
    room = (MAX_MESSAGE - 23 - len(attributes)) // len(entries[0])
    for start in range(0, count, room):
        yield update(attributes, b"".join(entries[start : start + room]))


class HostilePeer:
    """``own`` address and AS, and the address and port where the speaker listens."""

    def __init__(self, own: str, asn: int, speaker: tuple[str, int]) -> None:
        self.own = own
        self._asn = asn
        self.speaker = speaker

    @contextlib.contextmanager
    def connection(self, receive_buffer: int | None = None) -> Iterator[socket.socket]:
        """TCP only. The kernel keeps at least a few kilobytes of ``receive_buffer``."""
        with socket.socket() as link:
            link.settimeout(PATIENCE_S)
            if receive_buffer is not None:
                link.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            link.bind((self.own, 0))
            link.connect(self.speaker)
            yield link

    def opening(self, **changes: int) -> bytes:
        return opening(self._asn, self.own.replace("127.0.0", "192.0.2"), **changes)

    @contextlib.contextmanager
    def session(self, receive_buffer: int | None = None) -> Iterator[socket.socket]:
        """Established, as far as this end can know: the other one has confirmed our OPEN."""
        with self.connection(receive_buffer) as link:
            link.sendall(self.opening() + message(KEEPALIVE))
            while _read_kind(link) != KEEPALIVE:
                pass
            yield link

    def say(self, *messages: bytes) -> None:
        """All of it in one session; returns when the other side has read it to the end, or hung up."""
        with self.session() as link, contextlib.suppress(ConnectionError):
            link.sendall(b"".join(messages) + CEASE)
            while link.recv(1 << 16):
                pass


def _read_kind(link: socket.socket) -> int:
    header = _exactly(link, 19)
    length, kind = struct.unpack("!HB", header[16:])
    _exactly(link, length - 19)
    return int(kind)


def _exactly(link: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        chunk = link.recv(size - len(data))
        if not chunk:
            raise ConnectionError("hung up on")
        data += chunk
    return data


def send_all_it_takes(link: socket.socket, data: Iterable[bytes], timeout_s: float) -> int:
    """Without ever reading. Bytes that were sent before it was hung up on, or nothing more went for a while."""
    sent = 0
    with contextlib.suppress(OSError):
        for chunk in data:
            link.settimeout(timeout_s)
            link.sendall(chunk)
            sent += len(chunk)
    return sent


# What ExaBGP overlooks, or may: what is taken from such a message is sound.
OVERLOOKED = {
    "no AS_PATH",
    "ORIGIN of two bytes",
    "AS_PATH with an empty segment",
    "everything twice",
    "unknown well-known attribute",
    "attribute 0",
    "attribute 255",
}


def malformed(next_hop: str, route: bytes) -> dict[str, bytes]:
    """One of every kind, by name: whole messages for an established session, that announce ``route`` or try to."""
    good = mandatory(next_hop)
    origin, as_path = attribute(ORIGIN, b"\x00"), attribute(AS_PATH, b"")
    hop = attribute(NEXT_HOP, IPv4Address(next_hop).packed)
    optional = OPTIONAL | TRANSITIVE
    mp = struct.pack("!HBB", 2, 1, 16) + b"\x20\x01\x0d\xb8" + b"\x00" * 12 + b"\x00"
    return {
        "no attributes": update(b"", route),
        "no NEXT_HOP": update(origin + as_path, route),
        "no ORIGIN": update(as_path + hop, route),
        "no AS_PATH": update(origin + hop, route),
        "ORIGIN 9": update(attribute(ORIGIN, b"\x09") + as_path + hop, route),
        "ORIGIN of two bytes": update(attribute(ORIGIN, b"\x00\x00") + as_path + hop, route),
        "flags: optional ORIGIN": update(attribute(ORIGIN, b"\x00", optional) + as_path + hop, route),
        "flags: none at all": update(attribute(ORIGIN, b"\x00", 0) + attribute(AS_PATH, b"", 0) + hop, route),
        "flags: well-known communities": update(good + attribute(COMMUNITIES, b"\x00" * 4), route),
        "AS_PATH with a segment type 99": update(
            origin + attribute(AS_PATH, b"\x63\x01\x00\x00\x00\x01") + hop, route
        ),
        "AS_PATH cut in a segment": update(origin + attribute(AS_PATH, b"\x02\xff\x00\x00") + hop, route),
        "AS_PATH of one byte": update(origin + attribute(AS_PATH, b"\x02") + hop, route),
        "AS_PATH with an empty segment": update(origin + attribute(AS_PATH, b"\x02\x00") + hop, route),
        "NEXT_HOP of three bytes": update(origin + as_path + attribute(NEXT_HOP, b"\x7f\x00\x00"), route),
        "NEXT_HOP 0.0.0.0": update(origin + as_path + attribute(NEXT_HOP, b"\x00" * 4), route),
        "NEXT_HOP 255.255.255.255": update(origin + as_path + attribute(NEXT_HOP, b"\xff" * 4), route),
        "MED of five bytes": update(good + attribute(MED, b"\x00" * 5, OPTIONAL), route),
        "communities of three bytes": update(good + attribute(COMMUNITIES, b"\x00" * 3, optional), route),
        "no communities": update(good + attribute(COMMUNITIES, b"", optional), route),
        "large communities of 13 bytes": update(
            good + attribute(LARGE_COMMUNITIES, b"\x00" * 13, optional), route
        ),
        "ORIGINATOR_ID of five bytes": update(good + attribute(ORIGINATOR_ID, b"\x00" * 5, OPTIONAL), route),
        "CLUSTER_LIST of three bytes": update(good + attribute(CLUSTER_LIST, b"\x00" * 3, OPTIONAL), route),
        "everything twice": update(good + good, route),
        "attribute longer than the rest": update(good + b"\xc0\x20\xff\x00", route),
        "attribute cut in its header": update(good + b"\xc0", route),
        "unknown well-known attribute": update(good + attribute(99, b"\x00" * 8), route),
        "attribute 0": update(good + attribute(0, b"\x00" * 8, optional), route),
        "attribute 255": update(good + attribute(255, b"\xff" * 200, optional), route),
        "attributes longer than the message": message(UPDATE, b"\x00\x00\xff\xff" + good),
        "withdrawn longer than the message": message(UPDATE, b"\xff\xff"),
        "an update of three bytes": message(UPDATE, b"\x00\x00\x00"),
        "NLRI cut": update(good, route[:-1]),
        "NLRI with a path ID alone": update(good, route[:4]),
        "NLRI of /33": update(good, struct.pack("!IB", 1, 33) + b"\x00" * 5),
        "NLRI of /255": update(good, struct.pack("!IB", 1, 255) + b"\x00" * 32),
        "NLRI withdrawn cut": update(b"", withdrawn=route[:-2]),
        "MP_REACH cut": update(origin + as_path + attribute(MP_REACH, mp[:9], OPTIONAL)),
        "MP_REACH with a next hop of 255": update(
            origin + as_path + attribute(MP_REACH, b"\x00\x02\x01\xff" + b"\x00" * 20, OPTIONAL)
        ),
        "MP_REACH of /129": update(
            origin + as_path + attribute(MP_REACH, mp + b"\x81" + b"\x00" * 17, OPTIONAL)
        ),
        "MP_REACH of a family that was not agreed on": update(
            origin + as_path + attribute(MP_REACH, struct.pack("!HBB", 25, 70, 4) + b"\x00" * 20, OPTIONAL)
        ),
        "MP_REACH empty": update(attribute(MP_REACH, b"", OPTIONAL)),
        "MP_UNREACH empty": update(attribute(MP_UNREACH, b"", OPTIONAL)),
        "MP_REACH twice": update(origin + as_path + 2 * attribute(MP_REACH, mp + b"\x10\x20\x01", OPTIONAL)),
        "a second OPEN": opening(64600, "192.0.2.240"),
        "a refresh nobody agreed on": message(ROUTE_REFRESH, struct.pack("!HBB", 1, 0, 1)),
        "a refresh of two bytes": message(ROUTE_REFRESH, b"\x00\x01"),
        "a notification in bad UTF-8": message(NOTIFICATION, b"\x06\x02\x80" + b"\xff\xfe" * 64),
        "a notification of one byte": message(NOTIFICATION, b"\x06"),
        "a notification with lines of its own": message(
            NOTIFICATION, b"\x06\x02\x20\ndone\nerror\nshutdown\n{\n   \n\n"
        ),
        "a keepalive with a body": message(KEEPALIVE, b"done\n"),
        "a message of type 0": message(0),
        "a message of type 255": message(255, b"\x00" * 64),
        "a length of 5": MARKER + struct.pack("!HB", 5, UPDATE),
        "a length of 65535": MARKER + struct.pack("!HB", 65535, UPDATE) + b"\x00" * 8192,
        "no marker": b"\x00" * 16 + struct.pack("!HB", 19, KEEPALIVE),
        "HTTP": b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n",
        "noise": os.urandom(4096),
    }
