"""One connection of a call, from dialling to its end. A call has another one when this one is lost."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Protocol, Self

from edge.client.quic_line import QuicLine
from edge.client.summary import LegSummary
from edge.client.tickets import Keepsake
from edge.quic import (
    AddressTokenIssued,
    ClientConnection,
    ConnectionClosed,
    Event,
    HandshakeCompleted,
    PathChanged,
    Ticket,
    TicketIssued,
)
from edge.runtime.carriers import CarrierName, Wire, carry_out
from edge.runtime.dialer import Target, dial
from edge.runtime.driver import Driver
from edge.runtime.sockets import host_port
from edge.runtime.websocket_carrier import Ended
from edge.voice import Code, actions
from edge.voice.base import Receiver


class Rider(Protocol):
    """Who gets what arrives, and how its owner hears that something has."""

    @property
    def receiver(self) -> Receiver: ...

    def wake(self) -> None: ...


class Leg(ABC):
    """``rider`` is None until the leg has been chosen, and may be another one later. ``on_change`` is told when it
    has moved, and when it has ended, once; ``on_doubt`` when it is ``doubted``, and when it is not any more."""

    carrier: CarrierName

    def __init__(self) -> None:
        self.rider: Rider | None = None
        self.on_change: Callable[[Leg], None] = lambda _: None
        self.on_doubt: Callable[[Leg], None] = lambda _: None
        self.doubted = False
        """Whether it is wise to look for another."""
        self.relocated = False
        """Whether what was found out of the network when it began may be otherwise by now."""
        self.ended: Ended | None = None
        """Not by us."""
        self.session_id = ""
        self.node = ""
        self.handshake_ms: float | None = None
        self.early_data = False
        self.resumed = False
        self.elsewhere = False
        self.resumed_after_ms: float | None = None
        self.migration_ms: float | None = None
        self._abandoned = False
        self._loop = asyncio.get_running_loop()

    @property
    @abstractmethod
    def wire(self) -> Wire: ...

    @property
    @abstractmethod
    def path(self) -> str:
        """The edge's address in use, as ``HOST:PORT``."""

    @property
    @abstractmethod
    def host(self) -> str:
        """The same without its port."""

    def abandon(self, reason: str, code: Code = Code.OK) -> None:
        """Nobody needs it (any more): say goodbye. With `Code.GOING_AWAY` the call itself is not over."""
        self._abandoned = True
        self.rider = None
        self.wire.close(code, reason)

    def relocate(self) -> None:
        """The way to the edge begins at another address of ours now."""
        self.relocated = True

    @abstractmethod
    def unreachable(self) -> None:
        """There is no way to the edge any more, from where it is carried."""

    async def gone(self) -> None:  # noqa: B027 - most need nothing
        """Wait until it has ended and all that it held is given back."""

    def carry(self, action: actions.Action) -> None:
        """Do what a session asks; it is sent by the next `flush`."""
        carry_out(self.wire, action)

    @abstractmethod
    def flush(self) -> None:
        """Send what was asked for."""

    def summary(self) -> LegSummary:
        """As of now."""
        rtt_s = self.wire.rtt_s()
        return LegSummary(
            session_id=self.session_id,
            node=self.node,
            carrier=self.carrier,
            path=self.path,
            handshake_ms=self.handshake_ms,
            early_data=self.early_data,
            resumed=self.resumed,
            elsewhere=self.elsewhere,
            resumed_after_ms=self.resumed_after_ms,
            migrated=self.migration_ms is not None,
            migration_ms=self.migration_ms,
            rtt_ms=None if rtt_s is None else ms(rtt_s),
            ended=self.ended.reason if self.ended else None,
        )

    def _doubt(self, doubted: bool) -> None:
        if doubted is not self.doubted and not self._abandoned:
            self.doubted = doubted
            self.on_doubt(self)

    def _end(self, ended: Ended) -> None:
        if self.ended is None and not self._abandoned:
            self.ended = ended
            self.on_change(self)


class QuicLeg(Leg):
    """A QUIC connection with its socket. ``keep`` gets the tickets and tokens that the edge gives us."""

    carrier: CarrierName = "quic"

    def __init__(self, keep: Callable[[Keepsake], None]) -> None:
        super().__init__()
        self._keep = keep
        self._line: QuicLine
        self._driver: Driver[QuicLine]
        self._dialed_at = self._loop.time()

    @classmethod
    async def dial(
        cls,
        target: Target,
        *,
        ticket: Ticket | None,
        address_token: bytes,
        keep: Callable[[Keepsake], None],
        early: Callable[[Leg], None],
        timeout_s: float,
        dead_after_s: float,
    ) -> Self:
        """With a ``ticket``, ``early`` is told of the leg before anything leaves; it may be used from then on.

        Raises what `edge.runtime.dialer.dial` raises.
        """
        leg = cls(keep)

        def stack(connection: ClientConnection) -> QuicLine:
            leg._line = QuicLine(connection, dead_after_s, lambda: leg._doubt(leg._line.doubted))
            return leg._line

        def begun(driver: Driver[QuicLine]) -> None:
            leg._driver, leg._dialed_at = driver, leg._loop.time()
            if ticket is not None:
                early(leg)

        await dial(
            target,
            stack=stack,
            on_event=leg._hear,
            on_unsendable=lambda _: leg._line.unsendable(leg._loop.time()),
            begun=begun,
            ticket=ticket,
            address_token=address_token,
            timeout_s=timeout_s,
        )
        return leg

    @property
    def wire(self) -> Wire:
        return self._line

    @property
    def path(self) -> str:
        peer = self._line.connection.peer
        return "" if peer is None else host_port(*peer)

    @property
    def host(self) -> str:
        peer = self._line.connection.peer
        return "" if peer is None else peer[0]

    def abandon(self, reason: str, code: Code = Code.OK) -> None:
        super().abandon(reason, code)
        self._driver.leave()

    def relocate(self) -> None:
        super().relocate()
        # The socket is bound to no address: the kernel takes the new one by itself.
        self._line.connection.relocate()
        self._driver.wake()

    def unreachable(self) -> None:
        self._line.unsendable(self._loop.time())
        self._driver.wake()

    def flush(self) -> None:
        self._driver.wake()

    def _hear(self, event: Event) -> None:
        now = self._loop.time()
        match event:
            case HandshakeCompleted():
                self.handshake_ms = ms(now - self._dialed_at)
                self.early_data = event.early_data_accepted
            case TicketIssued(ticket=ticket):
                self._keep(ticket)
            case AddressTokenIssued(token=token):
                self._keep(token)
            case PathChanged():
                at = self._line.connection.migrated_at
                self.migration_ms = None if at is None else ms(at - self._dialed_at)
                self.on_change(self)
            case ConnectionClosed():
                self._driver.leave()
                self._end(Ended(event.code, event.reason, event.by_peer, event.by_application))
            case _ if self.rider is not None:
                self._line.deliver(event, self.rider.receiver, now)
                self.rider.wake()
            case _:
                pass


def ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
