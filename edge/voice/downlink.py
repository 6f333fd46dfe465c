"""The edge's side of what the caller hears: a ring of speech not yet written, let out by the lead window."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from edge.voice import wire
from edge.voice.actions import ResetStream, SendStream
from edge.voice.errors import Code
from edge.voice.frame import FRAME_MS, GROUP_MS, Codec, Frame
from edge.voice.lead import LeadWindow

RING_MS = 30_000
CHUNK_MS = 1000
"""The most that is spoken at once. While there is room for that much in the ring, audio is wanted."""


@dataclass(frozen=True, slots=True)
class Finished:
    """An item left the ring: all of its ``frames`` are on the wire, or it was cancelled after ``played_ms``."""

    item: int
    frames: int
    played_ms: int | None = None

    @property
    def cancelled(self) -> bool:
        return self.played_ms is not None


@dataclass(slots=True, eq=False)
class _Item:
    number: int
    codec: Codec = Codec.OPUS
    waiting: deque[bytes] = field(default_factory=deque)  # packets with their length
    stream: int | None = None
    written: int = 0
    ended: bool = False


class Downlink:
    """Items in the order begun; each goes out whole, on a stream of its own, before the next starts."""

    def __init__(self, lead_ms: int) -> None:
        self.window = LeadWindow(lead_ms)
        self._items: deque[_Item] = deque()
        self._begun = 0
        self._streams = 0
        self._ring_ms = 0

    @property
    def wants_audio(self) -> bool:
        return self._ring_ms + CHUNK_MS <= RING_MS

    def begin(self) -> int:
        """A new item's number, counted from 1."""
        self._begun += 1
        self._items.append(_Item(self._begun))
        return self._begun

    def speak(self, number: int, frames: Sequence[Frame]) -> None:
        """Put frames of one codec into the ring; for an item that is gone (cancelled) they are dropped.

        Raises ValueError, and takes none, if a payload cannot be a frame of its codec or the codec changes.
        """
        item = self._find(number)
        if item is None or not frames:
            return
        if not item.waiting and not item.written:
            item.codec = frames[0].codec
        if any(frame.codec != item.codec for frame in frames):
            raise ValueError(f"item {number} began as {item.codec.name} and cannot change its codec")
        item.waiting += [wire.encode_packet(frame.payload, item.codec) for frame in frames]
        self._ring_ms += len(frames) * FRAME_MS

    def end(self, number: int) -> None:
        """No more frames will come for this item."""
        item = self._find(number)
        if item is not None:
            item.ended = True

    def cancel(self, number: int | None) -> list[ResetStream | Finished]:
        """Drop an item, or with None all, down to what the caller has received and will not play."""
        cancelled = [item for item in self._items if number in (None, item.number)]
        done: list[ResetStream | Finished] = []
        for item in cancelled:
            if item.stream is not None:
                done.append(ResetStream(item.stream, Code.CANCELLED))
            done.append(Finished(item.number, item.written, self.window.played_of(item.number)))
            self._ring_ms -= len(item.waiting) * FRAME_MS
        self._items = deque(item for item in self._items if item not in cancelled)
        self.window.discard(number)
        return done

    def pump(self, now: float) -> list[SendStream | Finished]:
        """What the window lets out now."""
        done: list[SendStream | Finished] = []
        while self._items:
            item = self._items[0]
            count = self._releasable(item, now)
            ends = item.ended and count == len(item.waiting)
            if count or ends:
                done.append(self._write(item, count, ends, now))
            if not ends:
                break
            done.append(Finished(item.number, item.written))
            self._items.popleft()
        return done

    def get_timer(self) -> float | None:
        """When `pump` will let out more, if the clock alone can tell."""
        if not self._items or not self._items[0].waiting:
            return None
        return self.window.opens_at(self._quantum_ms(self._items[0]))

    def item_of(self, stream: int) -> int | None:
        """The open item that is written on ``stream``."""
        return next((item.number for item in self._items if item.stream == stream), None)

    def _find(self, number: int) -> _Item | None:
        return next((item for item in self._items if item.number == number), None)

    def _releasable(self, item: _Item, now: float) -> int:
        """Number of frames. Where the window is the brake, frames go in groups: five to a packet, not one."""
        budget_ms = self.window.budget_ms(now)
        if budget_ms < self._quantum_ms(item):
            return 0
        return min(budget_ms // FRAME_MS, len(item.waiting))

    @staticmethod
    def _quantum_ms(item: _Item) -> int:
        return min(GROUP_MS, len(item.waiting) * FRAME_MS)

    def _write(self, item: _Item, count: int, ends: bool, now: float) -> SendStream:
        data = b"".join(item.waiting.popleft() for _ in range(count))
        if item.stream is None:
            item.stream = self._streams
            self._streams += 1
            data = wire.encode_header(wire.ItemHeader(item.number, item.number, 0, 0, item.codec)) + data
        item.written += count
        self._ring_ms -= count * FRAME_MS
        if count:
            self.window.write(item.number, count * FRAME_MS, now)
        return SendStream(item.stream, data, ends)
