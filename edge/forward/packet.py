"""One datagram on its way from the node that it reached to the node that it is for, or an answer on its way back.

    worker (1) | version and kind (1) | generation (1) | sender's worker (1) | sender's server ID (8) | counter (8)
    AES-256-GCM of: family (1) | caller's address (4 or 16) | caller's port (2) | local address (4 or 16) | payload

The head is authenticated with the rest, and so is the receiver's server ID, which is not in it: a copy that is sent to
another node, or back to the sender, is worth nothing there. The head begins with the octet of the worker that it is for,
where a socket filter finds it. Every sender has a key of its own, so that the nonce, its worker's octet and a counter, never comes again
under one key: a counter begins at the wall-clock time in nanoseconds, which no earlier life of that worker has reached.
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final

from edge.errors import EdgeError
from edge.quic.connection import MAX_UDP_PAYLOAD
from edge.quic.path import Path

VERSION: Final = 1
SERVER_ID_BYTES: Final = 8
TAG_BYTES: Final = 16
MAX_PAYLOAD: Final = MAX_UDP_PAYLOAD
"""Bytes of a caller's datagram that are carried. With `MAX_OVERHEAD`, and UDP over IPv6 around it, it fits 1500."""

_HEAD: Final = struct.Struct(f"!BBBB{SERVER_ID_BYTES}sQ")
_NONCE: Final = struct.Struct("!xxxBQ")
_PORT: Final = struct.Struct("!H")
_LENGTHS: Final = {4: 4, 6: 16}
_VERSIONS: Final = {length: version for version, length in _LENGTHS.items()}
MAX_OVERHEAD: Final = _HEAD.size + 1 + 16 + _PORT.size + 16 + TAG_BYTES


class Kind(IntEnum):
    """What a packet is."""

    STRAY = 1
    """A caller's datagram, for the owner of its connection ID."""
    ANSWER = 2
    """The owner's, to be sent to the caller from where his arrived."""


class MalformedPacket(EdgeError):
    """No packet of ours, or none that can be read."""


@dataclass(frozen=True, slots=True)
class Head:
    """What stands in front, in the clear. ``worker`` is the receiver's octet."""

    worker: int
    kind: Kind
    generation: int
    sender: bytes
    sender_worker: int
    counter: int

    def encode(self) -> bytes:
        return _HEAD.pack(
            self.worker,
            VERSION << 4 | self.kind,
            self.generation,
            self.sender_worker,
            self.sender,
            self.counter,
        )

    @property
    def nonce(self) -> bytes:
        return _NONCE.pack(self.sender_worker, self.counter)

    @classmethod
    def decode(cls, packet: bytes) -> Head:
        """Raises `MalformedPacket`."""
        if len(packet) < _HEAD.size + TAG_BYTES:
            raise MalformedPacket(f"{len(packet)} bytes are too few")
        worker, kind, generation, sender_worker, sender, counter = _HEAD.unpack_from(packet)
        try:
            known = Kind(kind & 0xF)
        except ValueError:
            known = None
        if known is None or kind >> 4 != VERSION:
            raise MalformedPacket(f"version {kind >> 4}, kind {kind & 0xF}")
        return cls(worker, known, generation, sender, sender_worker, counter)


HEAD_BYTES: Final = _HEAD.size


def encode_body(path: Path, payload: bytes) -> bytes:
    """``path``: the caller's end, and the local address that his datagram arrived at."""
    host, local = _packed(path.host), _packed(path.local)
    return b"".join((bytes((_VERSIONS[len(host)],)), host, _PORT.pack(path.port), local, payload))


def decode_body(body: bytes) -> tuple[Path, bytes]:
    """Raises `MalformedPacket`."""
    length = _LENGTHS.get(body[0]) if body else None
    if length is None or len(body) < 1 + 2 * length + _PORT.size:
        raise MalformedPacket("no addresses in it")
    port_at, local_at = 1 + length, 1 + length + _PORT.size
    end = local_at + length
    (port,) = _PORT.unpack_from(body, port_at)
    return Path(_text(body[1:port_at]), port, _text(body[local_at:end])), body[end:]


@lru_cache(maxsize=4096)
def _packed(address: str) -> bytes:
    return ipaddress.ip_address(address.partition("%")[0]).packed


@lru_cache(maxsize=4096)
def _text(packed: bytes) -> str:
    return str(ipaddress.ip_address(packed))
