"""Stateless reset: telling a peer that the connection it still believes in is gone (RFC 9000 section 10.3).

A reset is a packet of random bytes that ends in a token. The peer learned the token together with the
connection ID, and nobody who does not hold the key can compute it. Whoever makes a node compute one for a
*living* connection can kill it (section 21.11), so the endpoint answers only for its own server ID and worker.
"""

import hmac
from collections.abc import Callable

TOKEN_LENGTH = 16
MIN_LENGTH = 21
"""Bytes; anything shorter is recognised as no valid packet."""
MAX_LENGTH = 42
"""Bytes; what a short packet with a 20-byte connection ID takes, so that an observer cannot tell."""


def reset_token(key: bytes, cid: bytes) -> bytes:
    """The 16-byte token of a connection ID; the same on every node and worker that has the key."""
    return hmac.digest(key, cid, "sha256")[:TOKEN_LENGTH]


def stateless_reset(token: bytes, trigger_length: int, entropy: Callable[[int], bytes]) -> bytes | None:
    """The answer to a datagram of ``trigger_length`` bytes; None when it was too short to answer.

    It is always shorter than what it answers. Otherwise two endpoints that have both forgotten a connection
    would keep resetting each other (section 10.3.3).
    """
    length = min(trigger_length - 1, MAX_LENGTH)
    if length < MIN_LENGTH:
        return None
    noise = entropy(length - TOKEN_LENGTH)
    return bytes((noise[0] & 0x3F | 0x40,)) + noise[1:] + token
