"""A call's downlink from the backend's mouth to the caller's ear, over a network that is slow but loses nothing.

The machine speaks faster or slower than real time, interrupts, takes interruptions back, lets the backend interrupt,
and tears the connection down, at any moment. It knows what was said and watches the wire, so it can tell what every
account must be. Delays vary from message to message; only what is on one stream keeps its order.
"""

import heapq
import itertools
import random
from collections import defaultdict
from collections.abc import Callable

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edge.voice import (
    FRAME_MS,
    GROUP_MS,
    Frame,
    FramesReceived,
    Playout,
    PlayoutReport,
    ResetStream,
    SendStream,
)
from edge.voice.deadline import PRESETS, Deadlines
from edge.voice.downlink import Downlink, Dropped, Finished, Progress
from edge.voice.items import ItemReader
from edge.voice.items import Progress as Heard
from edge.voice.turns import RESUME_S
from edge.voice.wire import AudioStream, GroupHeader, ItemHeader

DELAY_S = (0.01, 0.06)
FRAME_BYTES = 8
PAUSES = st.sampled_from([0.0, 0.02, 0.1, 0.39, 1.0, 3.0])
SEARCH = settings(max_examples=200, stateful_step_count=40, deadline=None)


def payload(item: int, seq: int) -> bytes:
    return item.to_bytes(4) + seq.to_bytes(4)


