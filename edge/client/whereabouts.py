"""Where on the network this machine is, as far as a call can tell: the address from which it would reach its edge.

No kernel tells every program of every system when that changes. But each of them says at any time from which address a
packet to some place would leave, without sending one: to whoever connects a UDP socket. So that is asked now and then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

LOOK_S: Final = 0.5
"""Between two looks, each of which costs some system calls."""
ANY_PORT: Final = 443


async def source_towards(host: str) -> str | None:
    """The local address from which packets to the IP address ``host`` leave; None if there is no way there."""
    loop = asyncio.get_running_loop()
    try:
        transport, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=(host, ANY_PORT)
        )
    except OSError:
        return None
    try:
        return str(transport.get_extra_info("sockname")[0])
    finally:
        transport.close()


class Whereabouts:
    """``towards`` says which address matters at the moment, "" for none. ``on_change`` is told whether there is a way
    there, when there is none any more, and when there is one again or it begins at another address of ours.
    """

    def __init__(self, towards: Callable[[], str], on_change: Callable[[bool], None]) -> None:
        self._towards = towards
        self._on_change = on_change
        self._host = ""
        self._source: str | None = None

    async def watch(self) -> None:
        """Until it is cancelled."""
        while True:
            await self._look()
            await asyncio.sleep(LOOK_S)

    async def _look(self) -> None:
        host = self._towards()
        source = await source_towards(host) if host else None
        known, before = host == self._host, self._source
        self._host, self._source = host, source
        if known and source != before:
            self._on_change(source is not None)
