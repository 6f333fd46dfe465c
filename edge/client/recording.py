"""What was said in a call, as files: the edge's side alone, or both sides as they sounded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from edge.client import audio
from edge.client.player import Sound
from edge.voice import FRAME_MS, BargedIn, FramesReceived, Underran


class Recording:
    """Of the edge: items one behind the other as they sounded; the pauses between them are left out."""

    def __init__(self) -> None:
        self._packets: list[bytes | None] = []
        self._item = 0
        self._starts_at = 0  # of the item, in `_packets`
        self._silence = 0  # frames of it that were put into the item

    def reconnected(self) -> None:
        """To another session, whose items count from 1 again."""
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

    def interrupted(self, event: BargedIn) -> None:
        """What was received and never played is no part of what was heard."""
        if event.account.item == self._item:
            played = -(-event.account.played_ms // FRAME_MS)
            del self._packets[max(0, self._starts_at + self._silence + played) :]

    @property
    def packets(self) -> list[bytes | None]:
        """20 ms each; None is silence."""
        return list(self._packets)

    def save(self, path: Path) -> None:
        """Write a WAV file; raises `UsageError` if ``path`` cannot be written."""
        audio.write_wav(path, self._packets)


class TwoWayRecording:
    """Both sides by the clock: the caller as it spoke, the edge as it sounded to the caller."""

    def __init__(self, begins_at: float) -> None:
        self._begins_at = begins_at
        self._said: list[Sound] = []
        self._heard: list[Sound] = []

    def say(self, packets: Sequence[bytes], now: float) -> None:
        """What leaves now; what is said faster than real time sounds one behind the other."""
        at = max(now, self._said[-1].at + FRAME_MS / 1000 if self._said else now)
        self._said += [
            Sound(at + number * FRAME_MS / 1000, packet, None) for number, packet in enumerate(packets)
        ]

    def hear(self, sounds: Sequence[Sound]) -> None:
        """What has begun to sound."""
        self._heard += sounds

    def save(self, path: Path) -> None:
        """Write a WAV file, the caller left and the edge right; raises `UsageError` if ``path`` cannot be written."""
        audio.write_stereo(path, self._begins_at, self._said, self._heard)
