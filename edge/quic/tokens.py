"""Address tokens: proof that a client receives what is sent to its address, kept by the client, not by us.

A token is sealed with a key that the whole fleet shares, so the node that gets it need not be the one that gave it. It
is dated with *wall-clock* time, because the monotonic clocks of two machines have nothing in common. There are two
kinds (RFC 9000 section 8.1):

* of a Retry: for this handshake, that is for the client's address and port, for the connection ID that it will use
  next, and for a few seconds;
* of a NEW_TOKEN: for the client's next connection, that is for its address, and for days; a worker takes each once.

    token = kind | generation | nonce (12) || AES-GCM(issued ms (8) | packed address | the Retry's parts)

The Retry's parts are the port (2) and, each behind its length in one octet, the original and the retry CID.
"""

import ipaddress
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from edge.quic.path import Path

NONCE_LENGTH: Final = 12
RETRY_LIFETIME_S: Final = 15.0
"""A client comes back within a round trip."""
RETURN_LIFETIME_S: Final = 7 * 86_400.0
SKEW_S: Final = 5.0
"""How much earlier than it was made a token may come: the clocks of two nodes differ."""

_RETRY, _RETURN = 0x52, 0x4E
_HEAD = struct.Struct("!BB")
_PORT = struct.Struct("!H")
_ISSUED = struct.Struct("!Q")


class InvalidToken(ValueError):
    """The token is of a Retry of ours, but not for this client, this packet or this time (RFC 9000 section 8.1.2)."""


@dataclass(frozen=True, slots=True)
class Proved:
    """The client receives what is sent to its address. ``original_cid``: of its first Initial, if it follows a Retry.

    ``issued_at``: when, by the wall clock.
    """

    original_cid: bytes | None
    issued_at: float = field(default=0.0, compare=False)


class AddressTokens:
    """``keys``: 16, 24 or 32 bytes for each generation, the same on every node of the fleet; ``issue``: the one in use.

    Every ``nonce`` is 12 bytes and never the same twice under one key.
    """

    def __init__(self, keys: Mapping[int, bytes], issue: int) -> None:
        self._aeads = {generation: AESGCM(key) for generation, key in keys.items()}
        self._issue = issue

    def for_retry(
        self, path: Path, original_cid: bytes, retry_cid: bytes, *, unix_time: float, nonce: bytes
    ) -> bytes:
        """A token for the client at ``path``, that is to go on with ``retry_cid``."""
        cids = b"".join(bytes((len(cid),)) + cid for cid in (original_cid, retry_cid))
        return self._seal(_RETRY, path.host, _PORT.pack(path.port) + cids, unix_time, nonce)

    def for_return(self, host: str, *, unix_time: float, nonce: bytes) -> bytes:
        """A token for another connection from the same address."""
        return self._seal(_RETURN, host, b"", unix_time, nonce)

    def open(self, token: bytes, path: Path, destination_cid: bytes, *, unix_time: float) -> Proved | None:
        """What a token proves of a client whose Initial has ``destination_cid``; None: nothing.

        A token of a Retry that is not for it raises `InvalidToken`: the client did follow a Retry of ours and will not
        follow another. Any other may be of a server that it spoke to before.
        """
        head, nonce = token[: _HEAD.size], token[_HEAD.size : _HEAD.size + NONCE_LENGTH]
        aead = self._aeads.get(head[1]) if len(head) == _HEAD.size else None
        if aead is None:
            return None
        try:
            plain = aead.decrypt(nonce, token[_HEAD.size + NONCE_LENGTH :], head)
        except (InvalidTag, ValueError):
            return None
        (issued_ms,) = _ISSUED.unpack_from(plain)
        host, rest = _part(plain[_ISSUED.size :])
        is_same_host, age_s = host == _packed(path.host), unix_time - issued_ms / 1000
        if head[0] == _RETURN:
            return (
                Proved(None, issued_ms / 1000)
                if is_same_host and -SKEW_S <= age_s <= RETURN_LIFETIME_S
                else None
            )
        (port,) = _PORT.unpack_from(rest)
        original_cid, rest = _part(rest[_PORT.size :])
        retry_cid, _ = _part(rest)
        if not is_same_host or port != path.port:
            raise InvalidToken("token of another address")
        if retry_cid != destination_cid:
            raise InvalidToken("token of another connection ID")
        if not -SKEW_S <= age_s <= RETRY_LIFETIME_S:
            raise InvalidToken("token has expired")
        return Proved(original_cid, issued_ms / 1000)

    def _seal(self, kind: int, host: str, rest: bytes, unix_time: float, nonce: bytes) -> bytes:
        head, address = _HEAD.pack(kind, self._issue), _packed(host)
        plain = _ISSUED.pack(int(unix_time * 1000)) + bytes((len(address),)) + address + rest
        return head + nonce + self._aeads[self._issue].encrypt(nonce, plain, head)


def _packed(host: str) -> bytes:
    # A link-local address arrives with its zone ("fe80::1%eth0"), which names an interface of this machine.
    return ipaddress.ip_address(host.partition("%")[0]).packed


def _part(data: bytes) -> tuple[bytes, bytes]:
    """What stands behind its length, and what follows it."""
    end = 1 + data[0]
    return data[1:end], data[end:]
