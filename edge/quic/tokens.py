"""Retry tokens: proof that a client receives what is sent to its address, kept by the client, not by us.

A token is sealed with a key that the whole fleet shares, so the node that gets the second Initial need not
be the one that asked for it: between the two the anycast route may have moved. It is bound to the client's
address and port, to the connection ID it will use next, and to a few seconds of *wall-clock* time, because
the monotonic clocks of two machines have nothing in common.

    token = nonce (12) || AES-GCM(issued ms (8) | port (2) | packed address | original cid | retry cid)

each of the last three behind its length in one octet.
"""

import ipaddress
import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from edge.errors import UsageError
from edge.quic.path import Path

NONCE_LENGTH = 12
_HEAD = struct.Struct("!QH")
_LABEL = b"edge retry token"


class InvalidToken(ValueError):
    """The token is one of ours, but not for this client, this packet or this time (RFC 9000 section 8.1.2)."""


class RetryTokens:
    """Seals and opens tokens. ``key``: 16, 24 or 32 bytes, the same on every node of the fleet.

    A token is good for ``lifetime_s``, and as much as ``skew_s`` before it was issued: the clocks of two nodes
    differ. A client comes back within a round trip, so both are short.
    """

    def __init__(self, key: bytes, *, lifetime_s: float = 15.0, skew_s: float = 5.0) -> None:
        if len(key) not in (16, 24, 32):
            raise UsageError(f"retry key of {len(key)} bytes: needs 16, 24 or 32")
        self._aead = AESGCM(key)
        self._lifetime_s = lifetime_s
        self._skew_s = skew_s

    def seal(
        self, path: Path, original_cid: bytes, retry_cid: bytes, *, unix_time: float, nonce: bytes
    ) -> bytes:
        """A token for the client at ``path``. ``nonce``: 12 bytes, never the same twice under one key."""
        plain = _HEAD.pack(int(unix_time * 1000), path.port) + b"".join(
            bytes((len(part),)) + part for part in (_packed(path.host), original_cid, retry_cid)
        )
        return nonce + self._aead.encrypt(nonce, plain, _LABEL)

    def open(self, token: bytes, path: Path, destination_cid: bytes, *, unix_time: float) -> bytes | None:
        """The connection ID of the client's first Initial; None when nobody with our key made this token.

        Raises `InvalidToken`: the client did follow a Retry of ours and will not follow another.
        """
        try:
            plain = self._aead.decrypt(token[:NONCE_LENGTH], token[NONCE_LENGTH:], _LABEL)
        except (InvalidTag, ValueError):
            return None
        issued_ms, port = _HEAD.unpack_from(plain)
        host, original_cid, retry_cid = _parts(plain[_HEAD.size :])
        if (host, port) != (_packed(path.host), path.port):
            raise InvalidToken("token of another address")
        if retry_cid != destination_cid:
            raise InvalidToken("token of another connection ID")
        if not -self._skew_s <= unix_time - issued_ms / 1000 <= self._lifetime_s:
            raise InvalidToken("token has expired")
        return original_cid


def _packed(host: str) -> bytes:
    # A link-local address arrives with its zone ("fe80::1%eth0"), which names an interface of this machine.
    return ipaddress.ip_address(host.partition("%")[0]).packed


def _parts(data: bytes) -> list[bytes]:
    parts = []
    while data:
        parts.append(data[1 : 1 + data[0]])
        data = data[1 + data[0] :]
    return parts
