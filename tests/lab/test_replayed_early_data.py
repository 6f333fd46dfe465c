"""The first packets of a caller who speaks at once, copied and sent again to two real nodes, from other addresses."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from hostile_callers import PATIENT, frames, group
from msgspec import json
from node_pair import HOST, REPORTED_S, SERVER_NAME, PairedNode, running_pair
from waiting import eventually

from edge.lab.certificates import write_certificate
from edge.quic import ClientConfig, ClientConnection, HandshakeCompleted, Ticket, TicketIssued
from edge.runtime.driver import Driver
from edge.voice import ALPN, control, varint

CALLER, THIEF = "127.0.0.20", "127.0.0.66"
COPIES = 16
"""From as many ports. That one of the nodes gets none has a chance of one in 2^15."""


class EarlySpeaker:
    """Says what it has to say before anything is known of the node; ``flight`` is what left then."""

    def __init__(self, ticket: Ticket | None) -> None:
        config = ClientConfig(server_name=SERVER_NAME, alpn=(ALPN,), verify=False, ticket=ticket)
        self.events: list[Any] = []
        self.flight: list[bytes] = []
        self.connection = ClientConnection(config)
        self._driver = Driver(self.connection, self.events.append, lambda _: None)

    async def come(self, node: PairedNode) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self._driver, local_addr=(CALLER, 0))
        node.came.append(self._driver)
        self.connection.connect((HOST, node.port), loop.time())
        presented = json.encode(control.SessionUpdate(session=PATIENT))
        stream = self.connection.open_stream(unidirectional=False)
        self.connection.send_stream(stream, varint.encode(len(presented)) + presented)
        for number in range(4):
            self.connection.send_stream(self.connection.open_stream(), group(1, number, frames(5)), True)
        self.flight = [data for data, _ in self.connection.datagrams_to_send(loop.time())]
        for data in self.flight:
            self._driver._transport.sendto(data, (HOST, node.port))  # type: ignore[union-attr]
        self._driver.wake()
        await eventually(lambda: self.happened(HandshakeCompleted) and self.happened(TicketIssued))

    def happened(self, kind: type[Any]) -> Any:
        return next((event for event in self.events if isinstance(event, kind)), None)

    def leave(self) -> None:
        self.connection.close()
        self._driver.leave()


def test_a_replay_is_refused_here_and_has_no_side_effect_there(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    write_certificate(certificate, key, [SERVER_NAME], [ip_address(HOST)])

    async def main() -> None:
        async with running_pair(certificate.read_bytes(), key.read_bytes()) as (nodes, _):

            def total(name: str) -> int:
                return sum(node.counted(name) for node in nodes)

            visitor = EarlySpeaker(None)
            await visitor.come(nodes[0])
            await eventually(lambda: total("frames_heard") == 20)
            visitor.leave()
            caller = EarlySpeaker(visitor.happened(TicketIssued).ticket)
            await caller.come(nodes[0])
            assert caller.happened(HandshakeCompleted).early_data_accepted
            await eventually(lambda: total("frames_heard") == 40)
            caller.leave()
            await asyncio.sleep(4 * REPORTED_S)  # its connection drains for three probe timeouts
            begun = [node.counted("initials") for node in nodes]
            for _ in range(COPIES):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as thief:
                    thief.bind((THIEF, 0))
                    for data in caller.flight:
                        thief.sendto(data, (HOST, nodes[0].port))
                    await asyncio.sleep(0.05)
            calls: dict[str, int] = {}
            for _ in range(20):
                await asyncio.sleep(0.1)
                for node in nodes:
                    report = node.supervisor.workers[0].report
                    assert report is not None
                    calls |= report.calls
            assert all(node.counted("initials") > before for node, before in zip(nodes, begun, strict=True))
            assert calls == {}, "a copy was counted as a call"
            assert total("frames_heard") == 40
            assert total("handshakes_completed") == 2
            assert total("engine_errors") == 0

    asyncio.run(asyncio.wait_for(main(), 60))
