"""Whole calls over a simulated carrier in virtual time: every stream has its own, varying delay.

Bytes of one stream keep their order, streams overtake each other, datagrams get lost. A run follows from its
seed.
"""

import heapq
import itertools
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest

from edge.voice import (
    DEFAULT_LEAD_MS,
    FRAME_MS,
    RING_MS,
    CallerEvent,
    CallerSession,
    CloseSession,
    Deadlines,
    EdgeSession,
    Frame,
    FrameLedger,
    FramesHeard,
    FramesReceived,
    ItemDone,
    ResetStream,
    ResponseCancelled,
    SendControl,
    SendDatagram,
    SendStream,
    SessionReady,
    StatsReceived,
    StatsRequested,
    StopStream,
    Underran,
    UtteranceCommitted,
)
from edge.voice.wire import AudioStream, ItemHeader

CHUNK_FRAMES = 50


@dataclass(frozen=True)
class Network:
    """Delay and mean of the (exponential) jitter on top in seconds; fraction of datagrams lost."""

    delay: float
    jitter: float
    loss: float


PATIENT = Deadlines(None, None)
GOOD = Network(delay=0.02, jitter=0.005, loss=0.0)
BAD = Network(delay=0.03, jitter=0.3, loss=0.3)


def speech(seed: int, frames: int) -> list[bytes]:
    dice = random.Random(seed)
    return [dice.randbytes(dice.randrange(20, 90)) for _ in range(frames)]


class Talker:
    """A backend that speaks as fast as it is pulled, counting as a backend does."""

    def __init__(self, items: Sequence[Sequence[bytes]]) -> None:
        self.said = FrameLedger()
        self.heard = FrameLedger()
        self.items = list(items)
        self._number = 0
        self._told = 0

    def pull(self, edge: EdgeSession, now: float) -> None:
        while self.items and edge.wants_audio:
            if self._told == 0:
                self._number = edge.begin_item()
            payloads = self.items[0][self._told : self._told + CHUNK_FRAMES]
            frames = [
                Frame(self._number, seq, seq * FRAME_MS, payload)
                for seq, payload in enumerate(payloads, self._told)
            ]
            self.said.record(frames)
            edge.speak(self._number, frames, now)
            self._told += len(frames)
            if self._told == len(self.items[0]):
                edge.end_item(self._number, now)
                self.skip()

    def skip(self) -> None:
        """On to the next item."""
        del self.items[0]
        self._told = 0


