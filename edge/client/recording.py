"""What the caller heard, as a file: the frames received, and silence where speech stood still."""

from pathlib import Path

from edge.client import audio
from edge.voice import FRAME_MS, FramesReceived, Underran


class Recording:
    """Items one behind the other as they sounded; the pauses between them are left out."""

    def __init__(self) -> None:
        self._packets: list[bytes | None] = []
        self._item = 0
        self._starts_at = 0  # of the item, in `_packets`
        self._silence = 0  # frames of it that were put into the item

    def reconnected(self) -> None:
        """Items count from 1 again."""
        self._item = 0

    def hear(self, event: FramesReceived) -> None:
        if event.item != self._item:
            missed = event.frames[0].pts_ms // FRAME_MS  # by a recording that begins within an item
            self._item, self._starts_at, self._silence = event.item, len(self._packets) - missed, 0
        for frame in event.frames:
            place = self._starts_at + self._silence + frame.pts_ms // FRAME_MS
            self._packets += [None] * (place - len(self._packets))
            self._packets.append(frame.payload)

    def underrun(self, event: Underran) -> None:
        """Told when speech goes on, by when frames behind the gap may have been received."""
        if event.item == self._item:
            silence = round(event.silence_ms / FRAME_MS)
            place = self._starts_at + self._silence + event.played_ms // FRAME_MS
            self._packets[place:place] = [None] * silence
            self._silence += silence

    @property
    def packets(self) -> list[bytes | None]:
        """20 ms each; None is silence."""
        return list(self._packets)

    def save(self, path: Path) -> None:
        """Write a WAV file; raises `UsageError` if ``path`` cannot be written."""
        audio.write_wav(path, self._packets)
