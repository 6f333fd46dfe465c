"""Outgoing QUIC connections: resolve a name, shake hands, and say in an exception's class why it failed."""

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any, Generic

from cryptography import x509

from edge.errors import DeadlineError, EdgeError, RefusedError, UnreachableError, UsageError
from edge.quic import ClientConfig, ClientConnection, ConnectionClosed, HandshakeCompleted, Ticket
from edge.runtime.driver import Address, Driver, S
from edge.voice import ALPN

DEFAULT_PORT = 443
DIAL_TIMEOUT_S = 5.0
MAX_REASON = 160
"""Characters of what a peer or the TLS library says: some list every name of a certificate."""

_CONNECTION_REFUSED = 0x2  # RFC 9000 section 20.1
_TLS_ALERTS = range(0x100, 0x200)
_NO_APPLICATION_PROTOCOL = 0x100 + 120  # RFC 7301 section 3.2
_NO_COMMON_VERSION = "Could not find a common protocol version"


class NameNotFound(UnreachableError):
    """No address is known under this name, in this address family."""


class NoRoute(UnreachableError):
    """This machine cannot send to the address, or not from the source it was told to use."""


class CertificateRejected(UnreachableError):
    """Somebody answered and did not prove to be the one who was called."""


class VersionMismatch(UnreachableError):
    """Somebody answered who has no QUIC version or no application protocol in common with us."""


class ServerBusy(RefusedError):
    """The node protects the calls it has and takes no new ones (CONNECTION_REFUSED)."""


class NoAnswer(DeadlineError):
    """The handshake was not completed in time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Whom to call and whom to believe.

    The certificate must be for ``server_name`` (default: ``host``) and signed by one of ``ca`` (a PEM file;
    default: the public CAs), unless ``insecure``. ``source`` is the local address to call from. Without
    ``migrate`` the connection stays at the address that was called, as those of some other clients do.
    Raises `UsageError` for a name that TLS cannot ask for.
    """

    host: str
    port: int = DEFAULT_PORT
    server_name: str | None = None
    ca: Path | None = None
    insecure: bool = False
    family: socket.AddressFamily = socket.AF_UNSPEC
    source: str | None = None
    migrate: bool = True

    def __post_init__(self) -> None:
        for name in (self.host, self.server_name):
            if name and not name.isascii():
                raise UsageError(f"{name}: is not ASCII; write it as it is in certificates (xn--...)")

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Dialed(Generic[S]):
    """A connection that stands. Times are those of the event loop: of the ClientHello, and of the moment at
    which the handshake was complete here."""

    stack: S
    driver: Driver[S]
    dialed_at: float
    established_at: float


async def dial(
    target: Target,
    *,
    stack: Callable[[ClientConnection], S],
    on_event: Callable[[Any], None],
    on_unsendable: Callable[[OSError], None] = lambda _: None,
    begun: Callable[[Driver[S]], None] = lambda _: None,
    ticket: Ticket | None = None,
    address_token: bytes = b"",
    alpn: str = ALPN,
    timeout_s: float = DIAL_TIMEOUT_S,
) -> Dialed[S]:
    """Connect to ``target`` and go on driving what ``stack`` makes of the connection.

    ``on_event`` gets the stack's events from `HandshakeCompleted` on, some of them before this returns, and
    ``on_unsendable`` is told when the kernel refuses to send from then on. ``begun`` is
    called before the first packet leaves: with a ``ticket``, what is written then or until the handshake is complete
    is early data. An ``address_token`` of an earlier connection saves the round trip in which a node asks for proof.
    The name's addresses are tried in the resolver's order while there is no route to them. Raises `UsageError`,
    `NameNotFound`, `NoRoute`, `CertificateRejected`, `VersionMismatch`, `ServerBusy`, `NoAnswer`, or plain
    `EdgeError` if the server closes for another reason.
    """
    config = ClientConfig(
        server_name=target.server_name or target.host,
        alpn=(alpn,),
        ca_pem=_read(target.ca) if target.ca else None,
        verify=not target.insecure,
        ticket=ticket,
        address_token=address_token,
        migrate=target.migrate,
    )
    try:
        async with asyncio.timeout(timeout_s):
            *others, last = await resolve(target)
            for place in others:
                with contextlib.suppress(NoRoute):
                    return await _shake_hands(target, place, config, stack, on_event, on_unsendable, begun)
            return await _shake_hands(target, last, config, stack, on_event, on_unsendable, begun)
    except TimeoutError:
        raise NoAnswer(f"{target}: no answer within {timeout_s:g} s over UDP") from None


