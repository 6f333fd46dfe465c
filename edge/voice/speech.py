"""The speech of one item at the edge, from the backend's mouth until the caller has heard it."""

from collections import deque
from collections.abc import Sequence
from itertools import islice

from edge.voice.barge_in import BargeIn, truncation_ms
from edge.voice.frame import FRAME_MS, FRAMES_PER_GROUP, Codec, Frame
from edge.voice.wire import PlayoutReport


class Speech:
    """Frames of one item, and four places in them, counted in frames:

        0 .... heard .... at .... wire .... generated
               |<------- kept here ------->|

    What is heard is forgotten. ``at`` is what will be written next. It is also ``wire``, the furthest that ever was
    written, unless something has to be said again. What is before ``start`` was said by another node.
    """

    def __init__(self, item: int, start: int = 0) -> None:
        self.item = item
        self.start = start
        self.codec = Codec.OPUS
        self.ended = False
        """The backend has said all of it."""
        self.generated = start
        self.wire = start
        self.at = start
        self.received = start
        """The most that the caller may have got, by its last report."""
        self.played_ms = 0
        self._heard = start
        self._kept: deque[bytes] = deque()
        self._generated_bytes = 0
        self._wire_bytes = 0
        self._heard_bytes = 0

    @property
    def received_ms(self) -> int:
        """Behind this no transcript is cut: the caller cannot have heard more."""
        return self.received * FRAME_MS

    @property
    def waiting(self) -> int:
        """Frames that can be written."""
        return self.generated - self.at

    @property
    def is_written(self) -> bool:
        return self.ended and not self.waiting

    @property
    def is_heard(self) -> bool:
        """The caller has come to the end, give or take what its own rounding does to the last frame."""
        return self.is_written and self.generated * FRAME_MS - self.played_ms < FRAME_MS

    def give(self, payloads: Sequence[bytes]) -> None:
        """The backend says more."""
        self._kept += payloads
        self.generated += len(payloads)
        self._generated_bytes += sum(map(len, payloads))

    def take(self, count: int) -> list[Frame]:
        """The next ``count`` frames, to be written now."""
        start = self.at - self._heard
        payloads = list(islice(self._kept, start, start + count))
        self._wire_bytes += sum(map(len, payloads[max(0, self.wire - self.at) :]))
        frames = [
            Frame(self.item, seq, seq * FRAME_MS, payload, self.codec)
            for seq, payload in enumerate(payloads, self.at)
        ]
        self.at += count
        self.wire = max(self.wire, self.at)
        return frames

    def rewind(self, frames: int) -> None:
        """Go on at ``frames``, as far as that can be: nothing is said again that was heard, nothing left out."""
        least = max(-(-self.played_ms // FRAME_MS), self._heard)
        self.at = min(max(frames, least), self.wire)

    def reported(self, report: PlayoutReport, played_ms: int) -> None:
        """The caller's last report is of this item; the lead window believes ``played_ms`` of it."""
        self.received = min((report.highest_group + 1) * FRAMES_PER_GROUP, self.at)
        self._hear(truncation_ms(played_ms, received=self.received, generated=self.generated))

    def whole_heard(self) -> None:
        """The caller's last report is of a later item."""
        self.received = self.at
        self._hear(self.at * FRAME_MS)

    def account(self, cancel_ms: float | None) -> BargeIn:
        """What it would cost and save to stop here."""
        return BargeIn(
            item=self.item,
            played_ms=self.played_ms,
            generated_bytes=self._generated_bytes,
            wire_bytes=self._wire_bytes,
            played_bytes=self._heard_bytes,
            cancel_ms=cancel_ms,
        )

    def _hear(self, played_ms: int) -> None:
        self.played_ms = max(self.played_ms, played_ms)
        for _ in range(self.played_ms // FRAME_MS - self._heard):
            self._heard_bytes += len(self._kept.popleft())
            self._heard += 1
