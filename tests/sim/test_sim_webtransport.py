"""WebTransport sessions of a page over a network that loses, doubles and reorders packets."""

from sim.page import Page, http_code
from sim.world import Network, SimClient, SimNode, World

from edge.quic import (
    DatagramReceived,
    Event,
    SendingStopped,
    SessionClosed,
    SessionRequested,
    StreamDataReceived,
    StreamReset,
)

BAD = {"delay": 0.03, "jitter": 0.01, "loss": 0.1, "duplicate": 0.05, "reorder": 0.1}
GROUPS = 40


class Edge:
    """Accepts whoever asks, answers on a stream of its own, echoes the control stream."""

    def __init__(self) -> None:
        self.groups: dict[int, bytearray] = {}
        self.ended: set[int] = set()
        self.reset: dict[int, int] = {}
        self.stopped: dict[int, int] = {}
        self.datagrams: list[bytes] = []
        self.closed: list[SessionClosed] = []
        self.item = -1

    def __call__(self, node: SimNode, event: Event) -> None:
        endpoint = node.endpoint
        match event:
            case SessionRequested(connection=connection, session=session):
                assert endpoint.accept_session(connection, session)
                self.item = endpoint.open_stream(connection)
                endpoint.send_stream(connection, self.item, b"reply" * 1000)
            case StreamDataReceived(connection, stream_id, data, fin) if not stream_id & 2:
                endpoint.send_stream(connection, stream_id, data, fin)
            case StreamDataReceived(_, stream_id, data, fin):
                self.groups.setdefault(stream_id, bytearray()).extend(data)
                if fin:
                    self.ended.add(stream_id)
            case StreamReset(_, stream_id, code):
                self.reset[stream_id] = code
            case SendingStopped(_, stream_id, code):
                self.stopped[stream_id] = code
            case DatagramReceived(_, data):
                self.datagrams.append(data)
            case SessionClosed():
                self.closed.append(event)


def visit(world: World, node: SimNode) -> tuple[SimClient, Page]:
    client, page = world.add_client(node), Page()
    client.connection = page  # type: ignore[assignment]
    return client, page


def test_all_streams_of_a_session_arrive_whole_over_a_bad_network(world_seed: int) -> None:
    world = World(Network(world_seed, **BAD))
    edge = Edge()
    node = world.add_node("fra", on_event=edge)
    client, page = visit(world, node)
    world.run(until=5.0)
    page.ask()
    # Streams that do not wait for the answer, as later drafts allow.
    control = page.open(b"early", unidirectional=False)
    world.pump(client)
    world.run(until=world.now + 3.0)
    assert page.status == b"200"
    spoken: dict[int, bytes] = {}
    for number in range(GROUPS):
        words = b"%04d" % number * 75
        spoken[page.open(words, unidirectional=True, fin=True)] = words
        page.say(b"report %d" % number)
        world.pump(client)
        world.run(until=world.now + 0.1)
    given_up = page.open(b"too late", unidirectional=True)
    page.engine.reset_stream(given_up, http_code(2))
    page.engine.stop_stream(edge.item, http_code(1))
    page.engine.send_stream_data(control, b" and late")
    world.pump(client)
    world.run(until=world.now + 5.0)
    assert {stream_id: bytes(edge.groups[stream_id]) for stream_id in spoken} == spoken
    assert edge.ended == set(spoken)
    assert page.heard[control] == b"early and late"
    assert edge.stopped == {edge.item: 1}
    assert edge.reset.get(given_up, 2) == 2
    assert len(edge.datagrams) > GROUPS / 2
    page.send_capsules(bytes.fromhex("6843 07 00000007") + b"bye", fin=True)
    world.pump(client)
    world.run(until=world.now + 20.0)
    assert [(closed.code, closed.reason, closed.by_peer) for closed in edge.closed] == [(7, "bye", True)]
    assert not node.endpoint.connections


def test_a_page_whose_network_dies_leaves_nothing_behind(world_seed: int) -> None:
    world = World(Network(world_seed, **BAD))
    node = world.add_node("fra", on_event=Edge(), idle_timeout=5.0)
    client, page = visit(world, node)
    world.run(until=3.0)
    page.ask()
    world.pump(client)
    world.run(until=5.0)
    assert page.status == b"200"
    world.blocks.append(lambda datagram: True)
    world.run(until=20.0)
    assert not node.endpoint.connections
