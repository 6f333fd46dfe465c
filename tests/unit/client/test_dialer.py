"""edge.runtime.dialer and edge.runtime.driver: every way in which a dial can fail has its own name."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from edge.errors import EdgeError, UsageError
from edge.overload import Verdict
from edge.quic import HandshakeCompleted, PathChanged
from edge.runtime import dialer
from edge.runtime.dialer import Target, dial
from edge.runtime.driver import Driver

NAME = "voice.example"
ANYCAST = "198.51.100.1"
ANYCAST_6 = "2001:db8:a::1"


async def outcome(target: Target, *, seconds: float = 0.2, **options: Any) -> Any:
    """Dial, stay for a while, hang up: the address in the end, and what was told."""
    told: list[Any] = []
    dialed = await dial(target, stack=lambda connection: connection, on_event=told.append, **options)
    await asyncio.sleep(seconds)
    peer = dialed.stack.peer
    dialed.stack.close(0, "done")
    dialed.driver.leave()
    return peer, told


def test_a_bare_connection_can_be_dialled_and_follows_the_preferred_address(world: Any) -> None:
    async def main() -> None:
        world.edge()
        peer, told = await outcome(Target(host=NAME, ca=world.authority.ca))
        assert peer == ("203.0.113.2", 443)
        assert [type(event) for event in told if isinstance(event, HandshakeCompleted | PathChanged)] == [
            HandshakeCompleted,
            PathChanged,
        ]

    world.run(main)


def test_the_server_learns_of_a_hang_up(world: Any) -> None:
    async def main() -> None:
        edge = world.edge()
        await outcome(Target(host=NAME, ca=world.authority.ca))
        await asyncio.sleep(1)
        assert not edge.endpoint.connections

    world.run(main)


@pytest.mark.parametrize(
    "target, error, message",
    [
        ({"host": NAME}, dialer.CertificateRejected, "--ca"),
        ({"host": ANYCAST}, dialer.CertificateRejected, "--server-name"),
        ({"host": NAME, "server_name": "other.example"}, dialer.CertificateRejected, "TLS"),
        ({"host": "nowhere.example"}, dialer.NameNotFound, "nowhere.example: Name or service not known"),
        ({"host": NAME, "family": socket.AF_INET6}, dialer.NameNotFound, NAME),
        ({"host": "203.0.113.99"}, dialer.NoAnswer, "203.0.113.99:443: no answer within 2 s"),
        ({"host": NAME, "source": "192.0.2.77"}, dialer.NoRoute, "192.0.2.77"),
    ],
    ids=str,
)
def test_who_cannot_be_called_is_told_why(
    world: Any, target: dict[str, Any], error: type[EdgeError], message: str
) -> None:
    async def main() -> None:
        world.edge()
        if target["host"] == ANYCAST:
            target["ca"] = world.authority.ca
        with pytest.raises(error, match=message) as caught:
            await outcome(Target(**target), timeout_s=2.0)
        assert type(caught.value) is error

    world.run(main)


def test_each_failure_has_the_exit_code_of_its_kind() -> None:
    kinds = {
        dialer.NoAnswer: 4,
        dialer.NameNotFound: 5,
        dialer.NoRoute: 5,
        dialer.CertificateRejected: 5,
        dialer.VersionMismatch: 5,
        dialer.ServerBusy: 6,
    }
    assert {kind: kind.exit_code for kind in kinds} == kinds


def test_any_certificate_will_do_for_who_asks_for_it(world: Any) -> None:
    async def main() -> None:
        world.edge()
        await outcome(Target(host=ANYCAST, insecure=True))

    world.run(main)


def test_the_certificate_may_be_for_another_name_if_one_says_so(world: Any) -> None:
    async def main() -> None:
        world.edge()
        await outcome(Target(host=ANYCAST, ca=world.authority.ca, server_name=NAME))

    world.run(main)


def test_a_refusal_is_not_a_failure(world: Any) -> None:
    async def main() -> None:
        world.edge().verdict = Verdict.REFUSE
        with pytest.raises(dialer.ServerBusy, match="overloaded"):
            await outcome(Target(host=NAME, ca=world.authority.ca))

    world.run(main)


def test_another_application_protocol_is_a_mismatch(world: Any) -> None:
    async def main() -> None:
        world.edge(alpn=("other/1",))
        with pytest.raises(dialer.VersionMismatch):
            await outcome(Target(host=NAME, ca=world.authority.ca))

    world.run(main)


def test_another_version_of_quic_is_a_mismatch(world: Any) -> None:
    def from_the_future(data: bytes, source: tuple[str, int], local: str) -> None:
        server_id_length = data[5]
        destination = data[6 : 6 + server_id_length]
        length = data[6 + server_id_length]
        own = data[7 + server_id_length : 7 + server_id_length + length]
        answer = bytes([0x80, 0, 0, 0, 0, len(own)]) + own + bytes([len(destination)]) + destination
        world.network.to_caller(answer + (0x0F0F0F0F).to_bytes(4, "big"), (local, 443), source)

    async def main() -> None:
        with pytest.raises(dialer.VersionMismatch):
            await outcome(Target(host=NAME, ca=world.authority.ca))

    world.network.edges[ANYCAST] = from_the_future
    world.run(main)


def test_a_family_without_a_route_is_passed_over(world: Any) -> None:
    async def main() -> None:
        world.edge()
        peer, _ = await outcome(Target(host=NAME, ca=world.authority.ca))
        assert peer == ("203.0.113.2", 443)

    world.network.names[NAME] = [ANYCAST_6, ANYCAST]
    world.network.unreachable.add(ANYCAST_6)
    world.run(main)


def test_no_route_at_all_is_said_at_once(world: Any) -> None:
    async def main() -> None:
        began = asyncio.get_running_loop().time()
        with pytest.raises(dialer.NoRoute, match="Network is unreachable"):
            await outcome(Target(host=NAME, ca=world.authority.ca))
        assert asyncio.get_running_loop().time() - began < 0.1

    world.network.unreachable.add(ANYCAST)
    world.run(main)


def test_ipv6_is_called_where_it_is_asked_for(world: Any) -> None:
    async def main() -> None:
        world.edge()
        peer, _ = await outcome(Target(host=NAME, ca=world.authority.ca, family=socket.AF_INET6))
        assert peer == (ANYCAST_6, 443)

    world.network.names[NAME] = [ANYCAST, ANYCAST_6]
    world.run(main)


@pytest.mark.parametrize("content", [None, b"", b"not a certificate"])
def test_a_ca_file_that_is_none_is_a_usage_error(world: Any, tmp_path: Path, content: bytes | None) -> None:
    ca = tmp_path / "mine.pem"
    if content is not None:
        ca.write_bytes(content)

    async def main() -> None:
        world.edge()
        with pytest.raises(UsageError, match=r"mine\.pem"):
            await outcome(Target(host=NAME, ca=ca))

    world.run(main)


def test_a_cancelled_dial_leaves_nothing_open(world: Any) -> None:
    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await outcome(Target(host=NAME, ca=world.authority.ca))

    world.run(main)  # the fixture counts sockets


@pytest.mark.parametrize(
    "target, written",
    [
        (Target(host="2001:db8::1"), "[2001:db8::1]:443"),
        (Target(host="v.example", port=4433), "v.example:4433"),
    ],
)
def test_a_target_is_written_as_it_is_typed(target: Target, written: str) -> None:
    assert str(target) == written


class Ticking:
    """A stack that wants to be woken at times it chooses, mostly later than it said before."""

    def __init__(self, at: float) -> None:
        self.at: float | None = at
        self.rang: list[float] = []

    def receive_datagram(self, data: bytes, address: tuple[str, int], now: float) -> None: ...

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, tuple[str, int]]]:
        return []

    def get_timer(self) -> float | None:
        return self.at

    def handle_timer(self, now: float) -> None:
        self.rang.append(round(now, 3))
        self.at = None

    def next_event(self) -> None:
        return None


def test_a_timer_rings_once_when_it_is_due_however_often_it_was_moved(world: Any) -> None:
    async def main() -> None:
        stack = Ticking(1.0)
        loop = asyncio.get_running_loop()
        driver = Driver(stack, lambda event: None, lambda error: None)
        await loop.create_datagram_endpoint(lambda: driver, family=socket.AF_INET)
        driver.wake()
        for moved_to in (2.0, 3.0, 1.5, 4.0):
            await asyncio.sleep(0.1)
            stack.at = moved_to
            driver.wake()
        await asyncio.sleep(10)
        assert stack.rang == [4.0]
        driver.leave()

    world.run(main)


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".example"])
def test_what_can_be_no_name_is_not_found(host: str) -> None:
    """The library of this machine says so in its own way."""
    with pytest.raises(dialer.NameNotFound):
        asyncio.run(dialer.resolve(Target(host=host)))
