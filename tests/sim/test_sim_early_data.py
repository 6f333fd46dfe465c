"""Speaking in the very first packet: when it is heard, when it is not, and that no copy of it is ever heard."""

import pytest
from sim.world import ALPN, KEYS, PORT, Datagram, Network, SimClient, SimNode, World

from edge.overload import Verdict
from edge.quic import (
    AddressTokenIssued,
    ConnectionClosed,
    Event,
    HandshakeBegun,
    HandshakeCompleted,
    Path,
    StreamDataReceived,
    Ticket,
    TicketIssued,
)
from edge.quic.header import LONG_HEADER_BIT

RTT = 0.06
CLEAN = Network(seed=0, delay=RTT / 2)
HELLO = b"session.update" * 30
GROUP = b"speech" * 50


class Ears:
    """What a node has been told of each connection, and when."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.told: list[tuple[float, Event]] = []

    def __call__(self, node: SimNode, event: Event) -> None:
        self.told.append((self.world.now, event))

    def of(self, kind: type[Event]) -> list[tuple[float, Event]]:
        return [(at, event) for at, event in self.told if isinstance(event, kind)]

    def heard(self, since: float) -> tuple[bytes, float]:
        """All bytes of the stream 2, and how long after ``since`` the last of them came."""
        data = [
            (at, event.data)
            for at, event in self.told
            if isinstance(event, StreamDataReceived) and event.stream_id == 2
        ]
        return b"".join(part for _, part in data), data[-1][0] - since if data else -1.0


def ticket_of(caller: SimClient) -> Ticket:
    (ticket,) = [event.ticket for event in caller.events if isinstance(event, TicketIssued)]
    return ticket


def visited(world: World, node: SimNode) -> Ticket:
    """The ticket of somebody who was here before."""
    caller = world.add_client(node)
    world.run(until=world.now + 2.0)
    caller.connection.close()
    world.pump(caller)
    world.run(until=world.now + 2.0)
    return ticket_of(caller)


def call(world: World, node: SimNode, ticket: Ticket | None, address_token: bytes = b"") -> SimClient:
    """Connect and speak without waiting for anything."""
    caller = world.add_client(node, ticket=ticket, address_token=address_token)

    def speak() -> None:
        control = caller.connection.open_stream(unidirectional=False)
        caller.connection.send_stream(control, HELLO)
        group = caller.connection.open_stream()
        caller.connection.send_stream(group, GROUP, fin=True)
        world.pump(caller)

    world.at(world.now, speak)
    return caller


def test_with_a_ticket_the_first_words_are_heard_half_a_round_trip_later() -> None:
    world = World(CLEAN)
    ears = Ears(world)
    node = world.add_node("fra", on_event=ears, early_data_alpn=ALPN)
    ticket = visited(world, node)
    ears.told.clear()
    begun_at = world.now
    call(world, node, ticket)
    world.run(until=begun_at + 1.0)
    words, after = ears.heard(begun_at)
    assert words == GROUP
    assert after == pytest.approx(RTT / 2)
    kinds = [type(event) for _, event in ears.told]
    assert kinds[0] is HandshakeBegun
    assert kinds.index(StreamDataReceived) < kinds.index(HandshakeCompleted)
    ((confirmed_at, completed),) = ears.of(HandshakeCompleted)
    assert isinstance(completed, HandshakeCompleted)
    assert completed.early_data_accepted
    assert confirmed_at - begun_at == pytest.approx(1.5 * RTT)


def test_without_a_ticket_what_was_written_early_waits_for_the_handshake() -> None:
    world = World(CLEAN)
    ears = Ears(world)
    node = world.add_node("fra", on_event=ears, early_data_alpn=ALPN)
    call(world, node, None)
    world.run(until=1.0)
    assert ears.heard(0.0) == (GROUP, pytest.approx(1.5 * RTT))
    assert not ears.of(HandshakeBegun)


@pytest.mark.parametrize("clock_error", [-3.0, 0.0, 3.0])
def test_a_ticket_of_one_node_is_good_on_another(clock_error: float) -> None:
    world = World(CLEAN)
    ears = Ears(world)
    node = world.add_node("fra", early_data_alpn=ALPN)
    other = world.add_node("nrt", on_event=ears, early_data_alpn=ALPN, clock_error=clock_error)
    world.run(until=10.0)
    ticket = visited(world, node)
    begun_at = world.now
    call(world, other, ticket)
    world.run(until=begun_at + 1.0)
    assert ears.heard(begun_at) == (GROUP, pytest.approx(RTT / 2))


@pytest.mark.parametrize("rotated", ["added", "used", "dropped"])
def test_a_ticket_is_good_for_as_long_as_its_keys_are(rotated: str) -> None:
    world = World(CLEAN)
    ears = Ears(world)
    node = world.add_node("fra", on_event=ears, early_data_alpn=ALPN)
    ticket = visited(world, node)
    ring = KEYS.add(bytes(32), KEYS.issuing.created)
    node.endpoint.set_keys({"added": ring, "used": ring.use(1), "dropped": ring.use(1).drop(0)}[rotated])
    ears.told.clear()
    begun_at = world.now
    call(world, node, ticket)
    world.run(until=begun_at + 1.0)
    assert ears.heard(begun_at) == (GROUP, pytest.approx(1.5 * RTT if rotated == "dropped" else RTT / 2))


@pytest.mark.parametrize("where", ["used twice", "used twice, elsewhere", "after a restart"])
def test_a_ticket_that_may_have_been_used_costs_what_having_none_costs(where: str) -> None:
    world = World(CLEAN)
    ears = Ears(world)
    node = world.add_node("fra", on_event=ears, early_data_alpn=ALPN)
    other = world.add_node("nrt", on_event=ears, early_data_alpn=ALPN)
    ticket = visited(world, node)
    to = other if where == "used twice, elsewhere" else node
    if where == "after a restart":
        world.restart(node)
    else:
        call(world, to, ticket)
        world.run(until=world.now + 1.0)
    ears.told.clear()
    begun_at = world.now
    caller = call(world, to, ticket)
    world.run(until=begun_at + 1.0)
    assert ears.heard(begun_at) == (GROUP, pytest.approx(1.5 * RTT))
    assert not ears.of(HandshakeBegun)
    (completed,) = [event for event in caller.events if isinstance(event, HandshakeCompleted)]
    assert not completed.early_data_accepted
    assert ticket_of(caller) is not ticket


def test_a_recorded_first_flight_is_heard_once() -> None:
    world = World(CLEAN)
    ears = Ears(world)
    node = world.add_node("fra", on_event=ears, early_data_alpn=ALPN)
    ticket = visited(world, node)
    flight: list[Datagram] = []

    def record(datagram: Datagram) -> bool:
        if datagram.destination[1] == PORT and datagram.data[0] & LONG_HEADER_BIT:
            flight.append(datagram)
        return False

    world.blocks.append(record)
    call(world, node, ticket)
    world.run(until=world.now + RTT / 4)
    first, *_ = flight
    recorded = [datagram for datagram in flight if datagram.source == first.source]
    world.run(until=world.now + 1.0)
    assert ears.heard(world.now)[0] == GROUP
    ears.told.clear()
    # The thief sends it from an address of his own, to the same node and worker, much later.
    world.run(until=world.now + 60.0)
    ears.told.clear()
    for datagram in recorded:
        node.endpoint.receive_datagram(
            datagram.data, Path("192.0.2.66", 666, datagram.destination[0]), world.now
        )
    world.pump(node)
    world.run(until=world.now + 30.0)
    assert not ears.of(StreamDataReceived)
    assert not ears.of(HandshakeBegun)


def test_who_has_been_told_of_a_beginning_is_told_of_its_end() -> None:
    world = World(CLEAN)
    ears = Ears(world)
    node = world.add_node("fra", on_event=ears, early_data_alpn=ALPN)
    ticket = visited(world, node)
    ears.told.clear()
    caller = call(world, node, ticket)
    # Nothing but the first flight of the caller arrives, and he never hears anything.
    world.at(world.now + RTT / 4, lambda: world.blocks.append(lambda datagram: True))
    world.run(until=world.now + 30.0)
    ((_, begun),) = ears.of(HandshakeBegun)
    ((_, closed),) = ears.of(ConnectionClosed)
    assert isinstance(begun, HandshakeBegun)
    assert isinstance(closed, ConnectionClosed)
    assert begun.connection == closed.connection
    assert not closed.by_peer
    assert caller.connection.closed
    assert not node.endpoint.connections


def test_under_loss_and_reordering_every_word_is_heard_once(world_seed: int) -> None:
    world = World(Network(world_seed, delay=RTT / 2, loss=0.1, reorder=0.1, duplicate=0.05))
    ears = Ears(world)
    node = world.add_node("fra", on_event=ears, early_data_alpn=ALPN)
    for _ in range(10):
        caller = world.add_client(node)
        world.run(until=world.now + 5.0)
        tickets = [event.ticket for event in caller.events if isinstance(event, TicketIssued)]
        ears.told.clear()
        call(world, node, tickets[0] if tickets else None)
        world.run(until=world.now + 10.0)
        assert ears.heard(world.now)[0] == GROUP


@pytest.mark.parametrize("brings_token", [False, True])
def test_a_node_that_asks_for_proof_hears_what_was_said_early(brings_token: bool) -> None:
    world = World(CLEAN)
    ears = Ears(world)
    node = world.add_node("fra", on_event=ears, early_data_alpn=ALPN, admission=lambda _now: Verdict.RETRY)
    ticket = visited(world, node)
    ears.told.clear()
    begun_at = world.now
    visitor = world.clients[0]
    (token,) = [event.token for event in visitor.events if isinstance(event, AddressTokenIssued)]
    caller = call(world, node, ticket, token if brings_token else b"")
    world.rebind(caller, caller.address[1], visitor.address[0])
    world.run(until=begun_at + 2.0)
    assert ears.heard(begun_at) == (GROUP, pytest.approx((0.5 if brings_token else 1.5) * RTT))
    assert node.endpoint.counters.retried == (1 if brings_token else 2)
    (completed,) = [event for event in caller.events if isinstance(event, HandshakeCompleted)]
    assert completed.early_data_accepted


def test_a_browser_gets_no_ticket_and_sends_nothing_early() -> None:
    world = World(CLEAN)
    node = world.add_node("fra", early_data_alpn=ALPN)
    client = world.add_client(node, alpn=("h3",))
    world.run(until=1.0)
    assert client.completed_at is not None
    assert not [event for event in client.events if isinstance(event, TicketIssued)]


def test_a_ticket_of_somebody_else_is_not_offered() -> None:
    world = World(CLEAN)
    ears = Ears(world)
    node = world.add_node("fra", on_event=ears, early_data_alpn=ALPN)
    ticket = visited(world, node)
    ears.told.clear()
    caller = world.add_client(node, server_name="other.example", verify=False, ticket=ticket)
    world.run(until=world.now + 1.0)
    assert not ears.of(HandshakeBegun)
    assert caller.completed_at is not None


def test_what_was_used_too_long_ago_to_remember_is_refused() -> None:
    world = World(CLEAN)
    ears = Ears(world)
    node = world.add_node("fra", on_event=ears, early_data_alpn=ALPN, max_tickets=2)
    tickets = [visited(world, node) for _ in range(5)]
    ears.told.clear()
    # The second is forgotten when the fourth comes. The first may have been used before it, for all that is known.
    for used in (1, 2, 3, 1, 0, 4):
        call(world, node, tickets[used])
        world.run(until=world.now + 1.0)
    completed = [event for _, event in ears.of(HandshakeCompleted) if isinstance(event, HandshakeCompleted)]
    assert [event.early_data_accepted for event in completed] == [True, True, True, False, False, True]


def test_a_lost_first_packet_costs_a_tenth_of_a_second() -> None:
    world = World(CLEAN)
    node = world.add_node("fra")
    lost: list[Datagram] = []

    def lose_first(datagram: Datagram) -> bool:
        if not lost:
            lost.append(datagram)
            return True
        return False

    world.blocks.append(lose_first)
    caller = world.add_client(node)
    world.run(until=1.0)
    assert lost
    assert caller.completed_at == pytest.approx(0.1 + RTT)
