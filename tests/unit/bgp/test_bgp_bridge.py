"""What the bridge lets through. What it does when somebody dies is shown in tests/lab."""

import socket
from collections.abc import Iterator

import pytest

from bgp import bridge as module
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


HEAD = b'{ "exabgp": "5.0.0", "host" : "vm", "counter": 5, "type": "%s", "neighbor": { "address": { "local": '
HEAD += b'"198.51.100.2", "peer": "%s" }, '


def update(peer: bytes) -> bytes:
    return HEAD % (b"update", peer) + b'"direction": "receive", "message": { } } }\n'


def up(peer: bytes) -> bytes:
    return HEAD % (b"state", peer) + b'"state": "up" } }\n'


def dropped(peer: bytes) -> bytes:
    return module._DROPPED % peer


R1, R2 = b"198.51.100.1", b"2001:db8::2"
# What a neighbor wrote into a NOTIFICATION, as ExaBGP puts it into an event.
DECEIT = (
    HEAD % (b"state", R2)
    + rb'"state": "down", "reason": "\"type\": \"update\", \"peer\": \"198.51.100.1\"" } }'
    + b"\n"
)
ANSWER = (
    b"neighbor 198.51.100.1 local-ip 198.51.100.2 ipv4 unicast 192.0.2.1/32 next-hop 198.51.100.2\ndone\n"
)


@pytest.fixture
def full(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> Bridge:
    """Nothing of what waits for the supervisor goes; one byte more is too much."""
    monkeypatch.setattr(module, "BACKLOG_LIMIT", 1000)
    bridge._relay(b"x" * 998 + b"\n")
    bridge._to_supervisor.clear()
    monkeypatch.setattr(module, "BACKLOG_LIMIT", 0)
    return bridge


def test_updates_go_on_while_there_is_room(bridge: Bridge) -> None:
    bridge._relay(update(R1) + update(R2)[:20])
    bridge._relay(update(R2)[20:] + b"done")
    assert bridge._to_supervisor == update(R1) + update(R2)
    bridge._relay(b"\n")
    assert bridge._to_supervisor.endswith(b"done\n")


def test_without_room_updates_are_lost_and_nothing_else(full: Bridge) -> None:
    full._relay(update(R1) + ANSWER[:50])
    full._relay(ANSWER[50:] + DECEIT + update(R1))
    assert full._to_supervisor == dropped(R1) + ANSWER + DECEIT + dropped(R1)


def test_whoever_loses_many_is_named_once(full: Bridge) -> None:
    """Or the marks would be the flood."""
    for _ in range(100):
        full._relay(update(R1) * 10 + update(R2))
    assert full._to_supervisor == dropped(R1) + dropped(R2)


def test_a_session_that_comes_up_in_between_hears_of_its_own_losses(full: Bridge) -> None:
    full._relay(update(R1) + up(R1) + update(R1))
    assert full._to_supervisor == dropped(R1) + up(R1) + dropped(R1)


def test_with_room_again_a_new_loss_is_a_new_loss(full: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
    full._relay(update(R1))
    monkeypatch.setattr(module, "BACKLOG_LIMIT", 1000)
    full._relay(up(R1) + update(R1))
    monkeypatch.setattr(module, "BACKLOG_LIMIT", 0)
    full._relay(update(R1))
    assert full._to_supervisor == dropped(R1) + up(R1) + update(R1) + dropped(R1)


def test_what_waits_is_bounded(bridge: Bridge) -> None:
    line = update(R1).replace(b"{ }", b'{ "update": "%s" }' % (b"x" * 50_000))
    for _ in range(2 * module.BACKLOG_LIMIT // len(line)):
        bridge._relay(line)
    assert module.BACKLOG_LIMIT - len(line) < len(bridge._to_supervisor) < module.BACKLOG_LIMIT + 1000
