"""Whole calls in the simulated world: a caller's stack and an edge's sessions on real QUIC, in virtual time.

The edge's side is what a host does, in as few lines as that takes: `QuicCarrier` is the real one, the backend speaks
as fast as it is pulled and counts what it hears.
"""

import random
from collections.abc import Sequence
from typing import Any

from sim.world import ALPN, SERVER_NAME, Datagram, SimClient, SimNode, World, make_identity
from voice_stack import VoiceStack

from edge.quic import (
    ClientConfig,
    ClientConnection,
    ConnectionClosed,
    Event,
    HandshakeBegun,
    HandshakeCompleted,
    Ticket,
    TicketIssued,
)
from edge.runtime.carriers import QuicCarrier, carry_out
from edge.voice import (
    FRAME_MS,
    CallerEvent,
    CallerSession,
    EdgeEvent,
    EdgeSession,
    Frame,
    FrameLedger,
    FramesHeard,
    FramesReceived,
    Presented,
    ReconnectRequested,
    ResponseCancelled,
    StatsRequested,
)

CHUNK_FRAMES = 50
TOKEN = "resume-me"


class Bursts:
    """Loses ``loss`` of all datagrams, in bursts of ``burst`` in the mean, in each direction by itself (Gilbert)."""

    def __init__(self, seed: int, loss: float, burst: float = 3.0) -> None:
        self._dice = random.Random(seed)
        self._leave = 1 / burst
        self._enter = loss / (1 - loss) * self._leave
        self._losing: dict[str, bool] = {}

    def __call__(self, datagram: Datagram) -> bool:
        way = datagram.destination[0]
        losing = self._losing.get(way, False)
        turn = self._leave if losing else self._enter
        self._losing[way] = losing ^ (self._dice.random() < turn)
        return self._losing[way]


def speech(seed: int, frames: int) -> list[bytes]:
    dice = random.Random(seed)
    return [dice.randbytes(dice.randrange(40, 80)) for _ in range(frames)]


class EdgeCall:
    """One session with its carrier and its backend, which says ``items`` one after the other."""

    def __init__(self, items: Sequence[Sequence[bytes]]) -> None:
        self.session = EdgeSession("call-1", held=True)
        self.carrier: QuicCarrier | None = None
        self.items: list[Sequence[bytes]] = []
        self.said, self.heard = FrameLedger(), FrameLedger()
        self.frames: list[Frame] = []
        self.heard_at: list[float] = []
        self.told: list[EdgeEvent] = []
        self.done: list[Any] = []  # what the carrier was asked
        self._script = items
        self._item = self._told = 0

    def turn(self, now: float) -> ReconnectRequested | None:
        """Everything that can be done now."""
        if self.carrier is not None and (rtt_s := self.carrier.rtt_s()) is not None:
            self.session.set_rtt(rtt_s)
        while (event := self.session.next_event()) is not None:
            self.told.append(event)
            match event:
                case ReconnectRequested():
                    return event
                case Presented() if self.session.resumes is None:
                    self.items += self._script
                case FramesHeard(frames=frames):
                    self.heard.record(frames)
                    self.frames += frames
                    self.heard_at += [now] * len(frames)
                case ResponseCancelled():
                    self._next_item()
                case StatsRequested():
                    self.session.answer_stats(self.heard.count(), self.said.count())
        self._speak(now)
        while (action := self.session.next_action()) is not None:
            self.done.append(action)
            if self.carrier is not None:
                carry_out(self.carrier, action)
        return None

    def _speak(self, now: float) -> None:
        while self.items and self.session.wants_audio:
            if self._told == 0:
                self._item = self.session.begin_item()
            payloads = self.items[0][self._told : self._told + CHUNK_FRAMES]
            frames = [
                Frame(self._item, seq, seq * FRAME_MS, payload)
                for seq, payload in enumerate(payloads, self._told)
            ]
            self.said.record(frames)
            self.session.speak(self._item, frames, now)
            self._told += len(frames)
            if self._told == len(self.items[0]):
                self.session.end_item(self._item, now)
                self._next_item()

    def _next_item(self) -> None:
        if self.items:
            del self.items[0]
        self._told = 0


