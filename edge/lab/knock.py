"""When a node answers again: knock at its UDP port until somebody says that he does not speak that version of QUIC."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from typing import Final

from edge.errors import DeadlineError
from edge.lab import namespaces
from edge.quic.header import MIN_INITIAL_DATAGRAM

KNOCK_S: Final = 0.02
_NO_VERSION: Final = 0x1A2A3A4A
"""Reserved, so that nobody ever speaks it (RFC 9000, section 15)."""


async def answers_at(site: str, host: str, port: int, timeout_s: float) -> float:
    """When (monotonic) the first answer to a packet from ``site`` has come. DeadlineError if none does in time."""
    with namespaces.inside(site):
        door = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    packet = b"\xc0" + _NO_VERSION.to_bytes(4, "big") + b"\x08" + os.urandom(8) + b"\x08" + os.urandom(8)
    packet += bytes(MIN_INITIAL_DATAGRAM - len(packet))
    until = time.monotonic() + timeout_s
    with door:
        door.setblocking(False)
        while time.monotonic() < until:
            door.sendto(packet, (host, port))
            try:
                async with asyncio.timeout(KNOCK_S):
                    await asyncio.get_running_loop().sock_recv(door, MIN_INITIAL_DATAGRAM)
            except TimeoutError:
                continue
            return time.monotonic()
    raise DeadlineError(f"{host} does not answer within {timeout_s:g} s")
