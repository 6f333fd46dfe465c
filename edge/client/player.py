"""What the caller hears, when it hears it: the frames of the edge at the pace of the playout, holes and all."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from edge.backend.opus import Decoder, OpusError
from edge.voice import FRAME_MS, Codec, Frame, FramesReceived, Playout

RATE: Final = 48_000
CHUNK_BYTES = RATE * FRAME_MS // 1000 * 2
"""20 ms, signed 16 bit, mono."""


@dataclass(frozen=True, slots=True)
class Sound:
    """20 ms that began to sound at ``at``, in seconds of the event loop's clock. None is a frame that was lost.

    A lost one may be found again in the packet that follows it, ``following``, if that was there by then.
    """

    at: float
    packet: bytes | None
    following: bytes | None


class Player:
    """Told of the frames received, asked for what has begun to sound since it was asked last.

    It follows the playout, which starts late enough to be steady, stands still at an underrun, and falls silent when
    the caller interrupts.
    """

    def __init__(self, playout: Playout) -> None:
        self.follow(playout)

    def follow(self, playout: Playout) -> None:
        """That of another session from now on, whose items count from 1."""
        self._playout = playout
        self._items: deque[tuple[int, dict[int, bytes]]] = deque()  # number, packets by seq
        self._next = 0  # frame of the first of them
        self._interrupted: set[int] = set()

    def hear(self, event: FramesReceived) -> None:
        if not self._items and event.item == self._playout.item:
            self._next = event.frames[0].seq  # who begins to listen within an item has missed what was before
        if not self._items or self._items[-1][0] != event.item:
            self._items.append((event.item, {}))
        self._items[-1][1].update({frame.seq: _opus(frame) for frame in event.frames})

    def interrupted(self) -> None:
        """What is buffered will not sound, unless it is taken back."""
        self._interrupted |= set(self._playout.items)

    def resumed(self) -> None:
        """It was taken back."""
        self._interrupted.clear()

    def cut(self, item: int) -> None:
        """Nothing more of ``item`` will sound."""
        self._interrupted.add(item)

    def due(self, now: float) -> list[Sound]:
        """As of the playout's last `advance`, which must have been now."""
        playout = self._playout
        sounds: list[Sound] = []
        while self._items and self._items[0][0] < playout.item:
            item, packets = self._items[0]
            if item not in self._interrupted and packets:
                ended_at = now - playout.played_ms / 1000
                sounds += self._sound(packets, max(packets) + 1, ended_at)
            self._items.popleft()
            self._interrupted.discard(item)
            self._next = 0
        if self._items and self._items[0][0] == playout.item:
            item, packets = self._items[0]
            begun = -(-playout.played_ms // FRAME_MS) + (playout.playing and not playout.played_ms % FRAME_MS)
            begun = min(begun, max(packets, default=-1) + 1)
            sounds += self._sound(packets, begun, now + (begun * FRAME_MS - playout.played_ms) / 1000)
        return sounds

    def _sound(self, packets: dict[int, bytes], until: int, ends_at: float) -> list[Sound]:
        first, self._next = self._next, max(self._next, until)
        return [
            Sound(ends_at - (until - seq) * FRAME_MS / 1000, packets.pop(seq, None), packets.get(seq + 1))
            for seq in range(first, until)
        ]


class SoundDecoder:
    """Sounds in their order to PCM, `CHUNK_BYTES` each."""

    def __init__(self) -> None:
        self._decoder = Decoder(RATE)

    def decode(self, sound: Sound) -> bytes:
        """What is lost, or is not Opus, is recovered or made up from what was before."""
        try:
            if sound.packet is not None:
                return self._decoder.decode(sound.packet)
            if sound.following is not None:
                return self._decoder.recover(sound.following)
        except OpusError:
            pass
        return self._decoder.conceal()


def _opus(frame: Frame) -> bytes:
    """To libopus an empty packet is a lost one."""
    return frame.payload if frame.codec is Codec.OPUS else b""
