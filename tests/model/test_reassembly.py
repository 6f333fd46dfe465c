"""The reassembly against a reference that is slow and obvious, under any order of arrivals, resets and time."""

from dataclasses import dataclass, field
from math import inf

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge.voice.errors import Code
from edge.voice.frame import Codec, Frame
from edge.voice.reassembly import Reassembly
from edge.voice.slots import Delivered, Lost
from edge.voice.units import Ended, Limits, Progress
from edge.voice.wire import AudioDatagram, GroupHeader, ItemHeader, encode_header, encode_packet

UNITS = 3
MOST_FRAMES = 23
AHEAD = st.sampled_from([0, 0, 0, *range(1, UNITS)])  # of the unit in hand, where most happens
PLENTY = Limits(units=UNITS, groups=10_000, held_bytes=10**6)


def payload(unit: int, seq: int) -> bytes:
    return f"{unit}.{seq}".encode()


def frame(unit: int, seq: int) -> Frame:
    return Frame(unit, seq, seq * 20, payload(unit, seq))


@dataclass
class Reference:
    """One unit, slot by slot; each slot is judged by itself and from all that is known of it."""

    unit: int
    length: int  # as it will turn out
    deadline_s: float | None
    arrived: dict[int, float] = field(default_factory=dict)
    given_up: set[int] = field(default_factory=set)
    ended_at: float | None = None
    dropped: bool = False
    settled: list[bool] = field(default_factory=list)  # of each slot: delivered, not lost
    late: int = 0

    @property
    def over(self) -> bool:
        return self.dropped or (self.ended_at is not None and len(self.settled) == self.length)

    def arrive(self, seqs: list[int], now: float) -> None:
        for seq in seqs:
            if seq < len(self.settled):
                self.late += not self.settled[seq] and seq not in self.arrived
            if self.arrived.get(seq, inf) == inf:
                self.arrived[seq] = now

    def end(self, now: float) -> None:
        if self.ended_at in (None, inf):
            self.ended_at = now

    def skip(self) -> None:
        slot = len(self.settled)
        last = self.length if self.ended_at is not None else max(self.arrived, default=0)
        while slot < last and slot not in self.arrived:
            self.given_up.add(slot)
            slot += 1

    def stop_clock(self) -> None:
        """What is known stays known, but not since when."""
        self.arrived.update((seq, inf) for seq in self.arrived if seq >= len(self.settled))
        self.ended_at = None if self.ended_at is None else inf

    def settle(self, now: float) -> list[tuple[object, ...]]:
        told: list[tuple[object, ...]] = []
        while not self.over:
            slot = len(self.settled)
            behind = [at for seq, at in self.arrived.items() if seq > slot]
            behind += [] if self.ended_at is None else [self.ended_at]
            if slot in self.arrived:
                told.append(("delivered", self.unit, slot))
            elif behind and (slot in self.given_up or self._overdue(min(behind), now)):
                told.append(("lost", self.unit, slot))
            else:
                break
            self.settled.append(slot in self.arrived)
        return told

    def due(self) -> float | None:
        """When the next slot will be lost."""
        slot = len(self.settled)
        times = [at for seq, at in self.arrived.items() if seq > slot]
        times += [] if self.ended_at is None else [self.ended_at]
        since = min(times, default=inf)
        return since + self.deadline_s if since != inf and self.deadline_s is not None else None

    def _overdue(self, since: float, now: float) -> bool:
        return self.deadline_s is not None and since + self.deadline_s <= now


@dataclass
class _Open:
    """A stream and what is still to come on it."""

    unit: Reference
    kind: str
    group: int
    seqs: list[int]


