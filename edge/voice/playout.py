"""What the caller hears, by the clock: frames are bought from a buffer at the rate of one second a second.

An item starts once `start_ms` of it are buffered, or all of it if it is shorter. When the buffer is empty
before the item has ended, the caller hears silence until `start_ms` are there again. That silence is counted
as an underrun when speech goes on: silence behind the last word was not a gap in anything. A frame that is lost is
played all the same, as 20 ms of silence or of whatever a decoder makes up: time goes on.

A pause is silence that the caller wanted; it is no underrun, and what is buffered waits to be played or flushed.
"""

from collections import deque
from dataclasses import dataclass

from edge.voice.events import Underran
from edge.voice.frame import FRAME_MS, FRAMES_PER_GROUP

DEFAULT_START_MS = 120
"""More than one group: speech that comes as it is spoken, 100 ms at a time, needs that much to hide any delay."""
_ROUNDING_MS = 0.001


@dataclass(slots=True)
class _Item:
    number: int
    received: int = 0  # frames
    played_ms: float = 0.0
    ended: bool = False

    @property
    def left_ms(self) -> float:
        return self.received * FRAME_MS - self.played_ms


class Playout:
    """The playout of one call. Items are pushed in order, a next one only when the one before has ended."""

    def __init__(self, start_ms: int = DEFAULT_START_MS) -> None:
        self.playing = False
        self.paused = False
        self.transitions = 0
        """Grows at each start, underrun, pause, stop and flush."""
        self.gaps: deque[Underran] = deque()
        """Underruns that are over, oldest first; the owner takes them out."""
        self.underruns = 0
        self.underrun_ms = 0
        self._start_ms = start_ms
        self._queue: deque[_Item] = deque()
        self._sounded = _Item(0)  # the last that has begun to sound; the head of the queue or gone from it
        self._clock = 0.0  # until when playing has been reckoned
        self._dry_since: float | None = None

    @property
    def item(self) -> int:
        """The item playing, after its end the one that played last, and 0 before the first."""
        return self._sounded.number

    @property
    def played_ms(self) -> int:
        """Of `item`, as of the last `advance`."""
        return int(self._sounded.played_ms + _ROUNDING_MS)

    @property
    def highest_group(self) -> int:
        """Of `item`, by the frames received of it."""
        return max(0, self._sounded.received - 1) // FRAMES_PER_GROUP

    @property
    def buffered_ms(self) -> int:
        """What will be played next without a pause, as of the last `advance`; 0 in silence."""
        ahead_ms = 0.0
        for item in self._queue if self.playing else ():
            if item.number != self.item and not self._can_start(item):
                break
            ahead_ms += item.left_ms
            if not item.ended:
                break
        return int(ahead_ms + _ROUNDING_MS)

    @property
    def items(self) -> list[int]:
        """Those of which there is more to play, or may come."""
        return [item.number for item in self._queue]

    @property
    def dry_at(self) -> float:
        """When nothing will be left to play, or since when nothing is, as of the last `advance`."""
        return self._clock + self.buffered_ms / 1000

    def push(self, item: int, frames: int, now: float) -> None:
        """The first ``frames`` of ``item`` have been received or are lost."""
        self.advance(now)
        if not self._queue or self._queue[-1].number != item:
            self._queue.append(_Item(item))
        self._queue[-1].received = frames
        self._start(now)

    def end(self, item: int, now: float) -> None:
        """No more frames of ``item`` will come."""
        self.advance(now)
        for queued in self._queue:
            if queued.number == item:
                queued.ended = True
        self._start(now)

    def pause(self, now: float) -> None:
        """Be silent, and keep what is buffered."""
        self.advance(now)
        self.paused = True
        self._stop(now)

    def resume(self, now: float) -> None:
        """Go on where the pause began, at once: to wait for more would be silence that nobody asked for."""
        if not self.paused:
            return
        self.paused = False
        if self._queue and self._queue[0] is self._sounded and self._sounded.left_ms > 0:
            self._sound(self._sounded, now)
        else:
            self._start(now)

    def flush(self, now: float, item: int | None = None) -> None:
        """Throw away what is buffered, of all items or of one; the caller hears nothing more of it."""
        self.advance(now)
        head = self._queue[0] if self._queue else None
        self._queue = deque(queued for queued in self._queue if item not in (None, queued.number))
        if item is None:
            self.paused = False
        if item is None or (head is not None and head.number == item):
            self._stop(now)
            self._start(now)

    def advance(self, now: float) -> None:
        """Play until ``now``."""
        while self.playing:
            head = self._queue[0]
            elapsed_ms = (now - self._clock) * 1000
            if elapsed_ms < head.left_ms - _ROUNDING_MS:
                head.played_ms += elapsed_ms
                self._clock = now
                break
            ran_out = self._clock + head.left_ms / 1000
            head.played_ms = head.received * FRAME_MS
            self._stop(ran_out)
            self._dry_since = ran_out
            self._start(ran_out)

    def get_timer(self) -> float | None:
        """When what is buffered of the item will have been played; None in silence."""
        return self._clock + self._queue[0].left_ms / 1000 if self.playing else None

    def _start(self, at: float) -> None:
        while not self.playing and not self.paused and self._queue:
            head = self._queue[0]
            if self._can_start(head):
                self._sound(head, at)
            elif head.ended:
                self._queue.popleft()
                self._dry_since = None
            else:
                break

    def _can_start(self, item: _Item) -> bool:
        return item.left_ms > 0 and (item.ended or item.left_ms >= self._start_ms)

    def _sound(self, head: _Item, at: float) -> None:
        if self._dry_since is not None:
            silence_ms = round((at - self._dry_since) * 1000)
            self._dry_since = None
            if silence_ms:  # nobody hears less than a millisecond
                self.underruns += 1
                self.underrun_ms += silence_ms
                self.gaps.append(Underran(head.number, self.played_ms, silence_ms))
        self._sounded = head
        self._clock = at
        self.playing = True
        self.transitions += 1

    def _stop(self, at: float) -> None:
        self._clock = at
        self._dry_since = None
        self.playing = False
        self.transitions += 1
