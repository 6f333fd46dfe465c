"""Clients that others wrote keep their connection when their node is withdrawn, those that follow and those that stay.

Over real routers: aioquic as it comes speaks and hears through it, and both ends count the same; ngtcp2 falls silent
after its handshake and asks when the route is gone. The story is in `inside_withdrawal`.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

pytestmark = [
    pytest.mark.needs("bird", "gtlsclient"),
    pytest.mark.timeout(200),
    pytest.mark.parametrize(
        "caller", ["root" if os.geteuid() == 0 else "user"], indirect=True, scope="module"
    ),
]

PATIENCE_S = 180.0
SERVICE = {"4": "198.51.100.1", "6": "2001:db8:a::1"}
UNICAST = {"4": "203.0.113.11", "6": "2001:db8:21::2"}
TURNS = 5
"""Of a call: it takes a second for each, and talks for six after the route is gone."""
STRAYS = 200
"""Of two calls that send at least 17 packets a second each, for six seconds."""


def test_a_connection_outlives_the_route_to_its_node(caller: Any) -> None:
    found = caller.inside("clients", module="inside_withdrawal", patience_s=PATIENCE_S)
    assert found["gone"]
    assert found["answered_before"] == 0
    assert found["before"] == found["after"] == {"on_anycast": 4, "migrated": 4}
    for name, (standing, outcome) in found["calls"].items():
        assert standing["node"] == "e1", name
        assert outcome["turns"] >= TURNS, name
        assert (outcome["whole"], outcome["agree"], outcome["calls"]) == (True, True, 1), name
        assert outcome["remote"] == (SERVICE if "stay" in name else UNICAST)[name[-1]], name
    assert found["ended"] == [0, 0, 0, 0]
    for name, address in found["sent_to"].items():
        assert address == (SERVICE if "stay" in name else UNICAST)[name[-1]], name
    assert found["strays"] >= STRAYS
