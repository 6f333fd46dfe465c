"""A small, strict HTTP/1.1 server (RFC 9112) for an operator's requests and a scraper's.

One request a connection, small bodies with a Content-Length, exact paths. Whatever is odd is refused with the
status the RFC names for it. It never faces the public: see `edge.runtime.admin` for where it listens.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

import msgspec

from edge.errors import DeadlineError, EdgeError, RefusedError, UnreachableError, UsageError

HEAD_LIMIT = 8 * 1024  # bytes of request line and header fields
BODY_LIMIT = 64 * 1024  # bytes
MAX_CONNECTIONS = 32  # at the same time; more are turned away
_TURNS_TO_BEGIN = 4  # of the loop: accepted, the transport made, its protocol told, the task begun
READ_TIMEOUT_S = 5.0  # for the whole request
WRITE_TIMEOUT_S = 10.0  # for the whole answer

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, section 5.6.2
_TARGET = re.compile(rb"/[!-~]*")  # origin-form, section 3.2.1
_FIELD_VALUE = re.compile(rb"[\t -~\x80-\xff]*")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    body: bytes
    fields: Mapping[str, str] = field(default_factory=dict)
    """Of the head; names in lower case, and of one that came twice the last."""


@dataclass(frozen=True, slots=True)
class Response:
    body: bytes
    content_type: str = "application/json"
    status: int = HTTPStatus.OK
    fields: Mapping[str, str] = field(
        default_factory=dict
    )  # of the head, besides those that every answer has


Handler = Callable[[Request], Awaitable[Response]]
Routes = Mapping[tuple[str, str], Handler]  # (method, path)


def json_response(value: object, status: int = HTTPStatus.OK) -> Response:
    """``value`` may be anything msgspec can encode: structs, dataclasses, builtins."""
    return Response(msgspec.json.encode(value) + b"\n", status=status)


# What an error that a handler raises looks like from outside. The exit code goes with it, so that the command
# which asked can end as if it had failed itself.
_STATUS_BY_ERROR: tuple[tuple[type[EdgeError], HTTPStatus], ...] = (
    (UsageError, HTTPStatus.BAD_REQUEST),
    (RefusedError, HTTPStatus.CONFLICT),
    (DeadlineError, HTTPStatus.GATEWAY_TIMEOUT),
    (UnreachableError, HTTPStatus.SERVICE_UNAVAILABLE),
    (EdgeError, HTTPStatus.INTERNAL_SERVER_ERROR),
)


def error_response(error: EdgeError) -> Response:
    status = next(status for kind, status in _STATUS_BY_ERROR if isinstance(error, kind))
    return json_response({"error": str(error), "exit_code": error.exit_code}, status)


class _Refused(Exception):
    """The request is not one we answer; ``status`` says why."""

    def __init__(self, status: HTTPStatus, why: str, allow: str = "") -> None:
        super().__init__(why)
        self.response = Response(
            msgspec.json.encode({"error": why, "exit_code": EdgeError.exit_code}) + b"\n",
            status=status,
            fields={"Allow": allow} if allow else {},
        )


class HttpServer:
    """Serves ``routes`` on sockets that are already bound; `close` ends it and every open connection."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes
        self._servers: list[asyncio.Server] = []
        self._connections: set[asyncio.Task[None]] = set()

    async def listen(self, sock: socket.socket) -> None:
        """Serve on a bound stream socket (Unix or TCP), which now belongs to this server."""
        start = asyncio.start_unix_server if sock.family == socket.AF_UNIX else asyncio.start_server
        self._servers.append(await start(self.connected, sock=sock, limit=HEAD_LIMIT))

    async def close(self) -> None:
        # A server that is closed while it makes the transport of somebody whom it has accepted leaves his socket open
        # (asyncio's Server refuses to count one more, and nobody has the socket). So it accepts no more before.
        loop = asyncio.get_running_loop()
        for listening in [sock for server in self._servers for sock in server.sockets]:
            loop.remove_reader(listening.fileno())
        for _ in range(_TURNS_TO_BEGIN):
            await asyncio.sleep(0)
        for server in self._servers:
            server.close()
        self._servers.clear()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer on a connection that somebody has accepted; it is over when this returns."""
        task = asyncio.current_task()
        assert task is not None  # asyncio runs every connection as a task
        self._connections.add(task)
        try:
            if len(self._connections) > MAX_CONNECTIONS:
                response = _Refused(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections").response
            else:
                response = await self._answer(reader)
            async with asyncio.timeout(WRITE_TIMEOUT_S):
                writer.write(_encoded(response))
                if writer.can_write_eof():
                    writer.write_eof()
                else:  # TLS says it by itself: close_notify
                    await writer.drain()
                    writer.close()
                # Closing over unread bytes would reset the connection and take the answer with it.
                while await reader.read(HEAD_LIMIT):
                    pass
        except (OSError, EOFError, TimeoutError):
            pass  # the client left, or does not read: nobody is there to be told
        finally:
            writer.transport.abort()
            self._connections.discard(task)

    async def _answer(self, reader: asyncio.StreamReader) -> Response:
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                request = await read_request(reader)
        except _Refused as refused:
            return refused.response
        except TimeoutError:
            return _Refused(HTTPStatus.REQUEST_TIMEOUT, "the request did not arrive in time").response
        try:
            return await self._handler(request)(request)
        except _Refused as refused:
            return refused.response
        except EdgeError as error:
            return error_response(error)
        except Exception:
            log.exception("event=admin_request_failed method=%s path=%s", request.method, request.path)
            return error_response(EdgeError("internal error; the node's log has the details"))

    def _handler(self, request: Request) -> Handler:
        handler = self._routes.get((request.method, request.path))
        if handler is not None:
            return handler
        allowed = ", ".join(sorted(method for method, path in self._routes if path == request.path))
        if allowed:
            raise _Refused(HTTPStatus.METHOD_NOT_ALLOWED, f"{request.path} answers to {allowed}", allowed)
        known = ", ".join(sorted({path for _, path in self._routes}))
        raise _Refused(HTTPStatus.NOT_FOUND, f"{request.path} is not here; there are {known}")


async def read_request(reader: asyncio.StreamReader) -> Request:
    """Read and parse one request; raises `_Refused` for what we do not answer, EOFError when nothing comes."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.LimitOverrunError as error:
        raise _Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"head over {HEAD_LIMIT} bytes") from error
    request_line, *field_lines = head[:-4].split(b"\r\n")
    method, path, version = _request_line(request_line)
    fields = _fields(field_lines)
    if version == b"HTTP/1.1" and len(fields.get(b"host", ())) != 1:
        raise _Refused(HTTPStatus.BAD_REQUEST, "exactly one Host field is needed")
    if b"transfer-encoding" in fields:
        raise _Refused(HTTPStatus.NOT_IMPLEMENTED, "no transfer coding is supported; send a Content-Length")
    body = await reader.readexactly(_content_length(fields.get(b"content-length", [])))
    said = {name.decode(): values[-1].decode("latin-1") for name, values in fields.items()}
    return Request(method, path, body, said)


