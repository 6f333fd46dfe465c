"""A world of nodes and callers in virtual time, on a network as bad as its seed makes it.

    world = World(Network(seed=7, delay=0.02, loss=0.05))
    frankfurt, tokyo = world.add_node("fra"), world.add_node("nrt")
    caller = world.add_client(frankfurt)
    world.run(until=2.0)
    world.move_catchment(tokyo)

Every node announces the service address; the *catchment* says which of them gets a client's packets to it,
and may change at any moment. Unicast addresses are not affected by it. Nothing sleeps and no clock is read:
the same seed gives the same run, as far as the engine's own random numbers leave sizes alone.
"""

import datetime
import heapq
import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cache, partial
from itertools import count
from typing import Any, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509.oid import NameOID

from edge.cid import profile_edge
from edge.forward import Delivery, Forwarder, Member, ReturnPath, Sending
from edge.keys import KeyRing, Purpose
from edge.lab.balancing import Balancer, Target
from edge.lab.rewriting import UDP, Packet
from edge.overload import Verdict
from edge.quic import (
    CidProfile,
    ClientConfig,
    ClientConnection,
    ConnectionClosed,
    Endpoint,
    EndpointConfig,
    Event,
    HandshakeCompleted,
    Identity,
    PacketMisrouted,
    Path,
    Secrets,
    StreamDataReceived,
)
from edge.quic.endpoint import accept_all

SERVICE_V4, SERVICE_V6 = "198.51.100.1", "2001:db8:a::1"
PORT = 443
SERVER_NAME = "voice.example"
ALPN = "edge-voice/1"

UNIX_TIME_AT_0 = 1_800_000_000.0
FORWARD_PORT = 4434
KEYS = KeyRing.new(b"fleet secret of thirty-two bytes", datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC))
CID_CONFIG = profile_edge(KEYS.issue, KEYS.issuing.key(Purpose.CID))

Address = tuple[str, int]


@cache
def make_identity(name: str = SERVER_NAME) -> tuple[Identity, bytes]:
    """A key with a self-signed certificate for ``name``, and that certificate as PEM for clients to trust."""
    key = ed25519.Ed25519PrivateKey.generate()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, algorithm=None)
    )
    return Identity(certificate, (), key), certificate.public_bytes(serialization.Encoding.PEM)


class Datagram(NamedTuple):
    """A UDP datagram on the wire."""

    source: Address
    destination: Address
    data: bytes


@dataclass(frozen=True)
class Network:
    """Times in seconds, the others are probabilities for each datagram.

    ``delay`` is one way and the least; ``jitter`` is added evenly. A reordered datagram takes up to
    ``lateness`` longer.
    """

    seed: int
    delay: float = 0.01
    jitter: float = 0.0
    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    lateness: float = 0.05


@dataclass(eq=False)
class SimNode:
    """``on_event`` is the application; by default it echoes what comes on bidirectional streams."""

    name: str
    build: Callable[[int], Endpoint]
    endpoint: Endpoint
    server_id: bytes
    peers: set[bytes]
    forwarder: Forwarder
    v4: str
    v6: str
    on_event: "Callable[[SimNode, Event], None]"
    events: list[Event] = field(default_factory=list)
    received: dict[tuple[int, int], bytearray] = field(default_factory=dict)
    """Bytes of each stream, by (connection, stream)."""


@dataclass(eq=False)
class SimClient:
    """``address`` is what the network sees of it, ``node`` is where its packets to the service go."""

    connection: ClientConnection
    address: Address
    node: SimNode
    on_event: "Callable[[SimClient, Event], None]"
    connected_at: float
    completed_at: float | None = None
    events: list[Event] = field(default_factory=list)
    received: dict[int, bytearray] = field(default_factory=dict)
    """Bytes of each stream."""

    @property
    def closed(self) -> ConnectionClosed | None:
        return next((event for event in self.events if isinstance(event, ConnectionClosed)), None)


Actor = SimNode | SimClient
ServerApp = Callable[[SimNode, Event], None]
ClientApp = Callable[[SimClient, Event], None]
Block = Callable[[Datagram], bool]


def echo(node: SimNode, event: Event) -> None:
    """Send back what comes on bidirectional streams."""
    if isinstance(event, StreamDataReceived) and not event.stream_id & 2:
        node.endpoint.send_stream(event.connection, event.stream_id, event.data, event.fin)


def listen(_actor: Actor, _event: Event) -> None:
    """Say nothing."""


