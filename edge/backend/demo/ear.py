"""What the caller's frames contain: PCM of 16 kHz, and in which of its 20 ms there is a voice."""

import array
import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import webrtcvad  # type: ignore[import-untyped]

from edge.backend.demo.endpointer import WINDOW_FRAMES, NoiseFloor
from edge.backend.demo.wire import RATE_HZ
from edge.backend.opus import Decoder
from edge.voice.frame import FRAME_MS, Frame

_AGGRESSIVENESS = 3  # of webrtcvad: 0 to 3, the last takes least noise for a voice
_SAMPLES = RATE_HZ * FRAME_MS // 1000
_BYTES = _SAMPLES * 2
_FULL_SCALE = 32768 * math.sqrt(_SAMPLES)
_BEFORE_FRAMES = WINDOW_FRAMES + 10


@dataclass(frozen=True, slots=True)
class Heard:
    """20 ms that end at ``at_ms`` of the utterance."""

    pcm: bytes
    at_ms: int
    voice: bool


class Ear:
    """One call's. Lost frames are concealed, so that time goes on in them."""

    def __init__(self) -> None:
        self._decoder = Decoder(RATE_HZ)
        self._vad = webrtcvad.Vad(_AGGRESSIVENESS)
        self._floor = NoiseFloor()
        self.before: deque[bytes] = deque(maxlen=_BEFORE_FRAMES)
        """The last 400 ms: speech begins softly, before anybody can tell that it does."""

    def hear(self, frames: Sequence[Frame]) -> Iterator[Heard]:
        for frame in frames:
            pcm = self._decoder.decode_frames([frame])
            starts = range(0, len(pcm), _BYTES)
            for start in starts:
                piece = pcm[start : start + _BYTES]
                self.before.append(piece)
                behind = len(starts) - start // _BYTES - 1
                yield Heard(piece, frame.pts_ms + FRAME_MS * (1 - behind), self._is_voice(piece))

    def _is_voice(self, pcm: bytes) -> bool:
        level = math.hypot(*array.array("h", pcm)) / _FULL_SCALE
        stands_out = self._floor.is_below(20 * math.log10(level) if level else -100.0)
        return stands_out and self._vad.is_speech(pcm, RATE_HZ)
