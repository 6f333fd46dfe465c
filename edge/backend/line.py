"""One WebSocket to a backend: dialled, read and hung up, with its library's exceptions as `Fault`s."""

import asyncio
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, Self

import aiohttp
from yarl import URL

from edge.backend.dialect import Fault, Message, nonsense
from edge.errors import UsageError

MAX_MESSAGE: Final = 4 * 1024 * 1024
"""Bytes in one message of the backend."""
CLOSE_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where the backend is. ``timeout_s``: to be connected, and to take one message that is sent to it."""

    url: str
    timeout_s: float
    headers: Mapping[str, str] = field(default_factory=dict)


def websocket_url(text: str) -> URL:
    """Raises `UsageError` if that is none."""
    try:
        url = URL(text)
    except ValueError as error:
        raise UsageError(f"url {text!r}: {error}") from None
    if url.scheme not in ("ws", "wss") or not url.host:
        raise UsageError(f"url {text!r}: want ws://HOST... or wss://HOST...")
    return url


class Line:
    """A connection that is up."""

    def __init__(self, connection: aiohttp.ClientWebSocketResponse, timeout_s: float) -> None:
        self._connection = connection
        self._timeout_s = timeout_s

    @classmethod
    async def dial(cls, client: aiohttp.ClientSession, address: Address) -> Self:
        """Raises `Fault`."""
        try:
            async with asyncio.timeout(address.timeout_s):
                connection = await client.ws_connect(
                    address.url,
                    headers=address.headers,
                    max_msg_size=MAX_MESSAGE,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_S),
                )
        except TimeoutError:
            message = f"the backend took no connection within {address.timeout_s:g} s"
            raise Fault("backend_timeout", message) from None
        except aiohttp.WSServerHandshakeError as error:
            code = "backend_unauthorized" if error.status in (401, 403) else "backend_refused"
            raise Fault(code, f"the backend answers the connection with HTTP {error.status}") from None
        except (aiohttp.ClientError, OSError) as error:
            raise Fault("backend_unreachable", f"no way to the backend: {_why(error)}") from None
        return cls(connection, address.timeout_s)

    async def receive(self) -> Message:
        """The next message; may be cancelled without losing one. Raises `Fault` once there are no more."""
        message = await self._connection.receive()
        match message.type:
            case aiohttp.WSMsgType.TEXT | aiohttp.WSMsgType.BINARY:
                content: Message = message.data
                return content
            case aiohttp.WSMsgType.ERROR:
                raise nonsense(f"the backend's WebSocket is broken: {message.data}")
            case aiohttp.WSMsgType.CLOSE:
                reason = f": {message.extra}" if message.extra else ""
                raise Fault("backend_lost", f"the backend hung up with code {message.data}{reason}")
            case _:
                raise Fault("backend_lost", "the connection to the backend is gone")

    async def send(self, message: Message) -> bool:
        """False if the line is gone; `receive` says why. Raises `Fault` if the backend does not take it."""
        try:
            async with asyncio.timeout(self._timeout_s):
                if isinstance(message, str):
                    await self._connection.send_str(message)
                else:
                    await self._connection.send_bytes(message)
        except TimeoutError:
            why = f"the backend took nothing of what it was sent for {self._timeout_s:g} s"
            raise Fault("backend_timeout", why) from None
        except (aiohttp.ClientError, OSError):
            return False
        return True

    async def hang_up(self) -> None:
        """Politely; then without regard to what it has not read, for which the connection would be kept."""
        kernel: socket.socket | None = self._connection.get_extra_info("socket")
        with suppress(TimeoutError, aiohttp.ClientError, OSError):
            async with asyncio.timeout(CLOSE_S):
                await self._connection.close()
        if kernel is not None:
            with suppress(OSError):
                kernel.shutdown(socket.SHUT_RDWR)


def _why(error: Exception) -> str:
    """In a word or two, without the address, which callers need not know."""
    number = 0 if isinstance(error, aiohttp.ClientSSLError) else getattr(error, "errno", None) or 0
    return os.strerror(number) if number > 0 else type(error).__name__
