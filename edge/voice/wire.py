"""Everything of `edge-voice/1` that is not JSON: audio streams, audio datagrams, playout reports.

Integers are varints (RFC 9000 section 16), a packet is a varint length and that many bytes; the first varint
of a stream or datagram is its type.

    stream     1  group           utterance, group, pts_ms, codec               then 1 to 5 packets, FIN
    stream     2  item            response, item, content_index, pts0_ms, codec then packets, FIN
    datagram   3  audio           utterance, seq, pts_ms, k                     then 1 + k packets, newest first
    datagram   4  playout report  item, played_ms, buffered_ms, underruns, highest_group, client_ts_ms

Groups and audio datagrams go both ways, and their ``utterance`` is an item's number on the way to the caller; items
go to the caller only, reports to the edge only. Only the last group of an utterance may hold fewer than 5 packets,
so that ``seq = 5 * group + index`` everywhere. Datagrams carry Opus. What is malformed raises `WireError`, never anything else, and nothing is ever buffered
beyond the one packet that is incomplete.
"""

from collections.abc import Callable, Iterable
from dataclasses import astuple, dataclass
from enum import IntEnum
from typing import Generic, NamedTuple, TypeVar

from edge.voice import varint
from edge.voice.errors import WireError
from edge.voice.frame import FRAME_MS, FRAMES_PER_GROUP, PAYLOAD_SIZES, Codec

MAX_REDUNDANCY = 1
"""``k``: how many earlier packets a datagram may repeat."""


class Kind(IntEnum):
    """The first varint of a unidirectional stream or a datagram."""

    GROUP = 1
    ITEM = 2
    AUDIO = 3
    REPORT = 4


@dataclass(frozen=True, slots=True)
class GroupHeader:
    """Opens a stream of five frames; ``pts_ms`` is that of the first."""

    utterance: int
    group: int
    pts_ms: int
    codec: Codec

    @property
    def first(self) -> tuple[int, int, int]:
        """The first frame's utterance (or item), seq and pts_ms."""
        return self.utterance, self.group * FRAMES_PER_GROUP, self.pts_ms


@dataclass(frozen=True, slots=True)
class ItemHeader:
    """Opens a downlink stream; ``pts0_ms`` is that of its first frame, 0 where the item is told from its start."""

    response: int
    item: int
    content_index: int
    pts0_ms: int
    codec: Codec

    @property
    def first(self) -> tuple[int, int, int]:
        """The first frame's item, seq and pts_ms; an item has a frame for each 20 ms of it."""
        return self.item, self.pts0_ms // FRAME_MS, self.pts0_ms


@dataclass(frozen=True, slots=True)
class AudioDatagram:
    """One frame that is not worth repeating for long, with up to `MAX_REDUNDANCY` of its predecessors."""

    utterance: int
    seq: int
    pts_ms: int
    packets: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class PlayoutReport:
    """What has been heard so far; the latest by ``client_ts_ms`` (caller's clock since its call began) counts.

    ``item`` is the one playing, after its end the one that played last, and 0 before the first.
    ``buffered_ms`` is what will be played next without a pause, of all items: 0 while playout waits for more. ``highest_group`` counts the received frames
    of ``item`` in groups of five and is the number of the last begun.
    """

    item: int
    played_ms: int
    buffered_ms: int
    underruns: int
    highest_group: int
    client_ts_ms: int


class _Shape(NamedTuple):
    kind: Kind
    fields: int
    least_packets: int
    most_packets: int


_SHAPES: dict[type, _Shape] = {
    GroupHeader: _Shape(Kind.GROUP, fields=4, least_packets=1, most_packets=FRAMES_PER_GROUP),
    ItemHeader: _Shape(Kind.ITEM, fields=5, least_packets=0, most_packets=varint.MAX_VARINT),
}

H = TypeVar("H", bound=GroupHeader | ItemHeader)


