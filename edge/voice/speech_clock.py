"""When the caller said something: a moment of an utterance, by the clock at which it was heard."""

from collections import deque
from collections.abc import Sequence

from edge.voice.frame import FRAME_MS, Frame

REMEMBERED = 256
"""Arrivals: at five frames in each 25 s, at one frame 5 s. Who detects the end of speech does so within a second or two."""


class SpeechClock:
    """Of the utterance in hand."""

    def __init__(self) -> None:
        self._utterance = 0
        self._arrivals: deque[tuple[int, float]] = deque(
            maxlen=REMEMBERED
        )  # end in ms of the utterance, when

    def heard(self, frames: Sequence[Frame], now: float) -> None:
        """The next frames of an utterance."""
        if frames[-1].utterance != self._utterance:
            self._utterance = frames[-1].utterance
            self._arrivals.clear()
        self._arrivals.append((frames[-1].pts_ms + FRAME_MS, now))

    def moment(self, at_ms: int, now: float) -> float:
        """When ``at_ms`` of the utterance had been heard; ``now`` if it has not."""
        return next((at for end_ms, at in self._arrivals if end_ms >= at_ms), now)