def _request_line(line: bytes) -> tuple[str, str, bytes]:
    parts = line.split(b" ")
    if len(parts) != 3:
        raise _Refused(HTTPStatus.BAD_REQUEST, "malformed request line")
    method, target, version = parts
    if not version.startswith(b"HTTP/"):
        raise _Refused(HTTPStatus.BAD_REQUEST, "malformed request line")
    if version not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise _Refused(HTTPStatus.HTTP_VERSION_NOT_SUPPORTED, "HTTP/1.1 is spoken here")
    if not _TOKEN.fullmatch(method) or not _TARGET.fullmatch(target):
        raise _Refused(HTTPStatus.BAD_REQUEST, "malformed request line")
    return method.decode(), target.decode(), version


def _fields(lines: list[bytes]) -> dict[bytes, list[bytes]]:
    fields: dict[bytes, list[bytes]] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        # The name's pattern also refuses folded lines and a space before the colon (RFC 9112, 5.1 and 5.2).
        if not colon or not _TOKEN.fullmatch(name) or not _FIELD_VALUE.fullmatch(value):
            raise _Refused(HTTPStatus.BAD_REQUEST, "malformed header field")
        fields.setdefault(name.lower(), []).append(value.strip(b" \t"))
    return fields


def _content_length(values: list[bytes]) -> int:
    if not values:
        return 0
    if len(values) > 1 or not re.fullmatch(rb"[0-9]{1,18}", values[0]):
        raise _Refused(HTTPStatus.BAD_REQUEST, "malformed Content-Length")
    length = int(values[0])
    if length > BODY_LIMIT:
        raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body has at most {BODY_LIMIT} bytes")
    return length


def _encoded(response: Response) -> bytes:
    status = HTTPStatus(response.status)
    head = [
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {response.content_type}",
        f"Content-Length: {len(response.body)}",
        "Cache-Control: no-store",
        "Connection: close",
    ]
    head += [f"{name}: {value}" for name, value in response.fields.items()]
    return "\r\n".join([*head, "", ""]).encode() + response.body
