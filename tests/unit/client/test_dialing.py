"""edge.client.dialing: how long a caller looks for an edge that was there a moment ago."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from client_calls import NAME

from edge.client.dialing import AGAIN_TIMEOUT_S, Dialing
from edge.client.leg import QuicLeg
from edge.client.websocket_leg import WebSocketLeg
from edge.runtime.dialer import NoAnswer, Target


def test_all_ways_share_the_time_in_which_an_edge_is_looked_for_again(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the last of them, which are tried late, would keep the first from being tried once more."""
    tried: list[tuple[str, float]] = []

    async def nobody(place: Target, *, timeout_s: float, **_options: Any) -> Any:
        tried.append((place.host, asyncio.get_running_loop().time()))
        await asyncio.sleep(timeout_s)
        raise NoAnswer("silence")

    monkeypatch.setattr(QuicLeg, "dial", nobody)
    monkeypatch.setattr(WebSocketLeg, "dial", nobody)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        dialing = Dialing(
            target=Target(host=NAME), carrier="auto", tickets=None, timeout_s=10.0, dead_after_s=3.0
        )
        last: Any = SimpleNamespace(
            relocated=False, carrier="quic", wire=SimpleNamespace(rtt_s=lambda: None), host=""
        )
        began = loop.time()
        with pytest.raises(NoAnswer):
            await dialing.dial_again(None, lambda _leg: None, unicast_url="https://203.0.113.2", last=last)
        assert loop.time() - began == pytest.approx(AGAIN_TIMEOUT_S, abs=0.01)
        assert [host for host, _ in tried] == ["203.0.113.2", NAME] * 2
        assert tried[-1][1] - began < AGAIN_TIMEOUT_S / 2  # with time enough for it to lead somewhere

    world.run(main)
