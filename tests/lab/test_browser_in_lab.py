"""A real browser calls an edge over real routers, from the page that the edge serves, and gets by a firewall."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = [pytest.mark.needs("bird", "chromium", "flite", "nft"), pytest.mark.timeout(240)]

PATIENCE_S = 200.0


ANSWER_FRAMES = 80


def test_a_page_calls_by_webtransport_and_where_no_udp_passes_by_websocket(caller: Any) -> None:
    """A question is understood and answered, and both ends have counted the same frames, both ways."""
    shown, counted = caller.inside("calls", module="inside_browser", patience_s=PATIENCE_S)
    assert shown == ["WebTransport", "WebSocket"]
    assert [carrier for carrier, _, _ in counted] == ["websocket", "webtransport"]
    # The microphone is open all the time, and the answer is the same both times.
    assert all(heard > said > ANSWER_FRAMES for _, heard, said in counted)
    assert counted[0][2] == counted[1][2]
