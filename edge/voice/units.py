"""All units (utterances, items) of one direction in their order: what is settled, what is held, and how much that may be.

Every frame is delivered once or declared lost once, never both and never neither; `slots` says when it is lost.
Units count from 1 and none is left out: the next begins when the one before it is settled to its last frame.
"""

from collections import deque
from dataclasses import dataclass

from edge.voice.errors import Code, WireError
from edge.voice.frame import FRAMES_PER_GROUP, Codec, Frame
from edge.voice.slots import Delivered, Lost, Slots

REMEMBERED_LOSSES = 512
"""A frame that comes after this many others were lost is not counted as late any more."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A unit is over: ``frames`` of it were delivered, ``lost`` were not; ``dropped`` if the rest was not wanted."""

    unit: int
    frames: int
    lost: int
    dropped: bool = False


Progress = Delivered | Lost | Ended


@dataclass(frozen=True, slots=True)
class Limits:
    """What a peer can make this end hold while an earlier part is missing. Beyond it the call is ended."""

    units: int  # that have begun
    groups: int  # of five slots that wait; also the streams that are open at once
    held_bytes: int  # of payload that waits


@dataclass(slots=True)
class _Unit:
    slots: Slots
    codec: Codec | None = None
    closed: bool = False  # it may end: the peer has said so
    dropped: bool = False  # nothing more of it is wanted


