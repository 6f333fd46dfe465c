"""The frames of one unit (an utterance, an item) as a row of slots, filled in any order and emptied from the front.

    delivered or lost | head: missing ... | waiting | missing | waiting ... | known to exist, or not
                      next_seq                                              end

The head is not waited for without end. It is lost when its deadline has passed since something behind it was first
known to exist: a later frame had arrived, or the unit's length was known. It is lost at once if its sender has given
it up. A slot that nothing is known behind is never lost: it may not have been said yet.
"""

from collections import deque
from dataclasses import dataclass, field

from edge.voice.frame import Frame


@dataclass(frozen=True, slots=True)
class Delivered:
    """The next frames of a unit, in order and without holes."""

    unit: int
    frames: list[Frame]


@dataclass(frozen=True, slots=True)
class Lost:
    """``count`` frames of a unit from ``seq`` on are declared lost; should they come yet, they are late."""

    unit: int
    seq: int
    count: int


@dataclass(slots=True)
class Slots:
    """One unit. ``length`` is its number of frames once that is known, ``end`` is one more than the last known slot."""

    unit: int
    next_seq: int = 0
    end: int = 0
    length: int | None = None
    waiting: dict[int, Frame] = field(default_factory=dict)
    held_bytes: int = 0
    """Of payload that waits."""
    lost: int = 0
    _given_up: set[int] = field(default_factory=set)
    # Arrivals of what was, then, the farthest frame: the first beyond a hole starts the clock of that hole.
    _arrivals: deque[tuple[int, float]] = field(default_factory=deque)
    _length_at: float | None = None

    @property
    def held(self) -> int:
        """How many slots take up memory."""
        return len(self.waiting) + len(self._given_up)

    @property
    def complete(self) -> bool:
        return self.next_seq == self.length

    def put(self, frames: list[Frame], now: float) -> None:
        """Frames with consecutive seqs, none of which has been taken yet; those that are here already change nothing."""
        for frame in frames:
            if frame.seq not in self.waiting:
                self.waiting[frame.seq] = frame
                self._given_up.discard(frame.seq)
                self.held_bytes += len(frame.payload)
        last = frames[-1].seq
        self.end = max(self.end, last + 1)
        if not self._arrivals or last > self._arrivals[-1][0]:
            self._arrivals.append((last, now))

    def pass_on(self, count: int) -> None:
        """The next ``count`` frames are here and need no slot, for nothing waits behind them."""
        self.next_seq += count
        self.end = max(self.end, self.next_seq)

    def give_up(self, first: int, stop: int) -> None:
        """The sender will not send these again. If they exist, those that are not here are lost."""
        self._given_up.update(
            seq for seq in range(max(first, self.next_seq), stop) if seq not in self.waiting
        )

    def skip(self) -> None:
        """The hole at the head is not waited for any longer."""
        self.give_up(self.next_seq, self.next_seq + self._hole(whole=True))

    def finish(self, length: int, now: float) -> None:
        """The unit has ``length`` frames, and not less than `end`."""
        self.length = self.end = length
        if self._length_at is None:
            self._length_at = now

    def discard(self) -> None:
        """Nothing more of this is wanted, and nothing of it is missed."""
        self.waiting.clear()
        self._given_up.clear()
        self.held_bytes = 0
        self.stop_clock()

    def stop_clock(self) -> None:
        """What is missing is said again, and its time begins with what is heard behind it then."""
        self._arrivals.clear()
        self._length_at = None

    def missing_since(self) -> float | None:
        """When something behind the head was first known to exist; None if nothing is, or the clock is stopped."""
        while self._arrivals and self._arrivals[0][0] < self.next_seq:
            self._arrivals.popleft()
        length_at = self._length_at if self.next_seq < self.end else None
        if not self._arrivals:
            return length_at
        arrived_at = self._arrivals[0][1]
        return arrived_at if length_at is None else min(arrived_at, length_at)

    def take(self, now: float, deadline_s: float | None) -> list[Delivered | Lost]:
        """What is settled by now: frames that are here, and holes in front of which nobody waits any longer."""
        done: list[Delivered | Lost] = []
        while True:
            if frames := self._take_run():
                done.append(Delivered(self.unit, frames))
            since = self.missing_since()
            overdue = deadline_s is not None and since is not None and since + deadline_s <= now
            count = self._hole(whole=overdue)
            if not count:
                return done
            done.append(Lost(self.unit, self.next_seq, count))
            self._settled(count)
            self.lost += count

    def _take_run(self) -> list[Frame]:
        frames: list[Frame] = []
        while frame := self.waiting.pop(self.next_seq + len(frames), None):
            frames.append(frame)
            self.held_bytes -= len(frame.payload)
        self._settled(len(frames))
        return frames

    def _hole(self, *, whole: bool) -> int:
        """Slots at the head that are missing: all of them, for they are of one age, or those given up."""
        seq = self.next_seq
        while seq < self.end and seq not in self.waiting and (whole or seq in self._given_up):
            seq += 1
        return seq - self.next_seq

    def _settled(self, count: int) -> None:
        if self._given_up:
            self._given_up.difference_update(range(self.next_seq, self.next_seq + count))
        self.next_seq += count
