"""Two nodes of a fleet on one address of this machine, each a supervisor with a worker and real sockets.

The kernel is the catchment: both have a socket on the service address (SO_REUSEPORT), and which of them gets a datagram
follows from its sender's port. A caller that takes another port may reach the other node, which passes its packets on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from worker_rig import KEYS, worker_settings

from edge.forward import Forwarder, Member, ReturnPath
from edge.overload.limits import Limits
from edge.quic import Path
from edge.runtime.driver import Driver
from edge.runtime.messages import Owners
from edge.runtime.sockets import open_udp
from edge.runtime.supervisor import Supervisor

HOST = "127.0.0.1"
SERVER_NAME = "voice.example"
SERVER_IDS = [bytes(7) + bytes([number]) for number in (1, 2)]
THIRD_ID = bytes(7) + b"\x03"
"""Of the fleet, too, and not there: whoever has its name has all keys."""
REPORTED_S = 0.6
"""By then a worker has told its supervisor what it counts; it does so four times a second."""


class Tap(asyncio.DatagramProtocol):
    """Between the nodes, in front of one: passes packets on, and keeps the last of them."""

    def __init__(self, behind: tuple[str, int]) -> None:
        self.packets: list[bytes] = []
        self._behind = behind

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport

    def datagram_received(self, data: bytes, _addr: tuple[str | Any, int]) -> None:
        self.packets = [*self.packets[-999:], data]
        self._transport.sendto(data, self._behind)

    def close(self) -> None:
        self._transport.close()


@dataclass(frozen=True, slots=True)
class PairedNode:
    """``forward`` is where it takes packets of the fleet; `came` are drivers that leave before it does."""

    port: int
    server_id: bytes
    supervisor: Supervisor
    forward: tuple[str, int]
    came: list[Driver[Any]] = field(default_factory=list)

    def counted(self, name: str) -> int:
        report = self.supervisor.workers[0].report
        return 0 if report is None else report.counters[name]

    def dropped(self) -> dict[str, int]:
        """Packets of the fleet, by reason."""
        report = self.supervisor.workers[0].report
        counters = {} if report is None else report.counters
        prefix = "forward_dropped_"
        return {
            name.removeprefix(prefix): value
            for name, value in counters.items()
            if name.startswith(prefix) and value
        }


@contextlib.asynccontextmanager
async def running_pair(
    certificate: bytes,
    key: bytes,
    *,
    return_path: ReturnPath = ReturnPath.DIRECT,
    taps: bool = False,
    limits: Limits | None = None,
    **changes: Any,
) -> AsyncIterator[tuple[list[PairedNode], list[Tap]]]:
    """Both with the echo backend. With ``taps`` there is one in front of each, in their order."""
    loop = asyncio.get_running_loop()
    async with contextlib.AsyncExitStack() as stack:
        service = [stack.enter_context(opened) for opened in open_udp(HOST, 0, count=2)]
        forward = [stack.enter_context(open_udp(HOST, 0)[0]) for _ in SERVER_IDS]
        places = [opened.getsockname() for opened in forward]
        tapped: list[Tap] = []
        owners: Owners = {THIRD_ID.hex(): [(HOST, 9)]}
        for server_id, place in zip(SERVER_IDS, places, strict=True):
            if taps:
                transport, tap = await loop.create_datagram_endpoint(
                    lambda place=place: Tap(place),  # type: ignore[misc]
                    local_addr=(HOST, 0),
                )
                stack.callback(tap.close)
                tapped.append(tap)
                owners[server_id.hex()] = [transport.get_extra_info("sockname")]
            else:
                owners[server_id.hex()] = [place]
        port = service[0].getsockname()[1]
        nodes = []
        for server_id, udp, fleet in zip(SERVER_IDS, service, forward, strict=True):
            settings = worker_settings(
                certificate,
                key,
                node=f"n{server_id[-1]}",
                server_id=server_id,
                unicast_url=f"https://{SERVER_NAME}:{port}",
                sockets={HOST: udp.fileno()},
                service=[HOST],
                forward_sockets={HOST: fleet.fileno()},
                owners=owners,
                return_path=return_path,
                resume_s=5.0,
                limits=limits or Limits(),
                **changes,
            )
            supervisor = Supervisor(lambda _, settings=settings: [settings])  # type: ignore[misc]
            await supervisor.start()
            stack.push_async_callback(supervisor.stop, "the test is over")
            nodes.append(PairedNode(port, server_id, supervisor, fleet.getsockname()))
        try:
            yield nodes, tapped
        finally:
            for node in nodes:
                for driver in node.came:
                    driver.leave()


def third_node(counter: int, addresses: dict[bytes, tuple[str, int]]) -> Forwarder:
    """Seals what a node of the fleet would not: it has its keys and does not keep to the rules."""
    return Forwarder(Member(THIRD_ID, 0), KEYS, addresses, local=frozenset({HOST}), counter=counter)


def sealed(who: Forwarder, to: bytes, path: Path, data: bytes) -> bytes:
    """A stray for the worker of a node."""
    found = who.pass_on(path, Member(to, 0), data, 0.0)
    assert found is not None
    return found[0]
