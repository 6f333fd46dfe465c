"""When the caller begins to speak and when that is over: from 20 ms to 20 ms, and nothing else."""

from collections import deque
from typing import Literal

from edge.voice.frame import FRAME_MS

ONSET_FRAMES = 6
"""So many frames with a voice..."""
WINDOW_FRAMES = 10
"""...of so many begin speech: a click does not."""
LONGEST_MS = 30_000
"""A turn ends here at the latest. What a recogniser holds grows with the turn."""

_FLOOR_FRAMES = 100
_ABOVE_FLOOR_DB = 6.0
_QUIETEST_DB = -50.0


class NoiseFloor:
    """Tells speech from steady noise, which a voice detector takes for a voice if it is loud.

    Speech falls silent many times in two seconds, so the quietest frame of these is the noise behind it.
    """

    def __init__(self) -> None:
        self._levels_db: deque[float] = deque(maxlen=_FLOOR_FRAMES)

    def is_below(self, level_db: float) -> bool:
        """Whether 20 ms at ``level_db`` (RMS, of full scale) stand out."""
        self._levels_db.append(level_db)
        return level_db >= max(_QUIETEST_DB, min(self._levels_db) + _ABOVE_FLOOR_DB)


class Endpointer:
    """``silence_ms`` without a voice end the speech; None: nothing does but `end`, or `LONGEST_MS`."""

    def __init__(self, silence_ms: int | None) -> None:
        self.silence_ms = silence_ms
        self.speaking = False
        self.silent_ms = 0
        """Since the last voice."""
        self.voice_ms = 0
        """Of the speech in hand."""
        self._length_ms = 0
        self._window: deque[bool] = deque(maxlen=WINDOW_FRAMES)

    def hear(self, voice: bool) -> Literal["started", "stopped"] | None:
        """Take 20 ms, and say whether the speech has begun or ended with them."""
        if not self.speaking:
            self._window.append(voice)
            if sum(self._window) < ONSET_FRAMES:
                return None
            self.speaking = True
            self.silent_ms, self._length_ms = 0, len(self._window) * FRAME_MS
            self.voice_ms = sum(self._window) * FRAME_MS
            return "started"
        self._length_ms += FRAME_MS
        self.voice_ms += FRAME_MS * voice
        self.silent_ms = 0 if voice else self.silent_ms + FRAME_MS
        patience_ms = LONGEST_MS if self.silence_ms is None else self.silence_ms
        if self.silent_ms < patience_ms and self._length_ms < LONGEST_MS:
            return None
        self.end()
        return "stopped"

    def end(self) -> None:
        """The speech is over, if there was any."""
        self.speaking = False
        self._window.clear()