class Network:
    """Messages under way, in two directions. What was under way when the connection broke never arrives."""

    def __init__(self, dice: random.Random) -> None:
        self.now = 1000.0
        self.dice = dice
        self._epoch = 0
        self._queue: list[tuple[float, int, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._free_at: dict[object, float] = defaultdict(float)

    def send(self, way: object, arrive: Callable[[], None]) -> None:
        """``arrive`` happens later; messages on the same ``way`` keep their order."""
        at = max(self.now + self.dice.uniform(*DELAY_S), self._free_at[way])
        self._free_at[way] = at
        heapq.heappush(self._queue, (at, next(self._order), self._epoch, arrive))

    def cut(self) -> None:
        self._epoch += 1

    def next_at(self) -> float:
        return self._queue[0][0] if self._queue else float("inf")

    def arrive(self) -> None:
        while self._queue and self._queue[0][0] <= self.now:
            _, _, epoch, arrive = heapq.heappop(self._queue)
            if epoch == self._epoch:
                arrive()


class DownlinkMachine(RuleBasedStateMachine):
    @initialize(
        seed=st.integers(0, 10**6),
        lead_ms=st.sampled_from([200, 600, 1000, 5000]),
        deadlines=st.sampled_from([PRESETS["chat"], Deadlines(500, 5000)]),
    )
    def call(self, seed: int, lead_ms: int, deadlines: Deadlines) -> None:
        self.network = Network(random.Random(seed))
        self.lead_ms = lead_ms
        # --- edge
        self.edge = Downlink(lead_ms, deadlines)
        self.connected = True
        self.said: dict[int, int] = {}  # item -> frames
        self.left: int | None = None  # frames of the last item that the backend has yet to say
        self.pace = 0.0
        self.speak_at = 0.0
        self.ended: set[int] = set()
        self.dropped: dict[int, Dropped] = {}
        self.endings: list[Finished | Dropped] = []
        # --- wire
        self.parsers: dict[tuple[int, int], AudioStream[ItemHeader | GroupHeader]] = {}
        self.written: dict[int, int] = defaultdict(int)  # item -> one more than the highest frame
        self.connection = 0
        # --- caller
        self.reader = ItemReader(deadlines.downlink_ms)
        self.playout = Playout()
        self.paused_until: float | None = None
        self.refused: set[int] = set()  # items interrupted, until the edge confirms it
        self.report_at = self.now
        self.transitions = 0
        self.heard: dict[int, int] = defaultdict(int)  # item -> frames
        self.done: list[int] = []
        self.played: dict[int, int] = defaultdict(int)  # item -> ms
        self.received: dict[int, int] = defaultdict(int)

    @property
    def now(self) -> float:
        return self.network.now

    # --- the backend -----------------------------------------------------------------------------------

    @precondition(lambda self: self.left is None)
    @rule(frames=st.integers(0, 250), pace=st.sampled_from([0.0, 0.25, 1.0, 1.5]), seconds=PAUSES)
    def answer(self, frames: int, pace: float, seconds: float) -> None:
        """A new item; ``pace`` is how long the backend takes to say a second of it."""
        item = self.edge.begin()
        self.said[item] = 0
        self.left = frames
        self.pace = pace
        self.speak_at = self.now
        self.wait(seconds)

    @precondition(lambda self: self.playout.playing)
    @rule()
    def backend_hears_the_caller(self) -> None:
        for done in self.edge.cancel(None):
            self.carry_out(done)

    def settle_backend(self) -> None:
        item = len(self.said)
        while self.left is not None and self.now >= self.speak_at and self.edge.wants_audio:
            start, count = self.said[item], min(5, self.left)
            if item not in self.dropped:
                self.said[item] += count
            frames = [Frame(item, seq, seq * 20, payload(item, seq)) for seq in range(start, start + count)]
            self.edge.speak(item, frames, self.now)
            self.speak_at += count * FRAME_MS / 1000 * self.pace
            self.left -= count
            if not self.left:
                self.edge.end(item)
                self.ended.add(item)
                self.left = None
        self.settle_edge()

    # --- the caller ------------------------------------------------------------------------------------

    @precondition(lambda self: self.paused_until is None and self.connected and self.playout.items)
    @rule()
    def interrupt(self) -> None:
        self.playout.pause(self.now)
        items, streams = self.reader.pause()
        self.paused_until = self.now + RESUME_S
        for stream in streams:
            self.network.send("stop", lambda stream=stream: self.edge_stopped(stream))
        self.refused |= {*items, *self.playout.items}
        self.refuse()
        self.settle_caller()

    @precondition(lambda self: self.paused_until is None and self.connected and self.playout.items)
    @rule(after=PAUSES, seconds=st.sampled_from([0.0, 0.03, 0.1, 0.38]))
    def cough(self, after: float, seconds: float) -> None:
        """An interruption that is taken back: in time, or so late that the edge may have given up."""
        self.wait(after)
        before = set(self.refused)
        self.interrupt()
        interrupted = self.refused - before
        self.wait(seconds)
        self.paused_until = None
        self.refused -= interrupted
        self.listen(self.reader.resume())
        self.playout.resume(self.now)
        position = self.reader.position
        self.network.send("up", lambda: self.edge.resume(*position))
        self.settle_caller()

    def refuse(self) -> None:
        for item in sorted(self.refused):
            self.network.send("up", lambda item=item: self.edge_interrupted(item))

    # --- the network -----------------------------------------------------------------------------------

    @precondition(lambda self: self.connected)
    @rule()
    def lose_the_connection(self) -> None:
        self.connected = False
        self.network.cut()
        self.edge.detach()
        if self.paused_until is not None:
            self.lapse()
        self.reader.detach()
        self.parsers.clear()

    @precondition(lambda self: not self.connected)
    @rule()
    def reconnect(self) -> None:
        self.connected = True
        self.connection += 1
        self.parsers.clear()
        position = self.reader.position
        self.network.send("up", lambda: self.edge_attached(*position))
        self.refuse()  # the edge may not have heard it

    # --- time ------------------------------------------------------------------------------------------

    @rule(seconds=PAUSES)
    def wait(self, seconds: float) -> None:
        until = self.now + seconds
        self.settle_backend()
        while (at := self.next_at()) <= until:
            self.network.now = max(self.now, at)
            self.network.arrive()
            self.settle_backend()
            self.settle_caller()
        self.network.now = until
        self.settle_caller()

    def next_at(self) -> float:
        timers = (
            self.edge.get_timer(),
            self.playout.get_timer(),
            self.reader.get_timer(self.playout.dry_at),
            self.report_at if self.connected else None,
            self.paused_until,
            self.speak_at if self.left is not None and self.edge.wants_audio else None,
        )
        return min([self.network.next_at(), *(at for at in timers if at is not None)])

    # --- at the edge -----------------------------------------------------------------------------------

    def settle_edge(self) -> None:
        for done in self.edge.pump(self.now):
            self.carry_out(done)

    def carry_out(self, done: Progress) -> None:
        way = (self.connection, done.stream) if isinstance(done, SendStream | ResetStream) else None
        if isinstance(done, SendStream) and way:
            self.watch(way, done)
            self.network.send(
                way, lambda: self.listen(self.reader.receive(done.stream, done.data, done.fin, self.now))
            )
        elif isinstance(done, ResetStream) and way:
            self.network.send(way, lambda: self.listen(self.reader.reset(done.stream, done.code, self.now)))
        elif isinstance(done, Finished):
            assert done.item in self.ended
            assert done.frames == self.said[done.item]
            self.tell(done)
        elif isinstance(done, Dropped):
            self.check(done)
            self.dropped[done.item] = done
            self.tell(done)

    def watch(self, way: tuple[int, int], send: SendStream) -> None:
        if way not in self.parsers:
            self.parsers[way] = AudioStream((ItemHeader, GroupHeader), "wire")
        parser = self.parsers[way]
        parser.receive(send.data, send.fin)
        assert parser.header is not None
        item, first, _ = parser.header.first
        assert item not in self.dropped
        self.written[item] = max(self.written[item], first + parser.packets)

    def tell(self, ending: Finished | Dropped) -> None:
        self.endings.append(ending)
        if self.connected:
            self.network.send("down", lambda: self.caller_told(ending))

    def check(self, dropped: Dropped) -> None:
        """Accounts are exact, an interruption wastes little, and no transcript is cut behind what was heard."""
        account, item = dropped.account, dropped.item
        assert account.generated_bytes == self.said[item] * FRAME_BYTES
        assert account.wire_bytes == self.written[item] * FRAME_BYTES == dropped.frames * FRAME_BYTES
        assert account.generated_bytes == account.wire_bytes + account.saved_bytes
        assert account.wasted_bytes == account.wire_bytes - account.played_ms // FRAME_MS * FRAME_BYTES
        assert account.wasted_bytes // FRAME_BYTES * FRAME_MS <= self.lead_ms + 2 * GROUP_MS
        assert account.played_ms <= self.played[item]
        assert account.played_ms <= self.received[item] * FRAME_MS

    def edge_stopped(self, stream: int) -> None:
        item = self.edge.item_of(stream)
        if item is not None:
            self.edge_interrupted(item)

    def edge_interrupted(self, item: int) -> None:
        for done in self.edge.interrupt(item, self.now):
            self.carry_out(done)

    def edge_attached(self, item: int, frames: int) -> None:
        self.edge.attach(item, frames)
        for ending in self.endings:
            if ending.item >= item:
                self.network.send("down", lambda ending=ending: self.caller_told(ending))

    # --- at the caller ---------------------------------------------------------------------------------

    def caller_told(self, ending: Finished | Dropped) -> None:
        if isinstance(ending, Finished):
            self.listen(self.reader.finish(ending.item, ending.frames, self.now))
            return
        self.refused.discard(ending.item)
        self.listen(self.reader.cancel(ending.item, self.now))
        self.playout.flush(self.now, ending.item)

    def lapse(self) -> None:
        self.paused_until = None
        self.playout.flush(self.now)
        self.listen(self.reader.silence(self.now))

    def listen(self, progress: list[Heard]) -> None:
        """Everything once, in order, as it was said."""
        for event in progress:
            assert event.item == len(self.done) + 1
            if isinstance(event, FramesReceived):
                assert self.paused_until is None
                for frame in event.frames:
                    assert (frame.utterance, frame.seq) == (event.item, self.heard[event.item])
                    assert frame.payload == payload(event.item, frame.seq)
                    self.heard[event.item] += 1
                self.playout.push(event.item, self.heard[event.item], self.now)
            else:
                assert (event.frames, event.lost) == (self.heard[event.item], 0)
                assert event.cancelled or event.frames == self.said[event.item]
                self.done.append(event.item)
                self.playout.end(event.item, self.now)

    def settle_caller(self) -> None:
        self.playout.advance(self.now)
        if self.paused_until is not None and self.now >= self.paused_until:
            self.lapse()
        while progress := self.reader.settle(self.now, self.playout.dry_at):
            self.listen(progress)
        playout = self.playout
        item, frames = self.reader.position
        self.received[item] = max(self.received[item], frames)
        for number in range(1, item):
            self.received[number] = max(self.received[number], self.heard[number])
        for number in range(1, playout.item):
            if number not in playout.items and number not in self.dropped:
                self.played[number] = self.heard[number] * FRAME_MS
        self.played[playout.item] = playout.played_ms
        if self.connected and (self.now >= self.report_at or playout.transitions != self.transitions):
            self.transitions = playout.transitions
            self.report_at = self.now + (0.1 if playout.playing else 1.0)
            report = PlayoutReport(
                playout.item,
                playout.played_ms,
                playout.buffered_ms,
                playout.underruns,
                playout.highest_group,
                round((self.now - 1000) * 1000),
            )
            self.network.send(object(), lambda: self.edge.report(report, self.now))

    # --- what must always hold -------------------------------------------------------------------------

    @invariant()
    def never_further_ahead_than_the_lead(self) -> None:
        """Of what was written and may still be played; the edge may be wrong by what a report takes to arrive."""
        if not hasattr(self, "network"):
            return
        ahead_ms = sum(
            frames * FRAME_MS - self.played[item]
            for item, frames in self.written.items()
            if item >= self.playout.item and item not in self.dropped and item not in self.refused
        )
        assert ahead_ms <= self.lead_ms + 2 * GROUP_MS, (
            ahead_ms,
            self.now,
            self.playout.item,
            self.playout.played_ms,
            dict(self.written),
            self.dropped.keys(),
            self.refused,
        )

    def position(self) -> tuple[object, ...]:
        return self.reader.position, self.playout.item, self.playout.played_ms, self.left

    def teardown(self) -> None:
        """Left alone, every call ends with everything heard that was not interrupted."""
        if not hasattr(self, "network"):
            return
        if not self.connected:
            self.reconnect()
        self.wait(5.0)
        while len(self.done) < len(self.said) or self.playout.items:
            behind = self.position()
            self.wait(5.0)
            assert self.position() != behind
        self.wait(1.5)  # for the last report
        for item, frames in self.said.items():
            # Of what the caller refused the edge may learn too late, when the connection was lost with its word.
            assert self.heard[item] == frames or item in self.dropped or item in self.refused
        assert self.edge.interrupt(None, self.now) == []


TestDownlink = DownlinkMachine.TestCase
TestDownlink.settings = SEARCH