class AudioStream(Generic[H]):
    """Parses one unidirectional audio stream as its bytes arrive, in chunks of any size.

    ``expected`` are the classes of header that may open it; ``name`` opens every error's place. ``header`` is None
    until it is complete; ``packets`` counts those that are.
    """

    def __init__(self, expected: type[H] | tuple[type[H], ...], name: str) -> None:
        self.header: H | None = None
        self.name = name
        self.finished = False
        self.packets = 0
        self._expected = expected if isinstance(expected, tuple) else (expected,)
        self._shape = _SHAPES[self._expected[0]]
        self._buffer = bytearray()

    def receive(self, data: bytes, fin: bool) -> list[bytes]:
        """The packets that ``data`` completes."""
        if self.finished:
            raise WireError(self.name, "data behind its end")
        self._buffer += data
        offset = 0
        if self.header is None:
            offset = self._read_header()
        packets: list[bytes] = []
        if self.header is not None:
            offset = self._read_packets(self.header.codec, offset, packets)
        del self._buffer[:offset]
        if fin:
            self._finish()
        return packets

    def _read_header(self) -> int:
        read = varint.decode(self._buffer)
        if read is None:
            return 0
        header, self._shape = self._look_up(read[0])
        values: list[int] = []
        while len(values) < self._shape.fields:
            read = varint.decode(self._buffer, read[1])
            if read is None:
                return 0
            values.append(read[0])
        try:
            self.header = header(*values[:-1], Codec(values[-1]))
        except ValueError:
            raise WireError(self.name, f"codec {values[-1]} is unknown") from None
        return read[1]

    def _look_up(self, kind: int) -> tuple[Callable[..., H], _Shape]:
        for header in self._expected:
            if _SHAPES[header].kind == kind:
                return header, _SHAPES[header]
        kinds = " or ".join(str(_SHAPES[header].kind.value) for header in self._expected)
        raise WireError(self.name, f"stream of type {kind}, {kinds} expected")

    def _read_packets(self, codec: Codec, offset: int, packets: list[bytes]) -> int:
        sizes = PAYLOAD_SIZES[codec]
        while read := varint.decode(self._buffer, offset):
            size, start = read
            if size not in sizes:
                raise WireError(self._place(), f"{size} bytes of {codec.name}, {_span(sizes)} expected")
            if self.packets == self._shape.most_packets:
                raise WireError(self._place(), "one more than a group holds")
            if start + size > len(self._buffer):
                break
            packets.append(bytes(self._buffer[start : start + size]))
            self.packets += 1
            offset = start + size
        return offset

    def _finish(self) -> None:
        if self.header is None or self._buffer:
            raise WireError(self._place(), "ends before it is complete")
        if self.packets < self._shape.least_packets:
            raise WireError(self.name, "a group without a packet")
        self.finished = True

    def _place(self) -> str:
        return f"{self.name}, packet {self.packets}" if self.header else f"{self.name}, header"


def encode_header(header: GroupHeader | ItemHeader) -> bytes:
    """What an audio stream opens with."""
    return varint.encode(_SHAPES[type(header)].kind, *astuple(header))


def encode_packet(packet: bytes, codec: Codec) -> bytes:
    """One packet with its length. Raises ValueError for a size that cannot be one frame of ``codec``."""
    if len(packet) not in PAYLOAD_SIZES[codec]:
        raise ValueError(f"{len(packet)} bytes of {codec.name}, {_span(PAYLOAD_SIZES[codec])} expected")
    return varint.encode(len(packet)) + packet


def encode_datagram(datagram: AudioDatagram | PlayoutReport) -> bytes:
    """The whole datagram."""
    if isinstance(datagram, PlayoutReport):
        return varint.encode(Kind.REPORT, *astuple(datagram))
    head = (datagram.utterance, datagram.seq, datagram.pts_ms, len(datagram.packets) - 1)
    return varint.encode(Kind.AUDIO, *head) + _join(datagram.packets)


def decode_datagram(data: bytes) -> AudioDatagram | PlayoutReport:
    """The whole of ``data``: bytes left over are as malformed as missing ones."""
    (kind,), offset = _read(data, 0, 1)
    if kind == Kind.REPORT:
        values, offset = _read(data, offset, 6)
        _expect_end(data, offset)
        return PlayoutReport(*values)
    if kind == Kind.AUDIO:
        (utterance, seq, pts_ms, k), offset = _read(data, offset, 4)
        if k > MAX_REDUNDANCY:
            raise WireError(_DATAGRAM, f"repeats {k} packets, at most {MAX_REDUNDANCY} allowed")
        packets = []
        for _ in range(1 + k):
            (size,), start = _read(data, offset, 1)
            offset = start + size
            if size not in PAYLOAD_SIZES[Codec.OPUS] or offset > len(data):
                raise WireError(f"{_DATAGRAM}, byte {start}", f"no packet of {size} bytes")
            packets.append(data[start:offset])
        _expect_end(data, offset)
        return AudioDatagram(utterance, seq, pts_ms, tuple(packets))
    raise WireError(_DATAGRAM, f"of type {kind}, {Kind.AUDIO} or {Kind.REPORT} expected")


_DATAGRAM = "datagram"


def _read(data: bytes, offset: int, count: int) -> tuple[list[int], int]:
    values = []
    for _ in range(count):
        read = varint.decode(data, offset)
        if read is None:
            raise WireError(f"{_DATAGRAM}, byte {offset}", "ends before it is complete")
        value, offset = read
        values.append(value)
    return values, offset


def _expect_end(data: bytes, offset: int) -> None:
    if offset != len(data):
        raise WireError(f"{_DATAGRAM}, byte {offset}", f"{len(data) - offset} bytes too many")


def _join(packets: Iterable[bytes]) -> bytes:
    return b"".join(encode_packet(packet, Codec.OPUS) for packet in packets)


def _span(sizes: range) -> str:
    return str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]} to {sizes[-1]}"
