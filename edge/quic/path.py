"""Where a datagram came from and where it arrived."""

from typing import NamedTuple


class Path(NamedTuple):
    """The two ends of a path; the local port follows from the local address.

    QUIC validates paths, not peers (RFC 9000 section 9). A node has several addresses, so the same peer
    reaches it on several paths, and an answer has to leave from the address that was asked. The whole tuple
    is what the engine compares and hands back as "address"; ``local`` is the textual IP address the datagram
    arrived on, empty on a client, which leaves that choice to its kernel.
    """

    host: str
    port: int
    local: str
