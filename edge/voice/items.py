"""The caller's side of what it hears: item streams in any order become frames in one order."""

from dataclasses import dataclass, field

from edge.voice.errors import Code, WireError
from edge.voice.events import FramesReceived, ItemDone
from edge.voice.frame import FRAME_MS, Frame
from edge.voice.wire import AudioStream, ItemHeader

MAX_ITEMS = 2048  # more than fit into the edge's ring and the lead window, be each a single frame
MAX_HELD_BYTES = 1024 * 1024
"""What an edge can make a caller hold of later items while an earlier one is incomplete."""

Progress = FramesReceived | ItemDone


@dataclass(slots=True)
class _Item:
    """``stream`` is None while only the control stream has told of the item."""

    stream: AudioStream[ItemHeader] | None = None
    waiting: list[Frame] = field(default_factory=list)
    delivered: int = 0
    over: bool = False  # nothing more will come
    unwanted: bool = False  # nothing more shall be heard


class ItemReader:
    """Delivers each frame once, by item and index; items count from 1 and none is left out."""

    def __init__(self) -> None:
        self._current = 1
        self._items: dict[int, _Item] = {}
        self._streams: dict[int, AudioStream[ItemHeader]] = {}  # until their FIN or reset
        self._held_bytes = 0

    def receive(self, stream_id: int, data: bytes, fin: bool) -> list[Progress]:
        """Bytes of one of the edge's streams; the result is what they let through."""
        stream = self._streams.get(stream_id)
        if stream is None:
            stream = self._streams[stream_id] = AudioStream(ItemHeader, f"stream {stream_id}")
        packets = stream.receive(data, fin)
        if fin:
            del self._streams[stream_id]
        header = stream.header
        if header is None or header.item < self._current:
            return []  # nothing yet, or the rest of an item that was cancelled
        item = self._item(header.item, stream.name)
        if item.stream not in (None, stream):
            raise WireError(stream.name, f"item {header.item} a second time")
        item.stream = stream
        item.over |= fin
        if not item.unwanted:
            for index, packet in enumerate(packets, stream.packets - len(packets)):
                pts_ms = header.pts0_ms + index * FRAME_MS
                item.waiting.append(Frame(header.item, pts_ms // FRAME_MS, pts_ms, packet, header.codec))
                self._held_bytes += len(packet)
        done = self._deliver()
        if self._held_bytes > MAX_HELD_BYTES:
            place = f"item {self._current}"
            raise WireError(place, f"{self._held_bytes} bytes of later ones wait for it", Code.TOO_FAR_BEHIND)
        return done

    def reset(self, stream_id: int) -> None:
        """The edge gave a stream up. Which item is over for that, it says on the control stream."""
        self._streams.pop(stream_id, None)

    def cancel(self, number: int) -> list[Progress]:
        """The edge says that no more of an item will come."""
        if number < self._current:
            return []
        item = self._item(number, "control stream")
        item.over = True
        self._drop(item)
        return self._deliver()

    def expect(self, number: int) -> None:
        """The edge says that an item has begun; its audio may have come before or may never come."""
        if number >= self._current:
            self._item(number, "control stream")

    def silence(self) -> tuple[list[int], list[int]]:
        """Nothing more of what has begun shall be heard: those items, and the streams that still bring them."""
        for item in self._items.values():
            self._drop(item)
        return list(self._items), list(self._streams)

    def _item(self, number: int, place: str) -> _Item:
        if not self._current <= number < self._current + MAX_ITEMS:
            raise WireError(place, f"item {number} while {self._current} is not over")
        return self._items.setdefault(number, _Item())

    def _drop(self, item: _Item) -> None:
        item.unwanted = True
        self._take(item)

    def _deliver(self) -> list[Progress]:
        done: list[Progress] = []
        while item := self._items.get(self._current):
            if item.waiting:
                item.delivered += len(item.waiting)
                done.append(FramesReceived(self._current, self._take(item)))
            if not item.over:
                break
            done.append(ItemDone(self._current, item.delivered, item.unwanted))
            del self._items[self._current]
            self._current += 1
        return done

    def _take(self, item: _Item) -> list[Frame]:
        taken, item.waiting = item.waiting, []
        self._held_bytes -= sum(len(frame.payload) for frame in taken)
        return taken
