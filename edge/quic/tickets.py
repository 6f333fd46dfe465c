"""Session tickets: what lets a caller who was here before speak in its very first packet (0-RTT).

Early data can be replayed by whoever copied it off the wire (RFC 8446 section 8). Here each ticket is good for
one handshake and lives in the memory of the worker that issued it: a copy finds it gone, on any other worker or
node nobody knows it, and after a restart there are none. In all these cases the handshake goes on as if there
had been no ticket, and the caller's engine sends the same data again.
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Self

import msgspec
from aioquic.tls import SessionTicket


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a client keeps for its next connection to the same server name; to be used once."""

    engine: SessionTicket = field(repr=False)

    @property
    def is_valid(self) -> bool:
        """Whether its server said that it would still know it."""
        return self.engine.is_valid

    def encode(self) -> bytes:
        """As JSON on one line, to be kept where nobody else can read it."""
        return msgspec.json.encode(self.engine)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """What `encode` made. Raises ValueError for anything else."""
        return cls(msgspec.json.decode(data, type=SessionTicket))


class TicketStore:
    """The tickets a worker has issued and not seen again; of more than ``capacity`` the oldest are forgotten."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._tickets: OrderedDict[bytes, SessionTicket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._tickets)

    def keep(self, ticket: SessionTicket) -> None:
        """Remember one that is being sent to its client."""
        self._tickets[ticket.ticket] = ticket
        if len(self._tickets) > self._capacity:
            self._tickets.popitem(last=False)

    def take(self, label: bytes) -> SessionTicket | None:
        """The ticket that a client presents, the first time it is presented."""
        return self._tickets.pop(label, None)
