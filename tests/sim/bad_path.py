"""A path that loses in bursts, delays, reorders and doubles, and a carrier on it, in virtual time.

The carrier is what a session expects of one and no more: streams are reliable until they are reset, each ordered in
itself and not with the others; a datagram comes or does not. The same seed gives the same run.
"""

import heapq
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count

from edge.voice.actions import ExpireStream, ResetStream, SendDatagram, SendStream
from edge.voice.errors import Code

EVENTS = -1
"""The stream for what would go on the control stream."""


class Clock:
    """An agenda; `run` does what is on it, in the order of time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()

    def at(self, time: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (max(time, self.now), next(self._order), action))

    def run(self, until: float) -> None:
        while self._agenda and self._agenda[0][0] <= until:
            self.now, _, action = heapq.heappop(self._agenda)
            action()
        self.now = until


@dataclass(frozen=True)
class Weather:
    """Seconds and probabilities. ``burst`` is the mean number of packets that are lost together."""

    rtt: float = 0.06
    loss: float = 0.0
    burst: float = 3.0
    jitter: float = 0.01
    reorder: float = 0.0
    duplicate: float = 0.0


class Path:
    """One direction. Loss is that of Gilbert: a state that is entered seldom and left after ``burst`` packets."""

    def __init__(self, clock: Clock, weather: Weather, dice: random.Random) -> None:
        self._clock, self._weather, self._dice = clock, weather, dice
        self._losing = False

    def carry(self, arrive: Callable[[], None]) -> None:
        weather, dice = self._weather, self._dice
        if self._losing:
            self._losing = dice.random() >= 1 / weather.burst
        else:
            self._losing = dice.random() < weather.loss / (1 - weather.loss) / weather.burst
        if self._losing:
            return
        for _ in range(1 + (dice.random() < weather.duplicate)):
            delay = weather.rtt / 2 + dice.random() * weather.jitter
            if dice.random() < weather.reorder:
                delay += dice.random() * weather.rtt
            self._clock.at(self._clock.now + delay, arrive)


class Peer:
    """Whom a `Carrier` brings what it carries."""

    def on_stream(self, stream: int, data: bytes, fin: bool) -> None:
        raise NotImplementedError

    def on_reset(self, stream: int, code: int) -> None:
        raise NotImplementedError

    def on_datagram(self, data: bytes) -> None:
        raise NotImplementedError


@dataclass
class _Sent:
    """At the sender: the end of what was written and what of it, by offset, is not acknowledged."""

    written: int = 0
    unacked: dict[int, tuple[bytes, bool]] = field(default_factory=dict)
    reset: int | None = None


@dataclass
class _Received:
    taken: int = 0
    waiting: dict[int, tuple[bytes, bool]] = field(default_factory=dict)
    over: bool = False


class Carrier:
    """One direction of a connection. After `cut` nothing arrives any more."""

    def __init__(self, clock: Clock, weather: Weather, dice: random.Random, peer: Peer) -> None:
        self.resets = 0
        self._clock, self._peer = clock, peer
        self._out, self._back = Path(clock, weather, dice), Path(clock, weather, dice)
        self._repeat_s = 1.5 * weather.rtt + 0.025
        self._sent: dict[int, _Sent] = {}
        self._received: dict[int, _Received] = {}
        self._cut = False

    def cut(self) -> None:
        self._cut = True

    def carry_out(self, action: object) -> None:
        match action:
            case SendStream(stream, data, fin):
                sent = self._sent.setdefault(stream, _Sent())
                assert sent.reset is None, "written after it was reset"
                sent.unacked[sent.written] = (data, fin)
                self._transmit(stream, sent.written)
                sent.written += max(1, len(data))
            case SendDatagram(data):
                self._out.carry(lambda: None if self._cut else self._peer.on_datagram(data))
            case ResetStream(stream, code):
                self._reset(stream, code)
            case ExpireStream(stream):
                self._reset(stream, Code.DEADLINE)

    def _reset(self, stream: int, code: int) -> None:
        sent = self._sent[stream]
        if sent.unacked and sent.reset is None:
            self.resets += 1
            sent.reset = code
            sent.unacked = {-1: (b"", True)}
            self._transmit(stream, -1)

    def _transmit(self, stream: int, offset: int) -> None:
        """Once, and again until it is acknowledged."""
        sent = self._sent[stream]
        if offset not in sent.unacked or self._cut:
            return
        data, fin = sent.unacked[offset]
        code = sent.reset
        self._out.carry(lambda: self._arrive(stream, offset, data, fin, code))
        self._clock.at(self._clock.now + self._repeat_s, lambda: self._transmit(stream, offset))

    def _arrive(self, stream: int, offset: int, data: bytes, fin: bool, code: int | None) -> None:
        if self._cut:
            return
        self._back.carry(lambda: self._acknowledge(stream, offset))
        received = self._received.setdefault(stream, _Received())
        if received.over:
            return
        if code is not None:
            received.over = True
            self._peer.on_reset(stream, code)
            return
        received.waiting[offset] = (data, fin)
        while (next_one := received.waiting.pop(received.taken, None)) is not None and not received.over:
            data, received.over = next_one
            received.taken += max(1, len(data))
            self._peer.on_stream(stream, *next_one)

    def _acknowledge(self, stream: int, offset: int) -> None:
        self._sent[stream].unacked.pop(offset, None)