class ReassemblyMachine(RuleBasedStateMachine):
    """Every step is done to both, and both must say the same at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 10.0
        self.streams = 0
        self.open: dict[int, _Open] = {}
        self.units: dict[int, Reference] = {}
        self.current = 1
        self.subject = Reassembly(PLENTY, 100, noun="unit", streams=(GroupHeader, ItemHeader))
        self.lost = 0

    def unit(self, number: int) -> Reference:
        if number not in self.units:
            length, deadline_ms = ((MOST_FRAMES, 100), (10, 40), (5, None))[(number - 1) % 3]
            self.units[number] = Reference(number, length, deadline_ms and deadline_ms / 1000)
            self.subject.set_deadline(deadline_ms, number)
        return self.units[number]

    def compare(self, told: list[Progress]) -> None:
        expected: list[tuple[object, ...]] = []
        while reference := self.units.get(self.current):
            expected += reference.settle(self.now)
            if not reference.over:
                break
            delivered = sum(reference.settled)
            lost = len(reference.settled) - delivered
            expected.append(("ended", self.current, delivered, lost, reference.dropped))
            self.current += 1
            self.unit(self.current)
        self.lost += sum(event[0] == "lost" for event in expected)
        assert [event for progress in told for event in flat(progress)] == expected

    @rule(
        ahead=AHEAD,
        group=st.integers(0, 4),
        count=st.integers(0, 5),
        kind=st.sampled_from(["group", "item"]),
    )
    def open_stream(self, ahead: int, group: int, count: int, kind: str) -> None:
        """The first packets of a stream, which may stay open."""
        unit = self.reference(ahead)
        seqs = [seq for seq in range(group * 5, group * 5 + 5) if seq < unit.length]
        if not seqs:
            return
        self.streams += 1
        if kind == "item":
            header = encode_header(ItemHeader(unit.unit, unit.unit, 0, group * 100, Codec.OPUS))
            seqs = list(range(group * 5, unit.length))
        else:
            header = encode_header(GroupHeader(unit.unit, group, group * 100, Codec.OPUS))
        self.open[self.streams] = _Open(unit, kind, group, seqs)
        self.send(self.streams, header, count)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), count=st.integers(1, 5))
    def continue_stream(self, data: st.DataObject, count: int) -> None:
        self.send(data.draw(st.sampled_from(sorted(self.open))), b"", count)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), code=st.sampled_from([Code.DEADLINE, Code.CANCELLED]))
    def reset_stream(self, data: st.DataObject, code: Code) -> None:
        stream = data.draw(st.sampled_from(sorted(self.open)))
        said = self.open.pop(stream)
        if code is Code.DEADLINE and said.kind == "group":
            stop = said.group * 5 + 5
            said.unit.given_up.update(range(said.seqs[0] if said.seqs else stop, stop))
        self.compare(self.subject.reset(stream, code, self.now))

    @rule(code=st.sampled_from(Code))
    def reset_before_anything_came(self, code: Code) -> None:
        self.streams += 1
        self.compare(self.subject.reset(self.streams, code, self.now))

    @rule(ahead=AHEAD, seq=st.integers(0, MOST_FRAMES - 1), repeats=st.booleans())
    def datagram(self, ahead: int, seq: int, repeats: bool) -> None:
        unit = self.reference(ahead)
        seq %= unit.length
        seqs = [seq - 1, seq] if repeats and seq else [seq]
        packets = tuple(payload(unit.unit, said) for said in reversed(seqs))
        unit.arrive(seqs, self.now)
        self.compare(
            self.subject.receive_datagram(AudioDatagram(unit.unit, seq, seq * 20, packets), self.now)
        )

    @rule(back=st.integers(1, 3), seq=st.integers(0, MOST_FRAMES - 1))
    def straggler(self, back: int, seq: int) -> None:
        """Of a unit that is over."""
        unit = self.units.get(self.current - back)
        if unit is not None:
            seq %= unit.length
            unit.arrive([seq], self.now)
            datagram = AudioDatagram(unit.unit, seq, seq * 20, (payload(unit.unit, seq),))
            self.compare(self.subject.receive_datagram(datagram, self.now))

    @rule(ahead=AHEAD)
    def end(self, ahead: int) -> None:
        unit = self.reference(ahead)
        if unit.dropped:
            return
        unit.end(self.now)
        self.compare(self.subject.end(unit.unit, unit.length, self.now, "end"))

    @rule(ahead=AHEAD)
    def drop(self, ahead: int) -> None:
        unit = self.reference(ahead)
        unit.dropped = True
        self.compare(self.subject.drop(unit.unit, self.now, "drop"))

    @rule()
    def detach(self) -> None:
        self.open.clear()
        self.subject.detach()
        for unit in self.units.values():
            unit.stop_clock()

    @rule(seconds=st.sampled_from([0.001, 0.02, 0.039, 0.04, 0.1, 1.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.compare(self.subject.handle_timer(self.now))

    @rule()
    def skip(self) -> None:
        """The owner's own clock says that the hole in front has been waited for long enough."""
        unit = self.units.get(self.current)
        if unit is not None:
            unit.skip()
        self.compare(self.subject.skip(self.now))

    @rule()
    def wait_for_the_timer(self) -> None:
        """The moment that it names is the one at which something happens, and not a moment earlier."""
        timer = self.subject.get_timer()
        if timer is not None:
            self.now = max(self.now, timer - 1e-6)
            self.compare(self.subject.handle_timer(self.now))
            self.now = max(self.now, timer)
            self.compare(self.subject.handle_timer(self.now))

    @invariant()
    def timer_is_set_for_the_hole_in_front(self) -> None:
        reference = self.units.get(self.current)
        assert self.subject.get_timer() == (reference.due() if reference else None)

    @invariant()
    def position_and_losses_are_counted(self) -> None:
        settled = len(self.units[self.current].settled) if self.current in self.units else 0
        assert self.subject.position == (self.current, settled)
        assert self.subject.lost == self.lost
        assert self.subject.late == sum(unit.late for unit in self.units.values())

    @invariant()
    def no_more_is_held_than_waits(self) -> None:
        """Else a long call is ended for what has long passed."""
        live = [unit for unit in self.units.values() if unit.unit >= self.current and not unit.dropped]
        waiting = [(unit.unit, seq) for unit in live for seq in unit.arrived if seq >= len(unit.settled)]
        given_up = [
            seq for unit in live for seq in unit.given_up - set(unit.arrived) if seq >= len(unit.settled)
        ]
        assert self.subject._held == len(waiting) + len(given_up)
        assert self.subject._held_bytes == sum(len(payload(*slot)) for slot in waiting)

    def reference(self, ahead: int) -> Reference:
        for number in range(self.current, self.current + ahead + 1):
            self.unit(number)
        return self.units[self.current + ahead]

    def send(self, stream: int, header: bytes, count: int) -> None:
        """The next ``count`` packets of a stream, and its end with the last."""
        said = self.open[stream]
        unit, seqs = said.unit, said.seqs[:count]
        del said.seqs[:count]
        fin = not said.seqs and (said.kind == "item" or bool(seqs))
        data = header + b"".join(encode_packet(payload(unit.unit, seq), Codec.OPUS) for seq in seqs)
        unit.arrive(seqs, self.now)
        if fin:
            del self.open[stream]
            if said.kind == "item" and not unit.over:
                unit.end(self.now)
        self.compare(self.subject.receive(stream, data, fin, self.now))


def flat(progress: Progress) -> list[tuple[object, ...]]:
    match progress:
        case Delivered(unit, frames):
            assert frames == [frame(unit, said.seq) for said in frames]
            return [("delivered", unit, said.seq) for said in frames]
        case Lost(unit, seq, count):
            return [("lost", unit, lost) for lost in range(seq, seq + count)]
        case Ended(unit, frames, lost, dropped):
            return [("ended", unit, frames, lost, dropped)]


ReassemblyMachine.TestCase.settings = settings(max_examples=200, stateful_step_count=60)
TestReassembly = ReassemblyMachine.TestCase
