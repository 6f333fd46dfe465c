"""How the frames of an item travel: on one stream that is never given up, or in groups that have a deadline."""

import itertools
from collections.abc import Sequence
from typing import Protocol

from edge.voice import wire
from edge.voice.actions import Action, ExpireStream, ResetStream, SendStream
from edge.voice.deadline import worth_datagrams
from edge.voice.errors import Code
from edge.voice.frame import FRAME_MS, FRAMES_PER_GROUP, Codec, Frame
from edge.voice.groups import GroupSender
from edge.voice.speech import Speech


class ItemWay(Protocol):
    """From some frame of an item to its end, or until it is reset."""

    def write(self, frames: Sequence[Frame], fin: bool, ahead_ms: int, now: float) -> list[Action]:
        """The next frames, ``ahead_ms`` before the first is due to be played; with ``fin`` they are the last."""

    def reset(self) -> list[Action]:
        """Nothing of what was written is wanted any more."""

    def runs_on(self, stream: int) -> bool:
        """Whether ``stream`` carries any of it."""


class ItemStream:
    """One stream of type 2, from frame ``start`` of the item on."""

    def __init__(self, stream: int, item: int, start: int, codec: Codec) -> None:
        self._stream = stream
        self._head = wire.encode_header(wire.ItemHeader(item, item, 0, start * FRAME_MS, codec))

    def write(self, frames: Sequence[Frame], fin: bool, ahead_ms: int, now: float) -> list[Action]:
        data = self._head + b"".join(wire.encode_packet(frame.payload, frame.codec) for frame in frames)
        self._head = b""
        return [SendStream(self._stream, data, fin)]

    def reset(self) -> list[Action]:
        return [ResetStream(self._stream, Code.CANCELLED)]

    def runs_on(self, stream: int) -> bool:
        return stream == self._stream


class ItemGroups:
    """Groups of an item, each worth ``deadline_ms`` of waiting after the moment at which its last frame is due."""

    def __init__(self, sender: GroupSender, item: int, deadline_ms: int) -> None:
        self._sender = sender
        self._item = item
        self._deadline_ms = deadline_ms

    def write(self, frames: Sequence[Frame], fin: bool, ahead_ms: int, now: float) -> list[Action]:
        done: list[Action] = []
        while frames:
            count = FRAMES_PER_GROUP - frames[0].seq % FRAMES_PER_GROUP
            group, frames = frames[:count], frames[count:]
            ahead_ms += len(group) * FRAME_MS
            done += self._sender.write(group, now, ahead_ms + self._deadline_ms)
        if fin:
            done += self._sender.end(now, ahead_ms + self._deadline_ms)
        return done

    def reset(self) -> list[Action]:
        return [*self._sender.cancel(self._item)]

    def runs_on(self, stream: int) -> bool:
        return self._sender.unit_of(stream) == self._item


class Ways:
    """All ways on one carrier, which numbers its streams from 0."""

    def __init__(self) -> None:
        self._streams = itertools.count()
        self._sender = GroupSender(self._streams)

    def open(self, speech: Speech, deadline_ms: int | None) -> ItemWay:
        """A way for what is next of ``speech``."""
        if deadline_ms is None:
            return ItemStream(next(self._streams), speech.item, speech.at, speech.codec)
        return ItemGroups(self._sender, speech.item, deadline_ms)

    def choose(self, deadline_ms: int | None, rtt_s: float | None) -> None:
        """Before anything is written: whether the next group goes in datagrams."""
        self._sender.datagrams = worth_datagrams(deadline_ms, rtt_s)

    def get_timer(self) -> float | None:
        """When the next stream expires."""
        return self._sender.get_timer()

    def handle_timer(self, now: float) -> list[ExpireStream]:
        """The streams whose time is over."""
        return self._sender.handle_timer(now)
