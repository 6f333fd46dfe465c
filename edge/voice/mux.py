"""Streams and datagrams on a WebSocket: what QUIC does for a call, in binary messages of one frame each.

A frame is varints (RFC 9000 section 16) and, to the end of the message, its data:

    0x08  STREAM        stream, data            0x05  STOP_SENDING  stream, code
    0x09  STREAM_FIN    stream, data            0x30  DATAGRAM      data
    0x04  RESET         stream, code            0x1d  CLOSE         code, reason (UTF-8)

Streams have QUIC's numbers (RFC 9000 section 2.1): 0 is the control stream, which both ends send on; the caller's
unidirectional streams are 2, 6, 10, ..., the edge's 3, 7, 11, ... Each is begun by its first frame, in the order of
the numbers. What breaks a rule raises `WireError`, never anything else, and nothing but numbers is kept.
"""

from dataclasses import dataclass
from enum import IntEnum

from edge.voice import varint
from edge.voice.base import Receiver
from edge.voice.errors import Code, WireError

MAX_DATA = 64 * 1024
"""Bytes of data in one frame."""
MAX_MESSAGE = MAX_DATA + 16
"""Bytes of one message: the largest frame's data and its numbers."""
MAX_REASON = 1024
"""Bytes of a CLOSE's reason."""
MAX_OPEN_STREAMS = 128
"""Streams of the peer that are begun and not ended, as many as a QUIC server usually allows."""

CONTROL_STREAM = 0
_SPACING = 4  # between two streams of one kind
_KIND_OF_STREAM = 3  # the two bits of a number that say who sends on it


class Role(IntEnum):
    """An end of the call; its value is that end's first unidirectional stream."""

    CALLER = 2
    EDGE = 3

    @property
    def peer(self) -> "Role":
        return Role.EDGE if self is Role.CALLER else Role.CALLER

    def stream_id(self, number: int) -> int:
        """The unidirectional stream that this end's session calls ``number``, counted from 0."""
        return self + _SPACING * number


@dataclass(frozen=True, slots=True)
class StreamData:
    """The next bytes of a stream, with ``fin`` the last."""

    stream: int
    data: bytes
    fin: bool


@dataclass(frozen=True, slots=True)
class StreamReset:
    """The sender gives the stream up."""

    stream: int
    code: int


@dataclass(frozen=True, slots=True)
class StreamStopped:
    """The receiver asks the sender to give the stream up."""

    stream: int
    code: int


@dataclass(frozen=True, slots=True)
class DatagramFrame:
    data: bytes


@dataclass(frozen=True, slots=True)
class Close:
    """The last frame: the session is over. ``reason`` is for a person."""

    code: int
    reason: str


Frame = StreamData | StreamReset | StreamStopped | DatagramFrame | Close


class _Type(IntEnum):
    """QUIC's numbers for the same (RFC 9000 section 19, RFC 9221 section 4)."""

    RESET = 0x04
    STOP_SENDING = 0x05
    STREAM = 0x08
    STREAM_FIN = 0x09
    CLOSE = 0x1D
    DATAGRAM = 0x30


_NUMBERS = {
    _Type.RESET: 2,
    _Type.STOP_SENDING: 2,
    _Type.STREAM: 1,
    _Type.STREAM_FIN: 1,
    _Type.CLOSE: 1,
    _Type.DATAGRAM: 0,
}
_WHERE = "WebSocket message"


def encode(frame: Frame) -> bytes:
    """One message. Raises ValueError for more than `MAX_DATA` of data; a long reason is cut."""
    match frame:
        case StreamData(stream=stream, data=data, fin=fin):
            return _message(_Type.STREAM_FIN if fin else _Type.STREAM, stream, data=data)
        case StreamReset(stream=stream, code=code):
            return _message(_Type.RESET, stream, code)
        case StreamStopped(stream=stream, code=code):
            return _message(_Type.STOP_SENDING, stream, code)
        case DatagramFrame(data=data):
            return _message(_Type.DATAGRAM, data=data)
        case Close(code=code, reason=reason):
            cut = reason.encode(errors="replace")[:MAX_REASON].decode(errors="ignore")
            return _message(_Type.CLOSE, code, data=cut.encode())


def _message(kind: _Type, *numbers: int, data: bytes = b"") -> bytes:
    if len(data) > MAX_DATA:
        raise ValueError(f"{len(data)} bytes in one frame, at most {MAX_DATA} allowed")
    return varint.encode(kind, *numbers) + data


