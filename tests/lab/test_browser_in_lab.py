"""A real browser calls an edge over real routers, from the page that the edge serves, and gets by a firewall."""

from __future__ import annotations

import os
from typing import Any

import pytest

pytestmark = [pytest.mark.needs("bird", "chromium", "flite", "nft"), pytest.mark.timeout(240)]

PATIENCE_S = 200.0


ANSWER_FRAMES = 80
FORWARDED = 100
"""Of four seconds in which a page says ten groups of frames each, and says what it has heard."""


def test_a_page_calls_by_webtransport_and_where_no_udp_passes_by_websocket(caller: Any) -> None:
    """A question is understood and answered, and both ends have counted the same frames, both ways."""
    shown, counted = caller.inside("calls", module="inside_browser", patience_s=PATIENCE_S)
    assert shown == ["WebTransport", "WebSocket"]
    assert [carrier for carrier, _, _ in counted] == ["websocket", "webtransport"]
    # The microphone is open all the time, and the answer is the same both times.
    assert all(heard > said > ANSWER_FRAMES for _, heard, said in counted)
    assert counted[0][2] == counted[1][2]


@pytest.mark.parametrize("caller", ["root" if os.geteuid() == 0 else "user"], indirect=True, scope="module")
class TestPinned:
    """Chromium does not follow a preferred address over WebTransport, and here a firewall keeps it off the unicast one."""

    def test_a_page_speaks_on_while_its_node_is_withdrawn(self, caller: Any) -> None:
        found = caller.inside(
            "pinned", module="inside_browser", patience_s=PATIENCE_S, forwarding=True, versions=[4, 6]
        )
        for version, told in found.items():
            assert told["states"] == [["live", "e1", "webtransport"]], version
            counts = told["counts"]
            # An echo: all that was said came back, every frame once and in order.
            assert counts["heard"] == counts["said"]
            assert counts["said"]["lost"] == 0
            assert told["strays"] > FORWARDED

    def test_a_page_whose_node_is_killed_goes_on_at_another(self, caller: Any) -> None:
        """What it had begun to say is said again from its start, to a node that never had the call."""
        told = caller.inside("lost", module="inside_browser", patience_s=PATIENCE_S)
        states = [(state, node) for state, node, _ in told["states"]]
        assert states[:2] == [("live", "e1"), ("reconnecting", "e1")]
        assert states[-1] == ("live", "e2")
        assert [state for state, _ in states].count("reconnecting") == 1
        assert told["elsewhere"] == 1
        counts = told["counts"]
        assert counts["said"]["lost"] == 0
        assert counts["said"]["frames"] == counts["heard"]["frames"]

    def test_where_nothing_is_passed_on_that_costs_the_connection(self, caller: Any) -> None:
        found = caller.inside(
            "pinned", module="inside_browser", patience_s=PATIENCE_S, forwarding=False, versions=[4]
        )
        assert [state for state, _, _ in found["4"]["states"]][:2] == ["live", "reconnecting"]
        assert found["4"]["strays"] == 0