class Edge:
    """A node's application. ``items`` are what the backend of each new call says."""

    def __init__(self, world: World, items: Sequence[Sequence[bytes]] = ()) -> None:
        self.world = world
        self.items = items
        self.calls: list[EdgeCall] = []
        self.node = world.add_node("fra", on_event=self._on_event, early_data_alpn=ALPN)
        self._by_connection: dict[int, EdgeCall] = {}

    def _on_event(self, node: SimNode, event: Event) -> None:
        connection = getattr(event, "connection", None)
        if connection is None:
            return
        call = self._by_connection.get(connection)
        if call is None:
            if not isinstance(event, HandshakeBegun | HandshakeCompleted):
                return
            call = self._by_connection[connection] = EdgeCall(self.items)
            call.carrier = QuicCarrier(node.endpoint, connection)
            call.carrier.call = call  # type: ignore[assignment]
            call.session.announce_session(node.name, "unicast.example:443", False, resume_token=TOKEN)
            self.calls.append(call)
        if isinstance(event, HandshakeCompleted):
            call.session.admit(self.world.now)
        elif isinstance(event, ConnectionClosed):
            del self._by_connection[connection]
            return
        elif call.carrier is not None:
            call.carrier.receive(event, self.world.now)
        self._turn(call, connection)

    def _turn(self, call: EdgeCall, connection: int) -> None:
        wanted = call.turn(self.world.now)
        if wanted is not None:
            assert wanted.resume_token == TOKEN
            self.calls.remove(call)
            old, call = call, self.calls[0]
            call.carrier = old.carrier
            assert call.carrier is not None
            call.carrier.call = call  # type: ignore[assignment]
            self._by_connection = {connection: call}
            call.session.attach(wanted.item, wanted.frames, self.world.now)
            call.turn(self.world.now)
        at = call.session.get_timer()
        if at is not None:
            self.world.at(max(at, self.world.now), lambda: self._wake(call, at, connection))

    def _wake(self, call: EdgeCall, at: float, connection: int) -> None:
        if call.session.get_timer() == at:
            call.session.handle_timer(self.world.now)
            self._turn(call, connection)
            self.world.pump(self.node)


class Phone(VoiceStack):
    """A stack that the world can connect; with ``resume`` it continues the call of its session."""

    def __init__(self, connection: ClientConnection, session: CallerSession, *, resume: bool = False) -> None:
        super().__init__(connection, session, dead_after_s=60.0)
        self.ticket: Ticket | None = None
        self._resume = resume

    def connect(self, address: tuple[str, int], now: float) -> None:
        self.connection.connect(address, now)
        if self._resume:
            self.session.reconnect(now)

    def deliver(self, event: Event, session: CallerSession, now: float) -> None:
        if isinstance(event, TicketIssued):
            self.ticket = event.ticket
        super().deliver(event, session, now)


class Caller:
    """A caller in the world; ``options`` are those of `CallerSession`."""

    def __init__(self, edge: Edge, *, ticket: Ticket | None = None, **options: Any) -> None:
        self.world = edge.world
        self.edge = edge
        self.session = CallerSession(self.world.now, **options)
        self.told: list[CallerEvent] = []
        self.said_at: list[float] = []
        self.client = self._client(ticket, resume=False)

    @property
    def phone(self) -> Phone:
        stack = self.client.connection
        assert isinstance(stack, Phone)
        return stack

    def say(self, payloads: Sequence[bytes], *, commit: bool = True) -> None:
        """Speak in real time from now on."""
        start = self.world.now
        for index, payload in enumerate(payloads):
            self.world.at(start + index * 0.02, lambda p=payload: self._say(p))
        if commit:
            self.world.at(start + len(payloads) * 0.02, self._commit)

    def do(self, verb: str, *arguments: Any) -> None:
        getattr(self.session, verb)(*arguments)
        self.world.pump(self.client)

    def lose_carrier(self) -> None:
        """Nothing of the connection arrives any more at either end, and the caller has noticed."""
        lost = self.client.address
        self.world.blocks.append(lambda datagram: lost in (datagram.source, datagram.destination))
        self.client.connection = self.phone.connection
        self.session.detach(self.world.now)

    def come_back(self) -> None:
        """On another connection, with another address."""
        self.client = self._client(None, resume=True)

    def received(self) -> list[Frame]:
        return [frame for event in self.told if isinstance(event, FramesReceived) for frame in event.frames]

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.told if isinstance(event, kind)]

    def _say(self, payload: bytes) -> None:
        self.said_at.append(self.world.now)
        self.session.send_frames([payload], self.world.now)
        if isinstance(self.client.connection, Phone):
            self.world.pump(self.client)

    def _commit(self) -> None:
        self.session.commit(self.world.now)
        if isinstance(self.client.connection, Phone):
            self.world.pump(self.client)

    def _client(self, ticket: Ticket | None, *, resume: bool) -> SimClient:
        client = self.world.add_client(self.edge.node, on_event=lambda _, event: self.told.append(event))  # type: ignore[arg-type]
        config = ClientConfig(server_name=SERVER_NAME, alpn=(ALPN,), ca_pem=make_identity()[1], ticket=ticket)
        client.connection = Phone(ClientConnection(config), self.session, resume=resume)  # type: ignore[assignment]
        return client