def decode(message: bytes) -> Frame:
    """The frame that ``message`` is. Raises `WireError`, whatever it is."""
    # A frame's type is the only number that must be as short as it can be (RFC 9000 section 12.4).
    if not message or message[0] not in _NUMBERS:
        raise WireError(_WHERE, f"frame of type {message[0]:#04x}" if message else "is empty")
    kind = _Type(message[0])
    numbers: list[int] = []
    offset = 1
    for _ in range(_NUMBERS[kind]):
        read = varint.decode(message, offset)
        if read is None:
            raise WireError(_WHERE, f"{kind.name} ends before it is complete")
        value, offset = read
        numbers.append(value)
    data = message[offset:]
    if len(data) > _MAX_DATA_OF.get(kind, MAX_DATA):
        raise WireError(
            _WHERE, f"{len(data)} bytes in {kind.name}, at most {_MAX_DATA_OF.get(kind, MAX_DATA)}"
        )
    match kind:
        case _Type.STREAM | _Type.STREAM_FIN:
            return StreamData(numbers[0], data, kind is _Type.STREAM_FIN)
        case _Type.RESET:
            return StreamReset(*numbers)
        case _Type.STOP_SENDING:
            return StreamStopped(*numbers)
        case _Type.DATAGRAM:
            return DatagramFrame(data)
        case _Type.CLOSE:
            try:
                return Close(numbers[0], data.decode())
            except UnicodeDecodeError:
                raise WireError(_WHERE, "the reason of its CLOSE is not UTF-8") from None


_MAX_DATA_OF = {_Type.RESET: 0, _Type.STOP_SENDING: 0, _Type.CLOSE: MAX_REASON}


class Inbound:
    """Holds the peer to the rules of the streams; ``role`` is the peer's."""

    def __init__(self, role: Role) -> None:
        self._role = role
        self._begun = 0  # unidirectional streams of the peer
        self._open: set[int] = set()
        self._control_ended = False

    def receive(self, message: bytes, ours_begun: int) -> Frame | None:
        """The frame of ``message``, or None if it says nothing new; ``ours_begun`` counts our streams on the wire.

        As in QUIC a stream may be reset behind its end, and asked to stop: by then the other end could not know.
        """
        frame = decode(message)
        match frame:
            case StreamData(stream=stream) if stream == CONTROL_STREAM:
                if self._control_ended:
                    raise WireError("control stream", "data behind its end")
                self._control_ended = frame.fin
            case StreamData(stream=stream, fin=fin):
                if not self._begin(stream):
                    raise WireError(f"stream {stream}", "data behind its end")
                if fin:
                    self._open.discard(stream)
            case StreamReset(stream=stream):
                if not self._begin(stream):
                    return None
                self._open.discard(stream)
            case StreamStopped(stream=stream):
                ours = self._role.peer
                if stream & _KIND_OF_STREAM != ours or stream >= ours.stream_id(ours_begun):
                    raise WireError(f"stream {stream}", "is asked to stop, and is none of this end's")
            case _:
                pass
        return frame

    def _begin(self, stream: int) -> bool:
        """Make sure that ``stream`` is the peer's to send on; whether it is open."""
        if stream & _KIND_OF_STREAM != self._role:
            raise WireError(f"stream {stream}", "is not the sender's to send on")
        following = self._role.stream_id(self._begun)
        if stream > following:
            raise WireError(f"stream {stream}", f"begins before stream {following}")
        if stream == following:
            if len(self._open) == MAX_OPEN_STREAMS:
                raise WireError(f"stream {stream}", f"{MAX_OPEN_STREAMS} others are open", Code.LIMIT)
            self._begun += 1
            self._open.add(stream)
        return stream in self._open


def deliver(frame: Frame, session: Receiver, now: float) -> None:
    """Hand ``session`` what has arrived; a CLOSE is the carrier's."""
    match frame:
        case StreamData(stream=stream, data=data, fin=fin) if stream == CONTROL_STREAM:
            session.receive_control(data, fin, now)
        case StreamData(stream=stream, data=data, fin=fin):
            session.receive_stream(stream, data, fin, now)
        case StreamReset(stream=stream, code=code):
            session.receive_reset(stream, code, now)
        case StreamStopped(stream=stream, code=code):
            session.receive_stop(stream // _SPACING, code, now)
        case DatagramFrame(data=data):
            session.receive_datagram(data, now)
        case Close():
            pass
