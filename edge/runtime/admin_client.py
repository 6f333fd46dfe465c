"""Asking a running node over its admin socket; the other end is `edge.runtime.admin`."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Mapping
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType

import msgspec

from edge.errors import DeadlineError, EdgeError, RefusedError, UnreachableError, UsageError

ANSWER_LIMIT = 16 * 1024 * 1024  # bytes; /calls of a node with thousands of them


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
        report = msgspec.convert(self.value, _ErrorReport)
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
    headers: Mapping[str, str] = MappingProxyType({}),
    timeout_s: float = 5.0,
) -> Answer:
    """Ask the node whose admin socket is ``path``; any HTTP status is an answer.

    ``headers`` are sent, too: one is ``Edge-Lease``, the token of the lease under which an order is given.
    Raises `UsageError` for a header that cannot be one, `UnreachableError` if no node is there or we may not ask it, `DeadlineError` if it does not answer.
    """
    try:
        async with asyncio.timeout(timeout_s):
            raw = await _exchange(path, encoded_request(method, target, body, headers))
    except TimeoutError as error:
        raise DeadlineError(f"{path}: the node did not answer {target} within {timeout_s:g} s") from error
    except OSError as error:
        raise UnreachableError(f"{path}: {_why_unreachable(error)}") from error
    return parsed_answer(str(path), raw)


def encoded_request(method: str, target: str, body: object, headers: Mapping[str, str]) -> bytes:
    """One request, after whose answer the connection ends. Raises `UsageError` for a header that cannot be one."""
    content = b"" if body is None else msgspec.json.encode(body)
    lines = [f"{method} {target} HTTP/1.1", "Host: node", f"Content-Length: {len(content)}"]
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable()):
            raise UsageError(f"{name}: {value!r} cannot be sent to a node")
        lines.append(f"{name}: {value}")
    return "\r\n".join([*lines, "", ""]).encode() + content


async def _exchange(path: Path, request: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(path, limit=ANSWER_LIMIT)
    try:
        writer.write(request)
        chunks: list[bytes] = []
        size = 0
        while chunk := await reader.read(65536):
            chunks.append(chunk)
            size += len(chunk)
            if size > ANSWER_LIMIT:
                raise EdgeError(f"{path}: the answer is longer than {ANSWER_LIMIT} bytes")
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


def parsed_answer(path: str, raw: bytes) -> Answer:
    """Of the node at ``path``: all that it has sent. Raises `EdgeError`, `UnreachableError` if it is not whole."""
    head, _, body = raw.partition(b"\r\n\r\n")
    status_line, *fields = head.split(b"\r\n")
    words = status_line.split(b" ")
    if raw and not (words[0].startswith(b"HTTP/1.") and len(words) > 1 and words[1].isdigit()):
        raise EdgeError(f"{path}: what listens here does not speak HTTP")
    if b"Content-Length: %d" % len(body) not in fields:
        raise UnreachableError(f"{path}: the node stopped in the middle of its answer")
    if b"Content-Type: application/json" in fields:
        return Answer(int(words[1]), msgspec.json.decode(body))
    return Answer(int(words[1]), body.decode())
