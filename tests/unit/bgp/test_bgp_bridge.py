"""What the bridge lets through. What it does when somebody dies is shown in tests/lab."""

import socket
from collections.abc import Iterator

import pytest

from bgp.bridge import Bridge


@pytest.fixture
def bridge() -> Iterator[Bridge]:
    near, far = socket.socketpair()
    with near, far:
        yield Bridge(near, lease_s=2.0)


def test_a_line_goes_on_when_it_is_whole(bridge: Bridge) -> None:
    """Or a fence in the wrong moment would continue a line that was cut, and say something else."""
    bridge._accept(b"neighbor 198.51.100.1 announce ro")
    assert bridge._to_speaker == b""
    bridge._accept(b"ute 192.0.2.1/32\nneighbor")
    assert bridge._to_speaker == b"neighbor 198.51.100.1 announce route 192.0.2.1/32\n"


def test_heartbeats_are_for_the_bridge_alone(bridge: Bridge) -> None:
    bridge._accept(b"heartbeat\nheart")
    bridge._accept(b"beat\nshow adj-rib out extensive\nheartbeat\n")
    assert bridge._to_speaker == b"show adj-rib out extensive\n"
