"""How much a node gives to callers whatever they do, as an operator may set it: the table ``[limits]``.

What a call itself may bring, the protocol says (docs/reference/wire.md); that is the same on every node.
"""

from typing import Annotated

import msgspec

Count = Annotated[int, msgspec.Meta(ge=1)]
Positive = Annotated[float, msgspec.Meta(gt=0)]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An *address* is one customer's: an IPv4 address or an IPv6 /64 (`edge.overload.clients.client_of`).

    ``per_address`` is how many QUIC connections it may have, how many of TCP, and how many calls, all of one worker;
    ``per_address_per_s`` is how many may begin for good, and of QUIC twice as many at once. A caller is cut off that
    reads nothing of what waits for it for ``unread_s``, or is not heard of for ``silent_s`` on a connection that stands.
    """

    per_address: Count = 256
    per_address_per_s: Positive = 8.0
    unread_s: Positive = 10.0
    silent_s: Positive = 60.0
