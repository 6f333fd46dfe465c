"""What waits for its turn on a WebSocket, and in which order it goes.

TCP delivers in order, so whoever hands it all at once has a cancelled answer played to its end and a control record
wait behind seconds of speech. A frame is therefore handed on only when the wire takes it, and until then it can still
be overtaken or taken back:

    first   the control stream, STOP_SENDING, and RESET of what the peer has seen part of
    then    datagrams, the latest `MAX_DATAGRAMS` of them
    last    streams, in the order in which they were written; CLOSE lets go of all of these
"""

from collections import Counter, deque
from dataclasses import dataclass

from edge.voice.errors import Code
from edge.voice.mux import (
    CONTROL_STREAM,
    Close,
    DatagramFrame,
    Frame,
    Role,
    StreamData,
    StreamReset,
    StreamStopped,
    encode,
)

MAX_DATAGRAMS = 8
"""Older ones are worth nothing: with one frame in each this is 160 ms."""
CHUNK_BYTES = 16 * 1024
"""The most that goes in one message, so that what is urgent waits behind no more."""


@dataclass(slots=True)
class _Entry:
    """A frame of the session's stream ``number``; None: taken back."""

    number: int
    frame: StreamData | StreamReset | None


class Outbox:
    """``role`` is this end's. The verbs are those of a carrier; streams are named by the session's numbers."""

    def __init__(self, role: Role) -> None:
        self.begun = 0
        """Unidirectional streams of this end that the peer has seen."""
        self.unsent_bytes = 0
        """Data that waits here."""
        self._role = role
        self._closed = False
        self._urgent: deque[Frame] = deque()
        self._datagrams: deque[bytes] = deque()
        self._streams: deque[_Entry] = deque()
        self._waiting: Counter[int] = Counter()  # by stream: its entries
        self._open: set[int] = set()  # streams that the peer has seen and that have not ended

    def send_control(self, data: bytes) -> None:
        for chunk in _chunks(data):
            self._add_urgent(StreamData(CONTROL_STREAM, chunk, fin=False))

    def send_stream(self, number: int, data: bytes, fin: bool) -> None:
        *whole, last = _chunks(data)
        for chunk in whole:
            self._add_stream(number, StreamData(self._role.stream_id(number), chunk, fin=False))
        self._add_stream(number, StreamData(self._role.stream_id(number), last, fin))

    def reset_stream(self, number: int, code: int) -> None:
        """Take back what waits of it; the peer learns of the end unless it has had all of it."""
        reset = StreamReset(self._role.stream_id(number), code)
        if self._waiting[number]:
            self._replace(number, reset)
        elif number in self._open:
            self._open.discard(number)
            self._add_urgent(reset)
        elif number >= self.begun:
            self._add_stream(number, reset)

    def expire_stream(self, number: int) -> None:
        """Reset it if any of it still waits."""
        if self._waiting[number]:
            self.reset_stream(number, Code.DEADLINE)

    def stop_stream(self, peer_stream: int, code: int) -> None:
        self._add_urgent(StreamStopped(peer_stream, code))

    def send_datagram(self, data: bytes) -> None:
        if self._closed:
            return
        if len(self._datagrams) == MAX_DATAGRAMS:
            self.unsent_bytes -= len(self._datagrams.popleft())
        self._datagrams.append(data)
        self.unsent_bytes += len(data)

    def close(self, code: int, reason: str) -> None:
        """The end, behind what is urgent. Nothing is taken after it."""
        self._add_urgent(Close(code, reason))
        self._stop()

    def abandon(self) -> None:
        """The end, and nobody is there to be told anything."""
        self._urgent.clear()
        self._stop()

    def _stop(self) -> None:
        self._closed = True
        self._streams.clear()
        self._waiting.clear()
        self._datagrams.clear()
        self.unsent_bytes = sum(_size(frame) for frame in self._urgent)

    def __bool__(self) -> bool:
        """Whether there may be a next message; it is chosen when it is asked for."""
        return bool(self._urgent or self._datagrams or self._streams)

    def next_message(self) -> bytes | None:
        """The next to be handed on; None if nothing waits."""
        frame = self._next_frame()
        if frame is None:
            return None
        self.unsent_bytes -= _size(frame)
        return encode(frame)

    def _next_frame(self) -> Frame | None:
        if self._urgent:
            return self._urgent.popleft()
        if self._datagrams:
            return DatagramFrame(self._datagrams.popleft())
        while self._streams:
            entry = self._streams.popleft()
            if entry.frame is not None:
                return self._handed_on(entry.number, entry.frame)
        return None

    def _handed_on(self, number: int, frame: StreamData | StreamReset) -> Frame:
        self._waiting[number] -= 1
        if not self._waiting[number]:
            del self._waiting[number]
        self.begun = max(self.begun, number + 1)
        if isinstance(frame, StreamReset) or frame.fin:
            self._open.discard(number)
        else:
            self._open.add(number)
        return frame

    def _replace(self, number: int, reset: StreamReset) -> None:
        """Put ``reset`` where the stream's first entry waits: a stream not begun must keep its place in the order."""
        place: _Entry | None = None
        for entry in self._streams:
            if entry.number == number and entry.frame is not None:
                self.unsent_bytes -= _size(entry.frame)
                entry.frame = None
                place = place or entry
        if place is not None:
            place.frame = reset
            self._waiting[number] = 1

    def _add_urgent(self, frame: Frame) -> None:
        if not self._closed:
            self._urgent.append(frame)
            self.unsent_bytes += _size(frame)

    def _add_stream(self, number: int, frame: StreamData | StreamReset) -> None:
        if not self._closed:
            self._streams.append(_Entry(number, frame))
            self._waiting[number] += 1
            self.unsent_bytes += _size(frame)


def _size(frame: Frame) -> int:
    return len(frame.data) if isinstance(frame, StreamData | DatagramFrame) else 0


def _chunks(data: bytes) -> list[bytes]:
    """``data`` in pieces; one at least, for an end without data is sent, too."""
    return [data[start : start + CHUNK_BYTES] for start in range(0, max(len(data), 1), CHUNK_BYTES)]
