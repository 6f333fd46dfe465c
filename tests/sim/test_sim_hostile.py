"""Somebody who can forge senders, copy packets and hold them up: he gets nothing sent that he has not paid for.

*Victim* is an address that never sent anything. All that goes there is held against what was sent in its name: three
times as much at most, in sum and at every moment (RFC 9000 sections 8.1 and 9.3).
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.connection import QuicConnection
from sim.world import ALPN, PORT, SERVICE_V4, SERVICE_V6, Address, Datagram, Network, SimNode, Talk, World

from edge.forward import ReturnPath
from edge.overload import Verdict
from edge.quic import Event, HandshakeCompleted, Path

RTT = 0.04
CLEAN = Network(seed=0, delay=RTT / 2)
NOT_OFFERED: dict[str, Any] = {"preferred_v4": None, "preferred_v6": None}
VICTIMS = {SERVICE_V4: "192.0.2.251", SERVICE_V6: "2001:db8:c::251"}
WAYS = {"straight": None, "and answered directly": ReturnPath.DIRECT, "and back": ReturnPath.INGRESS}
"""How a packet with a forged sender gets to the owner of its connection: at once, or through another node."""


class Forger:
    """Sends in a victim's name, to ``to`` at ``node``, and keeps the account of it."""

    def __init__(self, world: World, node: SimNode, victim: str, to: str) -> None:
        self.paid: Counter[Address] = Counter()
        self.got: Counter[Address] = Counter()
        self._world = world
        self._node = node
        self._victim = victim
        self._to = to
        world.blocks.append(self._count)

    def send(self, data: bytes, port: int = 7) -> None:
        self.paid[self._victim, port] += len(data)
        self._world._receive(self._node, data, Path(self._victim, port, self._to))

    @property
    def is_even(self) -> bool:
        return all(self.got[address] <= 3 * paid for address, paid in self.paid.items())

    def _count(self, datagram: Datagram) -> bool:
        if datagram.destination[0] == self._victim:
            self.got[datagram.destination] += len(datagram.data)
            assert self.is_even
        return False


def copied(world: World, forger: Forger, data: bytes, port: int) -> bool:
    """When the original has arrived."""
    world.at(world.now + RTT, lambda: forger.send(data, port))
    return False


def overtaken(world: World, forger: Forger, data: bytes, port: int) -> bool:
    forger.send(data, port)
    return False


def stolen(world: World, forger: Forger, data: bytes, port: int) -> bool:
    """The original never arrives."""
    forger.send(data, port)
    return True


def initial(cid: bytes) -> bytes:
    """A first packet of somebody who wants to get to the owner of ``cid``."""
    newcomer = QuicConnection(configuration=QuicConfiguration(server_name="x", alpn_protocols=[ALPN]))
    newcomer._peer_cid.cid = newcomer._original_destination_connection_id = cid
    newcomer.connect((SERVICE_V4, PORT), 0.0)
    ((data, _),) = newcomer.datagrams_to_send(0.0)
    return data


@pytest.mark.parametrize("how", [copied, overtaken, stolen])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("service", [SERVICE_V4, SERVICE_V6])
def test_packets_of_a_call_with_a_forged_sender_do_not_amplify_and_do_not_end_it(
    service: str, way: str, how: Callable[[World, Forger, bytes, int], bool]
) -> None:
    world = World(CLEAN, forward=WAYS[way])
    owner, other = world.add_node("fra", **NOT_OFFERED), world.add_node("nrt", **NOT_OFFERED)
    talk = Talk(world, count=60, size=1000)
    caller = world.add_client(owner, on_event=talk, to=(service, PORT))
    forger = Forger(world, owner if WAYS[way] is None else other, VICTIMS[service], service)

    def take(datagram: Datagram) -> bool:
        is_his = datagram.source == caller.address and 1.0 <= world.now <= 2.0
        return is_his and how(world, forger, datagram.data, 7 + len(forger.paid) % 3)

    world.blocks.append(take)
    world.run(until=15.0)
    assert forger.paid
    assert forger.is_even
    assert talk.heard(caller)
    assert caller.closed is None
    if how is copied:
        assert not forger.got, "nothing new is in a copy"
    if WAYS[way] is not None:
        assert owner.forwarder.counters.strays_received >= len(forger.paid)


@pytest.mark.parametrize("service", [SERVICE_V4, SERVICE_V6])
@pytest.mark.parametrize("since", [0.0, 2.0 * RTT], ids=["with the handshake", "after it"])
def test_a_caller_cannot_have_his_answer_sent_to_somebody_else(service: str, since: float) -> None:
    """He shakes hands where he is, and from then on all that he sends has the victim for its sender."""

    def tell(node: SimNode, event: Event) -> None:
        if isinstance(event, HandshakeCompleted):
            stream_id = node.endpoint.open_stream(event.connection)
            node.endpoint.send_stream(event.connection, stream_id, bytes(500_000), fin=True)

    world = World(CLEAN)
    node = world.add_node("fra", on_event=tell, **NOT_OFFERED)
    caller = world.add_client(node, on_event=Talk(world, count=100), to=(service, PORT))
    forger = Forger(world, node, VICTIMS[service], service)
    first: list[Datagram] = []

    def take(datagram: Datagram) -> bool:
        if datagram.source != caller.address:
            return False
        first.append(datagram)
        if len(first) == 1 or world.now < since:
            return False
        forger.send(datagram.data)
        return True

    world.blocks.append(take)
    world.run(until=20.0)
    assert forger.paid
    assert forger.is_even