class Call:
    """Both sessions, the network between them, and the clock."""

    def __init__(self, network: Network, seed: int, items: Sequence[Sequence[bytes]] = ()) -> None:
        self.network = network
        self.now = 1000.0
        self.dice = random.Random(seed)
        self.edge = EdgeSession("call-1", deadlines=PATIENT)
        self.caller = CallerSession(self.now)
        self.backend = Talker(items)
        self.told: list[CallerEvent] = []
        self.heard: list[Frame] = []
        self.committed: list[UtteranceCommitted] = []
        self.closed: list[CloseSession] = []
        self.written = 0  # frames of the downlink
        self.ahead_ms: list[int] = []  # written and not played, at every step
        self.ring_ms: list[int] = []  # said by the backend and not written, at every step
        self._queue: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = itertools.count()
        self._free_at: dict[object, float] = defaultdict(float)
        self._wire: dict[int, AudioStream[ItemHeader]] = {}
        self.edge.announce_session("node-a", "voice-a.example:443", migrated=False)
        self.settle()

    def at(self, when: float, what: Callable[[float], None]) -> None:
        heapq.heappush(self._queue, (when, next(self._order), what))

    def say(self, payloads: Sequence[bytes], *, start: float = 0.0) -> None:
        """Speak in real time, ``start`` seconds from now on, and commit."""
        for index, payload in enumerate(payloads):
            self.at(self.now + start + index * 0.02, lambda now, p=payload: self.caller.send_frames([p], now))
        self.at(self.now + start + len(payloads) * 0.02, self.caller.commit)

    def run(self, seconds: float) -> None:
        until = self.now + seconds
        while True:
            timers = [t for t in (self.edge.get_timer(), self.caller.get_timer()) if t is not None]
            next_packet = self._queue[0][0] if self._queue else until
            self.now = max(self.now, min([next_packet, until, *timers]))
            if self.now >= until:
                break
            if self._queue and self._queue[0][0] <= self.now:
                heapq.heappop(self._queue)[2](self.now)
            self.edge.handle_timer(self.now)
            self.caller.handle_timer(self.now)
            self.settle()

    def settle(self) -> None:
        while (event := self.edge.next_event()) is not None:
            self._tell_backend(event)
        self.backend.pull(self.edge, self.now)
        while (event := self.caller.next_event()) is not None:
            self.told.append(event)
        while (action := self.caller.next_action()) is not None:
            self._carry(action, self.edge, 2)
        while (action := self.edge.next_action()) is not None:
            self._carry(action, self.caller, 3)
        self._measure()

    def received(self) -> list[Frame]:
        return [frame for event in self.told if isinstance(event, FramesReceived) for frame in event.frames]

    def events(self, kind: type) -> list[CallerEvent]:
        return [event for event in self.told if isinstance(event, kind)]

    def _tell_backend(self, event: object) -> None:
        match event:
            case FramesHeard(frames=frames):
                self.heard += frames
                self.backend.heard.record(frames)
            case UtteranceCommitted():
                self.committed.append(event)
            case ResponseCancelled():
                self.backend.skip()
            case StatsRequested():
                self.edge.answer_stats(self.backend.heard.count(), self.backend.said.count())

    def _carry(self, action: object, to: EdgeSession | CallerSession, kind: int) -> None:
        match action:
            case SendControl(data=data):
                self._in_order((kind, "control"), lambda now: to.receive_control(data, False, now))
            case SendStream(stream=number, data=data, fin=fin):
                stream = 4 * number + kind
                if to is self.caller:
                    wire = self._wire.setdefault(stream, AudioStream((ItemHeader,), "wire"))
                    self.written += len(wire.receive(data, fin))
                self._in_order(stream, lambda now: to.receive_stream(stream, data, fin, now))
            case ResetStream(stream=number, code=code):
                stream = 4 * number + kind
                self._in_order(stream, lambda now: to.receive_reset(stream, code, now))
            case StopStream(peer_stream=stream, code=code):
                self.at(self._arrival(), lambda now: to.receive_stop(stream // 4, code, now))
            case SendDatagram(data=data):
                if self.dice.random() >= self.network.loss:
                    self.at(self._arrival(), lambda now: to.receive_datagram(data, now))
            case CloseSession():
                self.closed.append(action)

    def _in_order(self, stream: object, receive: Callable[[float], None]) -> None:
        self._free_at[stream] = max(self._free_at[stream], self._arrival())
        self.at(self._free_at[stream], receive)

    def _arrival(self) -> float:
        jitter = self.dice.expovariate(1 / self.network.jitter) if self.network.jitter else 0.0
        return self.now + self.network.delay + jitter

    def _measure(self) -> None:
        self.caller.playout.advance(self.now)
        played_ms = self.caller.heard.frames * FRAME_MS - self.caller.playout.buffered_ms
        self.ahead_ms.append(self.written * FRAME_MS - played_ms)
        self.ring_ms.append((self.backend.said.frames - self.written) * FRAME_MS)


NETWORKS = pytest.mark.parametrize("network", [GOOD, BAD], ids=["good", "bad"])
SEEDS = pytest.mark.parametrize("seed", range(5))


@NETWORKS
@SEEDS
def test_every_frame_of_the_caller_arrives_once_and_in_order(network: Network, seed: int) -> None:
    """Groups overtake each other and the commit; a mistake in their order or number shows here."""
    call = Call(network, seed)
    utterances = [speech(seed, 148), speech(seed + 1, 1), speech(seed + 2, 25)]
    for start, utterance in zip((0.0, 3.0, 3.1), utterances, strict=True):
        call.say(utterance, start=start)
    call.run(12)
    assert [(f.utterance, f.seq, f.payload) for f in call.heard] == [
        (number, seq, payload)
        for number, utterance in enumerate(utterances, 1)
        for seq, payload in enumerate(utterance)
    ]
    assert call.committed == [UtteranceCommitted(n, len(u)) for n, u in enumerate(utterances, 1)]
    assert call.events(UtteranceCommitted) == call.committed
    assert call.backend.heard.count() == call.caller.said.count()
    assert call.closed == []


@NETWORKS
@SEEDS
def test_every_frame_of_the_backend_arrives_once_within_the_lead_window(network: Network, seed: int) -> None:
    """The window is judged by the truth at both ends, not by what the edge believes."""
    items = [speech(seed, 900), speech(seed + 1, 3), speech(seed + 2, 200)]
    call = Call(network, seed, items)
    call.run(60)
    assert [(f.utterance, f.seq, f.payload) for f in call.received()] == [
        (number, seq, payload) for number, item in enumerate(items, 1) for seq, payload in enumerate(item)
    ]
    assert call.events(ItemDone) == [ItemDone(n, len(i), False) for n, i in enumerate(items, 1)]
    assert call.caller.heard.count() == call.backend.said.count()
    assert max(call.ahead_ms) <= DEFAULT_LEAD_MS + FRAME_MS
    assert call.caller.playout.buffered_ms == 0
    assert call.closed == []


@SEEDS
def test_a_good_network_never_lets_the_caller_run_dry(seed: int) -> None:
    call = Call(GOOD, seed, [speech(seed, 1500)])
    call.run(31)
    assert call.caller.playout.underruns == 0
    assert call.caller.playout.played_ms == 30_000
    assert call.events(Underran) == []


def test_a_second_without_network_costs_a_gap_and_no_frame() -> None:
    """The gap is heard, counted once and has the length that it had; then playing goes on."""
    call = Call(replace(GOOD, jitter=0.0), 1, [speech(1, 500)])
    call.run(2)
    call.network = replace(GOOD, delay=1.5, jitter=0.0)
    call.run(0.1)
    call.network = replace(GOOD, delay=10.0, jitter=0.0, loss=1.0)
    call.run(3)
    call.network = GOOD
    call.run(30)
    gaps = call.events(Underran)
    assert len(gaps) == call.caller.playout.underruns >= 1
    assert sum(gap.silence_ms for gap in gaps) == call.caller.playout.underrun_ms > 5000
    assert call.caller.heard.count() == call.backend.said.count()


def test_a_backend_far_ahead_is_held_back_by_the_ring() -> None:
    """Ten minutes are said in no time; the edge never holds more than half a minute of them."""
    call = Call(GOOD, 1, [speech(1, 30_000)])
    call.run(20)
    assert RING_MS - 1000 <= max(call.ring_ms) <= RING_MS
    assert max(call.ahead_ms) <= DEFAULT_LEAD_MS + FRAME_MS


def test_without_reports_the_edge_stops_writing() -> None:
    """No report ever arrives: the lead is written and not one frame more."""
    call = Call(Network(delay=0.02, jitter=0.0, loss=1.0), 1, [speech(1, 500)])
    call.run(20)
    assert call.written * FRAME_MS == DEFAULT_LEAD_MS


def test_a_lost_last_report_does_not_jam_the_window() -> None:
    """The second item comes while the end of the first was reported in vain; the heartbeat mends it."""
    call = Call(replace(GOOD, jitter=0.0), 1, [speech(1, 50)])
    call.run(0.9)
    call.network = replace(GOOD, jitter=0.0, loss=1.0)
    call.run(0.5)
    call.network = replace(GOOD, jitter=0.0)
    call.backend.items.append(speech(2, 300))
    call.run(10)
    assert call.caller.heard.count() == call.backend.said.count()


@NETWORKS
@SEEDS
def test_an_interrupted_item_stops_and_the_next_is_heard_whole(network: Network, seed: int) -> None:
    """Nothing of the first is heard after the caller has cancelled it, on whatever path it was under way."""
    items = [speech(seed, 3000), speech(seed + 1, 100)]
    call = Call(network, seed, items)
    call.run(10)
    call.caller.cancel(call.now)
    played = call.caller.heard.frames
    call.settle()
    call.run(20)
    received = call.received()
    assert [f.payload for f in received if f.utterance == 2] == items[1]
    assert [f.payload for f in received if f.utterance == 1] == items[0][:played]
    assert call.events(ItemDone) == [ItemDone(1, played, True), ItemDone(2, 100, False)]
    assert call.caller.playout.buffered_ms == 0
    assert call.closed == []


@NETWORKS
def test_the_ends_compare_their_ledgers_in_the_call(network: Network) -> None:
    call = Call(network, 3, [speech(3, 100)])
    call.say(speech(4, 60))
    call.run(10)
    call.caller.request_stats()
    call.settle()
    call.run(3)
    assert call.events(StatsReceived) == [
        StatsReceived(heard=call.caller.said.count(), said=call.caller.heard.count())
    ]


def test_the_caller_is_told_when_it_has_migrated() -> None:
    call = Call(GOOD, 1)
    call.run(1)
    for migrated in (False, True, True):
        call.edge.announce_session("node-a", "voice-a.example:443", migrated)
    call.settle()
    call.run(1)
    assert call.events(SessionReady) == [
        SessionReady("call-1", "node-a", "voice-a.example:443", None, migrated) for migrated in (False, True)
    ]


def test_the_heartbeat_never_pauses_for_more_than_a_second() -> None:
    """In silence, while playing and after; the edge learns it from `last_heard` alone."""
    call = Call(replace(GOOD, jitter=0.0), 1, [speech(1, 100)])
    call.run(0.1)
    for _ in range(60):
        call.run(0.1)
        assert call.edge.last_heard is not None
        assert call.now - call.edge.last_heard <= 1.0 + GOOD.delay
