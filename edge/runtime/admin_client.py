"""Asking a running node over its admin socket; the other end is `edge.runtime.admin`."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType

import msgspec

from edge.errors import DeadlineError, EdgeError, RefusedError, UnreachableError, UsageError

ANSWER_LIMIT = 16 * 1024 * 1024  # bytes; /calls of a node with thousands of them
NO_HEADERS: Mapping[str, str] = MappingProxyType({})

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class Answer(msgspec.Struct, frozen=True):
    """What a node said: ``value`` is decoded JSON, or text where the answer is no JSON."""

    status: int
    value: object

    def checked(self) -> object:
        """The value; where the node refused or failed, raises the error it reported.

        Not for ``/livez`` and ``/readyz``, whose 503 is the answer.
        """
        if self.status < HTTPStatus.BAD_REQUEST:
            return self.value
        try:
            report = msgspec.convert(self.value, _ErrorReport)
        except msgspec.ValidationError as error:
            raise EdgeError(
                f"the answer is HTTP status {self.status}, and not a node's; what listens there?"
            ) from error
        kinds = {kind.exit_code: kind for kind in (UsageError, DeadlineError, UnreachableError, RefusedError)}
        raise kinds.get(report.exit_code, EdgeError)(report.error)


class _ErrorReport(msgspec.Struct, frozen=True):
    error: str
    exit_code: int


async def admin_request(
    path: Path,
    method: str,
    target: str,
    body: object = None,
    *,
    timeout_s: float = 5.0,
    headers: Mapping[str, str] = NO_HEADERS,
) -> Answer:
    """Ask the node whose admin socket is ``path``; any HTTP status is an answer.

    Raises `UnreachableError` if no node is there or we may not ask it, `DeadlineError` if it does not answer.
    """

    async def connect() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_unix_connection(path, limit=ANSWER_LIMIT)

    try:
        return await request_over(
            connect, str(path), method, target, body, timeout_s=timeout_s, headers=headers
        )
    except OSError as error:
        raise UnreachableError(f"{path}: {_why_unreachable(error)}") from error


async def request_over(
    connect: Connect,
    where: str,
    method: str,
    target: str,
    body: object,
    *,
    timeout_s: float,
    headers: Mapping[str, str] = NO_HEADERS,
) -> Answer:
    """Ask the node that ``connect`` leads to; ``where`` is how errors call it.

    Raises as `admin_request`, and OSError where the connection fails.
    """
    try:
        async with asyncio.timeout(timeout_s):
            raw = await _exchange(connect, where, _encoded_request(method, target, body, headers))
    except TimeoutError as error:
        raise DeadlineError(f"{where}: the node did not answer {target} within {timeout_s:g} s") from error
    return _parsed_answer(where, raw)


def _encoded_request(method: str, target: str, body: object, headers: Mapping[str, str]) -> bytes:
    """Raises `UsageError` for a header that cannot be one."""
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable()):
            raise UsageError(f"{name}: {value!r} cannot be sent to a node")
    content = b"" if body is None else msgspec.json.encode(body)
    fields = {"Host": "node", "Content-Length": str(len(content)), **headers}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join([*lines, "", ""]).encode() + content


async def _exchange(connect: Connect, where: str, request: bytes) -> bytes:
    reader, writer = await connect()
    try:
        writer.write(request)
        chunks: list[bytes] = []
        size = 0
        while chunk := await reader.read(65536):
            chunks.append(chunk)
            size += len(chunk)
            if size > ANSWER_LIMIT:
                raise EdgeError(f"{where}: the answer is longer than {ANSWER_LIMIT} bytes")
        return b"".join(chunks)
    finally:
        writer.transport.abort()


def _why_unreachable(error: OSError) -> str:
    match error.errno:
        case errno.ENOENT | errno.ECONNREFUSED:
            return "no node is running here; start one with 'edgectl node run', or name its admin socket"
        case errno.EACCES | errno.EPERM:
            return "not allowed; become the node's user or a member of the socket's group"
        case _:
            return error.strerror or str(error)


def _parsed_answer(where: str, raw: bytes) -> Answer:
    head, _, body = raw.partition(b"\r\n\r\n")
    status_line, *fields = head.split(b"\r\n")
    words = status_line.split(b" ")
    if raw and not (words[0].startswith(b"HTTP/1.") and len(words) > 1 and words[1].isdigit()):
        raise EdgeError(f"{where}: what listens here does not speak HTTP")
    if b"Content-Length: %d" % len(body) not in fields:
        raise UnreachableError(f"{where}: the node stopped in the middle of its answer")
    try:
        value = msgspec.json.decode(body) if b"Content-Type: application/json" in fields else body.decode()
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, or nested without end
        raise EdgeError(f"{where}: what listens here is no node: {error}") from error
    return Answer(int(words[1]), value)
