"""A socket and a clock around a sans-IO client stack."""

import asyncio
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar, cast

Address = tuple[str, int]


class Stack(Protocol):
    """A `ClientConnection`, or one with a session on it."""

    def receive_datagram(self, data: bytes, address: Address, now: float) -> None: ...
    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Address]]: ...
    def get_timer(self) -> float | None: ...
    def handle_timer(self, now: float) -> None: ...
    def next_event(self) -> Any: ...


S = TypeVar("S", bound=Stack)


class Driver(asyncio.DatagramProtocol, Generic[S]):
    """Feeds ``stack`` from one UDP socket, which stays the same when the server moves the call.

    ``on_event`` is given what the stack tells. After any verb on the stack call `wake`, which sends what the
    verb asked for. ``on_unsendable`` is told when the kernel refuses to send; that is for who dials to judge,
    for later the route may be back for the next packet.
    """

    def __init__(
        self, stack: S, on_event: Callable[[Any], None], on_unsendable: Callable[[OSError], None]
    ) -> None:
        self.stack = stack
        self._on_event = on_event
        self._on_unsendable = on_unsendable
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.DatagramTransport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._awake = False

    def wake(self) -> None:
        """Have the stack's events told and its datagrams sent, once for all that happens in this turn."""
        if not self._awake:
            self._awake = True
            self._loop.call_soon(self._settle)

    def leave(self) -> None:
        """Send what is left to send and give the socket back. The server is told if the stack was closed."""
        self._settle()
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.close()
            self._transport = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Until Python 3.12 the one that is made here is a DatagramTransport in all but its class.
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str | Any, int]) -> None:
        self.stack.receive_datagram(data, (addr[0], addr[1]), self._loop.time())
        self.wake()

    def error_received(self, exc: Exception) -> None:
        if isinstance(exc, OSError):
            self._on_unsendable(exc)

    def _settle(self) -> None:
        self._awake = False
        self._tell()
        if self._transport is not None:
            for data, address in self.stack.datagrams_to_send(self._loop.time()):
                self._transport.sendto(data, address)
            self._tell()
        if self._transport is not None:
            self._arm()

    def _tell(self) -> None:
        while self._transport is not None and (event := self.stack.next_event()) is not None:
            self._on_event(event)

    def _arm(self) -> None:
        """Keep one timer that is never too late. One that rings too early costs less than moving it each time."""
        at = self.stack.get_timer()
        if at is None or (self._timer is not None and self._timer.when() <= at):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._ring)

    def _ring(self) -> None:
        self._timer = None
        at, now = self.stack.get_timer(), self._loop.time()
        if at is not None and at <= now:
            self.stack.handle_timer(now)
        self.wake()
