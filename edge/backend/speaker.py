"""PCM of a backend, in pieces of any length, as one item of Opus frames."""

from collections.abc import Iterator
from typing import Final

from edge.backend.base import ItemFrames
from edge.backend.opus import Encoder, Rate
from edge.voice.frame import FRAME_MS, Frame

SLICE_MS: Final = 200
"""Encoded at once: what a backend says in one message must not hold up the other calls of a worker."""

_SAMPLE_BYTES = 2


class Speaker:
    """One item while it is being said. ``rate_hz`` is that of the PCM, signed 16 bit, mono."""

    def __init__(self, item: int, rate_hz: Rate, bitrate: int) -> None:
        self.item = item
        self.silenced = False
        self._encoder = Encoder(rate_hz, bitrate)
        self._bytes_per_s = rate_hz * _SAMPLE_BYTES
        self._received = 0
        self._seq = 0

    @property
    def received_ms(self) -> int:
        """What the backend has said of it, whole milliseconds."""
        return self._received * 1000 // self._bytes_per_s

    def say(self, pcm: bytes) -> Iterator[ItemFrames]:
        """The frames that ``pcm`` completes, some at a time; none once it is `silenced`."""
        self._received += len(pcm)
        size = self._bytes_per_s * SLICE_MS // 1000
        for start in range(0, len(pcm), size):
            if self.silenced:
                break
            yield from self._frames(self._encoder.encode(pcm[start : start + size]))

    def end(self) -> Iterator[ItemFrames]:
        """The last of it, filled up with silence."""
        if not self.silenced:
            yield from self._frames(self._encoder.flush())

    def _frames(self, packets: list[bytes]) -> Iterator[ItemFrames]:
        if packets:
            start = self._seq
            self._seq += len(packets)
            yield ItemFrames(
                self.item,
                [Frame(self.item, seq, seq * FRAME_MS, packet) for seq, packet in enumerate(packets, start)],
            )
