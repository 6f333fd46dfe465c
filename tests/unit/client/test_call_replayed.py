"""Somebody copies the first packets of a caller who speaks at once, and sends them again: nothing comes of it."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from client_calls import PACKETS, Remembering, call_to

from edge.client import tickets as ticket_module

THIEF = ("192.0.2.66", 666)


@pytest.fixture(autouse=True)
def no_tickets() -> None:
    ticket_module._STORES.clear()


@pytest.mark.parametrize("where", ["the same node", "another node", "the same node, too late"])
def test_a_copy_of_the_first_flight_has_no_side_effect(
    world: Any, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        edge = world.edge(backend=Remembering)
        async with call_to(world, early_data=True) as call:
            await call.say(PACKETS)
            assert await call.reply()
            await call.hang_up()
        flight: list[tuple[bytes, str]] = []
        deliver = edge.receive

        def copying(data: bytes, source: tuple[str, int], local: str) -> None:
            flight.append((data, local))
            deliver(data, source, local)

        edge.receive = copying
        edge.announce()
        async with call_to(world, early_data=True) as call:
            await call.say(PACKETS, faster=True)
            copied = list(flight)
            assert await call.reply()
            summary = await call.hang_up()
        assert summary.legs[0].early_data
        assert summary.flawless
        other = world.edge("a2", "203.0.113.6", backend=Remembering)
        thief = other if where == "another node" else edge
        await asyncio.sleep(30 if where == "the same node, too late" else 1)
        caplog.clear()
        before = (thief.calls.counters(), thief.calls.records(), len(Remembering.calls))
        world.network.callers[THIEF] = asyncio.DatagramProtocol()
        for data, local in copied:
            thief.receive(data, THIEF, local)
        accepted = len(thief.endpoint.connections) == 1
        assert accepted, "its handshake begins, and goes no further"
        for _ in range(60):
            assert thief.calls.by_carrier() == {}
            assert len(thief.calls) == 0
            await asyncio.sleep(0.5)
        assert (thief.calls.counters(), thief.calls.records(), len(Remembering.calls)) == before
        assert not thief.endpoint.connections
        assert thief.endpoint.counters.handshakes_failed == 1
        assert caplog.records == []

    with caplog.at_level(logging.INFO, "edge"):
        world.run(main)