class World:
    """``forward``: nodes pass packets of each other's connections on, over a network without loss, and answer so.

    With a ``balancer`` no node has the service address: packets go where it sends them, in no time.
    """

    def __init__(
        self, network: Network, *, forward: ReturnPath | None = None, balancer: Balancer | None = None
    ) -> None:
        self.network = network
        self.balancer = balancer
        self.now = 0.0
        self.nodes: list[SimNode] = []
        self.clients: list[SimClient] = []
        self.blocks: list[Block] = []
        """Each says which datagrams it swallows: append one to cut a link, remove it to mend the link."""
        self._forward = forward
        self._dice = random.Random(network.seed)
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._wakes: dict[Actor, float] = {}
        self._client_at: dict[Address, SimClient] = {}

    # Who is in it

    def add_node(
        self,
        name: str,
        *,
        on_event: ServerApp = echo,
        admission: Callable[[float], Verdict] = accept_all,
        keys: KeyRing = KEYS,
        profile: CidProfile = "edge",
        clock_error: float = 0.0,
        **changes: Any,
    ) -> SimNode:
        """``changes`` are fields of its `EndpointConfig`."""
        index = len(self.nodes) + 1
        v4, v6 = f"203.0.113.{index}", f"2001:db8:{index:x}::1"
        server_id, peers = index.to_bytes(8, "big"), {other.server_id for other in self.nodes}
        behind = self.balancer is not None
        config = EndpointConfig(
            identity=make_identity()[0],
            alpn=(ALPN, "h3"),
            service=frozenset({v4} if behind else {SERVICE_V4, SERVICE_V6}),
            preferred_v4=None if behind else (v4, PORT),
            preferred_v6=None if behind else (v6, PORT),
        )
        if self.balancer is not None:
            profile = "aws-nlb"
            self.balancer.register(Target((v4, PORT), server_id))

        def build(nonce_start: int) -> Endpoint:
            return Endpoint(
                replace(config, **changes),
                Secrets(keys, server_id=server_id, nonce_start=nonce_start, profile=profile),
                admission=admission,
                proof=True,
                unix_time=lambda now: UNIX_TIME_AT_0 + now + clock_error,
                began_at=UNIX_TIME_AT_0 + self.now + clock_error,
                peers=peers,
            )

        for other in self.nodes:
            other.peers.add(server_id)
        forwarder = Forwarder(
            Member(server_id, 0),
            keys,
            {},
            local=config.service,
            counter=0,
            return_path=self._forward or ReturnPath.DIRECT,
            shared=not behind,
        )
        node = SimNode(name, build, build(0), server_id, peers, forwarder, v4, v6, on_event)
        self.nodes.append(node)
        owners = {one.server_id: (one.v4, FORWARD_PORT) for one in self.nodes}
        for one in self.nodes:
            one.forwarder.set_owners(owners)
        return node

    def add_client(
        self,
        node: SimNode,
        *,
        on_event: ClientApp = listen,
        at: float | None = None,
        to: Address = (SERVICE_V4, PORT),
        **changes: Any,
    ) -> SimClient:
        """A caller in the catchment of ``node``, that connects at ``at`` (now). ``changes``: `ClientConfig`."""
        index = len(self.clients)
        v6 = ":" in to[0]
        host = f"2001:db8:c::{index + 1:x}" if v6 else f"192.0.2.{1 + index % 250}"
        config = ClientConfig(server_name=SERVER_NAME, alpn=(ALPN,), ca_pem=make_identity()[1])
        start = self.now if at is None else at
        client = SimClient(
            ClientConnection(replace(config, **changes)), (host, 40_000 + index), node, on_event, start
        )
        self.clients.append(client)
        self._client_at[client.address] = client
        self.at(start, lambda: self._connect(client, to))
        return client

    # What happens to it

    def at(self, time: float, action: Callable[[], None]) -> None:
        """Do something later."""
        heapq.heappush(self._agenda, (time, next(self._order), action))

    def move_catchment(self, node: SimNode, clients: Iterable[SimClient] | None = None) -> None:
        """From now on what ``clients`` (all) send to the service address gets to ``node``."""
        for client in self.clients if clients is None else clients:
            client.node = node

    def rebind(self, client: SimClient, port: int, host: str | None = None) -> None:
        """The client's NAT gives it another port, or another network gives it another address."""
        del self._client_at[client.address]
        client.address = (host or client.address[0], port)
        self._client_at[client.address] = client

    def restart(self, node: SimNode) -> None:
        """The node forgets every connection; keys and server ID stay."""
        node.endpoint = node.build(1 << 32)

    def run(self, until: float) -> None:
        """Let time pass."""
        while self._agenda and self._agenda[0][0] <= until:
            self.now, _, action = heapq.heappop(self._agenda)
            action()
        self.now = until

    def pump(self, actor: Actor) -> None:
        """What an owner does after anything that changes state; to be called after using a verb."""
        if isinstance(actor, SimNode):
            self._pump_node(actor)
        else:
            self._pump_client(actor)
        self._arm(actor)

    def _pump_node(self, node: SimNode) -> None:
        while (event := node.endpoint.next_event()) is not None:
            node.events.append(event)
            match event:
                case StreamDataReceived(connection, stream_id, data):
                    node.received.setdefault((connection, stream_id), bytearray()).extend(data)
                case PacketMisrouted(path, server_id, worker, data) if self._forward:
                    self._carry(node.forwarder.pass_on(path, Member(server_id, worker), data, self.now))
            node.on_event(node, event)
        for data, path in node.endpoint.datagrams_to_send(self.now):
            if not self._carry(node.forwarder.answer(path, data)):
                self._answer(path, data)

    def _carry(self, packet: tuple[bytes, Address] | None) -> bool:
        """From node to node; whether there is something to carry."""
        if packet is None:
            return False
        data, address = packet
        node = next(node for node in self.nodes if node.v4 == address[0])
        self.at(self.now + self.network.delay, partial(self._take_over, node, data))
        return True

    def _take_over(self, node: SimNode, packet: bytes) -> None:
        match node.forwarder.receive(packet, self.now):
            case Delivery(path, data):
                node.endpoint.receive_datagram(data, path, self.now, forwarded=True)
                self.pump(node)
            case Sending(path, data):
                self._answer(path, data)

    def _answer(self, path: Path, data: bytes) -> None:
        source = path.local if self.balancer is None else SERVICE_V4
        self._send(Datagram((source, PORT), (path.host, path.port), data))

    def _pump_client(self, client: SimClient) -> None:
        while (event := client.connection.next_event()) is not None:
            client.events.append(event)
            match event:
                case HandshakeCompleted():
                    client.completed_at = self.now
                case StreamDataReceived(_, stream_id, data):
                    client.received.setdefault(stream_id, bytearray()).extend(data)
            client.on_event(client, event)
        for data, address in client.connection.datagrams_to_send(self.now):
            self._send(Datagram(client.address, address, data))

    def _arm(self, actor: Actor) -> None:
        timer = (actor.endpoint if isinstance(actor, SimNode) else actor.connection).get_timer()
        if timer is not None and timer < self._wakes.get(actor, math.inf):
            self._wakes[actor] = timer
            self.at(max(timer, self.now), lambda: self._wake(actor, timer))

    def _wake(self, actor: Actor, timer: float) -> None:
        if self._wakes.get(actor) == timer:
            del self._wakes[actor]
            (actor.endpoint if isinstance(actor, SimNode) else actor.connection).handle_timer(self.now)
            self.pump(actor)

    def _connect(self, client: SimClient, to: Address) -> None:
        client.connection.connect(to, self.now)
        self.pump(client)

    def _send(self, datagram: Datagram) -> None:
        network, dice = self.network, self._dice
        if any(swallows(datagram) for swallows in self.blocks):
            return
        for _ in range(1 + (dice.random() < network.duplicate)):
            if dice.random() < network.loss:
                continue
            delay = network.delay + dice.random() * network.jitter
            if dice.random() < network.reorder:
                delay += dice.random() * network.lateness
            self.at(self.now + delay, lambda: self._arrive(datagram))

    def _arrive(self, datagram: Datagram) -> None:
        host, _ = datagram.destination
        client = self._client_at.get(datagram.destination)
        if client is not None:
            client.connection.receive_datagram(datagram.data, datagram.source, self.now)
            self.pump(client)
            return
        if self.balancer is not None and host == SERVICE_V4:
            packet = Packet(UDP, datagram.source, datagram.destination, datagram.data, opens=False)
            target = self.balancer.route(packet, self.now)
            host = "" if target is None else target.address[0]
            node = next((node for node in self.nodes if host == node.v4), None)
        elif host in (SERVICE_V4, SERVICE_V6):
            sender = self._client_at.get(datagram.source)
            node = None if sender is None else sender.node
        else:
            node = next((node for node in self.nodes if host in (node.v4, node.v6)), None)
        if node is not None:
            self._receive(node, datagram.data, Path(*datagram.source, local=host))

    def _receive(self, node: SimNode, data: bytes, path: Path) -> None:
        if node.endpoint.receive_datagram(data, path, self.now):
            node.forwarder.arrived(path)
        self.pump(node)


class Talk:
    """A client application: ``count`` messages on one bidirectional stream, one each ``interval`` seconds.

    `said` is what it has written; with an echoing node the client must receive exactly that.
    """

    def __init__(self, world: World, *, count: int = 20, interval: float = 0.05, size: int = 160) -> None:
        self.said = bytearray()
        self.stream_id = -1
        self._world = world
        self._count = count
        self._interval = interval
        self._size = size

    def __call__(self, client: SimClient, event: Event) -> None:
        if isinstance(event, HandshakeCompleted):
            self.stream_id = client.connection.open_stream(unidirectional=False)
            self._say(client)

    def heard(self, client: SimClient) -> bool:
        """Whether everything was said and came back, in order."""
        return len(self.said) == self._count * self._size and client.received.get(self.stream_id) == self.said

    def _say(self, client: SimClient) -> None:
        number = len(self.said) // self._size
        message = b"%08d" % number
        self.said += (message * (1 + self._size // 8))[: self._size]
        client.connection.send_stream(
            self.stream_id, bytes(self.said[-self._size :]), fin=number + 1 == self._count
        )
        self._world.pump(client)
        if number + 1 < self._count:
            self._world.at(self._world.now + self._interval, lambda: self._say(client))
