"""The sender of speech, for both directions: frames in groups of five, on a stream each or in datagrams.

A stream repairs what is lost, and is given up when its time is over. Where that time is too short for any repair
(`deadline.worth_datagrams`) each frame goes in a datagram that repeats the one before it. The way is chosen anew for
every group.
"""

import heapq
from collections.abc import Iterator, Sequence

from edge.voice import wire
from edge.voice.actions import ExpireStream, ResetStream, SendDatagram, SendStream
from edge.voice.errors import Code
from edge.voice.frame import FRAME_MS, FRAMES_PER_GROUP, Codec, Frame

MAX_PACKET_BYTES = 550
"""Two of them fit a QUIC packet of 1200 bytes (RFC 9000 section 14), with all that a carrier puts around them."""


class GroupSender:
    """Writes the frames of one unit after the other. ``streams`` numbers the streams of this end.

    ``datagrams`` says how the next group goes; what a datagram cannot take goes on a stream all the same.
    """

    def __init__(self, streams: Iterator[int]) -> None:
        self.datagrams = False
        self._streams = streams
        self._group: list[Frame] = []  # those of the open group that have been written
        self._stream: int | None = None  # of the open group; None if it goes in datagrams
        self._previous: Frame | None = None  # the one written last, if the unit is still the same
        self._unit_of: dict[int, int] = {}  # streams that can still expire or are open
        self._expiries: list[tuple[float, int]] = []  # a heap

    def write(
        self, frames: Sequence[Frame], now: float, deadline_ms: int | None
    ) -> list[SendStream | SendDatagram]:
        """The next frames of a unit, of which each is worth ``deadline_ms`` from now on.

        They follow the last ones, or take the unit up at what the peer has. Raises ValueError, and writes nothing, for
        a payload that cannot be a frame of its codec.
        """
        packets = [wire.encode_packet(frame.payload, frame.codec) for frame in frames]
        sends: list[SendStream | SendDatagram] = []
        start = 0
        while start < len(frames):
            if not self._group:
                self._stream = None
            taken = frames[start : start + FRAMES_PER_GROUP - frames[start].seq % FRAMES_PER_GROUP]
            if self._stream is None and self._fits(taken):
                sends += [self._datagram(frame) for frame in taken]
            else:
                sends.append(self._send(taken, packets[start : start + len(taken)]))
            self._group += taken
            start += len(taken)
            if taken[-1].seq % FRAMES_PER_GROUP == FRAMES_PER_GROUP - 1:
                self._close(now, deadline_ms)
        return sends

    def end(self, now: float, deadline_ms: int | None) -> list[SendStream]:
        """The unit is over: the end of its last group, if that is open."""
        stream = self._stream if self._group else None
        self._close(now, deadline_ms)
        self._previous = None
        return [] if stream is None else [SendStream(stream, b"", True)]

    def cancel(self, unit: int) -> list[ResetStream]:
        """The unit is not wanted any more: nothing of it is said again."""
        streams = [stream for stream, of in self._unit_of.items() if of == unit]
        self._expiries = [expiry for expiry in self._expiries if self._unit_of[expiry[1]] != unit]
        heapq.heapify(self._expiries)
        for stream in streams:
            del self._unit_of[stream]
        if self._group and self._group[0].utterance == unit:
            self._group = []
        self._previous = None
        return [ResetStream(stream, Code.CANCELLED) for stream in streams]

    def forget(self) -> None:
        """The carrier is gone, and its streams with it."""
        self._group = []
        self._previous = None
        self._unit_of.clear()
        self._expiries.clear()

    def unit_of(self, stream: int) -> int | None:
        """What is said on a stream, while that is not all said and its time is not over."""
        return self._unit_of.get(stream)

    def get_timer(self) -> float | None:
        """When the next stream expires."""
        return self._expiries[0][0] if self._expiries else None

    def handle_timer(self, now: float) -> list[ExpireStream]:
        """The streams whose time is over."""
        expired: list[ExpireStream] = []
        while self._expiries and self._expiries[0][0] <= now:
            _, stream = heapq.heappop(self._expiries)
            del self._unit_of[stream]
            expired.append(ExpireStream(stream))
        return expired

    def _fits(self, frames: Sequence[Frame]) -> bool:
        """Whether they may go in datagrams. A group that has begun so goes on so, as long as its packets fit."""
        return (self.datagrams or bool(self._group)) and all(
            frame.codec is Codec.OPUS and len(frame.payload) <= MAX_PACKET_BYTES for frame in frames
        )

    def _datagram(self, frame: Frame) -> SendDatagram:
        packets = (frame.payload, *([] if self._previous is None else [self._previous.payload]))
        self._previous = frame
        return SendDatagram(
            wire.encode_datagram(wire.AudioDatagram(frame.utterance, frame.seq, frame.pts_ms, packets))
        )

    def _send(self, frames: Sequence[Frame], packets: Sequence[bytes]) -> SendStream:
        head = b""
        if self._stream is None:
            self._stream = next(self._streams)
            head = self._open(frames[0])
        fin = frames[-1].seq % FRAMES_PER_GROUP == FRAMES_PER_GROUP - 1
        self._unit_of[self._stream] = frames[0].utterance
        self._previous = frames[-1]
        return SendStream(self._stream, head + b"".join(packets), fin)

    def _open(self, frame: Frame) -> bytes:
        """What a group's stream opens with: in the middle of a group also what is before it.

        That is what went in datagrams, or, where the unit is taken up in the middle, this frame in place of those
        that the peer has: it drops whatever comes for a slot that is settled.
        """
        group, index = divmod(frame.seq, FRAMES_PER_GROUP)
        before = [said.payload for said in self._group]
        fill = [frame.payload] * (index - len(before))
        pts_ms = max(0, frame.pts_ms - index * FRAME_MS)
        header = wire.encode_header(wire.GroupHeader(frame.utterance, group, pts_ms, frame.codec))
        return header + b"".join(wire.encode_packet(payload, frame.codec) for payload in fill + before)

    def _close(self, now: float, deadline_ms: int | None) -> None:
        if self._group and self._stream is not None:
            if deadline_ms is None:
                del self._unit_of[self._stream]
            else:
                heapq.heappush(self._expiries, (now + deadline_ms / 1000, self._stream))
        self._group = []
