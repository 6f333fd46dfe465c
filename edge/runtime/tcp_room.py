"""A TCP connection that somebody else reads and writes: waiting until its kernel takes more, and cutting it off.

What is handed to TCP can be neither overtaken nor taken back, and a kernel takes megabytes. So it is told to call itself
full at `NOT_SENT_BYTES`; what is in flight does not count, so no throughput is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import struct
from typing import Final, Protocol

NOT_SENT_BYTES: Final = 4096
"""1.4 s of speech at 24 kbit/s: what a control record may wait behind, and a cancelled answer goes on for."""


class Duplicable(Protocol):
    """The socket of a transport."""

    def dup(self) -> socket.socket: ...


class TcpRoom:
    """Keeps a descriptor of its own: the event loop watches each for one party only, and the transport has the other."""

    def __init__(self, connection: Duplicable) -> None:
        self._loop = asyncio.get_running_loop()
        self._socket = connection.dup()
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOT_SENT_BYTES)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLOUT)

    async def wait(self) -> None:
        """Until the kernel takes more, or the connection is lost."""
        if self._poll.poll(0):
            return
        room = self._loop.create_future()
        self._loop.add_writer(self._socket, _resolve, room)
        try:
            await room
        finally:
            self._loop.remove_writer(self._socket)

    def cut_off(self) -> None:
        """End the connection, for both ends and for those who wait; what the kernel holds for its peer goes, too."""
        with contextlib.suppress(OSError):  # it may be gone already
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give the descriptor back; the connection goes on as long as others have theirs."""
        self._socket.close()


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