class Units:
    """Takes frames by their slot and gives them back in order. Raises `WireError` for whatever cannot be.

    ``deadline_ms`` is how long a hole is waited for, None is without end. ``noun`` names a unit in errors, and a
    ``place`` opens them.
    """

    def __init__(self, limits: Limits, deadline_ms: int | None, noun: str) -> None:
        self.lost = 0
        """Frames that were declared lost, over the whole call."""
        self.late = 0
        """Frames of those that came yet."""
        self._limits = limits
        self._noun = noun
        self._current = 1
        self._units: dict[int, _Unit] = {}
        self._deadlines: deque[tuple[int, float | None]] = deque()  # with the first unit of each, ascending
        self._held = 0
        self._held_bytes = 0
        self._lost_slots: dict[tuple[int, int], None] = {}
        self.set_deadline(deadline_ms)

    @property
    def position(self) -> tuple[int, int]:
        """The unit in hand and how many frames of it are settled; all units before it are settled whole."""
        state = self._units.get(self._current)
        return self._current, state.slots.next_seq if state else 0

    @property
    def begun(self) -> list[int]:
        """The units that are known to exist and are not over, in order."""
        return sorted(self._units)

    @property
    def missing_since(self) -> float | None:
        """Since when the hole in front of the unit in hand is known to be one; None if there is none."""
        state = self._units.get(self._current)
        return state.slots.missing_since() if state else None

    # --- what the owner says ---------------------------------------------------------------------------

    def begin_at(self, unit: int) -> None:
        """Units count from ``unit``; none has come yet."""
        self._current = unit

    def forget(self) -> None:
        """Whoever says the rest is somebody else: of what is not settled nothing is known any more."""
        state = self._units.pop(self._current, None)
        self._units.clear()
        self._held = self._held_bytes = 0
        if state is not None and state.slots.next_seq:
            settled = state.slots.next_seq
            slots = Slots(self._current, next_seq=settled, end=settled, lost=state.slots.lost)
            self._units[self._current] = _Unit(slots, state.codec)

    def set_deadline(self, deadline_ms: int | None, first_unit: int = 1) -> None:
        """Wait this long for a hole, in all units from ``first_unit`` on. The timer may be due at once."""
        while self._deadlines and self._deadlines[-1][0] >= first_unit:
            self._deadlines.pop()
        self._deadlines.append((first_unit, None if deadline_ms is None else deadline_ms / 1000))

    def begin(self, unit: int, place: str) -> None:
        """A unit is known to exist, though nothing of it may have come."""
        if unit >= self._current:
            self._find(unit, place)

    def end(self, unit: int, frames: int, now: float, place: str) -> list[Progress]:
        """A unit has ``frames`` frames; saying the same twice changes nothing, nor does it when the unit is over."""
        if 0 < unit < self._current:
            return []
        state = self._find(unit, place)
        if state.dropped:
            raise WireError(place, f"{self._noun} {unit} was given up")
        self._finish(state, frames, now, place)
        state.closed = True
        return self._settle(now)

    def drop(self, unit: int, now: float, place: str) -> list[Progress]:
        """Nothing more of a unit is wanted: it ends when it is its turn, with what has been delivered of it."""
        if 0 < unit < self._current:
            return []
        state = self._find(unit, place)
        state.closed = state.dropped = True
        self._held -= state.slots.held
        self._held_bytes -= state.slots.held_bytes
        state.slots.discard()
        return self._settle(now)

    # --- time ------------------------------------------------------------------------------------------

    def get_timer(self) -> float | None:
        """When the hole in front is lost; None if there is none, or it is waited for without end."""
        since, deadline_s = self.missing_since, self._deadline_s()
        return None if since is None or deadline_s is None else since + deadline_s

    def handle_timer(self, now: float) -> list[Progress]:
        """Declare lost whose time has come."""
        return self._settle(now)

    def skip(self, now: float) -> list[Progress]:
        """Wait no longer for the hole in front, whatever the deadline: it is lost."""
        state = self._units.get(self._current)
        if state is not None:
            held = state.slots.held
            state.slots.skip()
            self._held += state.slots.held - held
        return self._settle(now)

    # --- for whoever brings the frames -----------------------------------------------------------------

    def _accept(self, frames: list[Frame], unit: int, codec: Codec, place: str, now: float) -> list[Progress]:
        """Frames of one unit with consecutive seqs, in order; those that are settled already change nothing."""
        state = self._units.get(unit)
        if state is None:
            if 0 < unit < self._current:
                self._count_late(frames)
                return []
            state = self._find(unit, place)
        if state.codec is not codec:
            if state.codec is not None:
                raise WireError(place, f"{self._noun} {unit} changes its codec")
            state.codec = codec
        if not frames or state.dropped:
            return []
        slots = state.slots
        if frames[0].seq < slots.next_seq:
            count = slots.next_seq - frames[0].seq
            self._count_late(frames[:count])
            frames = frames[count:]
            if not frames:
                return []
        stop = frames[-1].seq + 1
        if slots.length is not None and stop > slots.length:
            raise WireError(place, f"frame {stop - 1} of {self._noun} {unit}, which has {slots.length}")
        if unit == self._current and frames[0].seq == slots.next_seq and not slots.held:
            # The way of nearly every frame, and worth being short.
            slots.pass_on(len(frames))
            done: list[Progress] = [Delivered(unit, frames)]
            return done + self._settle(now) if state.closed else done
        self._bound(slots, stop, place)
        held, held_bytes = slots.held, slots.held_bytes
        slots.put(frames, now)
        self._hold(slots.held - held, slots.held_bytes - held_bytes)
        return self._settle(now)

    def _give_up(self, unit: int, first: int, stop: int, now: float) -> list[Progress]:
        """The peer will not send these slots of ``unit`` again, of which some may not exist."""
        state = self._units.get(unit)
        if state is None or state.dropped:
            return []
        slots = state.slots
        held = slots.held
        slots.give_up(first, stop)
        self._hold(slots.held - held, 0)
        return self._settle(now)

    def _limit(self, unit: int, length: int, place: str, now: float) -> None:
        """``unit`` can only have ``length`` frames, though the peer has not said yet that it is over."""
        state = self._units.get(unit)
        if state is not None and not state.dropped:
            self._finish(state, length, now, place)

    def _restart(self) -> None:
        """What is missing will be said again from `position` on."""
        for state in self._units.values():
            state.slots.stop_clock()

    # ---------------------------------------------------------------------------------------------------

    def _find(self, number: int, place: str) -> _Unit:
        if number < self._current:
            problem = f"{self._noun} {number} is over" if number else f"{self._noun}s count from 1"
            raise WireError(place, problem)
        if number >= self._current + self._limits.units:
            problem = f"{self._noun} {number} while {self._current} is not over"
            raise WireError(place, problem, Code.TOO_FAR_BEHIND)
        if number not in self._units:
            self._units[number] = _Unit(Slots(number))
        return self._units[number]

    def _finish(self, state: _Unit, length: int, now: float, place: str) -> None:
        slots = state.slots
        if slots.end > length or slots.length not in (None, length):
            raise WireError(place, f"{length} frames, but there are {slots.end}")
        self._bound(slots, length, place)
        slots.finish(length, now)

    def _settle(self, now: float) -> list[Progress]:
        done: list[Progress] = []
        while state := self._units.get(self._current):
            slots = state.slots
            held, held_bytes = slots.held, slots.held_bytes
            for event in slots.take(now, self._deadline_s()):
                done.append(event)
                if isinstance(event, Lost):
                    self._count_lost(event)
            self._held += slots.held - held
            self._held_bytes += slots.held_bytes - held_bytes
            if not state.closed or not (state.dropped or slots.complete):
                break
            done.append(Ended(self._current, slots.next_seq - slots.lost, slots.lost, state.dropped))
            self._held -= slots.held
            del self._units[self._current]
            self._current += 1
        return done

    def _deadline_s(self) -> float | None:
        while len(self._deadlines) > 1 and self._deadlines[1][0] <= self._current:
            self._deadlines.popleft()
        return self._deadlines[0][1]

    def _count_lost(self, lost: Lost) -> None:
        self.lost += lost.count
        stop = lost.seq + lost.count
        for seq in range(max(lost.seq, stop - REMEMBERED_LOSSES), stop):
            self._lost_slots[lost.unit, seq] = None
        while len(self._lost_slots) > REMEMBERED_LOSSES:
            del self._lost_slots[next(iter(self._lost_slots))]

    def _count_late(self, frames: list[Frame]) -> None:
        for frame in frames:
            if (frame.utterance, frame.seq) in self._lost_slots:
                del self._lost_slots[frame.utterance, frame.seq]
                self.late += 1

    def _bound(self, slots: Slots, stop: int, place: str) -> None:
        ahead = stop - slots.next_seq
        if ahead > self._limits.groups * FRAMES_PER_GROUP:
            raise WireError(place, f"{ahead} frames beyond what is settled", Code.TOO_FAR_BEHIND)

    def _hold(self, slots: int, size: int) -> None:
        self._held += slots
        self._held_bytes += size
        if self._held > self._limits.groups * FRAMES_PER_GROUP:
            raise self._too_far_behind(f"{self._held} frames")
        if self._held_bytes > self._limits.held_bytes:
            raise self._too_far_behind(f"{self._held_bytes} bytes")

    def _too_far_behind(self, held: str) -> WireError:
        problem = f"{held} of speech are held while an earlier part of it is missing"
        return WireError(f"{self._noun} {self._current}", problem, Code.TOO_FAR_BEHIND)
