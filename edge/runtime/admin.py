"""How an operator talks to a running node: HTTP with small JSON bodies over a Unix socket.

Who may connect is decided by the socket file (mode 0660): its owner and its group. From afar the same socket
is reached through SSH. Scrapers that cannot use a Unix socket get ``/metrics`` on a TCP address of their own.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import stat
import struct
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Final, Protocol, TypeVar

import msgspec

from edge.errors import UnreachableError, UsageError
from edge.runtime.desk import Desk
from edge.runtime.documents import BgpPeers, BgpRoutes, DrainReport, NodeExplanation
from edge.runtime.holds import Reason, WallTime, Who
from edge.runtime.http1 import HttpServer, Request, Response, Routes, json_response
from edge.runtime.lease import LeaseRelease, LeaseRequest
from edge.runtime.metrics import CONTENT_TYPE
from edge.runtime.sockets import bind_error, is_ipv6

SOCKET_MODE = 0o660

_PEERCRED = struct.Struct("=3i")  # struct ucred: pid, uid, gid

LEASE_FIELD: Final = "edge-lease"
"""With an order: the token of the lease under which it is given."""


class WithdrawOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``POST /withdraw``: stay out until then, or until another order.

    ``reason`` and ``who`` are an operator's words, and show wherever the hold does. ``force``, here and below: even if
    another operator has the lease. Here moreover: even if nobody else is known to announce.
    """

    reason: Reason = ""
    who: Who = ""
    until: WallTime | None = None
    force: bool = False


class DrainOrder(WithdrawOrder, frozen=True, forbid_unknown_fields=True):
    """The body of ``POST /drain``: the same, and let nobody in once the routers send nobody here any more.

    ``hand_over``: then ask the calls to go on at another node; else they are left to end. ``deadline``: close those that
    are left then, by the wall clock.
    """

    hand_over: bool = True
    deadline: WallTime | None = None


class AnnounceOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``POST /announce`` and ``POST /undrain``: no operator keeps the node out any longer.

    ``hold``: moreover it must not leave for load, until then, or until another order.
    """

    reason: Reason = ""
    who: Who = ""
    hold: bool = False
    until: WallTime | None = None
    force: bool = False

    def __post_init__(self) -> None:
        if self.until is not None and not self.hold:
            raise ValueError("'until' is of use with 'hold' only")


class ReloadOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``POST /reload``: replace the workers by a new generation, which takes the new calls.

    ``deadline_s``: until the callers that the one before still has are asked to move to it; None: their calls end by
    themselves.
    """

    deadline_s: Annotated[float, msgspec.Meta(ge=0)] | None = None
    who: Who = ""
    force: bool = False


Order = TypeVar("Order", WithdrawOrder, DrainOrder, AnnounceOrder, ReloadOrder)
Body = TypeVar("Body", bound=msgspec.Struct)


class Health(msgspec.Struct, frozen=True):
    """The answer of ``/livez`` and ``/readyz``: 200 if ``ok``, else 503 with what is wrong."""

    ok: bool
    problems: tuple[str, ...] = ()


class Administered(Protocol):
    """What the admin socket needs from a node."""

    desk: Desk

    def live(self) -> Health:
        """Whether the process works at all; if not, restart it."""

    def ready(self) -> Health:
        """Whether it takes new callers; if not, send none."""

    def status(self) -> object:
        """The whole state, as msgspec can encode it."""

    async def calls(self) -> object:
        """The calls that are up, and those that ended lately."""

    def render_metrics(self) -> bytes: ...

    def config_text(self) -> str:
        """The configuration as it was read at the start."""

    def explain(self) -> NodeExplanation:
        """Why the node is where it is, and what would change that."""

    def bgp_peers(self) -> BgpPeers: ...

    def bgp_routes(self) -> BgpRoutes: ...

    async def withdraw(self, order: WithdrawOrder) -> object:
        """Withdraw now and stay out; calls that are up go on. Returns the status that follows.

        Raises `RefusedError` if nobody else is known to announce, `UsageError` if ``until`` has passed.
        """

    async def drain(self, order: DrainOrder) -> object:
        """Withdraw in the same way, and empty the node. Returns the status that follows; raises as `withdraw`."""

    def drain_report(self) -> DrainReport:
        """How far the drain is that goes on, or how the last one ended."""

    async def announce(self, order: AnnounceOrder) -> object:
        """End any hold, or pin the node announced. Returns the status that follows; raises `UsageError` as above."""

    async def reload(self, order: ReloadOrder) -> object:
        """Returns the status once the new workers serve. Raises `EdgeError`, and the old ones go on, if they do not."""


def metrics_routes(node: Administered) -> Routes:
    """What a scraper and a load balancer may see: for a listener without the socket file's protection.

    Why a node is not ready may be in an operator's words, which are for operators.
    """

    async def metrics(_: Request) -> Response:
        return Response(node.render_metrics(), content_type=CONTENT_TYPE)

    async def livez(_: Request) -> Response:
        return _health_response(Health(node.live().ok))

    async def readyz(_: Request) -> Response:
        return _health_response(Health(node.ready().ok))

    return {("GET", "/metrics"): metrics, ("GET", "/livez"): livez, ("GET", "/readyz"): readyz}