@pytest.mark.parametrize("service", [SERVICE_V4, SERVICE_V6])
def test_the_end_of_a_call_is_within_the_limit_too(service: str) -> None:
    world = World(CLEAN)
    node = world.add_node("fra", **NOT_OFFERED)
    caller = world.add_client(node, on_event=Talk(world, size=8), to=(service, PORT))
    forger = Forger(world, node, VICTIMS[service], service)

    def take(datagram: Datagram) -> bool:
        if datagram.source == caller.address and world.now > 0.5 and not forger.paid:
            forger.send(datagram.data)
            (handle,) = node.endpoint.connections
            node.endpoint.close(handle, 7, "r" * 128)
            world.pump(node)
        return False

    world.blocks.append(take)
    world.run(until=2.0)
    assert forger.paid
    assert forger.is_even
    assert not node.endpoint.connections


@pytest.mark.parametrize("verdict", Verdict)
@pytest.mark.parametrize("forward", ReturnPath)
@pytest.mark.parametrize("service", [SERVICE_V4, SERVICE_V6])
def test_a_handshake_that_was_passed_on_is_answered_within_the_limit(
    service: str, forward: ReturnPath, verdict: Verdict
) -> None:
    world = World(CLEAN, forward=forward)
    owner = world.add_node("fra", admission=lambda _now: verdict)
    other = world.add_node("nrt")
    forger = Forger(world, other, VICTIMS[service], service)
    data = initial(owner.endpoint._secrets.issue())
    forger.send(data)
    world.run(until=30.0)
    assert owner.forwarder.counters.strays_received == 1
    got = forger.got[VICTIMS[service], 7]
    assert 0 < got <= (3 if verdict is Verdict.ACCEPT else 1) * len(data)
    assert not owner.endpoint.connections
    assert not other.endpoint.connections


@pytest.mark.parametrize("way", WAYS)
def test_nobody_can_have_a_living_call_reset(way: str) -> None:
    """He has seen its packets, and sends what they might have been, in the caller's name, to every node."""
    world = World(CLEAN, forward=WAYS[way] or ReturnPath.DIRECT)
    nodes = [world.add_node(name, **NOT_OFFERED) for name in ("fra", "nrt")]
    talk = Talk(world, count=60)
    caller = world.add_client(nodes[0], on_event=talk)
    seen: list[Datagram] = []

    def see(datagram: Datagram) -> bool:
        if datagram.source == caller.address:
            seen.append(datagram)
        return False

    world.blocks.append(see)
    world.run(until=1.0)
    genuine = seen[-1].data
    for bit in range(8 * 19):  # the first octet and the connection ID
        data = bytearray(genuine)
        data[bit // 8] ^= 1 << bit % 8
        for node in nodes:
            if data[0] & 0x80 == 0:
                world._receive(node, bytes(data), Path(*caller.address, SERVICE_V4))
        world.run(until=world.now + 0.01)
    for size in range(19, 60):
        for node in nodes:
            world._receive(node, genuine[:19].ljust(size, b"\x55"), Path(*caller.address, SERVICE_V4))
    world.run(until=10.0)
    assert talk.heard(caller)
    assert caller.closed is None


def stranger_packet(world: World, node: SimNode) -> bytes:
    """Of a connection that stands, and is somebody else's."""
    stranger = world.add_client(node)
    world.run(until=world.now + 1.0)
    stream = stranger.connection.open_stream()
    stranger.connection.send_stream(stream, b"mine")
    ((data, _),) = stranger.connection.datagrams_to_send(world.now)
    return data


def test_answers_cannot_be_led_astray_by_a_forged_sender() -> None:
    """The caller's packets reach another node, and his answers have to go back through it."""
    world = World(CLEAN, forward=ReturnPath.INGRESS)
    owner, other = world.add_node("fra", **NOT_OFFERED), world.add_node("nrt", **NOT_OFFERED)
    talk = Talk(world, count=80)
    caller = world.add_client(owner, on_event=talk)
    own_call = stranger_packet(world, owner)
    world.run(until=1.5)
    world.move_catchment(other, [caller])
    world.run(until=1.7)
    straight: list[Path] = []
    answer = owner.forwarder.answer

    def watch(path: Path, data: bytes) -> tuple[bytes, Address] | None:
        sealed = answer(path, data)
        if sealed is None:
            straight.append(path)
        return sealed

    owner.forwarder.answer = watch  # type: ignore[method-assign]
    for tick in range(2000):
        for junk in (b"\x40" + bytes(40), initial(b"made up!"), own_call):
            path = Path(*caller.address, SERVICE_V4)
            world.at(1.7 + tick * 0.001, lambda junk=junk, path=path: world._receive(owner, junk, path))  # type: ignore[misc]
    world.run(until=6.0)
    assert talk.heard(caller)
    # Where networks drop what comes from the wrong place, what leaves from the owner itself does not arrive.
    assert caller.address not in [path[:2] for path in straight]
