"""The receiver of speech, for both directions: streams and datagrams in any order become frames in one order.

It does not matter on which kind of stream or in how many datagrams a frame comes; the first of it counts.
"""

from dataclasses import dataclass

from edge.voice.errors import Code, WireError
from edge.voice.frame import FRAME_MS, FRAMES_PER_GROUP, Codec, Frame
from edge.voice.units import Limits, Progress, Units
from edge.voice.wire import AudioDatagram, AudioStream, GroupHeader, ItemHeader


@dataclass(slots=True)
class _Stream:
    parser: AudioStream[GroupHeader | ItemHeader]
    unit: int = 0  # of the next frame, as are the others; known with the header
    seq: int = 0
    pts_ms: int = 0


class Reassembly(Units):
    """What a carrier brings, in the order of `Units`. ``streams`` are the kinds of stream that may come.

    The end of an item's stream is the end of the item. Where groups end only the owner can say (`end`).
    """

    def __init__(
        self,
        limits: Limits,
        deadline_ms: int | None,
        *,
        noun: str,
        streams: tuple[type[GroupHeader | ItemHeader], ...] = (GroupHeader,),
    ) -> None:
        super().__init__(limits, deadline_ms, noun)
        self._kinds = streams
        self._open: dict[int, _Stream] = {}  # until their FIN or reset

    def receive(self, stream_id: int, data: bytes, fin: bool, now: float) -> list[Progress]:
        """Bytes of a stream; the result is what they let through."""
        stream = self._open.get(stream_id) or self._begin_stream(stream_id)
        parser = stream.parser
        begun = parser.header is not None
        packets = parser.receive(data, fin)
        header = parser.header
        if header is None:
            return []
        if not begun:
            stream.unit, stream.seq, stream.pts_ms = header.first
        unit, seq, pts_ms, codec = stream.unit, stream.seq, stream.pts_ms, header.codec
        frames = [
            Frame(unit, seq + index, pts_ms + index * FRAME_MS, packet, codec)
            for index, packet in enumerate(packets)
        ]
        stream.seq += len(packets)
        stream.pts_ms += len(packets) * FRAME_MS
        done = self._accept(frames, unit, codec, parser.name, now)
        if fin:
            del self._open[stream_id]
            done += self._finish_stream(stream, now)
        return done

    def receive_datagram(self, datagram: AudioDatagram, now: float) -> list[Progress]:
        """One datagram with its repetitions, newest first."""
        unit, repeated = datagram.utterance, len(datagram.packets) - 1
        if repeated > datagram.seq:
            raise WireError("datagram", f"repeats {repeated} packets before frame {datagram.seq}")
        frames = [
            Frame(unit, datagram.seq - back, max(0, datagram.pts_ms - back * FRAME_MS), packet)
            for back, packet in enumerate(datagram.packets)
        ]
        return self._accept(frames[::-1], unit, Codec.OPUS, "datagram", now)

    def reset(self, stream_id: int, code: int, now: float) -> list[Progress]:
        """The peer gave a stream up: by its deadline, so that the rest is lost, or else with the whole unit.

        Of a stream that is reset before its header came nothing is known; what it had will be missed by its time.
        """
        stream = self._open.pop(stream_id, None)
        if stream is None or code != Code.DEADLINE or not isinstance(stream.parser.header, GroupHeader):
            return []
        stop = (stream.parser.header.group + 1) * FRAMES_PER_GROUP
        return self._give_up(stream.unit, stream.seq, stop, now)

    def detach(self) -> None:
        """The carrier is gone and its streams with it: what is missing will be said again from `position` on."""
        self._open.clear()
        self._restart()

    def _begin_stream(self, stream_id: int) -> _Stream:
        if len(self._open) == self._limits.groups:
            raise self._too_far_behind(f"{len(self._open)} streams")
        stream = self._open[stream_id] = _Stream(AudioStream(self._kinds, f"stream {stream_id}"))
        return stream

    def _finish_stream(self, stream: _Stream, now: float) -> list[Progress]:
        parser, unit = stream.parser, stream.unit
        if isinstance(parser.header, ItemHeader):
            state = self._units.get(unit)
            over = state is None or state.dropped
            return [] if over else self.end(unit, stream.seq, now, parser.name)
        if parser.packets < FRAMES_PER_GROUP:
            self._limit(unit, stream.seq, f"{parser.name}, a short group", now)
        return []
