"""How a call gets a connection: over QUIC where that is possible, over a WebSocket where it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from edge.client.leg import Leg, QuicLeg
from edge.client.race import first_of
from edge.client.tickets import Keepsake, TicketStore
from edge.client.websocket_leg import WebSocketLeg
from edge.errors import EdgeError, RefusedError, UsageError
from edge.quic import Ticket
from edge.runtime.carriers import CarrierName
from edge.runtime.dialer import DEFAULT_PORT, CertificateRejected, NameNotFound, NoAnswer, Target, resolve

STAGGER_S = 0.3
"""Before the next way is tried as well. A handshake takes one round trip, or two if the node asks for proof of the
address: with any longer wait callers on the far side of an ocean would gain nothing, with a much shorter one all of
them would dial twice."""
STAGGER_ROUND_TRIPS: Final = 3
MIN_STAGGER_S: Final = 0.1
"""Who has just had a connection knows how far the edge is (RFC 8305, section 5, has the same least)."""
AGAIN_TIMEOUT_S: Final = 2.5
AGAIN_ROUND_TRIPS: Final = 6
"""How long to wait, in all, for somebody who was there a moment ago. The pauses between the first packets of a
handshake double; to begin anew keeps them short, so that an outage does not last much longer for the call than for the
network."""

DECISIVE: tuple[type[EdgeError], ...] = (UsageError, RefusedError, NameNotFound, CertificateRejected)
"""Answers that another way to the same edge would not change, and must not get around."""
DECISIVE_ELSEWHERE: tuple[type[EdgeError], ...] = (UsageError,)
"""The same where a node is called first, and then the service: that one has no name, proves nothing or takes no newcomers
is no word about the other."""

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

    async def dial(self, early: Callable[[Leg], None], discard: Callable[[Leg], None]) -> Leg:
        """The first connection that stands, of a new call.

        ``early`` is told of a leg that can be spoken on already, before it is known whether it will stand; ``discard``
        of one that stands and is not needed. Raises what `QuicLeg.dial` and `WebSocketLeg.dial` raise.
        """
        return await self._first(
            _ORDERS[self.carrier], [self.target], early, discard, STAGGER_S, self.timeout_s
        )

    async def dial_again(
        self,
        early: Callable[[Leg], None] | None,
        discard: Callable[[Leg], None],
        *,
        unicast_url: str | None,
        last: Leg,
        anywhere: bool = True,
    ) -> Leg:
        """The same for a call that had a connection, ``last``: to its node, and then, if it may go ``anywhere``, to the
        service, and by the same carrier before others, unless the network is another one. Without ``early`` nothing is
        said early.
        """
        order: Sequence[CarrierName] = _ORDERS[self.carrier]
        if not last.relocated:
            order = sorted(order, key=lambda carrier: carrier != last.carrier)
        places = [self.target]
        if unicast_url is not None and (unicast := self._at(unicast_url)) != self.target:
            places = [unicast, self.target] if anywhere else [unicast]
        rtt_s = last.wire.rtt_s() or 0.0
        stagger_s = min(STAGGER_S, max(MIN_STAGGER_S, STAGGER_ROUND_TRIPS * rtt_s))
        within_s = min(self.timeout_s, round(AGAIN_TIMEOUT_S + AGAIN_ROUND_TRIPS * rtt_s, 1))
        try:
            async with asyncio.timeout(within_s):
                return await self._first(order, places, early, discard, stagger_s, within_s)
        except TimeoutError:
            raise NoAnswer(f"{self.target}: no answer within {within_s:g} s") from None

    async def dial_at(self, url: str | None, carrier: CarrierName) -> Leg:
        """A connection to the node behind ``url``, None for the service address. Raises as `dial` does."""
        place = self.target if url is None else self._at(url)
        if carrier == "websocket":
            return await WebSocketLeg.dial(place, timeout_s=self.timeout_s)
        return await self._quic(place, None, b"", _nobody, self.timeout_s)

    async def _first(
        self,
        order: Sequence[CarrierName],
        places: list[Target],
        early: Callable[[Leg], None] | None,
        discard: Callable[[Leg], None],
        stagger_s: float,
        timeout_s: float,
    ) -> Leg:
        ways: list[Callable[[], Coroutine[Any, Any, Leg]]] = []
        ticket, token = None, b""
        if self.tickets is not None and early is not None and "quic" in order:
            ticket, token = self.tickets.take(self.target), self.tickets.take_token(self.target)
        for carrier in order:
            for place in places:
                if carrier == "websocket":  # which tries the addresses of a name side by side, too
                    ways.append(partial(WebSocketLeg.dial, place, timeout_s=timeout_s))
                    continue
                for one in await _by_family(place):
                    ways.append(partial(self._quic, one, ticket, token, early or _nobody, timeout_s))
                    ticket, token = None, b""  # each is good for one handshake
        decisive = DECISIVE if len(places) == 1 else DECISIVE_ELSEWHERE
        return await first_of(ways, stagger_s=stagger_s, decisive=decisive, discard=discard)

    async def _quic(
        self,
        place: Target,
        ticket: Ticket | None,
        token: bytes,
        early: Callable[[Leg], None],
        timeout_s: float,
    ) -> Leg:
        return await QuicLeg.dial(
            place,
            ticket=ticket,
            address_token=token,
            keep=self._keep,
            early=early,
            timeout_s=timeout_s,
            dead_after_s=self.dead_after_s,
        )

    def _keep(self, keepsake: Keepsake) -> None:
        if self.tickets is not None:
            self.tickets.keep(self.target, keepsake)

    def _at(self, url: str) -> Target:
        """The node behind ``url``, which has to prove itself by the same name. Where that is no place, the service."""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError:  # an edge can say anything
            return self.target
        if not host or not host.isascii():
            return self.target
        server_name = self.target.server_name or self.target.host
        return replace(self.target, host=host, port=port or DEFAULT_PORT, server_name=server_name)


async def _by_family(place: Target) -> list[Target]:
    """``place`` by IPv6 and by IPv4, if its name has both, as the resolver prefers (RFC 8305, section 4)."""
    try:
        families = dict.fromkeys(family for family, _ in await resolve(place))
    except NameNotFound:
        return [place]  # whoever dials says it
    return [replace(place, family=family) for family in families] if len(families) > 1 else [place]


def _nobody(_leg: Leg) -> None:
    """Nothing is said early."""
