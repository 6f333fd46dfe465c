"""How a call gets a connection: over QUIC where that is possible, over a WebSocket where it is not."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal
from urllib.parse import urlsplit

from edge.client.leg import Leg, QuicLeg
from edge.client.race import first_of
from edge.client.tickets import Keepsake, TicketStore
from edge.client.websocket_leg import WebSocketLeg
from edge.errors import EdgeError, RefusedError, UsageError
from edge.quic import Ticket
from edge.runtime.carriers import CarrierName
from edge.runtime.dialer import DEFAULT_PORT, CertificateRejected, NameNotFound, Target

STAGGER_S = 0.3
"""Before the next way is tried as well. A handshake takes one round trip, or two if the node asks for proof of the
address: with any longer wait callers on the far side of an ocean would gain nothing, with a much shorter one all of
them would dial twice."""

DECISIVE: tuple[type[EdgeError], ...] = (UsageError, RefusedError, NameNotFound, CertificateRejected)
"""Answers that another way to the same edge would not change, and must not get around."""

CarrierChoice = Literal["auto", "quic", "websocket"]

_ORDERS: dict[CarrierChoice, tuple[CarrierName, ...]] = {
    "auto": ("quic", "websocket"),
    "quic": ("quic",),
    "websocket": ("websocket",),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialing:
    """What does not change from one connection of a call to the next. Without ``tickets`` nothing is said early."""

    target: Target
    carrier: CarrierChoice
    tickets: TicketStore | None
    timeout_s: float
    dead_after_s: float

    @property
    def can_speak_early(self) -> bool:
        return self.carrier != "websocket" and self.tickets is not None and self.tickets.has(self.target)

    async def dial(
        self,
        early: Callable[[Leg], None],
        discard: Callable[[Leg], None],
        *,
        unicast_url: str | None,
        last: CarrierName | None,
    ) -> Leg:
        """The first connection that stands: the unicast address is tried first, and the carrier that was the ``last``.

        ``early`` is told of a leg that can be spoken on already, before it is known whether it will stand; ``discard``
        of one that stands and is not needed. Raises what `QuicLeg.dial` and `WebSocketLeg.dial` raise.
        """
        order = (
            sorted(_ORDERS[self.carrier], key=lambda carrier: carrier != last)
            if last
            else _ORDERS[self.carrier]
        )
        places = [self.target]
        if unicast_url is not None and (unicast := self._at(unicast_url)) != self.target:
            places.insert(0, unicast)
        ticket, token = None, b""
        if self.tickets is not None and "quic" in order:
            ticket, token = self.tickets.take(self.target), self.tickets.take_token(self.target)
        return await first_of(
            list(self._ways(order, places, ticket, token, early)),
            stagger_s=STAGGER_S,
            decisive=DECISIVE,
            discard=discard,
        )

    async def dial_at(self, url: str | None, carrier: CarrierName) -> Leg:
        """A connection to the node behind ``url``, None for the service address. Raises as `dial` does."""
        place = self.target if url is None else self._at(url)
        if carrier == "websocket":
            return await WebSocketLeg.dial(place, timeout_s=self.timeout_s)
        return await self._quic(place, None, b"", lambda _: None)

    def _ways(
        self,
        order: Iterable[CarrierName],
        places: list[Target],
        ticket: Ticket | None,
        token: bytes,
        early: Callable[[Leg], None],
    ) -> Iterable[Callable[[], Coroutine[Any, Any, Leg]]]:
        for carrier in order:
            for place in places:
                if carrier == "quic":
                    # Each is good for one handshake.
                    own = (ticket, token) if place is places[0] else (None, b"")
                    yield partial(self._quic, place, *own, early)
                else:
                    yield partial(WebSocketLeg.dial, place, timeout_s=self.timeout_s)

    async def _quic(
        self, place: Target, ticket: Ticket | None, token: bytes, early: Callable[[Leg], None]
    ) -> Leg:
        return await QuicLeg.dial(
            place,
            ticket=ticket,
            address_token=token,
            keep=self._keep,
            early=early,
            timeout_s=self.timeout_s,
            dead_after_s=self.dead_after_s,
        )

    def _keep(self, keepsake: Keepsake) -> None:
        if self.tickets is not None:
            self.tickets.keep(self.target, keepsake)

    def _at(self, url: str) -> Target:
        """The node behind ``url``, which has to prove itself by the same name."""
        parts = urlsplit(url)
        return replace(
            self.target,
            host=parts.hostname or self.target.host,
            port=parts.port or DEFAULT_PORT,
            server_name=self.target.server_name or self.target.host,
        )