def _read(ca: Path) -> bytes:
    try:
        pem = ca.read_bytes()
        x509.load_pem_x509_certificates(pem)
    except OSError as error:
        raise UsageError(f"{ca}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{ca}: holds no PEM certificates") from error
    return pem


async def resolve(target: Target) -> list[tuple[socket.AddressFamily, Address]]:
    """Address families and addresses in the resolver's order, never an empty list. Raises `NameNotFound`."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(
            target.host, target.port, family=target.family, type=socket.SOCK_DGRAM
        )
    except (OSError, UnicodeError) as error:  # socket.gaierror, or what can be no name
        why = getattr(error, "strerror", None) or error
        raise NameNotFound(f"{target.host}: {why}; check the name, and -4 or -6") from error
    return [(family, (str(sockaddr[0]), int(sockaddr[1]))) for family, _, _, _, sockaddr in found]


async def _shake_hands(
    target: Target,
    place: tuple[socket.AddressFamily, Address],
    config: ClientConfig,
    stack: Callable[[ClientConnection], S],
    on_event: Callable[[Any], None],
    on_unsendable: Callable[[OSError], None],
    begun: Callable[[Driver[S]], None],
) -> Dialed[S]:
    loop = asyncio.get_running_loop()
    family, address = place
    connection = ClientConnection(config)
    established: asyncio.Future[float] = loop.create_future()

    def judge(event: Any) -> None:
        if not established.done():
            if isinstance(event, ConnectionClosed):
                established.set_exception(_explain(event, target))
                return
            if isinstance(event, HandshakeCompleted):
                established.set_result(loop.time())
        on_event(event)

    def unsendable(error: OSError) -> None:
        if not established.done():
            established.set_exception(NoRoute(f"{target}: cannot send to {address[0]}: {error.strerror}"))
        elif not established.cancelled() and established.exception() is None:
            on_unsendable(error)

    driver = Driver(stack(connection), judge, unsendable)
    try:
        await loop.create_datagram_endpoint(
            lambda: driver, family=family, local_addr=(target.source, 0) if target.source else None
        )
    except OSError as error:
        origin = f"from {target.source}" if target.source else "from this machine"
        raise NoRoute(f"{target}: cannot call {origin}: {error.strerror or error}") from error
    dialed_at = loop.time()
    try:
        connection.connect(address, dialed_at)
        begun(driver)
        driver.wake()
        return Dialed(driver.stack, driver, dialed_at, await established)
    except BaseException:
        driver.leave()
        raise


def _explain(closed: ConnectionClosed, target: Target) -> EdgeError:
    reason = shorten(closed.reason, MAX_REASON, placeholder=" ...") or f"code {closed.code:#x}"
    if closed.by_application:
        return EdgeError(f"{target}: {reason}")
    if closed.code == _CONNECTION_REFUSED:
        return ServerBusy(f"{target}: the node is overloaded and takes no new calls; try again shortly")
    if closed.code == _NO_APPLICATION_PROTOCOL or reason == _NO_COMMON_VERSION:
        return VersionMismatch(f"{target}: something else than an edge answers there: {reason}")
    if closed.code in _TLS_ALERTS:
        return CertificateRejected(
            f"{target}: TLS: {reason}; name the right CA (--ca) or name (--server-name)"
        )
    return EdgeError(f"{target}: closed during the handshake: {reason}")