def admin_routes(node: Administered) -> Routes:
    """Everything an operator may ask of ``node``."""

    async def livez(_: Request) -> Response:
        return _health_response(node.live())

    async def readyz(_: Request) -> Response:
        return _health_response(node.ready())

    async def status(_: Request) -> Response:
        return json_response(node.status())

    async def calls(_: Request) -> Response:
        return json_response(await node.calls())

    async def explain(_: Request) -> Response:
        return json_response(node.explain())

    async def bgp_peers(_: Request) -> Response:
        return json_response(node.bgp_peers())

    async def bgp_routes(_: Request) -> Response:
        return json_response(node.bgp_routes())

    def order(request: Request, kind: type[Order]) -> Order:
        given = _body(request, kind)
        node.desk.check(request.fields.get(LEASE_FIELD), force=given.force)
        return given

    async def withdraw(request: Request) -> Response:
        return json_response(await node.withdraw(order(request, WithdrawOrder)))

    async def drain(request: Request) -> Response:
        return json_response(await node.drain(order(request, DrainOrder)))

    async def drain_report(_: Request) -> Response:
        return json_response(node.drain_report())

    async def announce(request: Request) -> Response:
        return json_response(await node.announce(order(request, AnnounceOrder)))

    async def reload(request: Request) -> Response:
        return json_response(await node.reload(order(request, ReloadOrder)))

    async def config(_: Request) -> Response:
        return Response(node.config_text().encode(), content_type="text/plain; charset=utf-8")

    async def lease(_: Request) -> Response:
        return json_response(node.desk.lease())

    async def take_lease(request: Request) -> Response:
        return json_response(node.desk.take(_body(request, LeaseRequest)))

    async def release_lease(request: Request) -> Response:
        return json_response(node.desk.release(_body(request, LeaseRelease)))

    async def operation(request: Request) -> Response:
        return json_response(node.desk.note(request.body, request.fields.get(LEASE_FIELD)))

    return {
        **metrics_routes(node),
        ("GET", "/livez"): livez,
        ("GET", "/readyz"): readyz,
        ("GET", "/status"): status,
        ("GET", "/config"): config,
        ("GET", "/lease"): lease,
        ("POST", "/lease"): take_lease,
        ("POST", "/lease/release"): release_lease,
        ("POST", "/operation"): operation,
        ("GET", "/calls"): calls,
        ("GET", "/explain"): explain,
        ("GET", "/bgp/peers"): bgp_peers,
        ("GET", "/bgp/routes"): bgp_routes,
        ("POST", "/withdraw"): withdraw,
        ("POST", "/announce"): announce,
        ("GET", "/drain"): drain_report,
        ("POST", "/drain"): drain,
        # To end a drain is to end its hold.
        ("POST", "/undrain"): announce,
        ("POST", "/reload"): reload,
    }


def _body(request: Request, kind: type[Body]) -> Body:
    try:
        return msgspec.json.decode(request.body or b"{}", type=kind)
    except msgspec.DecodeError as error:
        raise UsageError(f"request body: {error}") from error


def _health_response(health: Health) -> Response:
    return json_response(health, HTTPStatus.OK if health.ok else HTTPStatus.SERVICE_UNAVAILABLE)


class AdminSocket:
    """The Unix socket of one node: taken at `open`, given back at `close`."""

    def __init__(self, path: Path, routes: Routes) -> None:
        self.path = path
        self._server = HttpServer(routes)
        self._created: os.stat_result | None = None

    async def open(self) -> None:
        """Create the socket and serve on it; a socket that nobody listens on any more is replaced.

        Raises `UnreachableError` if another process listens there, the file is no socket, or the directory
        is missing or closed to us.
        """
        try:
            with _only_one_in(self.path.parent):
                _clear_stale(self.path)
                sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                try:
                    # Nobody can connect before listen(), so the mode is in force from the first moment.
                    sock.bind(str(self.path))
                    os.chmod(self.path, SOCKET_MODE)
                    sock.listen()
                except OSError:
                    sock.close()
                    raise
                self._created = self.path.stat()
        except OSError as error:
            raise UnreachableError(
                f"{self.path}: cannot listen here: {error.strerror or error}; make its directory and give it "
                "to this user, or set 'socket' in [admin]"
            ) from error
        await self._server.listen(sock)

    async def close(self) -> None:
        await self._server.close()
        with contextlib.suppress(FileNotFoundError):
            if self._created is not None and _same_file(self._created, self.path.stat()):
                self.path.unlink()


def _same_file(created: os.stat_result, found: os.stat_result) -> bool:
    """A successor may have put its own socket at our path, and may even have been given our inode number."""
    return (created.st_ino, created.st_ctime_ns) == (found.st_ino, found.st_ctime_ns)


@contextlib.contextmanager
def _only_one_in(directory: Path) -> Iterator[None]:
    """Hold the directory's lock, so that of two nodes starting together only one finds the place free."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UnreachableError(f"{directory}: another node is starting here; try again") from error
        yield
    finally:
        os.close(descriptor)


def _clear_stale(path: Path) -> None:
    """Remove the socket of a node that is gone; raises if it is not gone, or not a socket."""
    try:
        if not stat.S_ISSOCK(path.stat().st_mode):
            raise UnreachableError(f"{path}: this is not a socket; remove it or choose another path")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as visitor:
            visitor.setblocking(False)
            visitor.connect(str(path))
            credentials = visitor.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEERCRED.size)
            owner = f"process {_PEERCRED.unpack(credentials)[0]}"
    except FileNotFoundError:
        return
    except ConnectionRefusedError:
        path.unlink()
        return
    except BlockingIOError:
        owner = "a process too busy to answer"
    raise UnreachableError(f"{path}: {owner} is already running here; stop it or choose another path")


def open_tcp(host: str, port: int) -> socket.socket:
    """A listening TCP socket, for ``/metrics``; raises `UnreachableError` with the remedy."""
    sock = socket.socket(socket.AF_INET6 if is_ipv6(host) else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen()
    except OSError as error:
        sock.close()
        raise bind_error(error, host, port, "tcp") from error
    return sock
